"""Device management: accounts, sessions, groups, trees, jobs."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    _create_dm_account()
    _create_dm_change()
    _create_dm_desired()
    _create_dm_group()
    _create_dm_job()
    _create_dm_known()
    _create_dm_session()
    _create_dm_message()
    _create_dm_task()


def _create_dm_account() -> None:
    op.create_table(
        "dm_account",
        sa.Column("uid", sa.String(length=32), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("suspended", sa.Boolean(), nullable=False),
        sa.Column("created", sa.Double(), nullable=False),
        sa.Column("client_nonce", sa.LargeBinary(), nullable=False),
        sa.Column("server_nonce", sa.LargeBinary(), nullable=False),
        sa.Column("last_session", sa.Double(), nullable=True),
        sa.Column("wake_url", sa.Text(), nullable=True),
        sa.Column("wake_due", sa.Double(), nullable=True),
        sa.Column("wake_failures", sa.Integer(), nullable=False),
        sa.Column("wake_session", sa.Integer(), nullable=False),
        sa.Column("tree_known", sa.Double(), nullable=True),
        sa.PrimaryKeyConstraint("uid", name=op.f("pk_dm_account")),
    )
    op.create_index("ix_dm_account_wake", "dm_account", ["wake_due"], unique=False)


def _create_dm_change() -> None:
    op.create_table(
        "dm_change",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("uid", sa.String(length=32), nullable=False),
        sa.Column("uri", sa.String(length=255), nullable=False),
        sa.Column("old", sa.Text(), nullable=True),
        sa.Column("new", sa.Text(), nullable=True),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("origin", sa.Text(), nullable=False),
        sa.Column("words", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_dm_change")),
    )
    op.create_index("ix_dm_change_device", "dm_change", ["uid", "id"], unique=False)


def _create_dm_desired() -> None:
    op.create_table(
        "dm_desired",
        sa.Column("scope", sa.String(length=80), nullable=False),
        sa.Column("uri", sa.String(length=255), nullable=False),
        sa.Column("format", sa.String(length=8), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("who", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("scope", "uri", name=op.f("pk_dm_desired")),
    )


def _create_dm_group() -> None:
    op.create_table(
        "dm_group",
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("filter", sa.JSON(), nullable=False),
        sa.Column("created", sa.Double(), nullable=False),
        sa.Column("who", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_dm_group")),
    )


def _create_dm_job() -> None:
    op.create_table(
        "dm_job",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=8), nullable=False),
        sa.Column("who", sa.Text(), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("created", sa.Double(), nullable=False),
        sa.Column("expires", sa.Double(), nullable=False),
        sa.Column("filter", sa.JSON(), nullable=False),
        sa.Column("commands", sa.JSON(), nullable=False),
        sa.Column("repeatable", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_dm_job")),
    )
    op.create_index("ix_dm_job_created", "dm_job", ["created"], unique=False)


def _create_dm_known() -> None:
    op.create_table(
        "dm_known",
        sa.Column("uid", sa.String(length=32), nullable=False),
        sa.Column("uri", sa.String(length=255), nullable=False),
        sa.Column("format", sa.String(length=8), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.Column("acl", sa.Text(), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("refused", sa.Text(), nullable=True),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("words", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("uid", "uri", name=op.f("pk_dm_known")),
    )
    refused = sa.text("refused IS NOT NULL")
    op.create_index(
        "ix_dm_known_refused",
        "dm_known",
        ["uid"],
        unique=False,
        sqlite_where=refused,
        postgresql_where=refused,
    )


def _create_dm_session() -> None:
    op.create_table(
        "dm_session",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("uid", sa.String(length=32), nullable=False),
        sa.Column("session", sa.String(length=16), nullable=False),
        sa.Column("began", sa.Double(), nullable=False),
        sa.Column("ended", sa.Double(), nullable=False),
        sa.Column("end", sa.String(length=16), nullable=False),
        sa.Column("code", sa.String(length=64), nullable=True),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("notified", sa.Boolean(), nullable=False),
        sa.Column("messages", sa.Integer(), nullable=False),
        sa.Column("octets", sa.Integer(), nullable=False),
        sa.Column("orders", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_dm_session")),
    )
    op.create_index("ix_dm_session_began", "dm_session", ["began"], unique=False)
    op.create_index("ix_dm_session_device", "dm_session", ["uid", "id"], unique=False)


def _create_dm_message() -> None:
    op.create_table(
        "dm_message",
        sa.Column("session", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("sent", sa.Boolean(), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("media", sa.String(length=64), nullable=False),
        sa.Column("octets", sa.Integer(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["session"], ["dm_session.id"], name=op.f("fk_dm_message_session"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("session", "number", name=op.f("pk_dm_message")),
    )


def _create_dm_task() -> None:
    op.create_table(
        "dm_task",
        sa.Column("job", sa.String(length=64), nullable=False),
        sa.Column("uid", sa.String(length=32), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("expires", sa.Double(), nullable=False),
        sa.Column("once", sa.Boolean(), nullable=False),
        sa.Column("updated", sa.Double(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("results", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(
            ["job"], ["dm_job.id"], name=op.f("fk_dm_task_job"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("job", "uid", name=op.f("pk_dm_task")),
    )
    op.create_index("ix_dm_task_device", "dm_task", ["uid", "state"], unique=False)
    op.create_index("ix_dm_task_state", "dm_task", ["state", "expires"], unique=False)
