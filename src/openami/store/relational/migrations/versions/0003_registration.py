"""Registration: trust anchors, certificates, expected devices, registrations, alarms."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    _create_alarm()
    _create_anchor()
    _create_certificate()
    _create_crl()
    _create_expected()
    _create_registration()


def _create_alarm() -> None:
    op.create_table(
        "alarm",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("code", sa.String(length=64), nullable=False),
        sa.Column("subject", sa.String(length=48), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("raised", sa.Double(), nullable=False),
        sa.Column("cleared", sa.Double(), nullable=True),
        sa.Column("cleared_by", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_alarm")),
    )
    op.create_index("ix_alarm_open", "alarm", ["cleared", "id"], unique=False)
    op.create_index(op.f("ix_alarm_subject"), "alarm", ["subject"], unique=False)


def _create_anchor() -> None:
    op.create_table(
        "anchor",
        sa.Column("fingerprint", sa.String(length=64), nullable=False),
        sa.Column("manufacturer", sa.String(length=64), nullable=False),
        sa.Column("der", sa.LargeBinary(), nullable=False),
        sa.Column("crl", sa.LargeBinary(), nullable=False),
        sa.Column("added", sa.Double(), nullable=False),
        sa.Column("who", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("fingerprint", name=op.f("pk_anchor")),
    )
    op.create_index(op.f("ix_anchor_manufacturer"), "anchor", ["manufacturer"], unique=False)


def _create_certificate() -> None:
    op.create_table(
        "certificate",
        sa.Column("serial", sa.String(length=40), nullable=False),
        sa.Column("authority", sa.String(length=16), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("subject", sa.String(length=64), nullable=False),
        sa.Column("der", sa.LargeBinary(), nullable=False),
        sa.Column("issued", sa.Double(), nullable=False),
        sa.Column("not_after", sa.Double(), nullable=False),
        sa.Column("revoked", sa.Double(), nullable=True),
        sa.Column("reason", sa.String(length=32), nullable=False),
        sa.PrimaryKeyConstraint("serial", name=op.f("pk_certificate")),
    )
    op.create_index("ix_certificate_revoked", "certificate", ["authority", "revoked"], unique=False)
    op.create_index("ix_certificate_issued", "certificate", ["issued", "serial"], unique=False)
    op.create_index("ix_certificate_subject", "certificate", ["subject", "kind"], unique=False)


def _create_crl() -> None:
    op.create_table(
        "crl",
        sa.Column("authority", sa.String(length=16), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("der", sa.LargeBinary(), nullable=False),
        sa.Column("made", sa.Double(), nullable=False),
        sa.Column("ends", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("authority", name=op.f("pk_crl")),
    )


def _create_expected() -> None:
    op.create_table(
        "expected",
        sa.Column("uid", sa.String(length=32), nullable=False),
        sa.Column("manufacturer", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.String(length=64), nullable=True),
        sa.Column("approval", sa.String(length=16), nullable=False),
        sa.Column("region", sa.Text(), nullable=False),
        sa.Column("label", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("uid", name=op.f("pk_expected")),
    )


def _create_registration() -> None:
    op.create_table(
        "registration",
        sa.Column("uid", sa.String(length=32), nullable=False),
        sa.Column("standing", sa.String(length=16), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("asked", sa.Double(), nullable=False),
        sa.Column("body", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("uid", name=op.f("pk_registration")),
    )
    op.create_index("ix_registration_standing", "registration", ["standing", "uid"], unique=False)
