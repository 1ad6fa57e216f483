"""Why displays are not forgotten yet; an event or a notice that is sent again is known."""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"


def upgrade() -> None:
    reason = sa.Column("reason", sa.Text(), server_default="", nullable=False)
    op.add_column("display_order", sa.Column("refused", sa.Double(), nullable=True))
    op.add_column("display_order", sa.Column("code", sa.Text(), nullable=True))
    op.add_column("display_order", reason)
    for table in ("demand_event", "demand_notice"):
        op.add_column(table, sa.Column("ticket", sa.String(length=128), nullable=True))
        op.add_column(table, sa.Column("digest", sa.String(length=64), nullable=True))
        op.create_index(f"ix_{table}_ticket", table, ["who", "ticket"], unique=True)
