"""The page of the in-home display: its document, its files, its manifest and its service worker.

``routes()`` is all that an application mounts; the page asks the local API below ``/api/v1`` for
everything else. No file has a script or a style within, so the strictest policy holds.
"""

from __future__ import annotations

import hashlib
import json
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

from starlette.responses import Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from starlette.requests import Request
    from starlette.routing import BaseRoute
    from starlette.types import Scope

HERE: Final = Path(__file__).resolve().parent
STATIC: Final = HERE / "static"
TEMPLATES: Final = HERE / "templates"
VENDOR: Final = HERE.parent / "static" / "vendor"  # what the head-end's pages use, too
VENDOR_FILES: Final = (
    "pretendard-1.3.9-regular.woff2",
    "pretendard-1.3.9-semibold.woff2",
    "uplot-1.6.32.iife.min.js",
    "uplot-1.6.32.min.css",
)
FRESH: Final = "no-cache"  # a browser asks each time; an unchanged file costs one small answer

TYPES: Final[Mapping[str, str]] = {
    "index.html": "text/html",
    "manifest.webmanifest": "application/manifest+json",
    "service-worker.js": "text/javascript",
}


def routes() -> Sequence[BaseRoute]:
    """Return the routes of the page: ``/``, its manifest, its service worker, ``/static``."""
    return [
        Route("/", _document),
        Route("/manifest.webmanifest", _manifest),
        Route("/service-worker.js", _service_worker),
        Mount("/static/vendor", _FreshFiles(directory=VENDOR)),
        Mount("/static", _FreshFiles(directory=STATIC)),
    ]


class _FreshFiles(StaticFiles):
    """Static files that are asked for anew, so that a page never mixes two versions."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        response.headers["Cache-Control"] = FRESH
        return response


async def _document(_request: Request) -> Response:
    return _answer("index.html", (TEMPLATES / "index.html").read_bytes())


async def _manifest(_request: Request) -> Response:
    return _answer("manifest.webmanifest", (TEMPLATES / "manifest.webmanifest").read_bytes())


async def _service_worker(_request: Request) -> Response:
    return _answer("service-worker.js", service_worker())


def _answer(name: str, body: bytes) -> Response:
    return Response(
        body,
        media_type=TYPES[name],
        headers={"Cache-Control": FRESH},
    )


@cache
def service_worker() -> bytes:
    """Return the worker with the version and the list of what it keeps.

    The version is a digest of all of these files: one octet changed, and browsers take them anew.
    """
    files = dict(_shell())
    digest = hashlib.sha256()
    for url, body in files.items():
        digest.update(url.encode() + b"\0" + hashlib.sha256(body).digest())
    worker = (TEMPLATES / "service-worker.js").read_bytes()
    digest.update(worker)
    head = f"const VERSION = {json.dumps(digest.hexdigest()[:16])};\n"
    return (head + f"const SHELL = {json.dumps(list(files))};\n").encode() + worker


def _shell() -> Iterator[tuple[str, bytes]]:
    yield "/", (TEMPLATES / "index.html").read_bytes()
    yield "/manifest.webmanifest", (TEMPLATES / "manifest.webmanifest").read_bytes()
    for name in VENDOR_FILES:
        yield f"/static/vendor/{name}", (VENDOR / name).read_bytes()
    for path in sorted(STATIC.rglob("*")):
        if path.is_file():
            yield f"/static/{path.relative_to(STATIC).as_posix()}", path.read_bytes()
