"""The packages that DCUs fetch, on their listener: what describes them, and the repository.

What a server sets as PkgURL is the address of a download descriptor (OMA-Download-OTA 1.0), of the
one file that the DCU names as ``target``, or of the image for a client that knows no such thing. In
it the file's own address is one of the repository of The Update Framework.

A DCU that was cut off asks for the rest of a file with ``Range``; with the file's ETag, its digest,
in ``If-Range`` it never gets the rest of another one (RFC 9110, 13.1.5).
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

import structlog
from starlette.responses import FileResponse, Response
from starlette.routing import Route

from openami.core.errors import DecodeError, NotFoundError
from openami.firmware.packages import MAX_PATH, PackageId, Place
from openami.omadm.download.descriptor import MEDIA_TYPE, Descriptor
from openami.omadm.download.ends import InstallStatus
from openami.web.auth import services_of
from openami.web.device_api import JSON_S, admitted, body_of

if TYPE_CHECKING:
    from starlette.requests import Request

STATUS_OCTETS: Final = 512
"""Of what a DCU tells of a download: a number, and words that nobody reads."""

log = structlog.get_logger(__name__)

_OCTETS: Final = "application/octet-stream"


async def descriptor(request: Request) -> Response:
    """Describe one file of a package that devices are offered."""
    await admitted(request)
    package = _package(request)
    path = request.query_params.get("target", "")
    if path and not path.startswith(f"{package}/"):
        raise NotFoundError("the package has no such file")
    shelf = services_of(request).firmware.shelf
    file = await asyncio.to_thread(shelf.offered, package, path[:MAX_PATH])
    # The listener of DCUs is https whoever ends it; a DCU asks it by the name that it knows.
    home = f"https://{request.url.netloc}/device/v1"
    found = Descriptor(
        f"{home}/repository/targets/{quote(file.stored_path)}",
        file.size,
        (_OCTETS,),
        name=str(package),
        install_notify_uri=f"{home}/descriptors/{package}/status",
    )
    return Response(found.encode(), media_type=MEDIA_TYPE)


async def status(request: Request) -> Response:
    """Take how a DCU's download of a file ended: it is counted, for results come by DM."""
    dcu = await admitted(request)
    package = _package(request)
    told = InstallStatus.decode(await body_of(request, STATUS_OCTETS, JSON_S))
    services_of(request).metrics.download(package.kind.value, told.name.lower())
    log.info("download over", dcu=dcu, package=str(package), status=int(told))
    return Response()


def _package(request: Request) -> PackageId:
    """Return the package that an address names; NotFoundError for one that can be none."""
    parts = (request.path_params[part] for part in ("kind", "name", "version"))
    try:
        return Place.parse(f"{'/'.join(parts)}/manifest.json").package
    except DecodeError:
        raise NotFoundError("no package is called so") from None


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
    return FileResponse(where, media_type=_OCTETS, headers=headers)


ROUTES: Final = (
    Route("/device/v1/descriptors/{kind}/{name}/{version}", descriptor, methods=["GET"]),
    Route("/device/v1/descriptors/{kind}/{name}/{version}/status", status, methods=["POST"]),
    Route("/device/v1/repository/{name}", document, methods=["GET"]),
    Route("/device/v1/repository/targets/{path:path}", target, methods=["GET"]),
)
