"""Runs the migrations on the connection that ``openami.store.relational.upgrade`` gives."""

from alembic import context

from openami.store.relational import (  # noqa: F401 - their tables
    campaign_models,
    customer_models,
    demand_models,
    management_models,
    node_models,
    release_models,
    security_models,
)
from openami.store.relational.models import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    render_as_batch=True,
)
context.run_migrations()
