"""Campaigns: what they are, their DCUs and devices, their jobs, and the fleet's epoch."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    _create_campaigns()
    _create_devices()
    op.create_table(
        "fleet_epoch",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_fleet_epoch"),
    )


def _create_campaigns() -> None:
    op.create_table(
        "campaign",
        sa.Column("key", _ID, nullable=False),
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("state", sa.String(length=24), nullable=False),
        sa.Column("release", sa.BigInteger(), nullable=False),
        sa.Column("created", sa.Double(), nullable=False),
        sa.Column("spec", sa.JSON(), nullable=False),
        sa.Column("run", sa.JSON(), nullable=False),
        sa.Column("sums", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_campaign"),
        sa.UniqueConstraint("id", name="uq_campaign_id"),
    )
    op.create_index("ix_campaign_state", "campaign", ["state", "key"], unique=False)
    op.create_table(
        "campaign_site",
        sa.Column("campaign", _ID, nullable=False),
        sa.Column("row", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("dcu", sa.String(length=32), nullable=False),
        sa.Column("area", sa.Text(), nullable=False),
        sa.Column("cell", sa.Text(), nullable=False),
        sa.Column("segment", sa.Text(), nullable=False),
        sa.Column("rate", sa.BigInteger(), nullable=False),
        sa.Column("line_rate", sa.BigInteger(), nullable=False),
        sa.Column("devices", sa.Integer(), nullable=False),
        sa.Column("group", sa.Integer(), nullable=False),
        sa.Column("place", sa.Integer(), nullable=False),
        sa.Column("kept", sa.JSON(), nullable=True),
        _of_campaign("campaign_site"),
        sa.PrimaryKeyConstraint("campaign", "row", name="pk_campaign_site"),
    )
    op.create_index("ix_campaign_site_dcu", "campaign_site", ["dcu", "campaign"], unique=False)


def _create_devices() -> None:
    op.create_table(
        "campaign_meters",
        sa.Column("campaign", _ID, nullable=False),
        sa.Column("row", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("serials", sa.Text(), nullable=False),
        _of_campaign("campaign_meters"),
        sa.PrimaryKeyConstraint("campaign", "row", name="pk_campaign_meters"),
    )
    op.create_table(
        "campaign_mark",
        sa.Column("device", sa.String(length=32), nullable=False),
        sa.Column("campaign", _ID, nullable=False),
        sa.Column("attempt", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("state", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("code", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        _of_campaign("campaign_mark"),
        sa.PrimaryKeyConstraint("device", "campaign", "attempt", "state", name="pk_campaign_mark"),
    )
    op.create_table(
        "campaign_task",
        sa.Column("job", sa.String(length=64), nullable=False),
        sa.Column("campaign", _ID, nullable=False),
        sa.Column("row", sa.Integer(), nullable=False),
        sa.Column("step", sa.String(length=16), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("part", sa.String(length=16), nullable=False),
        sa.Column("open", sa.Boolean(), nullable=False),
        _of_campaign("campaign_task"),
        sa.PrimaryKeyConstraint("job", name="pk_campaign_task"),
    )
    op.create_index("ix_campaign_task_open", "campaign_task", ["open", "campaign"], unique=False)


def _of_campaign(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(["campaign"], ["campaign.key"], name=f"fk_{table}_campaign")
