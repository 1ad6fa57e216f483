"""The TCP connections of an endpoint, taken and opened."""

from __future__ import annotations

import asyncio
import socket
from collections import deque
from collections.abc import Callable
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Any, Final, cast

import structlog

from openami.c1222.native import NativeAddress, Transport
from openami.c1222.station import Peer
from openami.c1222.stream import PORT, MessageReader
from openami.core.errors import DecodeError, TransportError
from openami.transport.doors import Entrance, Room
from openami.transport.sockets import bind
from openami.transport.tcp import TcpChannel, open_tcp

if TYPE_CHECKING:
    from openami.transport.c1222.config import EndpointConfig

log = structlog.get_logger(__name__)

TURN: Final = 32
"""Messages of one connection that are answered before it is another's turn."""
MAX_DIALS: Final = 64
"""Connections that are being opened at a time."""
MAX_PENDING: Final = 64
"""Messages that wait for one connection to open."""
UNHEARD_S: Final = 60.0
"""How long what is sent may stay unacknowledged: a peer that lost its power tells nobody."""
_TURN: Final = "turn"

Receive = Callable[[bytes, Peer, int | None], tuple[bytes, ...]]


class Stream:
    """One TCP connection: cuts messages out of it, and writes the replies back.

    Args:
        channel: the connection.
        peer: who is at its other end.
        receive: takes each message and returns the replies.

    Attributes:
        active: when a whole message went either way last, by the loop's clock.
        begun: since when a message has begun and not ended; None: none has.
    """

    def __init__(self, channel: TcpChannel, peer: Peer, receive: Receive) -> None:
        self.channel = channel
        self.peer = peer
        self._receive = receive
        self._reader = MessageReader()
        self._waiting: deque[bytes] = deque()
        self._loop = asyncio.get_running_loop()
        self._held: asyncio.Future[None] | None = None
        self.active = self._loop.time()
        self.begun: float | None = None
        channel.attach(self)

    def data_received(self, data: bytes) -> None:
        """Take any slice of the stream."""
        try:
            found = self._reader.feed(data)
        except DecodeError as error:
            log.info("a connection that speaks no C12.22", peer=str(self.peer), code=error.code)
            self.channel.abort()
            return
        if not self._reader.pending:
            self.begun = None
        elif found or self.begun is None:
            self.begun = self._loop.time()
        self._waiting.extend(found)
        if self._held is None:
            self._turn()

    def channel_closed(self, error: TransportError | None) -> None:  # noqa: ARG002 - kept by it
        """Forget what has not been answered: nobody would get the answer."""
        self._waiting.clear()
        if self._held is not None:
            self._held.cancel()

    def send(self, message: bytes) -> bool:
        """Send a message; False where the peer takes none, or has gone."""
        if self.channel.closed or self.channel.full:
            return False
        self.channel.write(message)
        self.active = self._loop.time()
        return True

    def _turn(self) -> None:
        """Answer some messages; the others wait, and so does the peer."""
        replies: list[bytes] = []
        for _ in range(min(TURN, len(self._waiting))):
            replies += self._receive(self._waiting.popleft(), self.peer, None)
        self.active = self._loop.time()
        if replies and not self.channel.closed:
            self.channel.write(b"".join(replies))
        if self._waiting and not self.channel.closed:
            self.channel.hold(_TURN)
            self._held = asyncio.ensure_future(self._later())
        else:
            self._held = None
            self.channel.release(_TURN)

    async def _later(self) -> None:
        await asyncio.sleep(0)
        await self.channel.drain()
        self._turn()


class Streams:
    """All TCP connections of an endpoint.

    Args:
        config: of the endpoint.
        receive: takes each message and returns the replies.
    """

    def __init__(self, config: EndpointConfig, receive: Receive) -> None:
        self._config = config
        self._receive = receive
        self._room = Room(config, _tell)
        self._entrances: list[tuple[Entrance, socket.socket]] = []
        self._numbers = count(1)
        self._streams: dict[int, Stream] = {}
        self._at: dict[tuple[str, int], Stream] = {}
        self._dials: dict[tuple[str, int], list[bytes]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._streams)

    def has(self, number: int) -> bool:
        """Tell whether a connection is open."""
        return number in self._streams

    def bind(self, host: str, port: int) -> socket.socket:
        """Return a socket for ``listen``; see ``sockets.bind`` for what it raises."""
        return bind(host, port, socket.SOCK_STREAM, apart=True)

    def listen(self, listener: socket.socket) -> None:
        """Take connections of a bound socket."""
        make = partial(TcpChannel, self._opened)
        config = self._config
        entrance = Entrance(
            listener, make, tls=config.tls, limits=config, room=self._room, tell=_tell
        )
        self._entrances.append((entrance, listener))

    async def close(self) -> None:
        """Close all connections, and take no more."""
        for entrance, listener in self._entrances:
            await entrance.stop()
            listener.close()
        streams = tuple(self._streams.values())
        for stream in streams:
            stream.channel.close()
        await asyncio.sleep(0)  # who watches them has seen it
        for stream in streams:
            stream.channel.abort()  # who takes no answers is not waited for
        await asyncio.sleep(0)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def send(self, to: Peer | NativeAddress, message: bytes) -> bool:
        """Send a message on a connection that is open, or open one to an address.

        Returns:
            False: the message is lost.
        """
        if isinstance(to, Peer):
            stream = self._streams.get(to.connection)
            return stream is not None and stream.send(message)
        where = (str(to.host), to.port or PORT)
        stream = self._at.get(where)
        return stream.send(message) if stream is not None else self._dial(where, message)

    def sweep(self, now: float) -> None:
        """Close who is silent, and who takes too long over one message."""
        idle, begun = now - self._config.idle_s, now - self._config.begin_s
        for stream in tuple(self._streams.values()):
            if stream.begun is not None and stream.begun <= begun:
                log.info("a message that does not end", peer=str(stream.peer))
                stream.channel.abort()
            elif stream.active <= idle:
                stream.channel.close()

    def _opened(self, channel: TcpChannel) -> None:
        # Who reset its connection before it was taken has no address any more.
        place = self._room.enter(None, channel.peer[0]) if channel.peer[0] else None
        if place is None:
            channel.abort()
            return
        self._take(channel, place, secure=self._config.tls is not None)

    def _take(self, channel: TcpChannel, place: bytes, *, secure: bool) -> Stream:
        number, where = next(self._numbers), channel.peer
        peer = Peer(NativeAddress.of(*where, Transport.TCP), secure, number)
        channel.give_up_after(UNHEARD_S)
        stream = Stream(channel, peer, self._receive)
        self._streams[number] = self._at[where] = stream
        self._spawn(self._watch(stream, where, place))
        return stream

    async def _watch(self, stream: Stream, where: tuple[str, int], place: bytes) -> None:
        try:
            await stream.channel.wait_closed()
        finally:
            del self._streams[stream.peer.connection]
            if self._at.get(where) is stream:
                del self._at[where]
            self._room.leave(place)

    def _dial(self, where: tuple[str, int], message: bytes) -> bool:
        pending = self._dials.get(where)
        if pending is None:
            if len(self._dials) >= MAX_DIALS:
                return False
            pending = self._dials[where] = []
            self._spawn(self._open(where, pending))
        if len(pending) >= MAX_PENDING:
            return False
        pending.append(message)
        return True

    async def _open(self, where: tuple[str, int], pending: list[bytes]) -> None:
        config = self._config
        try:
            place = self._room.enter(None, where[0])
            if place is None:
                return
            try:
                channel = await open_tcp(*where, timeout_s=config.connect_s, tls=config.dial_tls)
            except BaseException:
                self._room.leave(place)
                raise
            stream = self._take(channel, place, secure=config.dial_tls is not None)
            for message in pending:
                stream.send(message)
        except TransportError as error:
            log.info("messages lost", to=f"{where}", code=error.code, count=len(pending))
        finally:
            del self._dials[where]

    def _spawn(self, work: Any) -> None:
        task = cast("asyncio.Task[None]", asyncio.ensure_future(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _tell(peer: str, code: str, message: str) -> None:
    log.info("a connection refused", peer=peer, code=code, message=message)
