"""Who is registered, where, and until when."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openami.c1222.codes import Connection, NodeType, ResponseCode, SecurityMode
from openami.c1222.native import NativeAddress, Transport
from openami.c1222.network.places import address_of
from openami.c1222.network.registrations import Admitted, Application, Registrations
from openami.c1222.services import Failure, Register, Registered
from openami.c1222.station import Peer
from openami.c1222.titles import ApTitle
from openami.core.errors import DecodeError

if TYPE_CHECKING:
    from collections.abc import Hashable

METER: Final = ApTitle.parse(".123.8437")
RELAY: Final = ApTitle.parse(".123.1")
SERIAL: Final = ApTitle.parse("1.3.6.1.4.1.99.8437")
START: Final = 1_774_742_400.0
HOME: Final = NativeAddress.of("192.168.1.100", 1153)


@dataclass
class Office:
    """Admits everybody for an hour, but for one."""

    asked: list[Application] = field(default_factory=list)

    def admit(self, application: Application, *, now: float) -> Admitted | ResponseCode:
        assert now >= START
        self.asked.append(application)
        if application.request.title == ApTitle.parse(".6.6.6"):
            return ResponseCode.ISC
        return Admitted(application.request.title.shortest(), 3600, 30, Connection.BROADCAST)


def request(title: ApTitle = METER, **changes: Any) -> Register:
    first = Register(NodeType.END_DEVICE, Connection(0x50), b"OAMI", title, SERIAL, b"", 600)
    return replace(first, **changes)


def enrol(
    table: Registrations, source: Hashable = HOME, *, now: float = START, **changes: Any
) -> Registered | Failure:
    asked = request(**changes)
    return table.register(asked, asked.title, source, now=now)


def test_a_node_registers_renews_and_leaves() -> None:
    office = Office()
    table = Registrations(office)
    told = table.register(
        request(METER.absolute()), METER, HOME, now=START, mode=SecurityMode.ENCRYPTED, key_id=2
    )
    assert told == Registered(METER, 30, 600, Connection.BROADCAST)
    first = table.find(METER)
    assert first is not None
    assert table.find(METER.absolute()) == first
    assert (first.registered_at, first.expires_at, first.native) == (START, START + 600, HOME)
    elsewhere = replace(HOME, port=1154)
    enrol(table, elsewhere, now=START + 500)
    assert len(table) == 1
    assert [each.source for each in table] == [elsewhere]
    assert [(a.mode, a.key_id, a.known) for a in office.asked] == [
        (SecurityMode.ENCRYPTED, 2, None),
        (SecurityMode.CLEAR, None, first),
    ]
    left = table.deregister(METER)
    assert left is not None
    assert left.source == elsewhere
    assert table.deregister(METER) is None
    assert table.route(METER) is None
    assert table.next_timer() is None


def test_who_is_refused_leaves_all_as_it_was() -> None:
    table = Registrations(Office())
    assert enrol(table, title=ApTitle.parse(".6.6.6")) == Failure(ResponseCode.ISC)
    assert len(table) == 0
    assert table.next_timer() is None


@pytest.mark.parametrize(("asked", "given"), [(0, 3600), (1, 1), (3600, 3600), (99_999, 3600)])
def test_a_period_is_at_most_the_policy_s(asked: int, given: int) -> None:
    told = enrol(Registrations(Office()), period=asked)
    assert isinstance(told, Registered)
    assert told.period == given


def test_registrations_end() -> None:
    table = Registrations(Office())
    for number in range(4):
        enrol(table, title=ApTitle.parse(f".1.{number}"), period=100 + number)
    enrol(table, title=ApTitle.parse(".1.0"), period=300, now=START + 1)
    assert table.next_timer() == START + 101
    assert table.expire(START + 100) == []
    assert [str(each.title) for each in table.expire(START + 102)] == [".1.1", ".1.2"]
    assert table.next_timer() == START + 103
    enrol(table, title=ApTitle.parse(".1.9"), now=START + 200)  # looks at the time too
    assert [str(each.title) for each in table] == [".1.0", ".1.9"]


@pytest.mark.parametrize(
    ("native", "source", "known"),
    [
        pytest.param(HOME.encode(), "serial", HOME, id="what it says itself"),
        pytest.param(b"", HOME, HOME, id="where the message came from"),
        pytest.param(b"", Peer(HOME, connection=3), HOME, id="a source that says where it is"),
        pytest.param(
            b"\x01\x02", Peer(HOME, connection=3), HOME, id="an address of another network"
        ),
        pytest.param(b"", "serial", None, id="nobody knows"),
    ],
)
def test_native_addresses(native: bytes, source: Hashable, known: NativeAddress | None) -> None:
    table = Registrations(Office())
    enrol(table, source, native=native)
    entry = table.find(METER)
    assert entry is not None
    assert entry.native == known
    assert address_of(entry.source) in {None, HOME}


def test_nodes_are_where_their_relay_is() -> None:
    table = Registrations(Office(), of_host=2)
    old, new = Peer(HOME, connection=1), Peer(HOME, connection=2)
    enrol(table, old, title=RELAY, node_type=NodeType.RELAY)
    enrol(table, old)
    enrol(table, old, title=ApTitle.parse(".123.5"))  # more than one source may have
    entry = table.find(METER)
    assert entry is not None
    assert entry.via == RELAY
    enrol(table, new, title=RELAY, node_type=NodeType.RELAY)
    assert table.route(METER) == table.route(RELAY) == new
    enrol(table, new)
    table.deregister(RELAY)
    assert table.route(METER) == new  # its own way is what is left
    enrol(table, new)
    entry = table.find(METER)
    assert entry is not None
    assert entry.via is None


def test_nodes_are_where_the_first_of_their_relays_is() -> None:
    table = Registrations(Office())
    far = ApTitle.parse(".123.2")
    old, new = Peer(HOME, connection=1), Peer(HOME, connection=2)
    enrol(table, old, title=RELAY, node_type=NodeType.RELAY)
    enrol(table, old, title=far, node_type=NodeType.RELAY)
    enrol(table, old)
    assert [each.via for each in table] == [None, RELAY, RELAY]
    enrol(table, new, title=RELAY, node_type=NodeType.RELAY)
    assert [table.route(each.title) for each in table] == [new] * 3
    # Whichever of two relays on one connection comes first, the other is behind it.
    enrol(table, old, title=far, node_type=NodeType.RELAY)
    enrol(table, old, title=RELAY, node_type=NodeType.RELAY)
    enrol(table, old)
    assert [table.route(each.title) for each in table] == [old] * 3


def test_who_lost_its_connection_is_where_it_listens() -> None:
    table = Registrations(Office())
    caller = Peer(NativeAddress.of("192.168.1.100", 50_000, Transport.TCP), connection=1)
    enrol(table, caller, native=HOME.encode())
    enrol(table, caller, title=ApTitle.parse(".1"))
    assert table.reach(METER, lambda _: True) == caller
    assert table.reach(METER, lambda _: False) == HOME
    assert table.reach(ApTitle.parse(".1"), lambda _: False) is None
    assert table.reach(ApTitle.parse(".2"), lambda _: True) is None


def test_a_table_is_bounded() -> None:
    table = Registrations(Office(), most=3, of_host=2)
    titles = [ApTitle.parse(f".1.{number}") for number in range(5)]
    assert [enrol(table, "a", title=each) for each in titles[2:]][2] == Failure(ResponseCode.BSY)
    assert isinstance(enrol(table, "b", title=titles[0]), Registered)
    assert enrol(table, "c", title=titles[1]) == Failure(ResponseCode.BSY)
    assert isinstance(enrol(table, "a", title=titles[2]), Registered)  # a renewal finds its place
    assert enrol(table, "a", title=titles[0]) == Failure(ResponseCode.BSY)
    assert table.route(titles[0]) == "b"
    assert len(table) == 3


def test_many_renewals_take_no_more_room() -> None:
    table = Registrations(Office())
    enrol(table, title=RELAY, period=500)  # what ends first hides the others
    for step in range(400):
        enrol(table, now=START + step)
    assert len(table._ends._heap) < 100
    assert table.next_timer() == START + 500
    assert [each.title for each in table.expire(START + 998)] == [RELAY]
    assert table.next_timer() == START + 399 + 600


def test_ways_that_go_in_a_circle_end() -> None:
    table = Registrations(Office())
    enrol(table, HOME, title=RELAY, node_type=NodeType.RELAY)
    enrol(table, HOME)
    rows = [
        replace(row, via=str(METER if row.title == str(RELAY) else RELAY))
        for row in table.snapshot()
    ]
    table.restore(rows, now=START)
    assert table.route(METER) == HOME


def test_snapshots() -> None:
    table = Registrations(Office())
    tcp = NativeAddress.of("::1", 2000, Transport.TCP)
    enrol(table, Peer(tcp, connection=1), title=RELAY, node_type=NodeType.RELAY)
    enrol(table, Peer(tcp, connection=1))
    enrol(table, "serial", title=ApTitle.parse(".9"), period=60)
    rows = table.snapshot()
    again = Registrations(Office())
    again.restore(rows, now=START + 60)
    assert again.snapshot() == rows[:2]
    assert again.route(METER) == tcp
    assert again.next_timer() == START + 600
    small = Registrations(Office(), most=1)
    small.restore(rows, now=START)
    assert len(small) == 1
    with pytest.raises(ValueError, match="ApTitle"):
        again.restore([replace(rows[0], title="none")], now=START)
    with pytest.raises(DecodeError):
        again.restore([replace(rows[0], native=b"1")], now=START)


steps = st.lists(
    st.tuples(st.integers(0, 5), st.integers(0, 2), st.integers(1, 50), st.integers(0, 30)),
    max_size=60,
)


@given(steps)
@settings(max_examples=60, deadline=None)
def test_the_table_is_what_a_scan_would_say(
    steps: list[tuple[int, int, int, int]],
) -> None:
    """Whatever happens in whatever order, it knows what a plain dict of ends would know."""
    table = Registrations(Office(), most=4, of_host=3)
    plain: dict[int, tuple[int, float]] = {}
    now = START
    for title, source, period, wait in steps:
        now += wait
        plain = {each: row for each, row in plain.items() if row[1] > now}
        table.expire(now)
        if period % 7 == 0:
            assert (table.deregister(ApTitle.parse(f".1.{title}")) is not None) == (title in plain)
            plain.pop(title, None)
            continue
        of_host = [each for each, row in plain.items() if row[0] == source]
        fits = title in of_host or len(of_host) < 3
        room = fits and (title in plain or len(plain) < 4)
        told = enrol(table, source, title=ApTitle.parse(f".1.{title}"), period=period, now=now)
        assert isinstance(told, Registered) == room
        if room:
            plain[title] = source, now + period
        assert {each.expires_at for each in table} == {row[1] for row in plain.values()}
        assert table.next_timer() == min((row[1] for row in plain.values()), default=None)
