"""Places in the audit log's chain, and its head; the head-end lays what is there when it starts."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    op.add_column("audit", sa.Column("number", sa.BigInteger(), nullable=True))
    op.add_column("audit", sa.Column("hash", sa.LargeBinary(), nullable=True))
    op.create_index("ix_audit_number", "audit", ["number"], unique=True)
    op.create_index("ix_audit_who", "audit", ["who"], unique=False)
    op.create_index("ix_audit_at", "audit", ["at"], unique=False)
    head = op.create_table(
        "audit_head",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("key", sa.LargeBinary(), nullable=False),
        sa.Column("signature", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_audit_head"),
    )
    # An unsigned head of nothing: a row that whoever lays the chain can lock from the start.
    nothing = {"id": 1, "number": 0, "hash": bytes(32), "at": 0.0, "key": b"", "signature": b""}
    op.bulk_insert(head, [nothing])
