"""A station of C12.22 on real sockets: TCP, UDP, TLS and DTLS, of both versions of IP."""

from __future__ import annotations

import asyncio
import socket
import struct
from typing import TYPE_CHECKING, Any, Final

import pytest
from structlog.testing import capture_logs
from tests.support.c1222_device import KEYS, METER, PASSWORD, SERVER, START, USER
from tests.support.c1222_station import CLOCK, NodeStation, config_of, url_of
from tests.transport.certificates import Authority

from openami.c1222.apdu import Apdu
from openami.c1222.client import Client, ClientConfig
from openami.c1222.codes import SecurityMode
from openami.c1222.epsem import Epsem
from openami.c1222.native import NativeAddress, Transport
from openami.c1222.security import protect
from openami.c1222.services import (
    Done,
    Identified,
    Identify,
    Read,
    Security,
    TableData,
    Write,
)
from openami.c1222.station import Outgoing, Peer, blamed
from openami.core.clock import ManualClock
from openami.core.errors import TransportError, TransportTimeoutError
from openami.transport.c1222 import Endpoint, EndpointConfig, open_client
from openami.transport.c1222 import endpoint as endpoints
from openami.transport.c1222.config import LARGEST_IPV4
from openami.transport.c1222.datagrams import DatagramPort, peer_of, socket_address
from openami.transport.c1222.discovery import discover
from openami.transport.dtls import DtlsContext
from openami.transport.sockets import link_of
from openami.transport.tcp import listen_tcp, open_tcp
from openami.transport.tls import client_context, server_context
from openami.transport.udp import open_udp

if TYPE_CHECKING:
    from pathlib import Path

    from openami.transport.channel import Channel

LOCAL: Final = (("127.0.0.1", 0),)
BOTH: Final = (("127.0.0.1", 0), ("::1", 0))
IDENTIFY: Final = bytes.fromhex("601ba20580037bc175a60480027b04a803020103be0728058103800120")


def endpoint(station: NodeStation, **options: Any) -> Endpoint:
    return Endpoint(station, EndpointConfig(**{"listen": LOCAL, **options}), clock=CLOCK)


async def eventually(done: Any) -> None:
    async with asyncio.timeout(60):
        while not done():
            await asyncio.sleep(0.005)


@pytest.mark.parametrize("mode", [0, 1, 2])
@pytest.mark.parametrize("carrier", ["tcp", "udp"])
async def test_a_node_answers_on_every_transport(carrier: str, mode: int) -> None:
    station = NodeStation()
    async with endpoint(station, listen=BOTH) as served:
        for address in served.listening:
            url = url_of(address, carrier, mode)
            async with open_client(url, config_of(url)) as client:
                identified, table = await client.ask(Identify(), Read(1))
                assert isinstance(identified, Identified)
                assert table == TableData(b"OAMI    METER   ")
            peer = station.sources[-1]
            assert isinstance(peer, Peer)
            assert (peer.host, peer.secure, bool(peer.connection)) == (
                address.host, False, carrier == "tcp",
            )  # fmt: skip
            assert peer.address.transport is Transport[carrier.upper()]
            assert blamed(peer) == address.host


async def test_tcp_and_udp_have_one_port_and_others_may_not_have_it() -> None:
    async with endpoint(NodeStation()) as served:
        (address,) = served.listening
        assert address.port
        with pytest.raises(TransportError) as caught:
            await endpoint(NodeStation(), listen=(("127.0.0.1", address.port),)).__aenter__()
        assert caught.value.code == "transport.in-use"


@pytest.mark.parametrize("carrier", ["tcp", "udp"])
async def test_long_messages_both_ways(carrier: str) -> None:
    """On UDP they go in segments, each of which every path carries."""
    station = NodeStation()
    data = bytes(range(256)) * 8
    async with endpoint(station) as served:
        url = url_of(served.listening[0], carrier)
        async with open_client(url, config_of(url)) as client:
            answers = await client.ask(Security(PASSWORD, USER), Write(5, data), Read(64), Read(5))
    assert answers == (Done(), Done(), TableData(bytes(3000)), TableData(data))
    assert all(len(message) <= LARGEST_IPV4 for message in station.heard) == (carrier == "udp")


async def test_an_association_outlives_its_connection() -> None:
    station = NodeStation()
    async with endpoint(station) as served:
        url = url_of(served.listening[0])
        async with open_client(url, config_of(url)) as client:
            await client.ask(Identify())
            client._channel.abort()  # type: ignore[union-attr]  # as a network breaks
            (table,) = await client.ask(Read(5))
            assert table == TableData(b"8437")
    first, second = station.sources
    assert isinstance(first, Peer)
    assert isinstance(second, Peer)
    assert first.connection != second.connection


async def test_messages_in_any_slices() -> None:
    station = NodeStation()
    async with endpoint(station) as served:
        channel = await open_tcp("127.0.0.1", served.listening[0].port or 0)
        for at in range(len(IDENTIFY)):
            channel.write(IDENTIFY[at : at + 1])
            await asyncio.sleep(0)
        first = await channel.read()
        channel.write(_other_ids(100))
        answers = b""
        while answers.count(b"\x60\x1e\xa2") < 100 and len(answers) < 100 * len(first):
            answers += await channel.read()
        channel.close()
    assert len(answers) == sum(len(first) for _ in range(100))
    assert len(station.heard) == 101


def _other_ids(count: int) -> bytes:
    """Return the Identify request with other invocation ids: one that comes again is not done."""
    return b"".join(IDENTIFY.replace(b"\x03\x02\x01\x03", bytes((3, 2, 1, at))) for at in
                    range(10, 10 + count))  # fmt: skip


async def test_one_that_speaks_no_c1222_is_closed() -> None:
    async with endpoint(NodeStation()) as served:
        channel = await open_tcp("127.0.0.1", served.listening[0].port or 0)
        channel.write(b"GET / HTTP/1.1\r\n")
        await channel.wait_closed()
        await eventually(lambda: not served.connections)


async def test_connections_are_bounded_and_silent_ones_close() -> None:
    async with endpoint(NodeStation(), connections=1, idle_s=0.4) as served:
        port = served.listening[0].port or 0
        first = await open_tcp("127.0.0.1", port)
        await eventually(lambda: served.connections == 1)
        second = await open_tcp("127.0.0.1", port)
        await second.wait_closed()
        assert served.connections == 1
        await first.wait_closed()
        await eventually(lambda: not served.connections)


async def test_who_resets_its_connection_at_once_takes_no_place() -> None:
    async with endpoint(NodeStation(), connections=3) as served:
        where = served.listening[0]
        for _ in range(8):
            hasty = socket.create_connection(("127.0.0.1", where.port or 0))
            hasty.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            hasty.close()
        url = url_of(where)
        async with open_client(url, config_of(url)) as client:
            assert await client.ask(Read(5)) == (TableData(b"8437"),)
        await eventually(lambda: not served.connections)


async def test_a_message_that_does_not_end_closes_its_connection() -> None:
    async with endpoint(NodeStation(), begin_s=0.4) as served:
        channel = await open_tcp("127.0.0.1", served.listening[0].port or 0)

        async def dribble() -> None:
            for octet in IDENTIFY[:-1] * 100:
                if channel.closed:
                    return
                channel.write(bytes((octet,)))
                await asyncio.sleep(0.05)

        task = asyncio.ensure_future(dribble())
        await channel.wait_closed()
        task.cancel()
        await eventually(lambda: not served.connections)


async def test_port_zero_is_ignored() -> None:
    heard: list[bytes] = []

    def receive(data: bytes, *_: object) -> tuple[bytes, ...]:
        heard.append(data)
        return ()

    port = DatagramPort(receive, 500)
    port.datagram_received(b"x", ("127.0.0.1", 0))
    port.datagram_received(b"y", ("127.0.0.1", 9))
    assert heard == [b"y"]


# -- what the station sends unasked ----------------------------------------------------------------


def notification() -> bytes:
    apdu = Apdu(77, SERVER, METER)
    return protect(apdu, Epsem((Identify().encode(),)))


async def test_a_message_to_whoever_spoke_goes_on_its_connection() -> None:
    station = NodeStation()
    async with endpoint(station) as served:
        for carrier in ("tcp", "udp"):
            url = url_of(served.listening[0], carrier, 0)
            async with open_client(url, config_of(url)) as client:
                await client.ask(Identify())
                station.out.append(Outgoing(station.sources[-1], notification()))
                served.wake()
                opened = await asyncio.wait_for(client.notification(), 5)
                assert opened.epsem.services == (b"\x20",)
        gone = station.sources[0]
        station.out.append(Outgoing(gone, notification()))  # its connection is closed: it is lost
        station.out.append(Outgoing("who?", notification()))
        served.wake()
        await eventually(lambda: not station.out)


async def test_a_message_to_an_address_opens_one_connection() -> None:
    """Several messages, one connection; answers come back on it, and it is used again."""
    ours, theirs = NodeStation(), NodeStation()
    async with endpoint(theirs) as far, endpoint(ours) as near:
        (address,) = far.listening
        for number in range(3):
            ours.out.append(Outgoing(address, _other_ids(number + 1)[-len(IDENTIFY) :]))
        near.wake()
        await eventually(lambda: len(ours.heard) == 3)
        assert {Apdu.decode(each).answers for each in ours.heard} == {10, 11, 12}
        ours.out.append(Outgoing(address, IDENTIFY))
        near.wake()
        await eventually(lambda: len(ours.heard) == 4)
        assert far.connections == near.connections == 1
        assert len({peer.connection for peer in ours.sources if isinstance(peer, Peer)}) == 1


@pytest.mark.parametrize("listens", [True, False])
@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_datagrams_to_an_address(host: str, *, listens: bool) -> None:
    ours, theirs = NodeStation(), NodeStation()
    config = {"listen": ((host, 0),)} if listens else {"listen": ()}
    async with endpoint(theirs, listen=((host, 0),)) as far, endpoint(ours, **config) as near:
        port = far.listening[0].port or 0
        ours.out.append(Outgoing(NativeAddress.of(host, port, Transport.UDP), IDENTIFY))
        ours.out.append(Outgoing(NativeAddress.of(host, port, Transport.UDP), b"no message" * 150))
        near.wake()
        await eventually(lambda: ours.heard)
        assert Apdu.decode(ours.heard[0]).answers == 3
        (peer,) = theirs.sources
        if listens:  # from the port that others know
            assert isinstance(peer, Peer)
            assert peer.address.port == near.listening[0].port


async def test_what_can_not_be_sent_is_lost_and_the_endpoint_serves_on() -> None:
    station = NodeStation()
    free = socket.socket()
    free.bind(("127.0.0.1", 0))
    async with endpoint(station, connect_s=1.0) as served:
        nobody = NativeAddress.of("127.0.0.1", free.getsockname()[1])
        station.out += [Outgoing(nobody, IDENTIFY)] * 100
        served.wake()
        await eventually(lambda: not station.out and not served._streams._dials)
        url = url_of(served.listening[0])
        async with open_client(url, config_of(url)) as client:
            assert await client.ask(Read(5)) == (TableData(b"8437"),)
    free.close()


async def test_a_version_of_ip_that_the_machine_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: object, **__: object) -> socket.socket:
        raise TransportError("no such family", code="transport.unreachable")

    station = NodeStation()
    async with endpoint(station) as served:
        monkeypatch.setattr(endpoints, "bind", missing)
        station.out.append(Outgoing(NativeAddress.of("::1", 1153, Transport.UDP), IDENTIFY))
        with capture_logs() as logs:
            served.wake()
            await eventually(lambda: logs)
        assert [(log["event"], log["code"]) for log in logs] == [
            ("a message lost", "transport.unreachable")
        ]


async def test_timers_and_a_faster_clock() -> None:
    station = NodeStation(timer=CLOCK.now() + 0.05)
    async with endpoint(station) as served:
        await eventually(lambda: station.fired == 1)
        station.timer = CLOCK.now() + 3600
        served.wake()
        await asyncio.sleep(0)
        station.timer = CLOCK.now()
        served.wake()
        await eventually(lambda: station.fired == 2)


async def test_a_bug_of_the_station_is_told() -> None:
    station = NodeStation(failure=ZeroDivisionError("a bug"))
    async with endpoint(station) as served:
        channel = await open_udp("127.0.0.1", served.listening[0].port or 0)
        channel.write(IDENTIFY)
        channel.write(IDENTIFY)
        assert isinstance(await asyncio.wait_for(served.failed(), 5), ZeroDivisionError)
        channel.close()


async def test_all_nodes_of_a_link() -> None:
    station = NodeStation()
    try:
        served = await endpoint(station, multicast=True).__aenter__()
    except TransportError:
        pytest.skip("no multicast on the loopback of this machine")
    asker = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    asker.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton("127.0.0.1"))
    asker.bind(("127.0.0.1", 0))
    asker.setblocking(False)
    asker.sendto(IDENTIFY, ("224.0.2.4", served.listening[0].port or 0))
    async with asyncio.timeout(60):
        answer = await asyncio.get_running_loop().sock_recv(asker, 2048)
    assert Apdu.decode(answer).answers == 3
    asker.close()
    await served.__aexit__()


async def test_the_nodes_of_a_link_are_found() -> None:
    try:
        served = await endpoint(NodeStation(), listen=BOTH, multicast=True).__aenter__()
    except TransportError:
        pytest.skip("no multicast on the loopback of this machine")
    address, _ = served.listening  # no system brings IPv6's groups over loopback
    asked: Any = {"invocation_id": 7, "host": "127.0.0.1", "port": address.port or 0, "wait_s": 0.3}
    found = await discover(SERVER, **asked)
    await served.__aexit__()
    assert [(each.address.host, each.address.port, each.title) for each in found] == [
        (address.host, address.port, METER)
    ]


def test_addresses_of_links_are_those_of_sockets() -> None:
    for text, link in (("fe80::1%7", 7), ("fe80::1%lo", socket.if_nametoindex("lo")),
                       ("fe80::1%none", 0), ("fe80::1", 0)):  # fmt: skip
        assert socket_address(NativeAddress.of(text, 9)) == ("fe80::1", 9, 0, link)
    assert str(peer_of(("fe80::1", 9, 0, 7), False)) == "[fe80::1%7]:9/udp"


def test_links_of_addresses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = tmp_path / "if_inet6"
    table.write_text("fe80000000000000000000000000000a 04 40 20 80     eth0\n")
    monkeypatch.setattr("openami.transport.sockets._ADDRESSES", table)
    assert [link_of("fe80::a"), link_of("fe80::a%4"), link_of("::1")] == [4, 4, 0]
    monkeypatch.setattr("openami.transport.sockets._ADDRESSES", tmp_path / "missing")
    assert link_of("fe80::a") == 0


# -- TLS and DTLS ----------------------------------------------------------------------------------


def contexts(authority: Authority) -> dict[str, Any]:
    server, client = authority.issue("server"), authority.issue("client", "urn:client")
    pem = {"client_authority": authority.certificate}
    own: Any = {"certificate": client.certificate, "key": client.key}
    return {
        "tls": server_context(server.certificate, server.key, **pem),
        "dtls": DtlsContext.server(server.certificate, server.key, **pem),
        "dial_tls": client_context(authority.certificate, **own),
        "dial_dtls": DtlsContext.client(authority.certificate, **own),
    }


@pytest.mark.parametrize("carrier", ["tls", "dtls"])
async def test_inside_tls_with_certificates_of_both(carrier: str, tmp_path: Path) -> None:
    found = contexts(Authority(tmp_path))
    station = NodeStation()
    async with endpoint(station, tls=found["tls"], dtls=found["dtls"]) as served:
        url = url_of(served.listening[0], carrier)
        ours = {"tls": found["dial_tls"], "dtls": found["dial_dtls"]}
        async with open_client(url, config_of(url), **ours) as client:
            for _ in range(3):
                (table,) = await client.ask(Read(64))
                assert table == TableData(bytes(3000))
        peer = station.sources[0]
        assert isinstance(peer, Peer)
        assert peer.secure


@pytest.mark.parametrize("carrier", ["tls", "dtls"])
async def test_who_shows_no_good_certificate_is_not_served(carrier: str, tmp_path: Path) -> None:
    authority, other = Authority(tmp_path), Authority(tmp_path, "other")
    found, stranger = contexts(authority), other.issue("stranger", "urn:stranger")
    station = NodeStation()
    async with endpoint(station, tls=found["tls"], dtls=found["dtls"]) as served:
        url = url_of(served.listening[0], carrier)
        strange: Any = {"certificate": stranger.certificate, "key": stranger.key}
        nothing: Any = {}
        for own in (nothing, strange):
            ours: Any = {
                "tls": client_context(authority.certificate, **own),
                "dtls": DtlsContext.client(authority.certificate, **own),
            }
            with pytest.raises(TransportError):
                async with open_client(url, config_of(url, timeout=1, retries=0), **ours) as client:
                    await client.ask(Read(64))
        distrusted: Any = {
            "tls": client_context(other.certificate),
            "dtls": DtlsContext.client(other.certificate),
        }
        with pytest.raises(TransportError) as caught:
            async with open_client(url, config_of(url), **distrusted):
                pass
        assert caught.value.code == "transport.tls"
    assert not station.heard


async def test_an_endpoint_calls_another_inside_tls_and_dtls(tmp_path: Path) -> None:
    found = contexts(Authority(tmp_path))
    ours, theirs = NodeStation(), NodeStation()
    async with endpoint(theirs, **found) as far, endpoint(ours, **found) as near:
        (address,) = far.listening
        for transport in Transport:
            to = NativeAddress(address.host, address.port, transport)
            ours.out.append(Outgoing(to, IDENTIFY))
            near.wake()
            await eventually(lambda count=transport: len(ours.heard) == list(Transport).index(count) + 1)  # fmt: skip
        assert all(isinstance(peer, Peer) and peer.secure for peer in theirs.sources)


# -- errors ----------------------------------------------------------------------------------------


async def test_a_node_that_does_not_answer() -> None:
    async with endpoint(NodeStation(SecurityMode.AUTHENTICATED)) as served:
        url = url_of(served.listening[0], mode=0)
        async with open_client(url, config_of(url, timeout=0.1)) as client:
            with pytest.raises(TransportTimeoutError) as caught:
                await client.ask(Identify())
    assert caught.value.code == "c1222.unanswered"
    assert caught.value.hint


async def test_nobody_there() -> None:
    free = socket.socket()
    free.bind(("127.0.0.1", 0))
    address = NativeAddress.of("127.0.0.1", free.getsockname()[1])
    for carrier in ("tcp", "udp"):
        url = url_of(address, carrier, 0)
        with pytest.raises(TransportError) as caught:
            async with open_client(url, config_of(url, timeout=20)) as client:
                await client.ask(Identify())
        assert caught.value.code == "transport.refused"
    free.close()


async def test_a_server_of_another_protocol() -> None:
    async def other(channel: Channel) -> None:
        await channel.read()
        channel.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await asyncio.sleep(0.05)

    async with await listen_tcp("127.0.0.1", 0, other) as server:
        url = url_of(NativeAddress.of("127.0.0.1", server.port), mode=0)
        with pytest.raises(TransportError) as caught:
            async with open_client(url, config_of(url)) as client:
                await client.ask(Identify())
        assert caught.value.code == "c1222.unanswered"
        assert "protocol.decode" in (caught.value.hint or "")


def test_clock_for_a_machine() -> None:
    """The machine's ids are unique for a key and second, whatever the transport."""
    clock = ManualClock(START)
    client = Client(ClientConfig(SERVER, METER, KEYS), first_id=5)
    assert client.ask(Identify(), now=clock.now()) == 5
    client.data_to_send()
    client.hurry(now=clock.now())
    assert len(client.data_to_send()) == 1
