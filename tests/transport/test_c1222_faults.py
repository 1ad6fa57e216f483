"""A client and a station on a link that loses, doubles, delays and reorders, in virtual time.

What is answered is right, what is not ends in a clean error, and nothing is done twice.
"""

from __future__ import annotations

import asyncio
import heapq
from itertools import count
from typing import TYPE_CHECKING, Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.c1222_device import KEY_ID, KEYS, METER, PASSWORD, SERVER, START, USER
from tests.support.c1222_station import CLOCK, NodeStation

from openami.c1222.client import Answered, Client, ClientConfig, Unanswered
from openami.c1222.codes import ResponseControl, SecurityMode
from openami.c1222.native import NativeAddress, Transport
from openami.c1222.services import Done, Failure, Read, Security, TableData, Write
from openami.c1222.station import Peer
from openami.c1222.stream import MessageReader
from openami.core.errors import TransportError
from openami.transport.c1222 import Endpoint, EndpointConfig, NodeUrl, open_client
from openami.transport.tcp import open_tcp

if TYPE_CHECKING:
    from collections.abc import Callable

LARGEST: Final = 200
DATA: Final = bytes(range(256)) * 4
PEER: Final = Peer(NativeAddress.of("127.0.0.1", 40000, Transport.UDP))
FATES: Final = st.lists(
    st.lists(st.floats(0.0, 3.0), max_size=3), min_size=1, max_size=40
)  # each datagram: when its copies arrive; none: it is lost


class Network:
    """Datagrams on their way, each with the fate that was drawn for it."""

    def __init__(self, fates: list[list[float]]) -> None:
        self._fates = fates
        self._numbers = count()
        self._way: list[tuple[float, int, str, bytes]] = []

    def send(self, to: str, datagram: bytes, now: float) -> None:
        number = next(self._numbers)
        # After those that were drawn it works: what is sent again often enough arrives.
        fate = self._fates[number] if number < len(self._fates) else [0.01]
        for delay in fate:
            heapq.heappush(self._way, (now + delay, next(self._numbers) + 10**6, to, datagram))

    @property
    def next(self) -> float | None:
        return self._way[0][0] if self._way else None

    def pop(self) -> tuple[str, bytes]:
        _, _, to, datagram = heapq.heappop(self._way)
        return to, datagram


@settings(max_examples=80)
@given(FATES, st.sampled_from(SecurityMode))
def test_datagrams_and_segments_on_a_bad_network(
    fates: list[list[float]], mode: SecurityMode
) -> None:
    station, network = NodeStation(), Network(fates)
    config = ClientConfig(SERVER, METER, KEYS, KEY_ID, mode, 5.0, 3, LARGEST)
    client, now = Client(config, first_id=1), START
    client.ask(Security(PASSWORD, USER), Write(5, DATA), Read(5), now=now)
    event = None
    for _ in range(5000):
        for message in client.data_to_send():
            assert len(message) <= LARGEST
            network.send("node", message, now)
        event = client.next_event()
        if event is not None:
            break
        now = min(at for at in (network.next, client.next_timer()) if at is not None)
        if network.next is not None and network.next <= now:
            to, datagram = network.pop()
            if to == "node":
                for reply in station.receive(datagram, source=PEER, now=now, largest=LARGEST):
                    assert len(reply) <= LARGEST
                    network.send("client", reply, now)
            else:
                client.receive(datagram, now=now)
        client.handle_timer(now=now)
    if isinstance(event, Answered):
        assert event.responses == (Done(), Done(), TableData(DATA))
    else:
        assert isinstance(event, Unanswered)
    assert sum(isinstance(request, Write) for request, _ in station.device.served) <= 1


@settings(max_examples=80)
@given(st.lists(st.integers(1, 400), max_size=60), st.integers(1, 12))
def test_a_stream_in_any_slices(cuts: list[int], messages: int) -> None:
    client = Client(ClientConfig(SERVER, METER, KEYS, KEY_ID, SecurityMode.ENCRYPTED), first_id=1)
    for _ in range(messages):
        client.ask(Read(5), now=START)
    sent = client.data_to_send()
    stream, reader, found = b"".join(sent), MessageReader(), []
    for size in cuts:
        found += reader.feed(stream[:size])
        stream = stream[size:]
    found += reader.feed(stream)
    assert tuple(found) == sent
    assert not reader.pending


# -- real sockets with a network that fails in between ----------------------------------------------


class Middle(asyncio.DatagramProtocol):
    """Passes datagrams on between one client and a node, as it is told."""

    def __init__(self, node: tuple[str, int], fate: Callable[[int], int]) -> None:
        self._node = node
        self._fate = fate
        self._numbers = count()
        self._client: Any = None
        self._transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        to = self._client if addr[:2] == self._node else self._node
        if addr[:2] != self._node:
            self._client = addr
        for _ in range(self._fate(next(self._numbers))):
            self._transport.sendto(data, to)


@pytest.mark.parametrize(
    "fate",
    [
        lambda number: 0 if number in {0, 3, 7, 20} else 1,
        lambda _: 2,
        lambda number: 0 if number % 9 == 4 and number < 60 else 1 + number % 2,
    ],
    ids=["lost", "doubled", "both"],
)
async def test_real_datagrams_that_are_lost_and_doubled(fate: Callable[[int], int]) -> None:
    station = NodeStation()
    config = EndpointConfig((("127.0.0.1", 0),))
    async with Endpoint(station, config, clock=CLOCK) as served:
        node = ("127.0.0.1", served.listening[0].port or 0)
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(
            lambda: Middle(node, fate), local_addr=("127.0.0.1", 0)
        )
        port = transport.get_extra_info("sockname")[1]
        url = NodeUrl.parse(
            f"c1222+udp://127.0.0.1:{port}?node={METER}&title={SERVER}&key=2&mode=2"
        )
        asked = url.client_config(KEYS, timeout=0.3, retries=8)
        async with open_client(url, asked) as client:
            answers = await client.ask(Security(PASSWORD, USER), Write(5, DATA), Read(64), Read(5))
        transport.close()
        await asyncio.sleep(0)
    assert answers == (Done(), Done(), TableData(bytes(3000)), TableData(DATA))
    assert sum(isinstance(request, Write) for request, _ in station.device.served) == 1


async def test_a_peer_that_reads_no_answers_is_held_up() -> None:
    """It fills neither our memory nor the others' time."""
    station = NodeStation()
    config = EndpointConfig((("127.0.0.1", 0),))
    async with Endpoint(station, config, clock=CLOCK) as served:
        port = served.listening[0].port or 0
        greedy = await open_tcp("127.0.0.1", port)
        greedy.hold("asleep")
        client = Client(ClientConfig(SERVER, METER, KEYS), first_id=1)
        for _ in range(60):
            client.ask(*[Read(64)] * 64, now=START)
        requests = b"".join(client.data_to_send())
        for _ in range(20):
            greedy.write(requests)
        await asyncio.sleep(0.2)
        heard = len(station.heard)
        assert heard < 60 * 20
        url = NodeUrl.parse(f"c1222+tcp://127.0.0.1:{port}?node={METER}&title={SERVER}")
        async with open_client(url, url.client_config()) as other:
            assert await other.ask(Read(5)) == (TableData(b"8437"),)
        greedy.abort()


async def test_a_client_that_is_closed_fails_what_waits() -> None:
    station = NodeStation()
    config = EndpointConfig((("127.0.0.1", 0),))
    async with Endpoint(station, config, clock=CLOCK) as served:
        port = served.listening[0].port or 0
        url = NodeUrl.parse(f"c1222+udp://127.0.0.1:{port}?node=.9.9&title={SERVER}")
        async with open_client(url, url.client_config()) as client:
            waits = asyncio.ensure_future(client.ask(Read(5)))
            await asyncio.sleep(0.01)
        with pytest.raises(TransportError) as caught:
            await waits
        assert caught.value.code == "transport.closed"


async def test_no_news_is_good_news_unless_the_connection_broke() -> None:
    station = NodeStation()
    config = EndpointConfig((("127.0.0.1", 0),))
    only = ResponseControl.ON_EXCEPTION
    async with Endpoint(station, config, clock=CLOCK) as served:
        port = served.listening[0].port or 0
        url = NodeUrl.parse(f"c1222+tcp://127.0.0.1:{port}?node={METER}&title={SERVER}")
        async with open_client(url, url.client_config(timeout=0.1)) as client:
            assert await client.ask(Read(5), respond=only) == ()
        async with open_client(url, url.client_config(timeout=60)) as client:
            (refused,) = await client.ask(Read(99), respond=only)
            assert isinstance(refused, Failure)
            assert await client.ask(Read(5), respond=ResponseControl.NEVER) == ()
        async with open_client(url, url.client_config(timeout=60)) as client:
            waits = asyncio.ensure_future(client.ask(Read(5), respond=only))
            await asyncio.sleep(0.01)
            client._channel.abort()  # type: ignore[union-attr]  # as a network breaks
            with pytest.raises(TransportError) as caught:
                await waits
            assert caught.value.code == "transport.closed"
