"""Meters that speak C12.22, and where they last registered."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    op.create_table(
        "c1222_node",
        sa.Column("meter", sa.String(length=32), nullable=False),
        sa.Column("title", sa.String(length=255), nullable=False),
        sa.Column("key_id", sa.Integer(), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=True),
        sa.Column("logs", sa.JSON(), nullable=False),
        sa.Column("taken", sa.Text(), nullable=True),
        sa.Column("serial", sa.Text(), nullable=True),
        sa.Column("native", sa.LargeBinary(), nullable=True),
        sa.Column("node_type", sa.Integer(), nullable=True),
        sa.Column("connection", sa.Integer(), nullable=True),
        sa.Column("device_class", sa.LargeBinary(), nullable=True),
        sa.Column("registered_at", sa.Double(), nullable=True),
        sa.Column("expires_at", sa.Double(), nullable=True),
        sa.Column("via", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("meter", name="pk_c1222_node"),
        sa.UniqueConstraint("title", name="uq_c1222_node_title"),
    )
    # Whatever was known before speaks DLMS.
    protocol = sa.Column("protocol", sa.String(length=16), nullable=False, server_default="DLMS")
    op.add_column("device", protocol)
