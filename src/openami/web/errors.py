"""Errors as answers: one table from codes to HTTP statuses, one form of body.

``{"error": {"code": "store.not-found", "message": "…", "hint": null}}``. A code that is not in the
table has the status of the code before its last dot, and at the end that of its class.
"""

from __future__ import annotations

import math
import secrets
from typing import TYPE_CHECKING, Any, Final

import structlog
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, Response

from openami.core.errors import OpenAmiError, StoreFullError
from openami.headend.errors import BusyError, RequestError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from starlette.applications import Starlette
    from starlette.requests import Request

log = structlog.get_logger(__name__)

STATUSES: Final[Mapping[str, int]] = {
    "error": 500,
    "config": 400,
    "request": 400,
    "request.too-large": 413,
    "request.type": 415,
    "request.slow": 408,
    "request.unknown-path": 404,
    "request.invalid": 422,
    "request.shipment": 422,
    "protocol": 500,
    "protocol.remote": 400,
    "protocol.decode": 422,
    "omadm": 400,
    "omadm.too-large": 413,
    "omadm.too-many": 413,
    "omadm.too-deep": 413,
    "omadm.media-type": 415,
    "omadm.message": 422,
    "omadm.doctype": 422,
    "omadm.session.replay": 409,
    "omadm.session.order": 409,
    "omadm.session.closed": 409,
    "omadm.session.unknown": 409,
    "omadm.auth": 403,
    "dm": 403,
    "dm.secrets": 503,
    "dm.proofs": 503,
    "dm.groups": 409,
    "dm.wanted": 409,
    "dm.key": 422,
    "dm.no-device": 409,
    "dm.no-account": 404,
    "firmware": 422,
    "firmware.release": 409,
    "firmware.withdrawn": 410,
    "firmware.keys": 409,
    "firmware.repository": 409,
    "c1222": 502,
    "c1222.unanswered": 504,
    "c1222.unregistered": 409,
    "c1222.shut-out": 409,
    "c1222.busy": 503,
    "campaign": 409,
    "campaign.key": 422,
    "demand.key": 422,
    "audit": 409,
    "upload": 422,
    "upload.digest": 400,
    "upload.stream": 400,
    "upload.too-large": 413,
    "upload.conflict": 409,
    "security": 403,
    "security.login": 401,
    "security.session": 401,
    "security.throttled": 429,
    "certificate.request": 400,
    "fleet": 403,
    "device": 409,
    "job": 409,
    "job.unknown": 404,
    "operator": 409,
    "customer": 409,
    "credentials": 404,
    "transport": 502,
    "store": 503,
    "store.not-found": 404,
    "store.conflict": 409,
    "store.readings": 409,
    "store.cursor": 400,
    "busy": 503,
}

# Errors of the framework's own router, which know only their status.
ROUTER_CODES: Final[Mapping[int, str]] = {
    400: "request",
    401: "security.session",
    403: "security",
    404: "request.unknown-path",
    405: "request.method",
    406: "request.accept",
    413: "request.too-large",
    415: "request.type",
}

RETRY_S: Final = 5.0
CLIENT_GONE: Final = 499  # nobody reads it; the access log shows it
PROBLEMS: Final = 5  # of a body that does not fit: enough to mend it


def status_of(error: OpenAmiError) -> int:
    """Return the HTTP status for an error."""
    for code in (error.code, type(error).code):
        parts = code.split(".")
        for size in range(len(parts), 0, -1):
            status = STATUSES.get(".".join(parts[:size]))
            if status is not None:
                return status
    return STATUSES["error"]


def body(code: str, message: str, hint: str | None = None) -> dict[str, Any]:
    """Return the body of an answer that is an error."""
    return {"error": {"code": code, "message": message, "hint": hint}}


def respond(error: OpenAmiError) -> JSONResponse:
    """Return the answer for an error of ours."""
    status = status_of(error)
    if status == STATUSES["error"]:
        return incident(error)
    headers: dict[str, str] = {}
    if status in {429, 503}:
        wait = error.retry_after if isinstance(error, BusyError) else RETRY_S
        headers["Retry-After"] = str(max(1, math.ceil(wait)))
    if status == 401:
        headers["WWW-Authenticate"] = 'Bearer realm="openami"'
    if error.code.startswith("certificate."):
        headers["Connection"] = "close"  # who has renewed his certificate shows it on the next one
    if isinstance(error, StoreFullError):
        log.error("the store is full", code=error.code)
    return JSONResponse(body(error.code, error.message, error.hint), status, headers)


def incident(error: Exception) -> JSONResponse:
    """Return the answer for an error that is a bug: what it was stays in the log."""
    number = secrets.token_hex(4)
    log.error("incident", incident=number, exc_info=error)
    return JSONResponse(
        body("error", "something went wrong here", f"the log knows more under {number}"), 500
    )


def install(app: Starlette) -> None:
    """Let every error of ours that an endpoint of ``app`` raises become an answer."""
    handlers: Mapping[Any, Callable[[Request, Any], Awaitable[Response]]] = {
        OpenAmiError: _ours,
        HTTPException: _router,
        RequestValidationError: _invalid,
        ValidationError: _invalid,
        ClientDisconnect: _gone,
    }
    for kind, handler in handlers.items():
        app.add_exception_handler(kind, handler)


def refused(request: Request, error: OpenAmiError) -> Response:
    """Return the answer for an error of ours, and count it."""
    request.app.state.services.metrics.refused(error.code)
    return respond(error)


def gone() -> Response:
    """Return the answer for who does not wait for it."""
    return Response(status_code=CLIENT_GONE)


async def _ours(request: Request, error: OpenAmiError) -> Response:
    return refused(request, error)


async def _router(request: Request, error: HTTPException) -> Response:
    del request
    code = ROUTER_CODES.get(error.status_code, "error")
    return JSONResponse(body(code, error.detail), error.status_code, error.headers)


async def _invalid(request: Request, error: RequestValidationError | ValidationError) -> Response:
    problems = [
        f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}"
        for problem in error.errors()[:PROBLEMS]
    ]
    return refused(request, RequestError("; ".join(problems), code="request.invalid"))


async def _gone(request: Request, error: ClientDisconnect) -> Response:
    del request, error
    return gone()
