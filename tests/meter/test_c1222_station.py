"""A meter in its network: it registers, tells what happens, and bears who attacks it."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from tests.support.c1222_judge import judge, judgeable, needs_judge
from tests.support.c1222_meter import HOST, KEYS, SECURITY, START, TITLE, MeterBench

from openami.c1222.apdu import Apdu
from openami.c1222.codes import Connection, NodeType, ResponseCode, SecurityMode
from openami.c1222.native import NativeAddress, Transport
from openami.c1222.network.host import Host, HostConfig, Partner
from openami.c1222.network.host_events import Joined, Left, Notified
from openami.c1222.network.registrations import Admitted, Application, Registrations
from openami.c1222.node import registering
from openami.c1222.security import Keys
from openami.c1222.services import (
    Done,
    Failure,
    Identify,
    Logoff,
    Logon,
    Read,
    ReadOffset,
    Security,
    Trace,
    Wait,
    Write,
    WriteOffset,
)
from openami.c1222.station import Outgoing
from openami.c1222.tables import Procedure, TableId, standard
from openami.c1222.tables import layout as layouts
from openami.c1222.titles import ApTitle
from openami.core.clock import ManualClock
from openami.core.errors import StoreError
from openami.meter.c1222.ids import ENOUGH, RESERVE, InvocationIds
from openami.meter.c1222.station import MOST_TOLD, PAUSE_S, Registrar
from openami.meter.kept import C1222Record
from openami.metrology.events import Event, Ring
from openami.metrology.memory import MeterCommit, VolatileMemory

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from openami.c1222.network.host_events import HostEvent

ADDRESS = NativeAddress.of("127.0.0.1", 1153, Transport.TCP)
PLACE = Registrar(ADDRESS, HOST)
NETWORK = TableId(3, manufacturer=True)
OTHER = ApTitle.parse(".123.77")


class Office:
    """Admits whom it is told to, under the title that it is told to give."""

    def __init__(self) -> None:
        self.title: ApTitle | None = None
        self.refuses: ResponseCode | None = None

    def admit(self, application: Application, *, now: float) -> Admitted | ResponseCode:
        del now
        if self.refuses is not None:
            return self.refuses
        return Admitted(self.title or application.request.title, 3600, 60)


class Network:
    """A meter and its host, in a time of their own."""

    def __init__(self, **settings: Any) -> None:
        self.office = Office()
        self.host = Host(
            HostConfig(HOST),
            Registrations(self.office),
            lambda _: Partner(KEYS, 2),
            chance=lambda: random.Random(1).getrandbits(32),
        )
        self.bench = MeterBench(registrar=PLACE, **settings)
        self.cut = False

    def start(self) -> list[HostEvent]:
        native = NativeAddress.of("127.0.0.1", 4711).encode()
        self.bench.station.start(now=self.bench.clock.now(), native=native)
        return self.carry()

    def carry(self) -> list[HostEvent]:
        """Bring what the meter sends to its host and the answers back; return what happened."""
        now = self.bench.clock.now()
        while out := self.bench.station.outgoing():
            for each in out:
                assert isinstance(each, Outgoing)
                assert each.to == ADDRESS
                if self.cut:
                    continue
                for answer in self.host.receive(each.message, source="meter", now=now):
                    assert self.bench.station.receive(answer, source="host", now=now) == ()
        return list(iter(self.host.next_event, None))

    def look(self) -> list[HostEvent]:
        self.bench.station.look(now=self.bench.clock.now())
        return self.carry()

    def live(self, seconds: int) -> list[HostEvent]:
        found = []
        for _ in range(seconds):
            self.bench.live(1)
            found += self.look()
        return found


def told(events: Sequence[HostEvent]) -> list[int]:
    """Return the codes of the events that a host was told of."""
    requests = [each.request for each in events if isinstance(each, Notified)]
    layout = MeterBench().tables.layout(standard(76))
    entry = next(member for member in layout.members if member.name == "ENTRIES").node.of  # type: ignore[union-attr]  # an array
    return [
        layouts.decode(entry, each.data)["EVENT_CODE"]["NUMBER"]
        for each in requests
        if isinstance(each, WriteOffset)
    ]


def test_a_meter_registers_when_it_is_powered_and_deregisters_when_it_stops() -> None:
    network = Network()
    joined, *others = network.start()
    assert isinstance(joined, Joined)
    found = joined.registration
    assert (found.title, found.serial) == (TITLE, TITLE.absolute())
    assert (found.node_type, found.device_class) == (NodeType.END_DEVICE, b"OAMI")
    assert found.connection & Connection.ACCEPTS_CONNECTIONLESS
    assert found.native == NativeAddress.of("127.0.0.1", 4711)
    assert told(others) == [Event.POWER_UP]
    place = network.bench.read(NETWORK)
    assert (place["TITLE"], place["REGISTRAR"], place["JOINED"]) == (".123.8437", ".123.4", 1)
    network.bench.station.leave(now=network.bench.clock.now())
    waiting = network.bench.station.leaving
    assert any(isinstance(each, Left) for each in network.carry())
    assert (waiting, network.bench.station.leaving) == (True, False)
    assert network.bench.read(NETWORK)["JOINED"] == 0


def test_a_meter_is_called_what_it_is_told_to() -> None:
    network = Network()
    network.office.title = OTHER
    network.start()
    bench = network.bench
    assert bench.exchange(Read(5)) is None  # that is not its title any more
    config = replace(bench.client.config, node=OTHER)
    bench.client.config = config
    assert bench.read(NETWORK)["TITLE"] == ".123.77"


def test_a_meter_that_is_refused_serves_and_asks_again() -> None:
    network = Network()
    network.office.refuses = ResponseCode.ISC
    network.start()
    assert not network.bench.station.joined
    assert network.bench.read(5)
    network.office.refuses = None
    network.live(int(registering.FIRST_BACKOFF) + 1)
    assert network.bench.station.joined


def test_after_a_power_cut_it_waits_for_a_part_of_its_delay_and_tells_that() -> None:
    network = Network()
    network.start()
    network.bench.meter.commit()
    old = network.bench
    old.clock.advance(600)
    network.bench = MeterBench(registrar=PLACE, memory=old.memory, board=old.board, clock=old.clock)
    assert network.start() == []
    events = network.live(31)  # half of 60 seconds
    assert isinstance(events[0], Joined)
    assert told(events) == [Event.POWER_DOWN, Event.POWER_UP]


def test_exceptions_are_told_when_they_happen_and_once() -> None:
    network = Network()
    network.start()
    engine = network.bench.meter.engine
    assert network.look() == []
    engine.tamper(Event.METER_COVER_OPENED)
    engine.record(Event.PARAMETERS_CHANGED)
    events = network.look()
    assert told(events) == [Event.METER_COVER_OPENED]
    first = next(each.request for each in events if isinstance(each, Notified))
    assert isinstance(first, Write)
    assert first.table == 3
    values = network.bench.tables.decode(standard(3), first.data)
    assert values["ED_STD_STATUS1"]["TAMPER_DETECT"]
    assert network.look() == []
    for _ in range(MOST_TOLD + 3):
        engine.record(Event.MAGNET_DETECTED)
    assert told(network.look()) == [Event.MAGNET_DETECTED] * MOST_TOLD


def test_what_nobody_heard_is_told_with_what_comes_next() -> None:
    network = Network()
    network.start()
    engine = network.bench.meter.engine
    network.cut = True
    engine.tamper(Event.METER_COVER_OPENED)
    network.live(40)  # asked three times, and given up
    network.cut = False
    assert told(network.live(5)) == []
    engine.tamper(Event.METER_COVER_CLOSED)
    assert told(network.live(1)) == [Event.METER_COVER_OPENED, Event.METER_COVER_CLOSED]


def test_what_strangers_try_is_written_down_and_told() -> None:
    network = Network()
    network.start()
    bench = network.bench
    wrong = bench.client_of(SecurityMode.ENCRYPTED, keys=Keys({2: bytes(16)}))
    assert bench.exchange(Read(5), client=wrong) is None
    assert bench.ask(Security.of(b"guess", 2), Read(5))[0] == Failure(ResponseCode.ISC)
    stranger = bench.client_of(SecurityMode.ENCRYPTED)
    stranger.ask(Read(5), now=bench.clock.now())
    (message,) = stranger.data_to_send()
    bench.station.receive(message, source="x", now=bench.clock.now())
    bench.clock.advance(61)  # answers are kept for a minute: then it is a replay
    assert bench.station.receive(message, source="x", now=bench.clock.now()) == ()
    logged = bench.events(Ring.SECURITY_LOG)
    assert logged == [
        Event.DECIPHERING_FAILED,
        Event.AUTHENTICATION_FAILED,
        Event.REPLAY_DETECTED,
    ]
    assert set(logged) <= set(told(network.look()))
    for _ in range(50):
        bench.exchange(Read(5), client=wrong)
    assert len(bench.events(Ring.SECURITY_LOG)) <= 5  # once a minute


def test_a_meter_takes_nothing_below_its_least_mode() -> None:
    bench = MeterBench(SecurityMode.CLEAR, least=SecurityMode.AUTHENTICATED)
    assert bench.exchange(Read(5)) is None
    assert bench.events(Ring.COMMUNICATION_LOG) == [Event.ASSOCIATION_REFUSED]


def test_sessions_are_written_down() -> None:
    bench = MeterBench()
    bench.ask(Logon.of(2, b"utility", 60))
    assert bench.events(Ring.COMMUNICATION_LOG) == [Event.ASSOCIATION_OPENED]
    bench.live(61)
    assert bench.station.next_timer() is None


def test_while_management_is_away_nobody_hears_and_metering_goes_on() -> None:
    network = Network()
    network.start()
    bench = network.bench
    assert bench.result(Procedure.WARM_START) == 0
    network.live(3)
    assert bench.meter.management.away
    assert bench.exchange(Read(5)) is None
    assert not bench.station.joined
    bench.station.leave(now=bench.clock.now())
    events = network.live(10) + network.live(60)
    assert any(isinstance(each, Joined) for each in events)
    assert bench.read(23)["TOT_DATA_BLOCK"]["SUMMATIONS"][0] == int(bench.clock.now() - START) // 2


def test_what_was_done_before_a_power_cut_is_not_done_again_after_it() -> None:
    bench = MeterBench()
    client = bench.client
    client.ask(SECURITY, Write(5, b"ONCE".ljust(20)), now=bench.clock.now())
    (message,) = client.data_to_send()
    assert bench.station.receive(message, source="x", now=bench.clock.now())
    again = MeterBench(memory=bench.memory, board=bench.board, clock=bench.clock)
    assert again.station.receive(message, source="x", now=again.clock.now()) == ()
    again.advance(1)
    assert again.read(5)["IDENTIFICATION"] == "ONCE"


def test_no_invocation_id_is_used_twice() -> None:
    bench = MeterBench()
    seen: set[int] = set()
    for _ in range(3):
        for _ in range(5):
            bench.clock.advance(1)
            bench.client.ask(Read(5), now=bench.clock.now())
            (message,) = bench.client.data_to_send()
            (answer,) = bench.station.receive(message, source="x", now=bench.clock.now())
            number = Apdu.decode(answer).invocation_id
            assert number not in seen
            seen.add(number)
        bench = MeterBench(memory=bench.memory, board=bench.board, clock=bench.clock)
    assert max(seen) < 3 * RESERVE + ENOUGH


class Broken(VolatileMemory):
    """A memory that can be broken."""

    broken = False

    def commit(self, commits: Sequence[MeterCommit]) -> None:
        if self.broken:
            raise StoreError("broken", code="store.full")
        super().commit(commits)


def test_what_cannot_be_kept_is_not_answered() -> None:
    memory = Broken()
    bench = MeterBench(memory=memory)
    assert bench.read(5)
    memory.broken = True
    client = bench.client
    client.ask(SECURITY, Write(5, b"KEPT".ljust(20)), now=bench.clock.now())
    (message,) = client.data_to_send()
    assert bench.station.receive(message, source="x", now=bench.clock.now()) == ()
    memory.broken = False
    (answer,) = bench.station.receive(message, source="x", now=bench.clock.now())  # asked again
    client.receive(answer, now=bench.clock.now())
    event = client.next_event()
    assert event is not None
    assert event.responses == (Done(), Done())  # type: ignore[union-attr]  # another event fails the test
    assert bench.read(5)["IDENTIFICATION"] == "KEPT"


def test_a_meter_whose_memory_fails_says_that_it_is_busy() -> None:
    memory = Broken()
    bench = MeterBench(memory=memory)
    bench.read(5)
    bench.meter.record(Event.PARAMETERS_CHANGED)  # must be kept before the next look
    memory.broken = True
    assert bench.ask(Read(23)) == (Failure(ResponseCode.BSY),)
    memory.broken = False
    assert bench.read(23)


def test_a_meter_whose_application_fails_says_that_it_is_busy_and_restarts_it() -> None:
    bench = MeterBench()

    def broken(_: object) -> bool:
        raise ZeroDivisionError

    bench.meter.model.disconnector.command = broken  # type: ignore[assignment, method-assign]  # as a bad application does
    octets = b"\x15\x00\x01\x00\x00"  # direct load control: off
    assert bench.as_user(Write(7, octets)) == (Failure(ResponseCode.BSY),)
    bench.live(10)
    assert Event.APPLICATION_FAILED in bench.events(Ring.STANDARD_LOG)
    assert bench.as_user(Write(7, octets)) == (Done(),)
    assert not bench.meter.engine.state.connected


def test_a_crowd_of_events_that_nobody_takes_is_no_trouble() -> None:
    network = Network()
    network.start()
    network.cut = True
    for number in range(40):  # while the registration lasts
        network.bench.advance(61)
        network.bench.meter.note(Event.AUTHENTICATION_FAILED)
        network.bench.station.handle_timer(now=network.bench.clock.now())
        assert network.look() == [], number
    network.cut = False
    codes = [code for _ in range(5) for code in told(network.live(30))]
    network.bench.meter.record(Event.METER_COVER_OPENED)
    assert Event.METER_COVER_OPENED in [*codes, *told(network.live(1))]


def test_without_ids_nothing_is_sent() -> None:
    memory = Broken()
    bench = MeterBench(memory=memory, registrar=PLACE)
    memory.broken = True
    bench.station.start(now=bench.clock.now())
    assert bench.station.outgoing() == ()
    assert bench.exchange(Read(5)) is None
    bench.station.handle_timer(now=bench.clock.now())
    memory.broken = False
    bench.advance(1)
    assert bench.read(5)
    bench.live(int(PAUSE_S))
    assert len(bench.station.outgoing()) == 1  # it registers then


def test_a_memory_that_cannot_be_written_is_not_tried_all_the_time() -> None:
    memory = Broken()
    network = Network(memory=memory)
    network.start()
    station, clock = network.bench.station, network.bench.clock
    for _ in range(RESERVE - ENOUGH):  # until there are not enough ids
        station._ids.take()
    memory.broken = True
    due = station.next_timer()
    assert due is not None
    clock.set(due)
    station.handle_timer(now=due)
    assert station.outgoing() == ()
    assert station.next_timer() == due + PAUSE_S
    memory.broken = False
    clock.set(due + PAUSE_S)
    station.handle_timer(now=clock.now())
    assert any(isinstance(each, Joined) for each in network.carry())


def test_ids_go_on_where_they_were() -> None:
    record = C1222Record(ids=(1 << 32) - 2)
    kept: list[int] = []
    ids = InvocationIds(record, lambda: kept.append(record.ids))
    ids.reserve()
    assert [ids.take() for _ in range(4)] == [0xFFFF_FFFE, 0xFFFF_FFFF, 0, 1]
    ids.reserve()
    assert kept == [(1 << 32) - 2 + RESERVE]
    ids.give_back()
    assert record.ids == (1 << 32) + 2


@pytest.mark.parametrize("seed", range(4))
def test_octets_of_strangers_change_nothing(seed: int) -> None:
    """Mutations of every kind of message leave the meter as it was, and serving."""
    chance = random.Random(seed)
    bench = MeterBench()
    whole: list[bytes] = []
    for mode in SecurityMode:
        client = bench.client_of(mode)
        client.ask(SECURITY, Write(7, b"\x15\x00\x01\x00\x00"), Read(23), now=bench.clock.now())
        whole += client.data_to_send()
    state = bench.meter.engine.state
    for number in range(1500):
        octets = bytearray(chance.choice(whole[1:]))
        for place in chance.sample(range(len(octets)), chance.randint(1, 4)):
            octets[place] ^= 1 << chance.randrange(8)
        if chance.random() < 0.2:
            del octets[chance.randrange(len(octets)) :]
        bench.station.receive(bytes(octets), source=number, now=bench.clock.now())
    assert state.connected
    assert bench.meter.c1222.tables == {}
    assert bench.read(5)["IDENTIFICATION"] == "OAM00008437"


def test_what_is_no_answer_of_the_registrar_is_nothing() -> None:
    network = Network()
    strange = MeterBench(clock=ManualClock(START))
    strange.client.ask(Read(5), now=START)
    (message,) = strange.client.data_to_send()
    (answer,) = strange.station.receive(message, source="x", now=START)
    assert network.bench.station.receive(answer, source="x", now=START) == ()
    assert strange.station.receive(answer, source="x", now=START) == ()  # it asks nobody
    assert network.bench.station.receive(b"\x60", source="x", now=START) == ()
    assert not network.bench.station.joined


class Wire:
    """Keeps every message that a meter takes and gives."""

    def __init__(self, network: Network) -> None:
        self.messages: list[bytes] = []
        station = network.bench.station
        self._receive, self._outgoing = station.receive, station.outgoing
        station.receive = self.receive  # type: ignore[method-assign]  # it only listens
        station.outgoing = self.outgoing  # type: ignore[method-assign]  # likewise

    def receive(self, data: bytes, **how: Any) -> tuple[bytes, ...]:
        answers = self._receive(data, **how)
        self.messages += [data, *answers]
        return answers

    def outgoing(self) -> tuple[Outgoing, ...]:
        out = self._outgoing()
        self.messages += [each.message for each in out]
        return out


@pytest.mark.peer
@needs_judge()
@pytest.mark.parametrize("link", ["tcp", "udp", "udp6"])
def test_a_judge_finds_nothing_wrong_with_a_meters_messages(link: str, tmp_path: Path) -> None:
    network = Network()
    wire = Wire(network)
    network.start()
    bench = network.bench
    bench.advance(3 * 86_400)
    for mode in SecurityMode:
        client = bench.client_of(mode)
        bench.ask(Identify(), Trace(()), client=client)
        bench.ask(SECURITY, *(Read(number) for number in (0, 1, 23, 28, 52, 63)), client=client)
        bench.do(Procedure.EXECUTE_DIAGNOSTICS, client=client)
        bench.ask(Logon.of(2, b"utility", 60), client=client)
        bench.ask(Wait(60), client=client)
        bench.ask(ReadOffset(64, 0, 2000), Read(2000), client=client)
        bench.ask(Logoff(), client=client)
        bench.meter.engine.tamper(Event.METER_COVER_OPENED)
        network.look()
    bench.station.leave(now=bench.clock.now())
    network.carry()
    messages = [each for each in wire.messages if judgeable(each)]
    assert len(messages) > 50
    verdict = judge(messages, tmp_path, link=link, keys={2: bytes(range(16))})
    assert (verdict.seen, verdict.wrong) == (len(messages), [])
