"""Demand response: programs, events, how these stand at meters; notices; orders of supply."""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    _create_events()
    _create_standings()
    _create_notices()
    _create_orders()


def _create_events() -> None:
    op.create_table(
        "demand_program",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("created", sa.Double(), nullable=False),
        sa.Column("kept", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_demand_program"),
        sa.UniqueConstraint("name", name="uq_demand_program_name"),
    )
    op.create_table(
        "demand_event",
        sa.Column("key", _ID, nullable=False),
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("program", sa.String(length=36), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created", sa.Double(), nullable=False),
        sa.Column("who", sa.Text(), nullable=False),
        sa.Column("published", sa.Double(), nullable=True),
        sa.Column("ended", sa.Double(), nullable=True),
        sa.Column("meters", sa.BigInteger(), nullable=False),
        sa.Column("kept", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["program"], ["demand_program.id"], name="fk_demand_event_program"),
        sa.PrimaryKeyConstraint("key", name="pk_demand_event"),
        sa.UniqueConstraint("id", name="uq_demand_event_id"),
    )
    op.create_index("ix_demand_event_state", "demand_event", ["state", "key"], unique=False)


def _create_standings() -> None:
    op.create_table(
        "demand_standing",
        sa.Column("event", _ID, nullable=False),
        sa.Column("meter", sa.String(length=32), nullable=False),
        sa.Column("delivered", sa.Double(), nullable=True),
        sa.Column("limited", sa.Double(), nullable=True),
        sa.Column("restored", sa.Double(), nullable=True),
        sa.Column("acknowledged", sa.Double(), nullable=True),
        sa.Column("answer", sa.String(length=16), nullable=True),
        sa.Column("answered", sa.Double(), nullable=True),
        sa.Column("who", sa.Text(), nullable=False),
        sa.Column("refused", sa.Double(), nullable=True),
        sa.Column("code", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["event"], ["demand_event.key"], name="fk_demand_standing_event"),
        sa.PrimaryKeyConstraint("event", "meter", name="pk_demand_standing"),
    )
    op.create_index("ix_demand_standing_meter", "demand_standing", ["meter", "event"], unique=False)


def _create_notices() -> None:
    op.create_table(
        "demand_notice",
        sa.Column("key", _ID, nullable=False),
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=False),
        sa.Column("who", sa.Text(), nullable=False),
        sa.Column("withdrawn", sa.Boolean(), nullable=False),
        sa.Column("kept", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_demand_notice"),
        sa.UniqueConstraint("id", name="uq_demand_notice_id"),
    )
    op.create_index("ix_demand_notice_until", "demand_notice", ["withdrawn", "until"], unique=False)


def _create_orders() -> None:
    op.create_table(
        "supply_order",
        sa.Column("key", _ID, nullable=False),
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("meter", sa.String(length=32), nullable=False),
        sa.Column("waits", sa.String(length=32), nullable=True),
        sa.Column("wanted", sa.String(length=16), nullable=False),
        sa.Column("who", sa.Text(), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("created", sa.Double(), nullable=False),
        sa.Column("until", sa.Double(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("found", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("ended", sa.Double(), nullable=True),
        sa.PrimaryKeyConstraint("key", name="pk_supply_order"),
        sa.UniqueConstraint("id", name="uq_supply_order_id"),
    )
    op.create_index("ix_supply_order_waits", "supply_order", ["waits"], unique=True)
    op.create_index("ix_supply_order_meter", "supply_order", ["meter", "key"], unique=False)
    op.create_index("ix_supply_order_state", "supply_order", ["state", "key"], unique=False)
