"""A UDP port of an endpoint: each datagram is a message, or a segment of one."""

from __future__ import annotations

import asyncio
import socket
import struct
from functools import lru_cache
from ipaddress import IPv6Address
from typing import TYPE_CHECKING, Any, Final

import structlog

from openami.c1222.native import MULTICAST_IPV4, MULTICAST_IPV6, NativeAddress, Transport
from openami.c1222.segments import split
from openami.c1222.station import Peer
from openami.c1222.stream import PORT
from openami.core.errors import DecodeError, LocalProtocolError, TransportError
from openami.transport.dtls import OVERHEAD
from openami.transport.dtls_hub import DtlsHub
from openami.transport.failures import transport_error
from openami.transport.sockets import link_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from openami.transport.c1222.config import EndpointConfig
    from openami.transport.c1222.streams import Receive

log = structlog.get_logger(__name__)

_UNSENT: Final = 256 * 1024
"""Octets that the system has not taken, beyond which datagrams are lost as the network loses
them."""
_KNOWN: Final = 1024
_SHORTEST_S: Final = 0.001
_GROUPS: Final[Mapping[int, str]] = {
    socket.AF_INET: MULTICAST_IPV4,
    socket.AF_INET6: MULTICAST_IPV6,
}


class DatagramPort(asyncio.DatagramProtocol):
    """One socket.

    Args:
        receive: takes each message and returns the replies.
        largest: octets of the longest datagram.

    Attributes:
        host: what it is bound to.
    """

    secure = False

    def __init__(self, receive: Receive, largest: int) -> None:
        self._receive = receive
        self._largest = largest
        self._transport: Any = None  # typeshed does not know its write buffer
        self.host = ""

    async def start(self, bound: socket.socket) -> None:
        """Take the datagrams of a bound socket."""
        self.host = bound.getsockname()[0]
        await asyncio.get_running_loop().create_datagram_endpoint(lambda: self, sock=bound)

    def close(self) -> None:
        """Close the socket."""
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        if not addr[1]:  # RFC 6142: port 0 sends nothing, and can not be answered
            return
        self._take(data, addr)

    def error_received(self, exc: Exception) -> None:
        """Ignore that some peer was not there: its own silence tells."""

    def send(self, address: NativeAddress, message: bytes) -> bool:
        """Send a message, in segments where it is long; False: it is lost."""
        try:
            segments = split(message, self._largest)
        except (LocalProtocolError, DecodeError) as error:
            log.info("a message that can not be sent", to=str(address), code=error.code)
            return False
        where = socket_address(address)
        sent = [self._write(each, where) for each in segments]
        return all(sent)

    def _take(self, data: bytes, addr: Any) -> None:
        for reply in self._receive(data, peer_of(addr, self.secure), self._largest):
            self._write(reply, addr)

    def _write(self, data: bytes, where: Any) -> bool:
        if self._transport is None or self._transport.get_write_buffer_size() > _UNSENT:
            return False
        self._transport.sendto(data, where)
        return True


class SecurePort(DatagramPort):
    """One socket, all of whose datagrams are inside DTLS."""

    secure = True

    def __init__(self, receive: Receive, largest: int, config: EndpointConfig) -> None:
        super().__init__(receive, largest - OVERHEAD)
        self._hub = DtlsHub(config.dtls, config.dial_dtls, config, mtu=largest)
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._due: float | None = None

    def close(self) -> None:
        """End all associations, and close the socket."""
        self._hub.close()
        self._flush()
        if self._timer is not None:
            self._timer.cancel()
        super().close()

    def _take(self, data: bytes, addr: Any) -> None:
        for message in self._hub.receive(data, addr, now=self._loop.time()):
            super()._take(message, addr)
        self._flush()

    def _write(self, data: bytes, where: Any) -> bool:
        sent = self._hub.send(data, where, now=self._loop.time())
        self._flush()
        return sent

    def _flush(self) -> None:
        for datagram, where in self._hub.datagrams():
            super()._write(datagram, where)
        self._arm()

    def _arm(self) -> None:
        now = self._loop.time()
        due = self._hub.next_timer(now=now)
        # One that is due too early is left to fire, and is set anew then.
        if due is None or (self._due is not None and self._due <= due):
            return
        if self._timer is not None:
            self._timer.cancel()
        self._due = due
        self._timer = self._loop.call_later(max(due - now, _SHORTEST_S), self._fire)

    def _fire(self) -> None:
        self._timer = self._due = None
        self._hub.handle_timer(now=self._loop.time())
        self._flush()


def open_port(receive: Receive, version: int, config: EndpointConfig) -> DatagramPort:
    """Return a port for a version of IP, not yet started."""
    largest = config.largest(version)
    if config.dtls is None and config.dial_dtls is None:
        return DatagramPort(receive, largest)
    return SecurePort(receive, largest, config)


@lru_cache(maxsize=_KNOWN)
def peer_of(addr: tuple[Any, ...], secure: bool) -> Peer:
    """Return who has an address as sockets have it."""
    host, port, *rest = addr
    scope = rest[1] if len(rest) > 1 else 0
    name = f"{host}%{scope}" if scope and "%" not in host else host
    return Peer(NativeAddress.of(name, port, Transport.UDP), secure)


def socket_address(address: NativeAddress) -> tuple[Any, ...]:
    """Return an address as sockets have it: the same as they give for a peer."""
    host, port = address.host, address.port or PORT
    if isinstance(host, IPv6Address):
        return (str(host).partition("%")[0], port, 0, _link(host.scope_id))
    return (str(host), port)


def _link(scope: str | None) -> int:
    """Return the number of a link that is given by number or name; 0: there is none."""
    if scope is None or scope.isdecimal():
        return int(scope or 0)
    try:
        return socket.if_nametoindex(scope)
    except OSError:
        return 0


def join(bound: socket.socket) -> None:
    """Let a socket take what is sent to all nodes of a link (RFC 6142).

    Raises:
        TransportError: the system has no multicast there.
    """
    _join(bound, bound.getsockname())


def group_socket(bound: socket.socket) -> socket.socket:
    """Return a socket that takes what is sent to all nodes at the port of another.

    A socket that is bound to one address of its own takes nothing that is sent to a group.

    Raises:
        TransportError: the system has no multicast there.
    """
    own = bound.getsockname()
    made = socket.socket(bound.family, socket.SOCK_DGRAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # other stations listen too
        link = (0, own[3] or link_of(own[0])) if bound.family == socket.AF_INET6 else ()
        made.bind((_GROUPS[bound.family], own[1], *link))
        made.setblocking(False)
        _join(made, own)
    except (OSError, TransportError) as error:
        made.close()
        raise transport_error(error, f"listening to {_GROUPS[bound.family]}") from error
    return made


def _join(bound: socket.socket, own: Any) -> None:
    group = socket.inet_pton(bound.family, _GROUPS[bound.family])
    try:
        if bound.family == socket.AF_INET:
            level, option = socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP
            bound.setsockopt(level, option, group + socket.inet_aton(own[0]))
        else:
            level, option = socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP
            link = own[3] or link_of(own[0])
            bound.setsockopt(level, option, group + struct.pack("@I", link))
    except OSError as error:
        raise transport_error(error, f"joining {_GROUPS[bound.family]}") from error
