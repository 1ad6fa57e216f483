"""The customers' pages, under ``/my``: what their homes use and what it costs, and nobody else's.

They are on the operators' listener, and yet a place of their own: another cookie, other tables,
another look. Every page takes its meter from the tenancies of who is signed in.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.routing import Route

from openami.core.errors import NotFoundError
from openami.web.portal.door import Door
from openami.web.portal.pages import Pages
from openami.web.portal.render import Renderer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import BaseRoute

    from openami.headend.services import Services


def routes(services: Services) -> Sequence[BaseRoute]:
    """Return the routes of the customers' pages; the last takes every path below ``/my``."""
    renderer = Renderer(services)
    door, pages = Door(services, renderer), Pages(services, renderer)

    async def nowhere(request: Request) -> Response:
        del request
        raise NotFoundError("there is no such page", code="request.unknown-path")

    return [
        *door.routes(),
        *(Route(path, door.guard(page), methods=[method]) for method, path, page in pages.table()),
        Route("/my/{path:path}", door.told(nowhere), methods=["GET", "POST"]),
    ]
