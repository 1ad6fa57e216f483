"""The ASGI applications of a head-end: for operators, and for devices in use and to be."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from fastapi import FastAPI
from starlette.middleware import Middleware

from openami import __version__
from openami.web import (
    console,
    crl,
    device_api,
    device_demand,
    dm_api,
    packages_api,
    portal,
    security_api,
)
from openami.web.api import (
    API,
    audit,
    bills,
    campaigns,
    customers,
    demand,
    dm,
    dm_accounts,
    dm_sessions,
    fleet,
    jobs,
    live,
    pki,
    readings,
    registrations,
    releases,
    service,
    sessions,
)
from openami.web.errors import install
from openami.web.middleware import BoundedBody, Guarded

if TYPE_CHECKING:
    from starlette.applications import Starlette

    from openami.headend.services import Services

TAGS: Final[list[dict[str, Any]]] = [
    {"name": "fleet", "description": "Overview, devices, DCUs, shipments."},
    {"name": "readings", "description": "Readings, registers, gaps and meters' events."},
    {"name": "customers", "description": "Whose meters are whose, from when until when."},
    {"name": "bills", "description": "Of all meters that are somebody's."},
    {"name": "on-demand reads", "description": "Ask a meter, now."},
    {"name": "certificates", "description": "Authorities, trust anchors, what was issued."},
    {"name": "registration", "description": "Who asks to be let in, who is expected, alarms."},
    {"name": "device management", "description": "Sessions with devices, their trees, jobs."},
    {"name": "releases", "description": "The release shelf, vendors' keys, the repository."},
    {"name": "campaigns", "description": "Releases on their way to devices, group by group."},
    {"name": "demand response", "description": "Programs, events, reports, notices: OpenADR 3."},
    {"name": "audit log", "description": "Who did what, and its chain, to be verified elsewhere."},
    {"name": "live", "description": "What happens, as it happens."},
    {"name": "operators", "description": "Log-in, sessions, API tokens, accounts."},
    {"name": "service", "description": "Health and figures of the head-end itself."},
]


def create_apps(services: Services) -> tuple[Starlette, Starlette, Starlette]:
    """Return the applications for operators, for devices, and for devices that register."""
    return (
        create_operator_app(services),
        device_api.create(
            services,
            *packages_api.ROUTES,
            *device_demand.ROUTES,
            first=(Middleware(dm_api.DeviceManagement),),
        ),
        security_api.create(services),
    )


def create_operator_app(services: Services) -> FastAPI:
    """Return the REST API and the console's pages."""
    app = describe_api()
    app.add_middleware(
        BoundedBody, octets=services.settings.request_octets, apart=releases.is_stream
    )
    app.add_middleware(Guarded, metrics=services.metrics, listener="operator")
    app.state.services = services
    app.state.streams = live.Streams()
    install(app)
    app.router.routes.append(crl.ROUTE)
    app.router.routes.extend(portal.routes(services))
    app.router.routes.extend(console.routes(services))
    return app


def describe_api() -> FastAPI:
    """Return the REST API without services: what it is, for its description."""
    app = FastAPI(
        title="openami head-end",
        version=__version__,
        summary="Fleet, readings and on-demand reads of an Advanced Metering Infrastructure.",
        openapi_url=f"{API}/openapi.json",
        openapi_tags=TAGS,
        docs_url=None,  # it loads its scripts from elsewhere, which our pages may not
        redoc_url=None,
    )
    device_management = (dm, dm_accounts, dm_sessions)
    security = (audit, pki, registrations, releases, campaigns, demand)
    operation = (fleet, readings, customers, bills, jobs, live, sessions)
    for module in (*operation, *security, *device_management, service):
        # Their paths are whole: to include a router is to make each of its routes once more.
        app.router.routes.extend(module.router.routes)
    app.router.routes.extend(demand.of_meters.routes)
    return app
