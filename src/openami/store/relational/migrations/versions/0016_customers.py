"""Customers, their meters from when until when, and their sessions."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"

_ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "customer",
        sa.Column("login", sa.String(length=254), nullable=False),
        sa.Column("language", sa.String(length=8), nullable=True),
        sa.Column("tariff", sa.String(length=64), nullable=False),
        sa.Column("discounts", sa.JSON(), nullable=False),
        sa.Column("password_hash", sa.Text(), nullable=True),
        sa.Column("created", sa.Double(), nullable=False),
        sa.Column("last_login", sa.Double(), nullable=True),
        sa.Column("disabled", sa.Boolean(), nullable=False),
        sa.Column("invitation_digest", sa.String(length=64), nullable=True),
        sa.Column("invited_until", sa.Double(), nullable=True),
        sa.PrimaryKeyConstraint("login", name="pk_customer"),
        sa.UniqueConstraint("invitation_digest", name="uq_customer_invitation_digest"),
    )
    op.create_table(
        "customer_meter",
        sa.Column("id", _ROW_ID, nullable=False),
        sa.Column("customer", sa.String(length=254), nullable=False),
        sa.Column("meter", sa.String(length=32), nullable=False),
        sa.Column("starts", sa.Double(), nullable=False),
        sa.Column("ends", sa.Double(), nullable=True),
        sa.ForeignKeyConstraint(
            ["customer"],
            ["customer.login"],
            name="fk_customer_meter_customer",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name="pk_customer_meter"),
    )
    op.create_index("ix_customer_meter_customer", "customer_meter", ["customer"])
    op.create_index("ix_customer_meter_meter", "customer_meter", ["meter", "starts"])
    op.create_table(
        "customer_session",
        sa.Column("id", _ROW_ID, nullable=False),
        sa.Column("secret_digest", sa.String(length=64), nullable=False),
        sa.Column("customer", sa.String(length=254), nullable=False),
        sa.Column("label", sa.Text(), nullable=False),
        sa.Column("created", sa.Double(), nullable=False),
        sa.Column("expires", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(
            ["customer"],
            ["customer.login"],
            name="fk_customer_session_customer",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name="pk_customer_session"),
        sa.UniqueConstraint("secret_digest", name="uq_customer_session_secret_digest"),
    )
    op.create_index("ix_customer_session_customer", "customer_session", ["customer"])
