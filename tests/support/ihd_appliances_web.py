"""The API of appliances on a listener."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.routing import Mount

from openami.transport.web import HttpLimits, serve
from openami.web.ihd.appliances_api import appliance_routes, household_routes
from openami.web.ihd.errors import install

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.support.ihd_appliances import Home


@asynccontextmanager
async def served(home: Home, port: int = 0) -> AsyncIterator[str]:
    routes = [*appliance_routes(home.appliances), *household_routes(home.appliances)]
    app = Starlette(routes=[Mount("/api/v1", routes=routes)])
    install(app)
    server = await serve(app, port=port, limits=HttpLimits(drain_s=0.1))
    try:
        yield server.url
    finally:
        await server.stop()
