"""Runs the migrations on the connection that ``openami.store.relational.upgrade`` gives."""

from alembic import context

from openami.store.relational import management_models, security_models  # noqa: F401 - their tables
from openami.store.relational.models import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    render_as_batch=True,
)
context.run_migrations()
