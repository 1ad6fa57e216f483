"""A draft that is sent again is known; the meters of a DCU are found by an index of theirs."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    op.add_column("campaign", sa.Column("drafter", sa.Text(), nullable=True))
    op.add_column("campaign", sa.Column("ticket", sa.String(length=128), nullable=True))
    op.add_column("campaign", sa.Column("digest", sa.String(length=64), nullable=True))
    op.create_index("ix_campaign_ticket", "campaign", ["drafter", "ticket"], unique=True)
    op.drop_index("ix_device_dcu", table_name="device")
    op.create_index("ix_device_dcu", "device", ["dcu", "kind", "serial"], unique=False)
