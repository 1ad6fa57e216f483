"""An HTTP server for ASGI applications, run inside the caller's event loop.

Beyond what uvicorn does: it binds before it serves (so that port 0 works and errors are ours),
bounds headers, bodies and slow senders, and tells the application who the TLS peer is, as
``scope["state"]["peer_certificate"]``: a ``PeerCertificate``, or None; and as
``scope["state"]["whole"]``, True as soon as all of a request has come: nobody need wait for it.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Self

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from openami.core.errors import TransportError
from openami.transport.doors import Entrance, Room
from openami.transport.sockets import bind
from openami.transport.tls import PeerCertificate

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterator

    from openami.transport.doors import Tell

    Enter = Callable[[Callable[[], asyncio.Protocol]], Entrance]


@dataclass(frozen=True, slots=True)
class HttpLimits:
    """What a client may ask of the server.

    Attributes:
        header_octets: of one request, its target among them.
        body_octets: of one request.
        connections: at a time; newcomers beyond are closed unheard.
        of_certificate: connections of one certificate: the few of one client, and those from
            before its line broke, which are open until they have been idle.
        handshake_s: how long a client may take over the handshake of TLS: a slow line's, thrice.
        silence_s: how long a client may take over a request's headers, and over each piece of its
            body.
        idle_s: how long a connection is kept open for the next request.
        drain_s: how long requests under way may take when the server stops.
    """

    header_octets: int = 32 * 1024
    body_octets: int = 64 * 1024 * 1024
    connections: int = 4096
    of_certificate: int = 8
    handshake_s: float = 10.0
    silence_s: float = 30.0
    idle_s: float = 75.0
    drain_s: float = 10.0

    @property
    def of_address(self) -> int:
        """Connections of one address, where there are no certificates.

        A proxy, or a NAT with a whole office behind it, is one address, and has half; the other
        half is everybody else's.
        """
        return max(1, self.connections // 2)

    @property
    def handshakes(self) -> int:
        """Handshakes under way at a time, beside the connections.

        Of thirty thousand devices that come back at once, it is as many as come in some seconds.
        """
        return max(16, self.connections // 16)


DEFAULT_LIMITS: Final = HttpLimits()

_REFUSALS: Final = {
    413: (b"Content Too Large", b"the body is too large"),
    431: (b"Request Header Fields Too Large", b"the headers are too large"),
}


class _RefusedError(Exception):
    """A request is beyond the limits; ends the parser's work on it."""


class _Protocol(HttpToolsProtocol):
    """uvicorn's protocol with limits and the peer's certificate."""

    limits: HttpLimits = DEFAULT_LIMITS
    room: Room

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn's own
        peer = PeerCertificate.of(transport.get_extra_info("ssl_object"))
        self.app_state = {**self.app_state, "peer_certificate": peer}
        self._refusal = 0
        self._header_octets = 0
        self._body_octets = 0
        self._in_headers = True
        self._silence: asyncio.TimerHandle | None = None
        super().connection_made(transport)
        self._place = self.room.enter(peer, self.client[0] if self.client else "")
        if self._place is None:
            transport.abort()
            return
        self._await_octets()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        if self._place is not None:
            self.room.leave(self._place)
        super().connection_lost(exc)

    def shutdown(self) -> None:
        idle = self.cycle is None or self.cycle.response_complete
        settled = idle and self.transport.get_write_buffer_size() == 0
        super().shutdown()
        if settled:
            # Who is idle seldom answers TLS's close_notify, and need not (RFC 8446, 6.1).
            self.transport.abort()

    def data_received(self, data: bytes) -> None:
        if self._refusal or self._place is None:
            return
        if self._silence is not None and not self._in_headers:
            self._await_octets()
        super().data_received(data)

    def on_message_begin(self) -> None:
        self._header_octets = self._body_octets = 0
        self._in_headers = True
        self._await_octets()
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        self._count_header(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._count_header(len(name) + len(value) + len(b": \r\n"))
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._in_headers = False
        for name, value in self.headers:
            if name == b"content-length" and int(value) > self.limits.body_octets:
                self._refuse(413)
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._body_octets += len(body)
        if self._body_octets > self.limits.body_octets:
            self._refuse(413)
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._stop_waiting()
        self.scope["state"]["whole"] = True
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """Answer what the parser gave up on, unless an answer is under way."""
        if self.cycle is not None and self.cycle.response_started:
            self.transport.close()
        elif self._refusal:
            reason, text = _REFUSALS[self._refusal]
            self.transport.write(
                b"HTTP/1.1 %d %b\r\ncontent-type: text/plain\r\ncontent-length: %d\r\n"
                b"connection: close\r\n\r\n%b" % (self._refusal, reason, len(text), text)
            )
            self.transport.close()
        else:
            super().send_400_response(msg)

    def _count_header(self, octets: int) -> None:
        self._header_octets += octets
        if self._header_octets > self.limits.header_octets:
            self._refuse(431)

    def _refuse(self, status: int) -> None:
        self._refusal = status
        raise _RefusedError

    def _await_octets(self) -> None:
        """Give the client its time for the next piece; while reading is held up, it has all."""
        self._stop_waiting()
        self._silence = self.loop.call_later(self.limits.silence_s, self._too_slow)

    def _too_slow(self) -> None:
        self._silence = None
        if self.flow.read_paused:
            self._await_octets()
        elif not self.transport.is_closing():
            self.transport.close()

    def _stop_waiting(self) -> None:
        if self._silence is not None:
            self._silence.cancel()
            self._silence = None


class _Uvicorn(uvicorn.Server):
    """uvicorn's server as a guest in somebody else's loop: signals are the host's."""

    def __init__(self, config: uvicorn.Config, enter: Enter) -> None:
        super().__init__(config)
        self.servers = []
        self.tried = asyncio.Event()
        self._enter = enter
        self._entrance: Entrance | None = None

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        del sockets  # the entrance has it
        try:
            await self.lifespan.startup()
            if self.lifespan.should_exit:
                raise TransportError("the application did not start", code="transport.application")
            self._entrance = self._enter(self._protocol)
            self.started = True
        finally:
            self.tried.set()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        if self._entrance is not None:
            await self._entrance.stop()
        await super().shutdown(sockets)

    def _protocol(self) -> asyncio.Protocol:
        made: asyncio.Protocol = self.config.http_protocol_class(  # type: ignore[call-arg] # as uvicorn does
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )
        return made


class HttpServer:
    """A server; made by ``serve``. As a context manager it stops on leaving.

    Attributes:
        host: where it listens.
        port: as bound: never 0.
        url: as in ``https://127.0.0.1:8443``.
    """

    def __init__(self, server: _Uvicorn, listener: socket.socket, *, tls: bool) -> None:
        self._server = server
        self._listener = listener
        self.host, self.port = listener.getsockname()[:2]
        host = f"[{self.host}]" if ":" in self.host else self.host
        self.url = f"{'https' if tls else 'http'}://{host}:{self.port}"
        self._task = asyncio.ensure_future(server.serve([listener]))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def wait(self) -> None:
        """Return when the server has stopped.

        Raises:
            TransportError: ``transport.application``: its start-up failed.
        """
        await asyncio.shield(self._task)

    async def started(self) -> None:
        """Return when requests are being taken.

        Raises:
            TransportError: ``transport.application``: the application's start-up failed.
        """
        await self._server.tried.wait()
        if not self._server.started:
            self._listener.close()
            await self._task

    async def stop(self) -> None:
        """Take no more connections, let requests under way finish, and end. May be called again."""
        self._server.should_exit = True
        await asyncio.wait([self._task])
        self._listener.close()
        self._task.result()


async def serve(
    app: Any,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    tls: ssl.SSLContext | None = None,
    limits: HttpLimits = DEFAULT_LIMITS,
    tell: Tell = lambda _peer, _code, _message: None,
) -> HttpServer:
    """Serve an ASGI application and return when it takes requests.

    Args:
        app: the application; its lifespan is run.
        host: where to listen.
        port: 0: any free one.
        tls: see ``tls.server_context``; None: plain HTTP.
        limits: of each client.
        tell: called for who gets no connection, with the certificate's names or the address, a code
            and a reason: ``transport.full``, ``transport.certificate``, ``transport.tls``.

    Raises:
        TransportError: ``transport.in-use``, ``transport.denied``, ``transport.application``, ….
    """
    listener = bind(host, port, socket.SOCK_STREAM)
    room = Room(limits, tell)
    config = uvicorn.Config(
        app,
        http=type("Protocol", (_Protocol,), {"limits": limits, "room": room}),
        ws="none",
        loop="none",
        lifespan="auto",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=int(limits.idle_s),
        timeout_graceful_shutdown=int(limits.drain_s),
    )
    enter = partial(Entrance, listener, tls=tls, limits=limits, room=room, tell=tell)
    server = HttpServer(_Uvicorn(config, enter), listener, tls=tls is not None)
    await server.started()
    return server
