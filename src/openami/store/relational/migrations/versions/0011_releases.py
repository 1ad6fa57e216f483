"""The release shelf: releases and what was done to them, the repository, vendors' keys."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    _create_releases()
    _create_repository()


def _create_releases() -> None:
    op.create_table(
        "release",
        sa.Column("id", _ID, nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("version", sa.String(length=32), nullable=False),
        sa.Column("counter", sa.BigInteger(), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("uploader", sa.Text(), nullable=False),
        sa.Column("manifest", sa.LargeBinary(), nullable=False),
        sa.Column("files", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_release"),
    )
    op.create_index("ix_release_product", "release", ["kind", "name"], unique=False)
    op.create_index("ix_release_state", "release", ["state", "id"], unique=False)
    op.create_table(
        "release_event",
        sa.Column("id", _ID, nullable=False),
        sa.Column("release", _ID, nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("act", sa.String(length=16), nullable=False),
        sa.Column("who", sa.Text(), nullable=False),
        sa.Column("when", sa.Double(), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("before", sa.String(length=16), nullable=True),
        sa.Column("after", sa.String(length=16), nullable=False),
        sa.Column("findings", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["release"], ["release.id"], name="fk_release_event_release"),
        sa.PrimaryKeyConstraint("id", name="pk_release_event"),
        sa.UniqueConstraint("release", "position", name="uq_release_event_release"),
    )


def _create_repository() -> None:
    op.create_table(
        "release_target",
        sa.Column("path", sa.String(length=320), nullable=False),
        sa.Column("release", _ID, nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(["release"], ["release.id"], name="fk_release_target_release"),
        sa.PrimaryKeyConstraint("path", name="pk_release_target"),
    )
    op.create_index("ix_release_target_release", "release_target", ["release"], unique=False)
    op.create_table(
        "release_document",
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("made", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("role", "version", name="pk_release_document"),
    )
    op.create_table(
        "release_key",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("vendor", sa.String(length=120), nullable=False),
        sa.Column("product", sa.String(length=64), nullable=False),
        sa.Column("pem", sa.LargeBinary(), nullable=False),
        sa.Column("added", sa.Double(), nullable=False),
        sa.Column("who", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", "vendor", "product", name="pk_release_key"),
    )
