"""An index for the jobs that ended long ago."""

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_index("ix_job_updated", "job", ["state", "updated"], unique=False)
