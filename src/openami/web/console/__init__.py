"""The operators' pages: server-rendered, kept fresh by htmx and server-sent events."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from starlette.routing import Match, Mount, Route
from starlette.staticfiles import StaticFiles

from openami.core.errors import NotFoundError
from openami.web.console.admission import Admission
from openami.web.console.alarms import Alarms
from openami.web.console.audit import Audit
from openami.web.console.campaigns import Campaigns
from openami.web.console.certificates import Certificates
from openami.web.console.customers import CustomerPages
from openami.web.console.demand import DemandPages
from openami.web.console.demand_desk import DemandDesk
from openami.web.console.fragments import Fragments
from openami.web.console.groups import Groups
from openami.web.console.issued import Issued
from openami.web.console.managed import Managed
from openami.web.console.node_tests import NodeTestPages
from openami.web.console.pages import Pages
from openami.web.console.planner import Planner
from openami.web.console.render import Renderer
from openami.web.console.shelf import ReleaseShelf
from openami.web.console.signing import Signing
from openami.web.console.supply import SupplySwitch
from openami.web.console.tree_jobs import TreeJobs
from openami.web.console.waking import Waking

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import BaseRoute
    from starlette.types import Scope

    from openami.headend.services import Services

STATIC: Final = Path(__file__).resolve().parent.parent / "static"
STATIC_SECONDS: Final = 3600
PROGRAMS: Final = "/api/"  # what is below has no pages: errors there are JSON


def routes(services: Services) -> Sequence[BaseRoute]:
    """Return the routes of the console; the last takes every path that nobody else does."""
    renderer = Renderer(services)
    signing = Signing(services, renderer)
    parts = (
        Pages,
        Fragments,
        Admission,
        Alarms,
        Audit,
        Certificates,
        Issued,
        Managed,
        Waking,
        Groups,
        TreeJobs,
        ReleaseShelf,
        Planner,
        Campaigns,
        NodeTestPages,
        CustomerPages,
        DemandDesk,
        DemandPages,
        SupplySwitch,
    )
    pages = [entry for part in parts for entry in part(services, renderer).table()]

    async def nowhere(request: Request) -> Response:
        lost = NotFoundError("there is no such page", code="request.unknown-path")
        return renderer.error(request, lost)

    return [
        Mount("/static", CachedFiles(directory=STATIC), name="static"),
        *signing.routes(),
        *(Route(path, signing.guard(page), methods=[method]) for method, path, page in pages),
        _Elsewhere("/{path:path}", nowhere, methods=["GET"]),
    ]


class CachedFiles(StaticFiles):
    """Static files that a browser keeps for a while."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        response.headers["Cache-Control"] = f"public, max-age={STATIC_SECONDS}"
        return response


class _Elsewhere(Route):
    """A route that leaves the paths of programs alone."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        if scope["type"] == "http" and scope["path"].startswith(PROGRAMS):
            return Match.NONE, {}
        return super().matches(scope)
