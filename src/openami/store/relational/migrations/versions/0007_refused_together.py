"""What devices have refused together."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    bond = sa.Column("bond", sa.String(length=255), server_default="", nullable=False)
    op.add_column("dm_known", bond)
    known = sa.table("dm_known", *map(sa.column, ("uri", "refused", "bond")))
    # Who was refused with whom was not kept: each is tried by itself.
    op.execute(sa.update(known).where(known.c.refused.is_not(None)).values(bond=known.c.uri))
