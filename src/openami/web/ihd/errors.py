"""Errors of the display as answers, in the head-end's form: see ``openami.web.errors``."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, Response

from openami.core.errors import OpenAmiError
from openami.headend.errors import BusyError
from openami.web.errors import RETRY_S, ROUTER_CODES, body, gone, incident, status_of
from openami.web.ihd.appliances_api import STATUSES as APPLIANCES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.applications import Starlette
    from starlette.requests import Request

STATUSES: Final[Mapping[str, int]] = {
    **APPLIANCES,
    "home.code": 403,
    "home.locked": 429,
    "home.full": 409,
    "home.meter": 409,
    "home.where": 409,
    "home.lost": 503,
    "home.watchers": 503,
    "home.event": 404,
    "home.event-over": 409,
    "home.event-answered": 409,
    "home.event-firm": 409,
    "home.notice": 404,
    "home.settings": 422,
    "home.host": 421,
    "home.origin": 403,
    "home.pin": 401,
    "home.pin-throttled": 429,
    "config.url": 422,
    "dlms.refused": 409,
    "request.invalid": 422,
}
"""HTTP statuses by code; of others, the head-end's."""


def respond(error: OpenAmiError) -> JSONResponse:
    """Return the answer for an error of ours."""
    status = STATUSES.get(error.code) or status_of(error)
    if status == 500:
        return incident(error)
    headers: dict[str, str] = {}
    if status in {429, 503}:
        wait = error.retry_after if isinstance(error, BusyError) else RETRY_S
        headers["Retry-After"] = str(max(1, math.ceil(wait)))
    return JSONResponse(body(error.code, error.message, error.hint), status, headers)


def install(app: Starlette) -> None:
    """Let every error of ours that an endpoint of ``app`` raises become an answer."""

    async def ours(request: Request, error: Exception) -> Response:
        del request
        if not isinstance(error, OpenAmiError):
            raise error
        return respond(error)

    async def router(request: Request, error: Exception) -> Response:
        del request
        if not isinstance(error, HTTPException):
            raise error
        code = ROUTER_CODES.get(error.status_code, "error")
        return JSONResponse(body(code, error.detail), error.status_code, error.headers)

    async def left(request: Request, error: Exception) -> Response:
        del request, error
        return gone()

    app.add_exception_handler(OpenAmiError, ours)
    app.add_exception_handler(HTTPException, router)
    app.add_exception_handler(ClientDisconnect, left)
