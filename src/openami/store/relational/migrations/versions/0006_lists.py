"""What tells that a manufacturer's list has changed, without reading it."""

from hashlib import sha256

import sqlalchemy as sa
from alembic import op
from cryptography import x509

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    listed = sa.Column("listed", sa.String(length=64), server_default="", nullable=False)
    op.add_column("anchor", listed)
    op.add_column("anchor", sa.Column("list_ends", sa.Double(), nullable=True))
    anchor = sa.table(
        "anchor",
        sa.column("fingerprint", sa.String),
        sa.column("crl", sa.LargeBinary),
        sa.column("listed", sa.String),
        sa.column("list_ends", sa.Float),
    )
    connection = op.get_bind()
    for fingerprint, crl in connection.execute(sa.select(anchor.c.fingerprint, anchor.c.crl)).all():
        if not crl:
            continue
        ends = x509.load_der_x509_crl(crl).next_update_utc
        values = {"listed": sha256(crl).hexdigest(), "list_ends": ends and ends.timestamp()}
        this = anchor.c.fingerprint == fingerprint
        connection.execute(sa.update(anchor).where(this).values(values))
