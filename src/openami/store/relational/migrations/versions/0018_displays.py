"""Orders to have meters forget the displays of households that moved out."""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "display_order",
        sa.Column("key", _ID, nullable=False),
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("meter", sa.String(length=32), nullable=False),
        sa.Column("due", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_display_order"),
        sa.UniqueConstraint("id", name="uq_display_order_id"),
    )
    op.create_index("ix_display_order_meter", "display_order", ["meter"], unique=False)
    op.create_index("ix_display_order_due", "display_order", ["due"], unique=False)
