"""What devices ask of the security server, over mutual TLS with their factory certificates.

A device is who its certificate says, and nobody else (``docs/ssmp.md``).
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter
from typing import TYPE_CHECKING, Final

import structlog
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import Response
from starlette.routing import Route

from openami.core.errors import NotFoundError, RemoteProtocolError, SecurityError
from openami.crypto.certificates import load_certificate
from openami.headend.errors import BusyError, RequestError
from openami.headend.seldom import Seldom
from openami.ssmp.messages import MAX_MESSAGE, MEDIA_TYPE, Refused, decode
from openami.ssmp.server import Server, identify
from openami.web import crl
from openami.web.device_api import alarm_revoked
from openami.web.errors import install
from openami.web.middleware import BoundedBody, Guarded

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.types import Scope

    from openami.headend.services import Services
    from openami.ssmp.messages import Answer
    from openami.ssmp.server import Peer

AT_ONCE: Final = 64  # requests under way: each waits for a signature and a commit or two
OF_ONE: Final = 2  # of these of one device: a request, and the same again after a cut connection
BODY_S: Final = 10.0  # a request has about 600 octets
RETRY_S: Final = 10.0

log = structlog.get_logger(__name__)


def create(services: Services) -> Starlette:
    """Return the application of the security listener."""
    desk = Desk(services)
    app = Starlette(
        routes=[Route("/ssmp", _ssmp, methods=["POST"]), crl.ROUTE],
        middleware=[
            Middleware(Guarded, metrics=services.metrics, listener="security"),
            Middleware(BoundedBody, octets=MAX_MESSAGE, seconds=BODY_S, tell=desk.unread),
        ],
    )
    app.state.services = services
    app.state.desk = desk
    install(app)
    return app


class Desk:
    """Answers SSMP requests, some at a time."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._server = Server(services.registrar)
        self._told = Seldom()
        self._busy: Counter[bytes] = Counter()

    async def answer(self, octets: bytes, leaf: bytes, others: tuple[bytes, ...]) -> bytes:
        """Return the answer to one request of who shows the certificate ``leaf``.

        Raises:
            RequestError: ``request.ssmp``, the octets are no request.
            SecurityError: ``certificate.…``, nobody vouches for the certificate.
            BusyError: too many ask at once, or one asks too much.
        """
        # Who waits for his own earlier request holds a thread that others need.
        if self._busy.total() >= AT_ONCE or self._busy[leaf] >= OF_ONE:
            raise BusyError("too many devices ask", retry_after=RETRY_S, code="busy.security")
        self._busy[leaf] += 1
        try:
            return await asyncio.to_thread(self._answer, octets, leaf, others)
        finally:
            self._busy[leaf] -= 1
            self._busy += Counter()  # forgets who is done

    def unread(self, scope: Scope, error: RequestError) -> None:
        """Take that a request was too large, or too slow, to be read."""
        peer = scope.get("state", {}).get("peer_certificate")
        who = "nobody" if peer is None else _print(peer.der)
        self._tell(who, error.code, error.message, self._services.wall.now())

    def _answer(self, octets: bytes, leaf: bytes, others: tuple[bytes, ...]) -> bytes:
        now, pki = self._services.wall.now(), self._services.pki
        try:
            peer = identify(
                load_certificate(leaf),
                [load_certificate(one) for one in others],
                manufacturers=pki.manufacturer_trusts(),
                operational=pki.operational_trust(),
                now=now,
            )
        except SecurityError as error:
            told = self._tell(_print(leaf), error.code, error.message, now)
            if told and error.code == "certificate.revoked":
                self._alarm(load_certificate(leaf).serial_number)
            raise
        try:
            answer = self._server.answer(octets, peer, now=now)
        except RemoteProtocolError as error:
            self._tell(peer.uid, error.code, error.message, now)
            said = f"not a request of SSMP: {error.message}"
            raise RequestError(said, code="request.ssmp") from error
        self._count(peer, answer, now)
        return answer

    def _alarm(self, serial: int) -> None:
        """Tell people that somebody would renew a certificate that another has used up."""
        try:
            record = self._services.pki.certificate(serial)
        except NotFoundError:
            return  # a factory certificate, which its maker has revoked
        alarm_revoked(self._services, record.subject, serial)

    def _count(self, peer: Peer, octets: bytes, now: float) -> None:
        answer: Answer = decode(octets)  # type: ignore[assignment] # the server answers nothing else
        self._services.metrics.ssmp(type(answer).__name__.lower())
        if isinstance(answer, Refused):
            self._tell(peer.uid, "ssmp.refused", answer.reason.name.lower(), now)

    def _tell(self, peer: str, code: str, message: str, now: float) -> bool:
        due = self._told.due((peer, code, message), now)
        if due:
            log.warning("registration refused", peer=peer, code=code, message=message)
        return due


def _print(leaf: bytes) -> str:
    """Return what names a certificate that nobody has vouched for."""
    return hashlib.sha256(leaf).hexdigest()[:16]


async def _ssmp(request: Request) -> Response:
    peer = request.scope.get("state", {}).get("peer_certificate")
    if peer is None:
        raise SecurityError("no certificate", code="security.certificate")
    if request.headers.get("content-type", "").partition(";")[0].strip() != MEDIA_TYPE:
        raise RequestError(f"a request is {MEDIA_TYPE}", code="request.type")
    desk: Desk = request.app.state.desk
    answer = await desk.answer(await request.body(), peer.der, peer.chain)
    return Response(answer, media_type=MEDIA_TYPE)
