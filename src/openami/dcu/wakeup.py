"""Package 0 at the DCU: a small HTTP listener that takes its server's notifications.

Whoever reaches it can make the DCU do no more than check a digest. What is not the server's own,
or was there before, is refused and logged; what is, wakes the device management client.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

import structlog

from openami.core.errors import DecodeError, OpenAmiError, SecurityError, StoreError
from openami.core.recent import Recent
from openami.omadm.notification import CONTENT_TYPE, MAX_OCTETS, verify
from openami.transport.web import HttpLimits, HttpServer, serve

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from openami.dcu.device import ServerAccount
    from openami.dcu.threads import WorkThread
    from openami.omadm.notification import Verified
    from openami.omadm.session.account import Account
    from openami.store.device_memory import DeviceMemory

    Receive = Callable[[], Awaitable[dict[str, Any]]]
    Send = Callable[[dict[str, Any]], Awaitable[None]]

PATH: Final = "/wake"
LIMITS: Final = HttpLimits(
    header_octets=4096, body_octets=MAX_OCTETS, connections=256, silence_s=3.0, idle_s=3.0
)
"""One server sends one small message now and then; the others are somebody who holds them open.
One address has half of them at most (``HttpLimits.of_address``), so that one alone shuts nobody
out; and as none takes its request for longer than ``silence_s`` and ``WHOLE_S`` together, several
have to open twenty a second for that."""

RATE: Final = 5.0
"""Notifications of one peer a second that are looked at in the long run: a server sends one a
minute."""
BURST: Final = 20.0
"""Notifications of one peer that are looked at at once."""
RATE_ALL: Final = 50.0
"""Of all peers: a hundred microseconds each, so that a flood from everywhere is a trickle here."""
BURST_ALL: Final = 200.0
PEERS_MOST: Final = 256
"""Peers that are told apart; the one that was silent for longest makes room, with a full burst."""
WHOLE_S: Final = 10.0
"""Seconds for the body of a request, however its octets trickle in."""
WAITING_MOST: Final = 64
"""Notifications that wait for the disk, also of who has hung up meanwhile: a server sends one."""
LOG_EVERY_S: Final = 1.0
"""Refusals are logged this often at most, with the number of those between."""
_STATUS: Final[Mapping[type[OpenAmiError], int]] = {
    DecodeError: 400,
    SecurityError: 403,
    StoreError: 503,
}

log = structlog.get_logger("dcu.wake")


class Throttle:
    """So many at once, and so many a second.

    Args:
        tick: a clock that only goes on.
        burst: at once.
        rate: a second.
    """

    def __init__(self, tick: Callable[[], float], burst: float = BURST, rate: float = RATE) -> None:
        self._tick = tick
        self._burst, self._rate = burst, rate
        self._room = burst
        self._last = tick()

    def take(self) -> bool:
        """Tell whether one more is within the bounds, and count it if so."""
        now = self._tick()
        self._room = min(self._burst, self._room + (now - self._last) * self._rate)
        self._last = now
        if self._room < 1:
            return False
        self._room -= 1
        return True


class Throttles:
    """A throttle for each peer, so that one that floods takes no other's turn, and one for all."""

    def __init__(self, tick: Callable[[], float]) -> None:
        self._tick = tick
        self._all = Throttle(tick, BURST_ALL, RATE_ALL)
        self._peers: Recent[str, Throttle] = Recent(PEERS_MOST)

    def take(self, peer: str) -> bool:
        """Tell whether one more of a peer is within the bounds, and count it if so."""
        one = self._peers[peer] = self._peers.get(peer) or Throttle(self._tick)
        return one.take() and self._all.take()


class Wakeup:
    """Checks notifications.

    Args:
        server: returns the account of the server that may wake this DCU.
        memory: of the sessions that were asked for.
        woken: is given what holds, once it is remembered.
        tick: a clock that only goes on.
        thread: where each is checked and remembered before the next is looked at, so that of two
            that are the same one is a replay; no other's, whose writes may take long.
    """

    def __init__(
        self,
        server: Callable[[], ServerAccount | None],
        memory: DeviceMemory,
        woken: Callable[[Verified], None],
        tick: Callable[[], float],
        thread: WorkThread,
    ) -> None:
        self._server = server
        self._memory = memory
        self._woken = woken
        self._tick = tick
        self._thread = thread
        self._throttles = Throttles(tick)
        self._waiting = 0
        self._logged = float("-inf")
        self._unlogged = 0

    async def take(self, octets: bytes, *, peer: str) -> int:
        """Return the HTTP status for a notification from ``peer``."""
        if not self._throttles.take(peer):
            return self._refuse(429, "wake.flood", "too many", peer)
        if self._waiting >= WAITING_MOST:
            return self._refuse(503, "wake.busy", "too many wait for the disk", peer)
        self._waiting += 1
        try:
            verified = await self._thread.do(self._remembered, octets)
        except tuple(_STATUS) as error:
            status = next(_STATUS[kind] for kind in type(error).mro() if kind in _STATUS)
            return self._refuse(status, error.code, error.message, peer)
        finally:
            self._waiting -= 1
        if verified is None:
            return self._refuse(503, "wake.no-account", "there is no server yet", peer)
        log.info("woken", session=verified.notification.session, peer=peer)
        self._woken(verified)
        return 202

    def _remembered(self, octets: bytes) -> Verified | None:
        """Return what a notification says once it is checked and durable; None: by no account."""
        server = self._server()
        if server is None:
            return None
        verified = self._verify(octets, server.account)
        self._memory.saw(verified.notification.session_id)
        return verified

    def _verify(self, octets: bytes, account: Account) -> Verified:
        verified = verify(
            octets,
            account.server.password,
            nonce=account.server_nonce,
            hashes=account.policy.hashes(),
            seen=self._memory.seen(),
        )
        if verified.notification.server_id != account.server_id:
            raise SecurityError("another server's", code="omadm.notification.digest")
        return verified

    def _refuse(self, status: int, code: str, message: str, peer: str) -> int:
        if self._tick() - self._logged < LOG_EVERY_S:
            self._unlogged += 1
            return status
        log.warning("notification refused", code=code, error=message, peer=peer,
                    others=self._unlogged)  # fmt: skip
        self._logged, self._unlogged = self._tick(), 0
        return status

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        """Answer one request (ASGI)."""
        if scope["type"] == "lifespan":
            await _live(receive, send)
        elif scope["type"] == "http":
            status = await self._answer(scope, receive)
            # One server sends one now and then: nobody needs the connection for longer.
            headers = [(b"content-length", b"0"), (b"connection", b"close")]
            await send({"type": "http.response.start", "status": status, "headers": headers})
            await send({"type": "http.response.body"})

    async def _answer(self, scope: dict[str, Any], receive: Receive) -> int:
        if scope["path"] != PATH:
            return 404
        if scope["method"] != "POST":
            return 405
        kind = dict(scope["headers"]).get(b"content-type", b"").partition(b";")[0].strip().lower()
        if kind != CONTENT_TYPE.encode():
            return 415
        try:
            async with asyncio.timeout(WHOLE_S):
                body = await _body(receive)
        except TimeoutError:
            return 408
        if body is None:
            return 400
        peer = scope.get("client") or ("", 0)
        return await self.take(body, peer=str(peer[0]))

    async def listen(self, host: str, port: int) -> HttpServer:
        """Return the listener; see ``serve``."""
        return await serve(self, host=host, port=port, limits=LIMITS)


async def _body(receive: Receive) -> bytes | None:
    """Return the body of a request; None: it does not come any more."""
    body = b""
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return None
        part: bytes = message.get("body", b"")
        body += part
        if not message.get("more_body"):
            return body


async def _live(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": message["type"] + ".complete"})
        if message["type"] == "lifespan.shutdown":
            return
