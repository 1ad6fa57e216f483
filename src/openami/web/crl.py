"""The lists of revoked certificates (RFC 5280), for anyone: ``GET /crl/<authority>.crl``."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from starlette.responses import Response
from starlette.routing import Route

from openami.web.auth import services_of

if TYPE_CHECKING:
    from starlette.requests import Request

CONTENT_TYPE: Final = "application/pkix-crl"  # RFC 2585 4.2
FRESH: Final = "public, max-age=300"  # what has just been revoked should be known soon


async def _crl(request: Request) -> Response:
    """Return the list of what an authority has revoked, made anew where it has to be."""
    pki, authority = services_of(request).pki, request.path_params["authority"]
    made = await asyncio.to_thread(pki.crl, authority)
    return Response(made, media_type=CONTENT_TYPE, headers={"Cache-Control": FRESH})


ROUTE: Final = Route("/crl/{authority}.crl", _crl, methods=["GET"])
