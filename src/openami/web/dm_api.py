"""OMA DM over HTTP (OMA-TS-SyncML_HTTPBinding 1.2): where devices' sessions come in."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from openami.core.errors import OpenAmiError
from openami.headend.errors import RequestError
from openami.headend.management.sessions import MESSAGE_OCTETS
from openami.omadm.auth import HMAC_HEADER
from openami.web.auth import services_of
from openami.web.device_api import body_of, check_certificate, dcu_of
from openami.web.errors import gone, refused

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

PATH: Final = "/dm"

MESSAGE_S: Final = 30.0  # for 64 KiB, over a line of 20 kbit/s


class DeviceManagement:
    """Answers messages of sessions, and leaves everything else to the application behind it.

    They are most of what comes, and the application's way to a route costs a tenth of one.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] != PATH or scope["method"] != "POST":
            await self._app(scope, receive, send)
            return
        request = Request(scope, receive)
        try:
            answer = await _message(request)
        except OpenAmiError as error:
            answer = refused(request, error)
        except ClientDisconnect:
            answer = gone()
        await answer(scope, receive, send)


async def _message(request: Request) -> Response:
    """Answer a message of the device that the certificate names."""
    services = services_of(request)
    uid = dcu_of(request)
    await check_certificate(request)
    headers = request.headers
    answer = await services.management.sessions.handle(
        uid,
        await _body(request, uid),
        headers.get("content-type", ""),
        headers.get(HMAC_HEADER),
        now=services.wall.now(),
    )
    proof = {} if answer.hmac is None else {HMAC_HEADER: answer.hmac}
    return Response(answer.body, media_type=str(answer.content_type), headers=proof)


async def _body(request: Request, uid: str) -> bytes:
    """Return a message; one that is too large or too slow is told of as those that are none."""
    services = services_of(request)
    try:
        return await body_of(request, MESSAGE_OCTETS, MESSAGE_S)
    except RequestError as error:
        watch = services.management.watch
        if watch.refused(uid, error, now=services.wall.now()):
            await asyncio.to_thread(watch.raise_for, uid, error)
        raise
