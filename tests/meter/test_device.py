"""The meter as a whole: what is kept, what acts, what clients change."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.meter_bench import (
    KILOWATT,
    MANAGEMENT,
    PUBLIC,
    READER,
    START,
    Bench,
    FailingMemory,
    Session,
)
from tests.support.metering import columns, events

from openami.core.errors import StoreError
from openami.crypto.keywrap import wrap
from openami.dlms import data as d
from openami.dlms.apdu import decode_apdu
from openami.dlms.apdu.ciphered import CipheredApdu
from openami.dlms.client import Closed, SecurityLevel
from openami.dlms.cosem import ControlState
from openami.dlms.cosem.schedule import Execution
from openami.dlms.datetime import CosemDate, CosemDateTime, CosemTime
from openami.dlms.results import ActionResult, DataAccessResult
from openami.dlms.security import Keys
from openami.dlms.server.throttle import FIRST_PAUSE, FREE_ATTEMPTS
from openami.dlms.wrapper import Packet
from openami.meter.counters import KEYS_REMEMBERED, RESERVE, AssociationCounters, OwnCounter
from openami.meter.identity import seeded
from openami.meter.server import PATIENCE_S, MeterServer
from openami.metrology.clock import SECOND
from openami.metrology.energy import Channel
from openami.metrology.events import Alarm, Event, Ring
from openami.metrology.memory import MeterCommit, VolatileMemory
from openami.metrology.sources import LiveSource, Sample
from openami.metrology.zone import ZONES

if TYPE_CHECKING:
    from openami.dlms.client import ClientConfig

CLOCK = "8/0.0.1.0.0.255"
ENERGY = "3/1.0.1.8.0.255"
SECURITY = "64/0.0.43.0.0.255"
DISCONNECT = "70/0.0.96.3.10.255"
DAY = 86_400


# The memory.


def test_registers_are_kept_at_least_every_interval() -> None:
    memory = FailingMemory()
    bench = Bench(memory=memory, persist_s=10)
    bench.run(0)
    for _ in range(36):
        bench.run(1)
    assert memory.commits == 1 + 3
    kept = bench.meter.engine.state.energy.exact(Channel.IMPORT)
    bench.restart()
    back = bench.meter.engine.state.energy.exact(Channel.IMPORT)
    assert 0 <= kept - back <= 10 * 1_000_000 * SECOND


def test_a_meter_comes_back_with_all_its_rows() -> None:
    bench = Bench()
    bench.run(2 * DAY)
    before = {ring: bench.meter.engine.rows[ring].entries() for ring in Ring}
    total = bench.meter.engine.state.energy.register(Channel.IMPORT)
    bench.meter.stop(bench.clock.now())
    bench.restart(after=3600)
    bench.run(0)
    for ring, rows in before.items():
        assert bench.meter.engine.rows[ring].entries()[: len(rows)] == rows
    assert bench.meter.engine.state.energy.register(Channel.IMPORT) == total
    assert bench.meter.captured(Channel.IMPORT) == total
    log = events(bench.meter.engine, Ring.POWER_LOG)
    assert log[-2:] == [Event.POWER_DOWN, Event.POWER_UP]


@given(
    st.lists(st.tuples(st.floats(0, 4000), st.sampled_from("trks")), min_size=1, max_size=15),
    st.integers(0, 2**32),
)
@settings(max_examples=50, deadline=None)
def test_what_was_read_is_never_taken_back(moves: list[tuple[float, str]], seed: int) -> None:
    """Rows that a client has seen stay as they were, through kills; registers lose an interval."""
    chance = random.Random(seed)
    source = LiveSource()
    bench = Bench(source=source)
    seen: dict[int, bytes] = {}
    for seconds, what in moves:
        source.push(int(bench.clock.now() * SECOND), Sample(chance.randrange(-4000, 9000) * 1000))
        if what == "k":
            bench.restart(after=seconds)
        elif what == "s":
            bench.meter.stop(bench.clock.now())
            bench.restart(after=seconds)
        else:
            bench.run(seconds)
        if what == "r":
            session = bench.client(READER).opened()
            rows = session.data("7/1.0.99.1.0.255").items()
            now = {n + 1: row.encode() for n, row in enumerate(rows)}
            assert all(now[number] == row for number, row in seen.items())
            seen = now
        engine = bench.meter.engine
        total = sum(row.values[0] for row in columns(engine, Ring.LOAD_PROFILE))
        assert total == bench.meter.captured(Channel.IMPORT)
        assert total <= engine.state.energy.whole(Channel.IMPORT)


def test_a_full_memory_gives_no_answers_that_could_be_lost() -> None:
    memory = FailingMemory()
    bench = Bench(memory=memory)
    session = bench.client(READER).opened()
    memory.full = True
    bench.clock.advance(900)
    assert session.get(ENERGY).result == DataAccessResult.TEMPORARY_FAILURE
    with pytest.raises(StoreError):
        bench.meter.refresh()
    assert bench.meter.engine.state.alarms & Alarm.MEMORY_ERROR
    late = Session(bench, READER, bench.config_of(READER))
    late.machine.open(now=0)
    late.step()
    assert late.events == []  # no association whose counter is not kept
    memory.full = False
    assert session.data(ENERGY).integer() == 250
    assert len(columns(bench.meter.engine, Ring.LOAD_PROFILE)) == 1


@pytest.mark.parametrize(
    "snapshot", [b"", b"{}", b"[]", b'{"secrets": {"keys": {"guek": "00"}, "policy": 3}}']
)
def test_a_damaged_memory_is_refused(snapshot: bytes) -> None:
    memory = VolatileMemory()
    memory.commit([MeterCommit("OAM00000007", snapshot)])
    with pytest.raises(StoreError, match="damaged"):
        Bench(memory=memory)


def test_a_new_meter_can_have_a_past() -> None:
    bench = Bench(started=START - 30 * DAY)
    bench.run(0)
    assert bench.meter.captured(Channel.IMPORT) == 30 * 24_000
    assert len(columns(bench.meter.engine, Ring.DAILY)) == 30


# Counters and keys.


def test_no_counter_of_ours_comes_twice() -> None:
    """Killed at any point, the meter goes on above every counter that it has used."""
    bench = Bench()
    used: list[int] = []
    for _ in range(3):
        session = bench.client(MANAGEMENT).opened()
        for _ in range(5):
            session.data(ENERGY)
        used.append(bench.meter._own._allocator.next)
        bench.restart()
        assert bench.meter._own._allocator.next >= used[-1]
    assert bench.meter._own._allocator.next == 3 * RESERVE
    session = bench.client(MANAGEMENT).opened()
    last = bench.meter._own._allocator.next
    bench.meter.stop(bench.clock.now())
    bench.restart()
    assert bench.meter._own._allocator.next == last


def test_clients_with_the_same_keys_share_no_nonce() -> None:
    """Management and reader cipher with the same keys: no counter of the meter's comes twice."""
    bench = Bench()
    own = bench.config_of(MANAGEMENT)
    ciphered: dict[str, Any] = {"keys": own.keys, "title": own.title, "security": own.security}
    seen: list[int] = []
    for _ in range(2):
        reader = bench.client(READER, invocation_counter=bench.counter, **ciphered)
        sessions = [bench.client(MANAGEMENT), reader]
        for session in sessions:
            tap(session, seen)
            session.opened()
        for session in sessions * 3:
            session.data(ENERGY)
        bench.restart()
    assert len(seen) >= 2 * 2 * 3
    assert len(set(seen)) == len(seen)


def tap(session: Session, seen: list[int]) -> None:
    """Note the invocation counter of every ciphered APDU that the meter sends."""
    send = session.server.data_to_send

    def tapped() -> tuple[bytes, ...]:
        out = send()
        apdus = [decode_apdu(Packet.decode(piece).apdu) for piece in out]
        seen.extend(one.invocation_counter for one in apdus if isinstance(one, CipheredApdu))
        return out

    session.server.data_to_send = tapped  # type: ignore[method-assign] # the real one, listened to


def test_guesses_over_several_links_are_counted_together() -> None:
    bench = Bench()
    for _ in range(FREE_ATTEMPTS):
        bench.client(READER, secret=b"wrong").open()
    right = bench.client(READER)
    assert isinstance(right.open(), Closed)
    later = bench.client(READER)
    later.now = FIRST_PAUSE
    later.opened()


def test_an_association_recorded_before_a_power_cut_cannot_be_replayed() -> None:
    bench = Bench()
    config = bench.config_of(MANAGEMENT)
    first = Session(bench, MANAGEMENT, config).opened()
    counter = first.data("1/0.0.43.1.0.255").integer()
    assert counter >= config.invocation_counter
    bench.restart()
    event = Session(bench, MANAGEMENT, config).open()
    assert isinstance(event, Closed)
    bench.run(1)
    assert Event.REPLAY_DETECTED in events(bench.meter.engine, Ring.SECURITY_LOG)
    public = bench.client(PUBLIC).opened()
    kept = public.data("1/0.0.43.1.0.255").integer()
    assert kept >= config.invocation_counter
    Session(bench, MANAGEMENT, replace(config, invocation_counter=kept + 1)).opened()


def test_transferred_keys_are_kept_and_the_old_ones_refused() -> None:
    bench = Bench()
    session = bench.client(MANAGEMENT).opened()
    master = bench.config.identity.keys.master
    new = Keys(guek=bytes(range(1, 17)), gak=bytes(range(2, 18)))
    assert new.guek is not None
    assert new.gak is not None
    transfer = d.array(
        d.structure(d.enum(0), d.octets(wrap(master, new.guek))),
        d.structure(d.enum(2), d.octets(wrap(master, new.gak))),
    )
    assert session.invoke(SECURITY, 2, transfer).ok
    assert Event.KEYS_CHANGED in events(bench.meter.engine, Ring.SECURITY_LOG)
    bench.restart()
    assert isinstance(bench.client(MANAGEMENT).open(), Closed)
    bench.client(MANAGEMENT, keys=new, invocation_counter=1).opened()
    reader: ClientConfig = bench.config_of(READER)
    ciphered = replace(
        reader, keys=new, title=bench.config_of(MANAGEMENT).title, security=SecurityLevel.BOTH
    )
    assert Session(bench, READER, ciphered).opened().data(ENERGY).integer() == 0
    image = bench.memory.load(bench.meter.serial)
    assert image is not None
    for secret in (new.guek, new.gak, master, bench.config.identity.keys.lls):
        assert secret not in image.snapshot
        assert secret.hex().encode() not in image.snapshot


def transfer_of(bench: Bench, keys: Keys) -> d.Data:
    master = bench.config.identity.keys.master
    parts = (keys.guek or b"", keys.gak or b"")
    numbered = zip((0, 2), parts, strict=True)
    return d.array(*(d.structure(d.enum(n), d.octets(wrap(master, key))) for n, key in numbered))


@pytest.mark.parametrize("restarts", [False, True])
def test_keys_that_come_back_accept_nothing_recorded(*, restarts: bool) -> None:
    bench = Bench()
    config = bench.config_of(MANAGEMENT)
    first = config.keys or Keys()
    recorded = Session(bench, MANAGEMENT, config)
    session = recorded.opened()
    second = Keys(guek=bytes(range(1, 17)), gak=bytes(range(2, 18)))
    assert session.invoke(SECURITY, 2, transfer_of(bench, second)).ok
    for _ in range(5):
        session.data(ENERGY)  # still with the old ones
    if restarts:
        bench.restart()
    session = bench.client(MANAGEMENT, keys=second, invocation_counter=0).opened()
    assert session.invoke(SECURITY, 2, transfer_of(bench, first)).ok
    if restarts:
        bench.restart()
    assert isinstance(Session(bench, MANAGEMENT, config).open(), Closed)
    assert Event.REPLAY_DETECTED in events(bench.meter.engine, Ring.SECURITY_LOG)
    counter = bench.client(PUBLIC).opened().data("1/0.0.43.1.0.255").integer() + 1
    assert counter >= recorded.machine.invocation_counter
    Session(bench, MANAGEMENT, replace(config, invocation_counter=counter)).opened()


def test_what_is_remembered_of_keys_is_bounded() -> None:
    counters = AssociationCounters(OwnCounter(0, lambda: None), bytes(16), {})
    for number in range(3 * KEYS_REMEMBERED):
        counters.accept(number)
        counters.renew((number + 1).to_bytes(16, "big"))
    assert counters.last == -1
    assert len(counters.accepted) == KEYS_REMEMBERED


def test_keys_and_passwords_that_cannot_be_kept_do_not_change() -> None:
    memory = FailingMemory()
    bench = Bench(memory=memory)
    session = bench.client(MANAGEMENT).opened()
    keys, password = bench.meter._kept.security, bench.meter._kept.password
    memory.full = True
    master = bench.config.identity.keys.master
    transfer = d.array(d.structure(d.enum(0), d.octets(wrap(master, bytes(16)))))
    assert session.invoke(SECURITY, 2, transfer).result == ActionResult.TEMPORARY_FAILURE
    answer = session.set("15/0.0.40.0.2.255", 7, d.octets(b"new password"))
    assert answer.result == DataAccessResult.TEMPORARY_FAILURE
    with pytest.raises(StoreError):
        bench.meter._keep_security(replace(keys, policy=2))
    with pytest.raises(StoreError):
        bench.meter._keep_password(b"other")
    assert (bench.meter._kept.security, bench.meter._kept.password) == (keys, password)
    memory.full = False
    bench.restart()
    bench.client(MANAGEMENT).opened()
    bench.client(READER).opened()


def test_a_new_password_is_kept() -> None:
    bench = Bench()
    session = bench.client(MANAGEMENT).opened()
    assert session.set("15/0.0.40.0.2.255", 7, d.octets(b"new password")).ok
    assert Event.KEYS_CHANGED in events(bench.meter.engine, Ring.SECURITY_LOG)
    bench.restart()
    assert isinstance(bench.client(READER).open(), Closed)
    bench.client(READER, secret=b"new password").opened()


# What the meter writes down of its clients.


@pytest.mark.fums("SEC-9")
def test_wrong_passwords_are_written_down_once_a_minute() -> None:
    bench = Bench()
    for _ in range(3):
        session = Session(bench, READER, bench.config_of(READER, secret=b"wrong"))
        assert isinstance(session.open(), Closed)
    log = events(bench.meter.engine, Ring.SECURITY_LOG)
    assert log == [Event.AUTHENTICATION_FAILED]
    assert bench.meter.engine.state.alarms & Alarm.AUTHENTICATION_FAILURE
    bench.run(61)
    again = Session(bench, READER, bench.config_of(READER, secret=b"wrong"))
    assert isinstance(again.open(), Closed)
    assert len(events(bench.meter.engine, Ring.SECURITY_LOG)) == 2


@pytest.mark.fums("SEC-9")
def test_associations_are_written_down_and_strangers_too() -> None:
    bench = Bench()
    bench.client(PUBLIC).opened()
    bench.client(READER).opened()
    assert isinstance(Session(bench, 99, bench.config_of(PUBLIC)).open(), Closed)
    log = [Event.ASSOCIATION_OPENED, Event.ASSOCIATION_REFUSED]
    assert events(bench.meter.engine, Ring.COMMUNICATION_LOG) == log


@pytest.mark.fums("SEC-8", "SEC-9")
@pytest.mark.parametrize(
    ("flip", "event"), [(0, Event.REPLAY_DETECTED), (1, Event.DECIPHERING_FAILED)]
)
def test_requests_that_are_replayed_or_forged_are_written_down(flip: int, event: Event) -> None:
    bench = Bench()
    session = bench.client(MANAGEMENT).opened()
    sent: list[bytes] = []
    take = session.server.receive_data

    def listen(data: bytes, *, now: float) -> None:
        sent.append(data)
        take(data, now=now)

    session.server.receive_data = listen  # type: ignore[method-assign]  # an ear on the line
    assert session.data(ENERGY).integer() == 0
    take(sent[-1][:-1] + bytes((sent[-1][-1] ^ flip,)), now=1.0)
    assert events(bench.meter.engine, Ring.SECURITY_LOG) == [event]
    assert session.server.data_to_send()


def test_a_silent_link_is_given_up() -> None:
    bench = Bench()
    session = bench.client(READER).opened()
    timer = session.server.next_timer()
    assert timer is not None
    session.server.handle_timer(now=timer + 1)
    assert session.server.finished
    session.server.receive_eof(now=timer + 1)
    found = [session.server.next_event() for _ in range(3)]
    assert [type(event).__name__ for event in found[:2]] == [
        "AssociationOpened",
        "AssociationReleased",
    ]


def test_strangers_do_not_wear_out_the_memory() -> None:
    memory = FailingMemory()
    bench = Bench(memory=memory)
    bench.run(0)
    kept = memory.commits
    for _ in range(50):
        bench.client(PUBLIC).opened()
        assert isinstance(bench.client(READER, secret=b"wrong").open(), Closed)
    assert memory.commits <= kept + 2  # one for each log that tells of it


def test_a_connection_without_an_association_is_given_up() -> None:
    bench = Bench()
    for hdlc in (False, True):
        session = Session(bench, READER, bench.config_of(READER), hdlc=hdlc)
        shared = session.server
        alone = MeterServer(bench.meter, shared.link, random_octets=seeded("x"), opened_at=0.0)
        session.server = alone
        timer = alone.next_timer()
        assert timer == PATIENCE_S
        alone.handle_timer(now=timer - 1)
        assert not alone.finished
        session.now = timer - 1
        session.opened()
        alone.handle_timer(now=timer)
        assert not alone.finished, "an association stands"
        session.machine.close(now=session.now)
        session.step()
        alone.handle_timer(now=session.now + PATIENCE_S)
        assert alone.finished


def test_without_a_memory_no_counter_is_used() -> None:
    memory = FailingMemory()
    bench = Bench(memory=memory)
    config = bench.config_of(MANAGEMENT)
    memory.full = True
    assert isinstance(Session(bench, MANAGEMENT, config).open(), Closed)
    assert bench.meter._own.limit == 0
    memory.full = False
    bench.client(MANAGEMENT).opened()
    assert bench.meter._own.limit == RESERVE


def test_management_in_the_clear_is_for_laboratories() -> None:
    plain = {"security": SecurityLevel.NONE, "ciphered": False}
    assert isinstance(Bench().client(MANAGEMENT, **plain).open(), Closed)
    session = Bench(plain_management=True).client(MANAGEMENT, **plain).opened()
    assert session.data(ENERGY).integer() == 0


# What clients set.


def test_a_clock_is_set_over_dlms() -> None:
    bench = Bench(offset_s=40)
    bench.run(100)
    session = bench.client(MANAGEMENT).opened()
    shown = CosemDateTime.decode(session.data(CLOCK).octets())
    assert shown.timestamp() == START + 140
    right = CosemDateTime.from_utc(START + 100, -540).encode()
    assert session.set(CLOCK, 2, d.octets(right)).ok
    assert bench.meter.engine.seconds == START + 100
    log = events(bench.meter.engine, Ring.CLOCK_LOG)
    assert log[-2:] == [Event.CLOCK_OLD, Event.CLOCK_NEW]
    bench.restart()
    assert bench.meter.engine.seconds == START + 100
    for year in (1999, 2100):
        late = CosemDateTime.from_utc(START, -540)
        answer = session.set(CLOCK, 2, d.octets(replace(late, year=year).encode()))
        assert answer.result == DataAccessResult.OTHER_REASON
    with pytest.raises(AssertionError, match="service-not-supported"):
        bench.client(READER).opened().set(CLOCK, 2, d.octets(right))


def test_a_clock_is_shifted_by_its_methods() -> None:
    bench = Bench()
    bench.run(100)
    session = bench.client(MANAGEMENT).opened()
    assert session.invoke(CLOCK, 6, d.i16(7)).ok
    assert bench.meter.engine.seconds == START + 107
    assert session.invoke(CLOCK, 3, d.i8(0)).ok
    assert bench.meter.engine.seconds == START + 120
    bench.meter.engine.set_clock(4_102_444_790)
    assert session.invoke(CLOCK, 6, d.i16(100)).result == ActionResult.OTHER_REASON


def test_the_zone_is_set_over_dlms_and_kept() -> None:
    bench = Bench()
    session = bench.client(MANAGEMENT).opened()
    begin = CosemDateTime(month=3, day=0xFE, weekday=7, hour=2, minute=0, second=0, hundredths=0)
    end = replace(begin, month=10, hour=3)
    assert session.set(CLOCK, 3, d.i16(-60)).ok
    assert session.set(CLOCK, 5, d.octets(begin.encode())).ok
    assert session.set(CLOCK, 6, d.octets(end.encode())).ok
    assert session.set(CLOCK, 8, d.boolean(True)).ok
    assert bench.meter.engine.state.zone == ZONES["Europe/Berlin"]
    bench.restart()
    assert bench.meter.engine.state.zone == ZONES["Europe/Berlin"]
    again = bench.client(MANAGEMENT).opened()
    assert again.data(CLOCK, 5).octets() == begin.encode()
    bench.run(2 * 3600)
    assert again.data(CLOCK, 4).integer() & 0x80
    shown = CosemDateTime.decode(again.data(CLOCK).octets())
    assert (shown.deviation, shown.hour) == (-120, 4)
    for attribute, value in (
        (3, d.i16(-61)),
        (5, d.octets(replace(begin, year=2026).encode())),
        (5, d.octets(replace(begin, month=13).encode())),
    ):
        assert again.set(CLOCK, attribute, value).result == DataAccessResult.OTHER_REASON
    assert bench.meter.engine.state.zone == ZONES["Europe/Berlin"]
    assert again.set(CLOCK, 5, d.octets(CosemDateTime().encode())).ok
    assert bench.meter.engine.state.zone.begin is None


def test_settings_are_kept() -> None:
    bench = Bench()
    session = bench.client(MANAGEMENT).opened()
    assert session.set("1/0.0.96.13.0.255", 2, d.octets(b"hello")).ok
    assert session.set("23/0.0.22.0.0.255", 9, d.u16(77)).ok
    assert session.set("71/0.0.17.0.0.255", 4, d.u32(5000)).ok
    assert session.set("1/0.0.96.13.0.255", 2, d.octets(bytes(161))).result == (
        DataAccessResult.OTHER_REASON
    )
    assert bench.meter.engine.state.counts.settings == 3
    bench.meter._kept.settings["70/0.0.96.3.10.255/4"] = d.enum(99).encode()
    bench.meter._kept.settings["70/0.0.96.3.99.255/4"] = d.enum(1).encode()
    bench.meter.commit()
    bench.restart()
    assert bench.meter.station == 77
    again = bench.client(READER).opened()
    assert again.data("1/0.0.96.13.0.255").octets() == b"hello"
    assert again.data("71/0.0.17.0.0.255", 4).integer() == 5000
    assert "70/0.0.96.3.10.255/4" not in bench.meter._kept.settings


def test_alarms_and_errors_are_cleared() -> None:
    bench = Bench()
    bench.meter.engine.tamper(Event.METER_COVER_OPENED)
    bench.meter.engine.state.errors = 3
    session = bench.client(MANAGEMENT).opened()
    assert session.data("1/0.0.97.98.0.255").integer() == Alarm.FRAUD_ATTEMPT
    assert session.data("1/0.0.96.11.1.255").integer() == Event.METER_COVER_OPENED
    assert session.set("1/0.0.97.98.0.255", 2, d.u32(0)).ok
    assert session.set("1/0.0.97.97.0.255", 2, d.u32(1)).ok
    assert session.data("1/0.0.97.98.0.255").integer() == 0
    assert session.data("1/0.0.97.97.0.255").integer() == 1


# What acts.


def supply(bench: Bench) -> tuple[bool, bool]:
    state = bench.meter.engine.state
    return state.connected, state.ready


def test_the_supply_is_disconnected_and_reconnected_remotely() -> None:
    bench = Bench()
    bench.run(900)
    session = bench.client(MANAGEMENT).opened()
    assert session.invoke(DISCONNECT, 1, d.i8(0)).ok
    bench.run(900)
    assert session.data(ENERGY).integer() == 250
    bench.restart()
    again = bench.client(MANAGEMENT).opened()
    assert again.data(DISCONNECT, 3).integer() == ControlState.DISCONNECTED
    assert again.invoke(DISCONNECT, 2, d.i8(0)).ok
    bench.run(900)
    assert again.data(ENERGY).integer() == 500
    log = [Event.REMOTELY_DISCONNECTED, Event.REMOTELY_CONNECTED]
    assert events(bench.meter.engine, Ring.DISCONNECT_LOG) == log
    assert again.set(DISCONNECT, 4, d.enum(3)).ok
    assert again.invoke(DISCONNECT, 1, d.i8(0)).ok
    assert again.invoke(DISCONNECT, 2, d.i8(0)).ok
    assert bench.meter.engine.state.ready
    bench.restart()
    found = bench.client(READER).opened().data(DISCONNECT, 3).integer()
    assert found == ControlState.READY_FOR_RECONNECTION


def test_too_much_power_for_too_long_cuts_the_supply() -> None:
    source = LiveSource(Sample(3_000_000))
    bench = Bench(limit_w=2000, source=source)
    bench.run(1)
    bench.run(30)
    assert supply(bench) == (True, False)
    bench.run(31)
    assert supply(bench) == (False, True)
    assert events(bench.meter.engine, Ring.DISCONNECT_LOG) == [Event.LIMIT_EXCEEDED]
    bench.meter.model.disconnector.mode = 5
    bench.run(1)
    bench.run(61)
    assert supply(bench) == (True, False)
    log = [Event.LIMIT_EXCEEDED, Event.LIMIT_KEPT]
    assert events(bench.meter.engine, Ring.DISCONNECT_LOG) == log


def test_the_supply_follows_its_schedule() -> None:
    bench = Bench(zone=ZONES["UTC"])
    session = bench.client(MANAGEMENT).opened()
    at_six = Execution(CosemTime(6, 0, 0, 0), CosemDate()).encode()
    schedule = "22/0.0.15.0.1.255"
    assert session.set(schedule, 4, d.array(at_six)).ok
    for hour in range(1, 8):
        bench.run(3600)
        assert bench.meter.engine.state.connected == (hour < 6)
    script = d.structure(d.octets(bytes.fromhex("00000a006aff")), d.u16(2))
    assert session.set(schedule, 2, script).ok
    bench.run(22 * 3600)
    assert supply(bench) == (False, False)
    bench.run(3600)
    assert supply(bench) == (True, False)
    billing = session.set("22/0.0.15.0.0.255", 4, d.array(at_six))
    assert billing.result == DataAccessResult.READ_WRITE_DENIED


def test_a_source_is_seen_through_the_clock() -> None:
    bench = Bench(drift_ppm=100, source=KILOWATT)
    bench.run(DAY)
    shown = bench.client(READER).opened().data(CLOCK).octets()
    assert CosemDateTime.decode(shown).timestamp() == START + DAY + 8.64
