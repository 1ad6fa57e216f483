"""Sessions over a carrier that loses, doubles and cuts: both ends come to the same."""

from __future__ import annotations

from itertools import chain, repeat
from typing import TYPE_CHECKING, Any

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.dm_wire import DictGate, Wire, account, order, read

from openami.omadm.auth import Scheme
from openami.omadm.codes import AlertCode
from openami.omadm.messages.media import MediaType
from openami.omadm.messages.model import (
    Add,
    Alert,
    Atomic,
    Copy,
    Delete,
    Exec,
    Get,
    Item,
    Location,
    Meta,
    Replace,
    Sequence,
)
from openami.omadm.session.client import ATTEMPTS
from openami.omadm.session.events import NO_ANSWER, AlertReceived, End, Order
from openami.omadm.session.numbering import walk

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

URIS = st.sampled_from([f"./N{number}" for number in range(4)])
# Any characters that XML has, and octets that are no text, so that both encodings carry them.
TEXTS = st.text(st.characters(exclude_categories=["Cs", "Cc", "Cn"]), max_size=60)
LONG = st.builds(lambda text, times: text * times, TEXTS, st.integers(1, 60))
OCTETS = st.builds(lambda octets, times: b"\xff" + octets * times, st.binary(), st.integers(1, 40))
COMMANDS = st.one_of(
    st.tuples(st.sampled_from([Add, Replace]), URIS, LONG | OCTETS),
    st.tuples(st.sampled_from([Get, Delete]), URIS, st.none()),
)
FAULTS = st.lists(st.sampled_from(["", "lost", "unanswered", "twice", "echo"]), max_size=30)
SIZES = st.sampled_from([900, 1200, 2000, 65_536])


def bounded(faults: list[str]) -> Iterator[str]:
    """Never let one message fail as often as it is tried."""
    failed = 0
    for fault in faults:
        failed = failed + 1 if fault in {"lost", "unanswered"} else 0
        yield "" if failed >= ATTEMPTS else fault
        failed %= ATTEMPTS
    yield from repeat("")


def expected(
    commands: Iterable[tuple[type, str, str | bytes | None]],
) -> tuple[dict[str, str | bytes], list[tuple[int, tuple[str | bytes, ...]]]]:
    """Return the tree and the answers that commands come to, one after the other."""
    nodes: dict[str, str | bytes] = {}
    answers: list[tuple[int, tuple[str | bytes, ...]]] = []
    for kind, uri, data in commands:
        there = uri in nodes
        if there is (kind is Add):
            answers.append((418 if there else 404, ()))
            continue
        answers.append((200, (nodes[uri],) if kind is Get else ()))
        if kind is Delete:
            del nodes[uri]
        elif data is not None:
            nodes[uri] = data
    return nodes, answers


@settings(max_examples=60, deadline=None)
@given(
    st.lists(COMMANDS, max_size=12),
    FAULTS,
    SIZES,
    SIZES,
    st.sampled_from(Scheme),
    st.booleans(),
)
def test_any_split_loss_and_repetition(
    commands: list[tuple[type, str, str | bytes | None]],
    faults: list[str],
    client_size: int,
    server_size: int,
    scheme: Scheme,
    stale: bool,
) -> None:
    orders = [order(str(n), kind, uri, data) for n, (kind, uri, data) in enumerate(commands)]
    client = account(scheme, client=b"stale", server=b"stale") if stale else account(scheme)
    wire = Wire(
        client,
        account(scheme),
        orders,
        client_size=client_size,
        server_size=server_size,
        faults=bounded(faults),
    )
    wire.run()
    client_end, server_end = wire.ends
    assert (client_end.end, server_end.end) == (End.DONE, End.DONE)
    nodes, answers = expected(commands)
    assert wire.gate.nodes == nodes
    got = [wire.done[str(n)] for n in range(len(commands))]
    assert [(done.status, tuple(item.data for item in done.items)) for done in got] == answers
    if scheme is not Scheme.BASIC and (commands or not stale):
        assert wire.client_account == wire.server_account
    for outgoing in wire.answers:
        assert len(outgoing.body) <= client_size
    # Until the server has spoken, the client does not know how much it takes.
    first = wire.requests[0].body
    assert all(len(out.body) <= server_size for out in wire.requests if out.body != first)


@settings(max_examples=25, deadline=None)
@given(st.lists(COMMANDS, max_size=8), FAULTS, SIZES)
def test_xml_comes_to_the_same(
    commands: list[tuple[type, str, str | bytes | None]], faults: list[str], size: int
) -> None:
    """XML carries octets as base64: the trees differ in nothing else."""
    texts = [(kind, uri, data) for kind, uri, data in commands if not isinstance(data, bytes)]
    orders = [order(str(n), kind, uri, data) for n, (kind, uri, data) in enumerate(texts)]
    wire = Wire(
        orders=orders,
        media=MediaType.XML,
        client_size=size + 600,
        server_size=size + 600,
        faults=bounded(faults),
    )
    wire.run()
    assert {end.end for end in wire.ends} == {End.DONE}
    nodes, answers = expected(texts)
    assert wire.gate.nodes == nodes
    assert [wire.done[str(n)].status for n in range(len(texts))] == [code for code, _ in answers]


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from([Add, Replace, Delete]), URIS), max_size=6)
    # Many that go well: their response may be too large for a message.
    | st.integers(1, 40).map(lambda count: [(Replace, f"./N{n % 2}") for n in range(count)]),
    FAULTS,
    SIZES,
)
def test_an_atomic_is_whole_or_nothing(
    commands: list[tuple[type, str]], faults: list[str], size: int
) -> None:
    def one(kind: type, uri: str) -> Add | Replace | Delete:
        data = None if kind is Delete else "new"
        command: Add | Replace | Delete = kind(0, (Item(Location(uri), data=data),))
        return command

    before = {"./N0": "old", "./N1": "old"}
    orders = [Order("all", Atomic(0, tuple(one(kind, uri) for kind, uri in commands)))]
    wire = Wire(
        orders=orders, gate=DictGate(dict(before)), server_size=size, faults=bounded(faults)
    )
    wire.run()
    done = wire.done["all"]
    assert all(len(out.body) <= size for out in wire.requests[1:])
    for message in map(read, (*wire.requests, *wire.answers)):
        ids = [inner.cmd_id for command in message.commands for inner in walk(command)]
        assert ids == list(range(1, len(ids) + 1))
    statuses = [part.status for part in done.parts]
    if done.status == 200:
        assert statuses == [200] * len(commands)
        assert len(wire.gate.performed) == len(commands)
        return
    assert wire.gate.nodes == before
    if done.status == 517:
        assert statuses == [216] * len(commands)
        assert size < 65_536
        return
    assert done.status == 507
    failed = next(n for n, status in enumerate(statuses) if status not in {215, 216})
    assert statuses[:failed] == [216] * failed
    assert statuses[failed] in {404, 418}
    assert statuses[failed + 1 :] == [215] * (len(commands) - failed - 1)


STEPS = st.one_of(
    st.tuples(st.sampled_from([Add, Replace, Delete, Get, Exec]), URIS),
    st.tuples(st.just(Copy), st.tuples(URIS, URIS)),
)


def step_of(kind: type, where: Any) -> Add | Replace | Delete | Get | Exec | Copy:
    """Return a command as a Sequence holds it."""
    if kind is Exec:
        return Exec(0, Item(Location(where), data="now"))
    if kind is Copy:
        source, target = where
        return Copy(0, (Item(Location(target), Location(source)),))
    data = "new" if kind in {Add, Replace} else None
    command: Add | Replace | Delete | Get = kind(0, (Item(Location(where), data=data),))
    return command


def carry_out(nodes: dict[str, str | bytes], kind: type, where: Any) -> int:
    """Do a step with the nodes of a simple reference; return its status."""
    if kind is Exec:
        return 202 if where in nodes else 404
    if kind is Copy:
        source, target = where
        nodes[target] = nodes[source]
        return 200
    if (where in nodes) is (kind is Add):
        return 418 if kind is Add else 404
    if kind is Delete:
        del nodes[where]
    elif kind is not Get:
        nodes[where] = "new"
    return 200


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.lists(STEPS, min_size=1, max_size=5), max_size=4),
    st.booleans(),
    FAULTS,
    SIZES,
    SIZES,
)
def test_what_runs_in_sequence_runs_once_and_in_order(
    sequences: list[list[tuple[type, Any]]],
    together: bool,
    faults: list[str],
    client_size: int,
    server_size: int,
) -> None:
    """Sequence, Copy and Exec: what was executed twice would be done twice."""
    before: dict[str, str | bytes] = {f"./N{number}": f"old{number}" for number in range(4)}
    # The simple tree has no answer to a Copy of what is not there.
    kinds = [(kind, where) for steps in sequences for kind, where in steps]
    keep = any(kind is Copy for kind, _ in kinds)
    sequences = [[s for s in steps if not (keep and s[0] is Delete)] for steps in sequences]
    sequences = [steps for steps in sequences if steps]
    orders = [
        Order(str(n), Sequence(0, tuple(step_of(*step) for step in steps)))
        if together
        else Order(str(n), step_of(*steps[0]))
        for n, steps in enumerate(sequences)
    ]
    done = [step for steps in sequences for step in (steps if together else steps[:1])]
    wire = Wire(
        orders=orders,
        gate=DictGate(dict(before)),
        client_size=client_size,
        server_size=server_size,
        faults=bounded(faults),
    )
    wire.run()
    assert {end.end for end in wire.ends} == {End.DONE}
    nodes = dict(before)
    statuses = [carry_out(nodes, *step) for step in done]
    assert wire.gate.nodes == nodes
    targets = [where[1] if kind is Copy else where for kind, where in done]
    names = [kind.__name__ for kind, _ in done]
    assert wire.gate.performed == list(zip(names, targets, strict=True))
    told = [
        part.status
        for n in range(len(sequences))
        for part in wire.done[str(n)].parts
        if part.command != "Sequence"
    ]
    assert told == statuses


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 40), LONG.filter(bool)), max_size=5),
    st.lists(COMMANDS, max_size=4),
    FAULTS,
    SIZES,
)
def test_an_alert_is_heard_once(
    alerts: list[tuple[int, str]],
    commands: list[tuple[type, str, str | bytes | None]],
    faults: list[str],
    size: int,
) -> None:
    """What it has to say goes out before it knows how much a server takes: that is the most."""
    said = [
        Alert(0, AlertCode.GENERIC, (Item(meta=Meta("chr", "urn:x:told"), data=text),), f"job{n}")
        for n, text in alerts
    ]
    orders = [order(str(n), kind, uri, data) for n, (kind, uri, data) in enumerate(commands)]
    wire = Wire(
        orders=orders,
        client_size=size,
        faults=bounded(faults),
    )
    for alert in said:
        wire.client.say(alert)
    wire.run()
    assert {end.end for end in wire.ends} == {End.DONE}
    heard = [event.alert for event in wire.server_events if isinstance(event, AlertReceived)]
    assert [(one.correlator, one.items[0].data) for one in heard] == [
        (one.correlator, one.items[0].data) for one in said
    ]
    nodes, answers = expected(commands)
    assert wire.gate.nodes == nodes
    assert [wire.done[str(n)].status for n in range(len(commands))] == [code for code, _ in answers]


def test_a_server_that_never_answers() -> None:
    wire = Wire(orders=[order("get", Get, "./A")], faults=repeat("lost"))
    wire.run()
    assert [event.end for event in wire.client_events] == [End.TIMEOUT]  # type: ignore[union-attr]  # the only event, so it is the end
    assert len(wire.requests) == ATTEMPTS
    assert len(set(wire.requests)) == 1


def test_a_device_that_goes_silent() -> None:
    """What it had been ordered is unknown, and says so."""
    wire = Wire(orders=[order("get", Get, "./A")], faults=chain([""], repeat("lost")))
    wire.run()
    timer = wire.server.next_timer()
    assert timer is not None
    wire.server.handle_timer(timer - 1)
    assert not wire.server.closed
    wire.server.handle_timer(timer)
    wire._collect()
    assert wire.done["get"].status == NO_ANSWER
    assert [end.end for end in wire.ends] == [End.TIMEOUT, End.TIMEOUT]
    assert wire.server.next_timer() is None


def test_the_next_session_after_a_lost_answer_is_well() -> None:
    """A session that dies with its last answer on the way leaves two ends that find together."""
    wire = Wire(
        orders=[order("add", Add, "./A", "x")], faults=chain(["unanswered"], repeat("lost"))
    )
    wire.run()
    again = Wire(wire.client_account, wire.server_account, [order("get", Get, "./A")], wire.gate)
    again.run()
    assert {end.end for end in again.ends} == {End.DONE}
    assert again.done["get"].status == 404
    assert again.client_account == again.server_account
