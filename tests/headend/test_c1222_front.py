"""The head-end's station: what is kept before it is answered, and what strangers may cost."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest
from tests.support.c1222_hosting import HOST
from tests.support.headend import shipment, shipped

from openami.c1222.client import Answered, Client, ClientConfig, ClientEvent
from openami.c1222.codes import Connection, NodeType, SecurityMode
from openami.c1222.native import NativeAddress, Transport
from openami.c1222.network.host import Host, HostConfig
from openami.c1222.network.registrations import Registrations, Row
from openami.c1222.security import Keys
from openami.c1222.services import Deregister, Identify, Read, Register, Registered
from openami.c1222.station import Peer
from openami.c1222.titles import ApTitle
from openami.core.errors import ConflictError, StoreError, TransportTimeoutError
from openami.fleet.devices import LifecycleState, MeterProtocol
from openami.fleet.shipment import ShippedC1222
from openami.headend.c1222 import directory as directories
from openami.headend.c1222.directory import Directory
from openami.headend.c1222.front import Front

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from openami.core.clock import ManualClock
    from openami.fleet.nodes import NodeStanding
    from openami.headend.services import Services, Stores

KEY = bytes(range(16))
SOURCE = Peer(NativeAddress.of("10.0.0.7", 1153, Transport.UDP))


class Nodes:
    """The store of nodes, which fails when it shall, and counts."""

    def __init__(self, store: Any) -> None:
        self._store = store
        self.fails = False
        self.kept: list[Mapping[str, NodeStanding | None]] = []
        self.looked = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def of_title(self, title: str) -> Any:
        self.looked += 1
        return self._store.of_title(title)

    def register(self, standings: Mapping[str, NodeStanding | None]) -> None:
        if self.fails:
            raise StoreError("no disk")
        self.kept.append(standings)
        self._store.register(standings)


class Bench:
    """A front, and a node that speaks to it."""

    def __init__(self, services: Services, stores: Stores, wall: ManualClock) -> None:
        self.nodes = Nodes(stores.nodes)
        self.wall = wall
        self.directory = Directory(self.nodes, stores.devices, stores.vault, period=600, wall=wall)
        ids = count(100)
        host = Host(
            HostConfig(HOST, timeout=5, retries=0, least=SecurityMode.AUTHENTICATED),
            Registrations(self.directory),
            self.directory.partner_of,
            chance=lambda: next(ids) * 1000,
        )
        self.front = Front(
            host,
            self.directory,
            self.nodes,
            alarms=services.alarms,
            metrics=services.metrics,
            wall=wall,
        )
        self.title = ApTitle.parse(".123.1.1")
        self.client = self.node(self.title)

    def node(self, title: ApTitle, mode: SecurityMode = SecurityMode.ENCRYPTED) -> Client:
        config = ClientConfig(title, HOST, Keys({2: KEY}), 2, mode)
        return Client(config, first_id=1)

    def register(self, title: ApTitle | None = None) -> Register:
        kind, takes = NodeType.END_DEVICE, Connection.ACCEPTS_CONNECTIONLESS
        serial = ApTitle.parse("2.16.1")
        return Register(kind, takes, b"OAMI", title or self.title, serial, b"", 3600)

    def send(self, *requests: Any) -> tuple[bytes, tuple[bytes, ...]]:
        """Send something; return the message, and what was answered at once."""
        self.client.ask(*requests, now=self.wall.now())
        (message,) = self.client.data_to_send()
        return message, self.receive(message)

    def receive(self, message: bytes) -> tuple[bytes, ...]:
        return self.front.receive(message, source=SOURCE, now=self.wall.now())

    async def answered(self) -> list[ClientEvent]:
        """Return what the client hears when something goes out."""
        async with asyncio.timeout(60):
            while not (out := self.front.outgoing()):
                await asyncio.sleep(0.005)
        for each in out:
            assert each.to == SOURCE
            self.client.receive(each.message, now=self.wall.now())
        return list(iter(self.client.next_event, None))


@asynccontextmanager
async def bench(services: Services, stores: Stores, wall: ManualClock) -> AsyncIterator[Bench]:
    known = shipped(1, c1222=ShippedC1222(".123.1.1", {2: KEY}, 2, "password"))
    services.shipments.take(shipment(known), who="test")
    made = Bench(services, stores, wall)
    made.directory.load()
    try:
        yield made
    finally:
        await made.front.stop()


async def test_a_registration_is_kept_before_it_is_answered(
    services: Services, stores: Stores, wall: ManualClock
) -> None:
    async with bench(services, stores, wall) as made:
        message, at_once = made.send(made.register())
        assert at_once == ()
        assert made.receive(message) == (), "nor is it when it comes again meanwhile"
        (event,) = await made.answered()
        assert isinstance(event, Answered)
        (answer,) = event.responses
        assert isinstance(answer, Registered)
        assert (answer.period, answer.delay < 60) == (600, True)
        assert [list(each) for each in made.nodes.kept] == [["M1"]]
        assert made.receive(message) != (), "the same answer, from then on"
        found = made.directory.seen("M1")
        assert found is not None
        assert found.standing is not None
        assert (found.title, found.address) == (".123.1.1", "10.0.0.7:1153/udp")
        assert found.standing.expires_at == wall.now() + 600
        made.send(Deregister(made.title))
        await made.answered()
        gone = made.directory.seen("M1")
        assert gone is not None
        assert gone.standing is None


async def test_a_registration_that_can_not_be_kept_is_not_answered(
    services: Services, stores: Stores, wall: ManualClock
) -> None:
    async with bench(services, stores, wall) as made:
        made.nodes.fails = True
        message, _ = made.send(made.register())
        while made.front._tasks:
            await asyncio.sleep(0.005)
        assert made.front.outgoing() == ()
        made.nodes.fails = False
        assert made.receive(message) == (), "nor when it comes again"
        made.send(made.register())
        assert await made.answered()


async def test_a_store_that_is_away_costs_an_answer_and_not_the_server(
    services: Services, stores: Stores, wall: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(_: str) -> Any:
        raise StoreError("the database is away", code="store.away")

    async with bench(services, stores, wall) as made:
        with monkeypatch.context() as broken:
            broken.setattr(made.nodes, "of_title", away)
            broken.setattr(stores.devices, "get", away)
            stranger = made.node(ApTitle.parse(".6.6.6"))
            stranger.ask(Identify(), now=wall.now())
            (message,) = stranger.data_to_send()
            assert made.receive(message) == ()
            assert made.send(made.register())[1] == ()
            assert made.front.outgoing() == ()
        made.send(made.register())
        assert await made.answered()


async def test_what_comes_in_clear_is_not_answered_and_told_once(
    services: Services, stores: Stores, wall: ManualClock
) -> None:
    async with bench(services, stores, wall) as made:
        made.client = made.node(made.title, SecurityMode.CLEAR)
        for request in (made.register(), Identify(), Identify()):
            assert made.send(request)[1] == ()
        assert made.front.outgoing() == ()
        async with asyncio.timeout(60):
            while not (found := services.alarms.list().items):
                await asyncio.sleep(0.005)
        assert [(each.subject, each.code) for each in found] == [("meter-M1", "c1222.mode")]


async def test_who_asks_for_another_title_is_given_its_own(
    services: Services, stores: Stores, wall: ManualClock
) -> None:
    async with bench(services, stores, wall) as made:
        made.send(made.register(ApTitle.parse(".9.9.9")))
        (event,) = await made.answered()
        assert isinstance(event, Answered)
        (answer,) = event.responses
        assert isinstance(answer, Registered)
        assert answer.title == made.title


async def test_an_answer_ends_the_wait_and_silence_too(
    services: Services, stores: Stores, wall: ManualClock
) -> None:
    async with bench(services, stores, wall) as made:
        made.send(made.register())
        await made.answered()
        waiting = asyncio.create_task(made.front.ask(made.title, Read(1)))
        await asyncio.sleep(0)
        assert len(made.front.outgoing()) == 1
        assert made.front.next_timer() == wall.now() + 5
        wall.advance(6)
        made.front.handle_timer(now=wall.now())
        with pytest.raises(TransportTimeoutError):
            await waiting
        left = asyncio.create_task(made.front.ask(made.title, Read(1)))
        await asyncio.sleep(0)
    assert left.cancelled()


async def test_a_registration_comes_back_after_a_restart_unless_it_has_ended(
    services: Services, stores: Stores, wall: ManualClock
) -> None:
    async with bench(services, stores, wall) as made:
        made.send(made.register())
        await made.answered()
        rows = made.directory.load()
    assert [type(row) for row in rows] == [Row]
    again = Registrations(made.directory)
    again.restore(rows, now=wall.now() + 599)
    assert again.find(made.title) is not None
    later = Registrations(made.directory)
    later.restore(rows, now=wall.now() + 601)
    assert len(later) == 0


async def test_a_node_that_another_process_has_added_is_found(
    services: Services, stores: Stores, wall: ManualClock
) -> None:
    async with bench(services, stores, wall) as made:
        other = shipped(2, c1222=ShippedC1222(".123.1.2", {2: KEY}, 2, "password"))
        services.shipments.take(shipment(other), who="another process")
        assert made.directory.of_meter("M2") is None
        found = made.directory.of_title(ApTitle.parse(".123.1.2"))
        assert found is not None
        assert found.meter == "M2"


async def test_titles_that_are_made_up_cost_few_looks_into_the_database(
    services: Services, stores: Stores, wall: ManualClock
) -> None:
    async with bench(services, stores, wall) as made:
        for number in range(1000):
            assert made.directory.partner_of(ApTitle.parse(f".6.6.{number}")) is None
        assert made.nodes.looked == directories.LOOKS
        wall.advance(directories.LOOKS_S)
        made.directory.partner_of(ApTitle.parse(".6.6.6"))
        assert made.nodes.looked == directories.LOOKS + 1


def test_a_title_has_one_meter(services: Services) -> None:
    node = ShippedC1222(".123.1.1", {2: KEY}, 2, "password")
    services.shipments.take(shipment(shipped(1, c1222=node)), who="test")
    with pytest.raises(ConflictError, match="that of meter M1"):
        services.shipments.take(shipment(shipped(2, c1222=node)), who="test")


def test_a_meter_that_is_known_may_become_a_node(services: Services) -> None:
    services.shipments.take(shipment(shipped(1)), who="test")
    assert services.registry.meter("M1").protocol is MeterProtocol.DLMS
    node = ShippedC1222(".123.1.1", {2: KEY}, 2, "password")
    services.shipments.take(shipment(replace(shipped(1), c1222=node)), who="test")
    assert services.registry.meter("M1").protocol is MeterProtocol.C1222
    known = services.nodes.of_meter("M1")
    assert known is not None
    assert (known.key_id, known.user, services.nodes.password_of(known)) == (2, 2, b"password")
    assert len(services.nodes) == 1


def test_a_meter_that_is_retired_leaves_its_title_to_another(services: Services) -> None:
    node = ShippedC1222(".123.1.1", {2: KEY}, 2, "password")
    services.shipments.take(shipment(shipped(1, c1222=node)), who="test")
    services.registry.move("meter-M1", LifecycleState.RETIRED, who="test", why="it burnt")
    assert services.nodes.seen("M1") is None
    services.shipments.take(shipment(shipped(2, c1222=node)), who="test")
    found = services.nodes.of_title(ApTitle.parse(".123.1.1"))
    assert found is not None
    assert found.meter == "M2"


async def test_what_came_of_a_switch_that_failed_is_in_the_audit_log(services: Services) -> None:
    async def silent(_: str) -> Any:
        raise TransportTimeoutError("it does not answer", code="c1222.unanswered")

    services.shipments.take(shipment(shipped(1)), who="test")
    services.supply.way = silent
    with pytest.raises(TransportTimeoutError):
        await services.supply.switch("M1", on=False, who="anna", why="moved out")
    page = services.registry.audit(subject="meter-M1", after=None, limit=2)
    assert [each.what for each in page.items] == [
        "meter.supply off: it does not answer",
        "meter.supply off asked for",
    ]
