from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from tests.transport.certificates import Authority

from openami.core.errors import (
    ConfigError,
    DecodeError,
    RemoteProtocolError,
    TransportError,
    TransportTimeoutError,
)
from openami.transport.doors import NO_ROOM, TOO_OLD
from openami.transport.http import HttpAnswer, HttpClient
from openami.transport.tcp import listen_tcp, open_tcp
from openami.transport.tls import PeerCertificate, client_context, server_context
from openami.transport.web import HttpLimits, serve

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from openami.transport.channel import Channel
    from openami.transport.web import HttpServer


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Tells how large the body was, and who the peer is."""
    if scope["type"] == "lifespan":
        while (await receive())["type"] != "lifespan.shutdown":
            await send({"type": "lifespan.startup.complete"})
        await send({"type": "lifespan.shutdown.complete"})
        return
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        size += len(message.get("body", b""))
        if not message.get("more_body"):
            break
    peer = scope["state"]["peer_certificate"]
    if scope["path"] == "/slow":
        await asyncio.sleep(30)
    answer = {"size": size, "uris": list(peer.uris) if peer else None, "path": scope["path"]}
    body = b"x" * 100_000 if scope["path"] == "/large" else json.dumps(answer).encode()
    headers = [(b"content-length", str(len(body)).encode()), (b"retry-after", b"7")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def test_plain_http() -> None:
    async with await serve(app) as server, HttpClient(server.url) as client:
        answer = await client.post("/x", content=b"12345", headers={"x": "y"}, params={"a": "b"})
        assert answer.ok
        assert answer.json() == {"size": 5, "uris": None, "path": "/x"}
        assert answer.headers["retry-after"] == "7"
        assert (await client.post("/j", json_body={"a": 1})).json()["size"] == 7
        assert "12345" not in repr(answer)


async def test_the_application_knows_whether_a_request_is_whole() -> None:
    seen: list[bool] = []
    begun = asyncio.Event()

    async def looking(scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            seen.append(scope["state"].get("whole", False))
            begun.set()
        await app(scope, receive, send)
        if scope["type"] == "http":
            seen.append(scope["state"].get("whole", False))

    async with await serve(looking) as server:
        reader, writer = await asyncio.open_connection(server.host, server.port)
        head = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n"
        writer.write(head + b"ab")
        await reader.readuntil(b"}")
        assert seen == [True, True]
        begun.clear()
        writer.write(head + b"a")
        await begun.wait()
        writer.write(b"b")
        await reader.readuntil(b"}")
        assert seen[2:] == [False, True]
        writer.close()


async def test_mutual_tls_tells_the_application_who_asks(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    here, dcu = authority.issue("server"), authority.issue("dcu", "urn:openami:dcu:D1", "urn:x:y")
    tls = server_context(here.certificate, here.key, client_authority=authority.certificate)
    ours = client_context(authority.certificate, certificate=dcu.certificate, key=dcu.key)
    async with await serve(app, tls=tls) as server:
        assert server.url == f"https://127.0.0.1:{server.port}"
        async with HttpClient(server.url, tls=ours) as client:
            for _ in range(2):
                answer = await client.get("/")
                assert answer.json()["uris"] == ["urn:openami:dcu:D1", "urn:x:y"]


async def test_without_a_certificate_nobody_gets_in(tmp_path: Path) -> None:
    authority, stranger = Authority(tmp_path), Authority(tmp_path, "stranger")
    here, other = authority.issue("server"), stranger.issue("other", "urn:openami:dcu:D1")
    tls = server_context(here.certificate, here.key, client_authority=authority.certificate)
    contexts = [
        client_context(authority.certificate),
        client_context(authority.certificate, certificate=other.certificate, key=other.key),
        client_context(stranger.certificate, certificate=other.certificate, key=other.key),
    ]
    async with await serve(app, tls=tls) as server:
        for context in contexts:
            async with HttpClient(server.url, tls=context) as client:
                with pytest.raises(TransportError) as caught:
                    await client.get("/")
                assert caught.value.code in {"transport.tls", "transport.closed"}


async def test_a_server_may_do_without_client_certificates(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    here = authority.issue("server")
    async with (
        await serve(app, tls=server_context(here.certificate, here.key)) as server,
        HttpClient(server.url, tls=client_context(authority.certificate)) as client,
    ):
        assert (await client.get("/")).json()["uris"] is None


async def test_tls_over_channels(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    here = authority.issue("server")

    async def echo(channel: Channel) -> None:
        while data := await channel.read():
            channel.write(data)

    tls = server_context(here.certificate, here.key)
    async with await listen_tcp("127.0.0.1", 0, echo, tls=tls) as server:
        ours = client_context(authority.certificate)
        channel = await open_tcp("127.0.0.1", server.port, tls=ours)
        channel.write(b"hello")
        assert await channel.read() == b"hello"
        channel.close()
        with pytest.raises(TransportError) as caught:
            await open_tcp("127.0.0.1", server.port, tls=client_context())
        assert caught.value.code == "transport.tls"


def test_files_that_are_no_certificates(tmp_path: Path) -> None:
    pem = Authority(tmp_path).issue("one")
    other = Authority(tmp_path, "b").issue("other")
    junk = tmp_path / "junk.pem"
    junk.write_text("-----BEGIN RUBBISH-----")
    wrong: list[Callable[[], object]] = [
        lambda: server_context(tmp_path / "none.pem", pem.key),
        lambda: server_context(pem.certificate, other.key),
        lambda: server_context(junk, pem.key),
        lambda: server_context(pem.certificate, pem.key, client_authority=junk),
        lambda: client_context(tmp_path / "none.pem"),
        lambda: client_context(pem.certificate, certificate=pem.certificate),
    ]
    for make in wrong:
        with pytest.raises(ConfigError) as caught:
            make()
        assert caught.value.code == "config.tls"


def test_certificates_without_names_have_none() -> None:
    assert PeerCertificate.from_der(b"rubbish").uris == ()


def test_a_certificate_says_whose_it_is(tmp_path: Path) -> None:
    made = Authority(tmp_path).issue("dcu", "urn:openami:dcu:D1", "urn:x:y")
    certificate = x509.load_pem_x509_certificate(made.certificate.read_bytes())
    peer = PeerCertificate.from_der(certificate.public_bytes(Encoding.DER))
    assert peer.uris == ("urn:openami:dcu:D1", "urn:x:y")


async def test_bodies_are_bounded() -> None:
    async with await serve(app, limits=HttpLimits(body_octets=1000)) as server:
        async with HttpClient(server.url) as client:
            assert (await client.post("/", content=b"x" * 1000)).json()["size"] == 1000
        head = b"POST / HTTP/1.1\r\nhost: x\r\n"
        chunk = b"200\r\n" + b"x" * 0x200 + b"\r\n"
        for request in (
            head + b"content-length: 1001\r\n\r\n",
            head + b"transfer-encoding: chunked\r\n\r\n" + chunk + chunk,
        ):
            assert (await talk(server.port, request)).startswith(b"HTTP/1.1 413 ")


async def test_headers_are_bounded() -> None:
    async with await serve(app, limits=HttpLimits(header_octets=1000)) as server:
        for request in (
            b"GET /" + b"a" * 1000 + b" HTTP/1.1\r\n",
            b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 500,
        ):
            assert (await talk(server.port, request)).startswith(b"HTTP/1.1 431 ")
        assert (await talk(server.port, b"rubbish\r\n\r\n")).startswith(b"HTTP/1.1 400 ")


async def test_slow_senders_are_cut_off() -> None:
    limits = HttpLimits(silence_s=0.05)
    async with await serve(app, limits=limits) as server:
        for beginning in (
            b"",
            b"GET / HTTP/1.1\r\n",
            b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\nx",
        ):
            assert await talk(server.port, beginning) == b""
        assert (await talk(server.port, b"GET / HTTP/1.0\r\n\r\n")).startswith(b"HTTP/1.1 200")


async def talk(port: int, request: bytes) -> bytes:
    """Return all that the server says until it closes."""
    channel = await open_tcp("127.0.0.1", port)
    channel.write(request)
    answer = b""
    while data := await channel.read():
        answer += data
    return answer


async def test_who_is_in_is_served_while_there_is_room_for_nobody_else() -> None:
    told: list[tuple[str, str, str]] = []
    limits = HttpLimits(connections=4)
    async with (
        await serve(app, limits=limits, tell=lambda *what: told.append(what)) as server,
        HttpClient(server.url) as client,
        Knocker(server) as knocker,
    ):
        assert (await client.get("/")).ok
        held = [await knocker.hold(f"127.0.0.{n}") for n in (2, 3, 4)]
        assert await knocker.is_closed("127.0.0.5")
        assert told[0] == ("127.0.0.5", NO_ROOM, "there are as many connections as there may be")
        assert (await client.get("/")).ok
        held.pop().close()
        async with asyncio.timeout(60):
            while await knocker.is_closed("127.0.0.6"):
                await asyncio.sleep(0.01)
        for channel in held:
            assert await asks(channel)


async def test_one_address_has_half_of_the_connections() -> None:
    told: list[tuple[str, str, str]] = []
    limits = HttpLimits(connections=4)
    async with (
        await serve(app, limits=limits, tell=lambda *what: told.append(what)) as server,
        Knocker(server) as knocker,
    ):
        held = [await knocker.hold("127.0.0.2") for _ in range(2)]
        assert await knocker.is_closed("127.0.0.2")
        assert [(who, code) for who, code, _ in told] == [("127.0.0.2", NO_ROOM)]
        for channel in (*held, await knocker.hold("127.0.0.3")):
            assert await asks(channel)


async def test_the_ninth_connection_of_a_certificate_is_closed(tmp_path: Path) -> None:
    authority, told = Authority(tmp_path), list[tuple[str, str, str]]()
    here = authority.issue("server")
    tls = server_context(here.certificate, here.key, client_authority=authority.certificate)
    one, other = (
        client_context(authority.certificate, certificate=made.certificate, key=made.key)
        for made in (authority.issue(uid, f"urn:openami:dcu:{uid}") for uid in ("D1", "D2"))
    )
    async with (
        await serve(app, tls=tls, tell=lambda *what: told.append(what)) as server,
        Knocker(server, one) as knocker,
        Knocker(server, other) as another,
    ):
        held = [await knocker.hold() for _ in range(8)]
        assert await knocker.is_closed()
        assert [(who, code) for who, code, _ in told] == [("urn:openami:dcu:D1", NO_ROOM)]
        for channel in (*held, await another.hold()):
            assert await asks(channel)


async def test_a_tls_that_is_too_old_is_told_of_and_what_is_none_is_not(tmp_path: Path) -> None:
    authority, told = Authority(tmp_path), list[tuple[str, str, str]]()
    here = authority.issue("server")
    tls = server_context(here.certificate, here.key)
    # TLS 1.1 (RFC 4346 7.4.1.2): version, random, no session, one cipher suite, no compression.
    hello = bytes.fromhex("0302") + bytes(32) + bytes.fromhex("00 0002c013 0100")
    greeting = bytes.fromhex(f"160301{len(hello) + 4:04x}01{len(hello):06x}") + hello
    async with await serve(app, tls=tls, tell=lambda *what: told.append(what)) as server:
        for octets in (b"GET / HTTP/1.1\r\n\r\n", greeting):
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(octets)
            with suppress(ConnectionResetError):
                await reader.read()
            writer.close()
        async with asyncio.timeout(60):
            while not told:
                await asyncio.sleep(0.01)
    assert [(who, code) for who, code, _ in told] == [("127.0.0.1", TOO_OLD)]


async def test_who_is_silent_before_tls_is_cut_off(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    here = authority.issue("server")
    tls = server_context(here.certificate, here.key)
    limits = HttpLimits(handshake_s=0.05)
    async with await serve(app, tls=tls, limits=limits) as server, asyncio.timeout(60):
        silent = [await open_tcp("127.0.0.1", server.port) for _ in range(20)]
        for channel in silent:
            assert await ended(channel)


async def test_who_is_silent_before_tls_keeps_nobody_out(tmp_path: Path) -> None:
    """The handshake that has taken longest makes room; there are more than connections, too."""
    authority = Authority(tmp_path)
    here = authority.issue("server")
    tls = server_context(here.certificate, here.key)
    limits = HttpLimits(connections=4, handshake_s=3600)
    async with await serve(app, tls=tls, limits=limits) as server, asyncio.timeout(60):
        silent = [await open_tcp("127.0.0.1", server.port) for _ in range(limits.handshakes + 9)]
        async with HttpClient(server.url, tls=client_context(authority.certificate)) as client:
            assert (await client.get("/")).ok
        for channel in silent[:9]:
            assert await ended(channel)


class Knocker:
    """Opens connections, and closes them all."""

    def __init__(self, server: HttpServer, tls: Any = None) -> None:
        self._server, self._tls = server, tls
        self._opened: list[Streams] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for streams in self._opened:
            streams.close()
        await asyncio.sleep(0)

    async def hold(self, host: str = "127.0.0.1") -> Streams:
        """Return a connection from an address that has been answered, and is kept."""
        streams = await self._open(host)
        assert await asks(streams)
        return streams

    async def is_closed(self, host: str = "127.0.0.1") -> bool:
        """Tell whether a newcomer gets no answer."""
        try:
            return not await asks(await self._open(host))
        except OSError:
            return True

    async def _open(self, host: str) -> Streams:
        server = self._server
        streams = await asyncio.open_connection(
            server.host, server.port, local_addr=(host, 0), ssl=self._tls
        )
        self._opened.append(Streams(*streams))
        return self._opened[-1]


async def asks(streams: Streams) -> bool:
    """Ask once; tell whether there was an answer."""
    try:
        streams.writer.write(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        await streams.reader.readuntil(b"}")
    except (OSError, asyncio.IncompleteReadError):
        streams.close()
        return False
    return True


async def ended(channel: Channel) -> bool:
    """Tell whether the other end closes, politely or not."""
    try:
        return not await channel.read()
    except TransportError:
        return True


class Streams(NamedTuple):
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    def close(self) -> None:
        self.writer.transport.abort()


async def test_port_in_use_and_host_unknown() -> None:
    async with await serve(app) as server:
        with pytest.raises(TransportError) as caught:
            await serve(app, port=server.port)
        assert caught.value.code == "transport.in-use"
    with pytest.raises(TransportError) as caught:
        await serve(app, host="host.invalid")
    assert caught.value.code == "transport.unknown-host"


async def test_an_application_that_does_not_start() -> None:
    async def broken(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "no"})

    with pytest.raises(TransportError) as caught:
        await serve(broken)
    assert caught.value.code == "transport.application"


async def test_stopping_waits_for_answers_under_way_but_not_for_ever() -> None:
    begun = asyncio.Event()

    async def telling(scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            begun.set()
        await app(scope, receive, send)

    server = await serve(telling, limits=HttpLimits(drain_s=1))
    async with HttpClient(server.url) as client:
        waiting = asyncio.ensure_future(client.get("/slow"))
        await begun.wait()
        await server.stop()
        await server.stop()
        await server.wait()
        (answer,) = await asyncio.gather(waiting, return_exceptions=True)
        assert isinstance(answer, TransportError) or getattr(answer, "status", None) == 500
        with pytest.raises(TransportError) as caught:
            await client.get("/")
        assert caught.value.code == "transport.refused"


async def test_answers_are_bounded_in_size_and_time() -> None:
    brisk = HttpLimits(drain_s=0)
    async with (
        await serve(app, limits=brisk) as server,
        HttpClient(server.url, timeout_s=5) as client,
    ):
        with pytest.raises(RemoteProtocolError) as caught:
            await client.get("/large", max_octets=99_999)
        assert caught.value.code == "http.too-large"
        with pytest.raises(TransportTimeoutError):
            await client.get("/slow", timeout_s=0.05)
        assert (await client.get("/")).ok


@pytest.mark.parametrize(
    ("said", "code"),
    [
        (b"", "transport.closed"),
        (b"rubbish\r\n\r\n", "http"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nx", "transport.closed"),
        (b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 4\r\n\r\nrats", "http"),
    ],
)
async def test_servers_that_speak_no_http(said: bytes, code: str) -> None:
    async def handler(channel: Channel) -> None:
        await channel.read()
        if said:
            channel.write(said)

    async with (
        await listen_tcp("127.0.0.1", 0, handler) as server,
        HttpClient(f"http://127.0.0.1:{server.port}") as client,
    ):
        with pytest.raises((TransportError, RemoteProtocolError)) as caught:
            await client.get("/")
        assert caught.value.code == code


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[" * 100_000])
def test_bodies_that_are_no_json(body: bytes) -> None:
    with pytest.raises(DecodeError):
        HttpAnswer(200, {}, body).json()


def test_only_what_went_well_is_ok() -> None:
    assert HttpAnswer(200, {}, b"").ok
    assert not HttpAnswer(503, {}, b"").ok


async def test_idle_connections_hold_up_no_stop(tmp_path: Path) -> None:
    """A TLS client that keeps its connection and does not read is not waited for."""
    authority = Authority(tmp_path)
    here = authority.issue("server")
    tls = server_context(here.certificate, here.key)
    limits = HttpLimits(drain_s=3600)
    async with asyncio.timeout(60):
        server = await serve(app, tls=tls, limits=limits)
        reader, writer = await asyncio.open_connection(
            server.host, server.port, ssl=client_context(authority.certificate)
        )
        writer.write(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        await reader.readuntil(b"}")
        writer.transport.pause_reading()  # type: ignore[attr-defined] # of a transport that reads
        await server.stop()
    writer.transport.abort()
