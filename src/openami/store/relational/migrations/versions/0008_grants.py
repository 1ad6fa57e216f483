"""Of a grant that is live only what tells who was given it; when a device asks to register anew."""

from hashlib import sha256
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"

UNDER_WAY = {"approved", "offered"}  # their device may not have the grant yet
AT_ONCE = 1000  # rows


def upgrade() -> None:
    op.add_column("registration", sa.Column("anew", sa.Double(), nullable=True))
    op.create_index("ix_registration_anew", "registration", ["anew"])
    table = sa.table(
        "registration",
        sa.column("uid", sa.String),
        sa.column("standing", sa.String),
        sa.column("body", sa.JSON),
    )
    connection, uid = op.get_bind(), ""
    query = sa.select(table).order_by(table.c.uid).limit(AT_ONCE)
    while rows := connection.execute(query.where(table.c.uid > uid)).all():
        for uid, standing, body in rows:
            values = {"body": changed(standing, body)}
            connection.execute(sa.update(table).where(table.c.uid == uid).values(values))


def changed(standing: str, body: dict[str, Any]) -> dict[str, Any]:
    """Return the body of a registration as it is kept from now on."""
    body = dict(body)
    grant = bytes.fromhex(body.pop("grant", ""))
    stood = body.get("before", standing)
    if grant and stood != "pending":  # of that grant nobody was told
        following = sha256(b"openami SSMP anew" + grant).digest()[:16]
        body["follows"] = sha256(following).hexdigest()
        if stood in UNDER_WAY:
            body["grant"] = grant.hex()
    if "past" in body:
        body["past"] = [sha256(bytes.fromhex(one)).hexdigest() for one in body["past"]]
    return body
