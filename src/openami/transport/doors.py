"""Who gets a connection of a listener: newcomers are sent away, who is in stays.

There are so many connections at a time, of one peer fewer, and who only knocks has seconds.
"""

from __future__ import annotations

import asyncio
import hashlib
import ssl
from collections import Counter
from typing import TYPE_CHECKING, Any, Final, Protocol

import structlog

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Mapping

    from openami.transport.tls import PeerCertificate

    Tell = Callable[[str, str, str], None]

log = structlog.get_logger(__name__)

ACCEPT_AGAIN_S: Final = 1.0  # after no connection could be taken, as when descriptors have run out
WAITING: Final = 2048  # connections that the kernel keeps until they are accepted
NO_ROOM: Final = "transport.full"
UNPROVEN: Final = "transport.certificate"
TOO_OLD: Final = "transport.tls"
# Of OpenSSL's reasons those that somebody has to see to; the others are of who has gone, or never
# spoke TLS.
_TOLD: Final[Mapping[str, tuple[str, str]]] = {
    "PEER_DID_NOT_RETURN_A_CERTIFICATE": (UNPROVEN, "no certificate"),
    "UNSUPPORTED_PROTOCOL": (TOO_OLD, "it speaks no TLS that is new enough"),
}


class DoorLimits(Protocol):
    """How many connections there may be; see ``HttpLimits``."""

    @property
    def connections(self) -> int: ...
    @property
    def of_certificate(self) -> int: ...
    @property
    def of_address(self) -> int: ...
    @property
    def handshakes(self) -> int: ...
    @property
    def handshake_s(self) -> float: ...


class Room:
    """Counts who is in.

    Args:
        limits: how many may be.
        tell: called with who was sent away, a code and a reason.
    """

    def __init__(self, limits: DoorLimits, tell: Tell) -> None:
        self._limits = limits
        self._tell = tell
        self._inside: Counter[bytes] = Counter()
        self._count = 0

    def is_full(self, host: str) -> bool:
        """Tell whether nobody else is let in: now ``host`` is not."""
        if self._count < self._limits.connections:
            return False
        self._tell(host, NO_ROOM, "there are as many connections as there may be")
        return True

    def enter(self, peer: PeerCertificate | None, host: str) -> bytes | None:
        """Let somebody in, who is known by the certificate, or without one by the address.

        Returns:
            What to ``leave`` with; None: there is no room.
        """
        if self.is_full(host):
            return None
        place, most = host.encode(), self._limits.of_address
        if peer is not None:
            place, most = hashlib.sha256(peer.der).digest(), self._limits.of_certificate
        if self._inside[place] >= most:
            who = ", ".join(peer.uris) if peer is not None and peer.uris else host
            self._tell(who, NO_ROOM, "it has as many connections as one peer may have")
            return None
        self._inside[place] += 1
        self._count += 1
        return place

    def leave(self, place: bytes) -> None:
        """Forget one who was let in."""
        self._count -= 1
        self._inside[place] -= 1
        if not self._inside[place]:
            del self._inside[place]


class Entrance:
    """Takes connections and sees them through the handshake of TLS.

    Of more handshakes than there may be at a time, the one that has taken longest ends: who knocks
    and stays silent keeps nobody out who does not.

    Args:
        listener: bound; it is listened on from now on.
        make: makes the protocol of a connection that is open.
        tls: None: there is no handshake.
        limits: of connections.
        room: has room for who is let in, or has not.
        tell: called with the address, a code and a reason for who shows no good certificate, or
            speaks too old a TLS.
    """

    def __init__(
        self,
        listener: socket.socket,
        make: Callable[[], asyncio.Protocol],
        *,
        tls: ssl.SSLContext | None,
        limits: DoorLimits,
        room: Room,
        tell: Tell,
    ) -> None:
        self._listener = listener
        self._make = make
        self._limits = limits
        self._room = room
        self._tell = tell
        self._options: dict[str, Any] = {}
        if tls is not None:
            self._options = {"ssl": tls, "ssl_handshake_timeout": limits.handshake_s}
        self._greeting: dict[asyncio.Task[None], None] = {}
        listener.listen(WAITING)
        self._accepting = asyncio.ensure_future(self._accept())

    async def stop(self) -> None:
        """Take no more connections; handshakes under way end."""
        self._accepting.cancel()
        await asyncio.wait([self._accepting])
        await asyncio.sleep(0)  # who was accepted just now has begun
        for task in self._greeting:
            task.cancel()
        await asyncio.gather(*self._greeting, return_exceptions=True)

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(0)  # it is others' turn, however many knock
            try:
                connection, address = await loop.sock_accept(self._listener)
            except OSError as error:
                log.warning("no connection can be taken", message=str(error))
                await asyncio.sleep(ACCEPT_AGAIN_S)
                continue
            if self._room.is_full(address[0]):
                connection.close()
                continue
            task = loop.create_task(self._greet(connection, address[0]))
            self._greeting[task] = None
            task.add_done_callback(self._greeting.pop)
            if len(self._greeting) > self._limits.handshakes:
                next(iter(self._greeting)).cancel()

    async def _greet(self, connection: socket.socket, host: str) -> None:
        loop = asyncio.get_running_loop()
        try:
            await loop.connect_accepted_socket(self._make, connection, **self._options)
        except ssl.SSLCertVerificationError as error:
            self._tell(host, UNPROVEN, error.verify_message)
        except OSError as error:  # no TLS, none in time, or gone again
            told = _TOLD.get(getattr(error, "reason", None) or "")
            if told is not None:
                self._tell(host, *told)
