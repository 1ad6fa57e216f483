"""OMA DM over HTTP (OMA-TS-SyncML_HTTPBinding 1.2): where devices' sessions come in."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from starlette.responses import Response
from starlette.routing import Route

from openami.headend.errors import RequestError
from openami.headend.management.sessions import MESSAGE_OCTETS
from openami.omadm.auth import HMAC_HEADER
from openami.web.auth import services_of
from openami.web.device_api import body_of, check_certificate, dcu_of

if TYPE_CHECKING:
    from starlette.requests import Request

MESSAGE_S: Final = 30.0  # for 64 KiB, over a line of 20 kbit/s


async def message(request: Request) -> Response:
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


ROUTES: Final = (Route("/dm", message, methods=["POST"]),)
