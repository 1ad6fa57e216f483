"""All sockets of one station of C12.22 (RFC 6142)."""

from __future__ import annotations

import asyncio
import socket
from ipaddress import ip_address
from typing import TYPE_CHECKING, Final, Self

import structlog

from openami.c1222.native import NativeAddress, Transport
from openami.c1222.station import Outgoing, Peer, Station
from openami.core.errors import TransportError
from openami.transport.c1222.datagrams import DatagramPort, group_socket, join, open_port
from openami.transport.c1222.streams import Streams
from openami.transport.clock import speed_of
from openami.transport.sockets import bind

if TYPE_CHECKING:
    from openami.core.clock import Clock
    from openami.transport.c1222.config import EndpointConfig

log = structlog.get_logger(__name__)

_SHORTEST_S: Final = 0.001
"""A station whose timer is due but does nothing must not spin the loop."""
_LONGEST_S: Final = 60.0
"""The clock may be set: the station's timers are looked at anew after so long."""
_TRIES: Final = 16
"""Ports that are tried until one is free for TCP and UDP."""


class Endpoint:
    """All sockets of one station; as a context manager it opens and closes them.

    Each message that comes is given to the station, and what it answers goes back on the same
    transport. What it sends unasked goes on a connection that is open, or on a new one; what can
    not be sent is logged and lost, as a network loses it.

    Args:
        station: whose messages they are.
        config: where it listens, and how much it bears.
        clock: tells UTC; when it runs faster, so do the station's timers.

    Attributes:
        listening: where it listens, with the ports that were given; each for TCP and UDP.
    """

    def __init__(self, station: Station, config: EndpointConfig, *, clock: Clock) -> None:
        self.station = station
        self.config = config
        self.listening: tuple[NativeAddress, ...] = ()
        self._clock = clock
        self._streams = Streams(config, self._receive)
        self._ports: list[DatagramPort] = []
        self._groups: list[DatagramPort] = []
        self._timer: asyncio.TimerHandle | None = None
        self._due: float | None = None
        self._settling = False
        self._sweeping: asyncio.Task[None] | None = None
        self._opening: set[asyncio.Task[None]] = set()
        self._failed: asyncio.Future[BaseException] | None = None

    @property
    def connections(self) -> int:
        """How many TCP connections are open."""
        return len(self._streams)

    def reaches(self, peer: Peer) -> bool:
        """Tell whether there is a way to a peer: its connection is open, or it needs none."""
        return not peer.connection or self._streams.has(peer.connection)

    async def __aenter__(self) -> Self:
        self._failed = asyncio.get_running_loop().create_future()
        try:
            self.listening = tuple([await self._listen(*where) for where in self.config.listen])
        except BaseException:
            await self.__aexit__()
            raise
        self._sweeping = asyncio.ensure_future(self._sweep())
        self.wake()
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in (self._sweeping, *self._opening):
            if task is not None:
                task.cancel()
        if self._timer is not None:
            self._timer.cancel()
        self._settling = True  # nothing is sent any more
        await self._streams.close()
        for port in (*self._ports, *self._groups):
            port.close()
        await asyncio.sleep(0)  # the loop closes what was closed

    async def failed(self) -> BaseException:
        """Return what the station raised, when it does: a bug of ours that must not stay unseen."""
        assert self._failed is not None
        return await asyncio.shield(self._failed)

    def wake(self) -> None:
        """Look again at what the station sends unasked, and at its timers.

        To be called after the station was called by anybody else.
        """
        if not self._settling:
            self._settling = True
            asyncio.get_running_loop().call_soon(self._settle)

    # -- messages --

    def _receive(self, data: bytes, peer: Peer, largest: int | None) -> tuple[bytes, ...]:
        try:
            replies = self.station.receive(
                data, source=peer, now=self._clock.now(), largest=largest
            )
        except Exception as error:  # noqa: BLE001 - raised by who waits for ``failed``
            self._fail(error)
            return ()
        self.wake()
        return replies

    def _settle(self) -> None:
        self._settling = False
        try:
            for each in self.station.outgoing():
                self._send(each)
            self._arm()
        except Exception as error:  # noqa: BLE001 - as above
            self._fail(error)

    def _send(self, out: Outgoing) -> None:
        to = out.to
        udp = to.address if isinstance(to, Peer) and not to.connection else to
        if isinstance(udp, NativeAddress) and udp.transport is Transport.UDP:
            sent = self._send_datagram(udp, out.message)
        elif isinstance(to, (Peer, NativeAddress)):
            sent = self._streams.send(to, out.message)
        else:
            sent = False
        if not sent:
            log.info("a message lost", to=str(to))

    def _send_datagram(self, address: NativeAddress, message: bytes) -> bool:
        port = self._port_for(address)
        if port is not None:
            return port.send(address, message)
        task = asyncio.ensure_future(self._open_port(address, message))
        self._opening.add(task)
        task.add_done_callback(self._opening.discard)
        return True

    def _port_for(self, address: NativeAddress) -> DatagramPort | None:
        """Return the socket to send from: of the same version, and where it can reach."""
        version, loop = address.host.version, address.host.is_loopback
        fits = [port for port in self._ports if ip_address(port.host).version == version]
        for port in fits:
            own = ip_address(port.host)
            if own.is_unspecified or own.is_loopback == loop:
                return port
        return fits[0] if fits else None

    async def _open_port(self, address: NativeAddress, message: bytes) -> None:
        host = "0.0.0.0" if address.host.version == 4 else "::"  # noqa: S104 - a client's own
        try:
            port = self._port_for(address) or await self._add_port(host, 0)
        except TransportError as error:  # such as a machine without that version of IP
            log.info("a message lost", to=str(address), code=error.code)
        else:
            port.send(address, message)

    # -- sockets --

    async def _listen(self, host: str, port: int) -> NativeAddress:
        for left in reversed(range(_TRIES)):
            listener = self._streams.bind(host, port)
            own, given, *rest = listener.getsockname()
            if rest and rest[1]:  # of one link, whose number belongs to the address
                own = f"{own}%{rest[1]}"
            try:
                await self._add_port(own, given)
            except TransportError as error:
                listener.close()
                if port or not left or error.code != "transport.in-use":
                    raise
                continue
            self._streams.listen(listener)
            return NativeAddress.of(own, given)
        raise AssertionError("unreachable")

    async def _add_port(self, host: str, port: int) -> DatagramPort:
        bound = bind(host, port, socket.SOCK_DGRAM, apart=True)
        version = ip_address(bound.getsockname()[0]).version
        made = open_port(self._receive, version, self.config)
        await made.start(bound)
        self._ports.append(made)
        if self.config.multicast and port and self.config.dtls is None:
            await self._join(bound, self.config.largest(version))
        return made

    async def _join(self, bound: socket.socket, largest: int) -> None:
        """Take what is sent to all nodes of a link, too (RFC 6142)."""
        if ip_address(bound.getsockname()[0]).is_unspecified:
            join(bound)
            return
        group = DatagramPort(self._receive, largest)
        await group.start(group_socket(bound))
        self._groups.append(group)

    async def _sweep(self) -> None:
        every = min(self.config.idle_s, self.config.begin_s) / 4
        while True:
            await asyncio.sleep(every)
            self._streams.sweep(asyncio.get_running_loop().time())

    # -- timers --

    def _arm(self) -> None:
        due = self.station.next_timer()
        if due == self._due and (due is None or self._timer is not None):
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self._due = None, due
        if due is not None:
            wait = (due - self._clock.now()) / speed_of(self._clock)
            wait = min(max(wait, _SHORTEST_S), _LONGEST_S)
            self._timer = asyncio.get_running_loop().call_later(wait, self._fire)

    def _fire(self) -> None:
        self._timer = self._due = None
        try:
            self.station.handle_timer(now=self._clock.now())
        except Exception as error:  # noqa: BLE001 - raised by who waits for ``failed``
            self._fail(error)
        self.wake()

    def _fail(self, error: Exception) -> None:
        log.error("the station failed", error=type(error).__name__)  # the owner raises it
        if self._failed is not None and not self._failed.done():
            self._failed.set_result(error)
