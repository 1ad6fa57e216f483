"""Devices that take no notifications apart; requests that come again; alarms about groups."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.add_column(
        "dm_account",
        sa.Column("wake_silent", sa.Boolean(), server_default=sa.false(), nullable=False),
    )
    op.drop_index("ix_dm_account_wake", "dm_account")
    op.create_index("ix_dm_account_wake", "dm_account", ["wake_silent", "wake_due"], unique=False)
    op.add_column("dm_job", sa.Column("key", sa.String(length=128), nullable=True))
    op.add_column("dm_job", sa.Column("digest", sa.String(length=64), nullable=True))
    op.create_index("ix_dm_job_key", "dm_job", ["who", "key"], unique=True)
    op.create_index("ix_dm_task_job", "dm_task", ["job", "state"], unique=False)
    with op.batch_alter_table("alarm") as alarm:  # nodes have longer names than devices
        alarm.alter_column(
            "subject",
            existing_type=sa.String(length=48),
            type_=sa.String(length=300),
            existing_nullable=False,
        )
