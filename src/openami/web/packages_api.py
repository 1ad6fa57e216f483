"""The repository of The Update Framework that DCUs fetch packages from, on their listener.

A DCU that was cut off asks for the rest of a file with ``Range``; with the file's ETag, its digest,
in ``If-Range`` it never gets the rest of another one (RFC 9110, 13.1.5).
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from starlette.responses import FileResponse, Response
from starlette.routing import Route

from openami.web.auth import services_of
from openami.web.device_api import admitted

if TYPE_CHECKING:
    from starlette.requests import Request


async def document(request: Request) -> Response:
    """Give a document, such as ``timestamp.json``."""
    await admitted(request)
    name = request.path_params["name"]
    body = await asyncio.to_thread(services_of(request).firmware.publisher.document, name)
    return Response(body, media_type="application/json")


async def target(request: Request) -> Response:
    """Give a file of a package, or a part of it."""
    await admitted(request)
    path = request.path_params["path"]
    file, where = await asyncio.to_thread(services_of(request).firmware.shelf.target, path)
    headers = {"etag": f'"{file.sha256}"'}
    return FileResponse(where, media_type="application/octet-stream", headers=headers)


ROUTES: Final = (
    Route("/device/v1/repository/{name}", document, methods=["GET"]),
    Route("/device/v1/repository/targets/{path:path}", target, methods=["GET"]),
)
