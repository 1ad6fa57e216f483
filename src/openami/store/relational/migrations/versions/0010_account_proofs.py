"""Which proofs an account accepts; empty: those that all accept."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    op.add_column(
        "dm_account",
        sa.Column("allows", sa.String(length=64), server_default="", nullable=False),
    )
