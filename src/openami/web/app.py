"""The two ASGI applications of a head-end: for operators and for devices."""

from __future__ import annotations

import importlib
import importlib.util
from typing import TYPE_CHECKING, Any, Final

from fastapi import FastAPI
from starlette.middleware import Middleware

from openami import __version__
from openami.web import device_api
from openami.web.api import fleet, jobs, live, readings, service, sessions
from openami.web.errors import install
from openami.web.middleware import BoundedBody, Guarded

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.applications import Starlette
    from starlette.routing import BaseRoute

    from openami.headend.services import Services

API: Final = "/api/v1"
CONSOLE: Final = "openami.web.console"

TAGS: Final[list[dict[str, Any]]] = [
    {"name": "fleet", "description": "Overview, devices, DCUs, audit log, shipments."},
    {"name": "readings", "description": "Readings, registers, gaps and meters' events."},
    {"name": "on-demand reads", "description": "Ask a meter, now."},
    {"name": "live", "description": "What happens, as it happens."},
    {"name": "operators", "description": "Log-in, sessions, API tokens, accounts."},
    {"name": "service", "description": "Health and figures of the head-end itself."},
]


def create_apps(services: Services) -> tuple[Starlette, Starlette]:
    """Return the operators' application and the devices'."""
    return create_operator_app(services), device_api.create(services)


def create_operator_app(services: Services) -> FastAPI:
    """Return the REST API, and the console's pages if they are there."""
    app = FastAPI(
        title="openami head-end",
        version=__version__,
        summary="Fleet, readings and on-demand reads of an Advanced Metering Infrastructure.",
        openapi_url=f"{API}/openapi.json",
        openapi_tags=TAGS,
        docs_url=None,  # it loads its scripts from elsewhere, which our pages may not
        redoc_url=None,
        middleware=[
            Middleware(Guarded, metrics=services.metrics, listener="operator"),
            Middleware(BoundedBody, octets=services.settings.request_octets),
        ],
    )
    app.state.services = services
    for module in (fleet, readings, jobs, live, sessions):
        app.include_router(module.router, prefix=API)
    app.include_router(service.router)
    install(app)
    app.router.routes.extend(console_routes(services))
    return app


def console_routes(services: Services) -> Sequence[BaseRoute]:
    """Return the routes of the console's pages; none if it is not installed."""
    if importlib.util.find_spec(CONSOLE) is None:
        return ()
    console = importlib.import_module(CONSOLE)
    routes: Sequence[BaseRoute] = console.routes(services)
    return routes
