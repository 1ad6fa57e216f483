"""What a session holds, and for how long: sizes, large objects, answers that nobody fetches."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.support.dm_wire import (
    DEV_INFO,
    NOW,
    SERVER,
    Script,
    Wire,
    account,
    events,
    nonces,
    order,
    read,
    scripted_client,
    server_of,
    statuses,
)

from openami.core.errors import RemoteProtocolError
from openami.omadm.auth import Scheme
from openami.omadm.codes import AlertCode
from openami.omadm.element import Element, Page
from openami.omadm.messages.codec import decode_message
from openami.omadm.messages.media import MediaType
from openami.omadm.messages.model import (
    Add,
    Alert,
    Atomic,
    Command,
    Exec,
    Get,
    Item,
    Location,
    Message,
    Meta,
    Replace,
    Results,
    StatusReport,
)
from openami.omadm.session.budget import Budget, Share, cost_of
from openami.omadm.session.events import NO_ANSWER, Order, OrderDone
from openami.omadm.session.server import ServerConfig, ServerSession

OPEN = Alert(1, AlertCode.CLIENT_INITIATED)
INFO = Replace(2, DEV_INFO)
LITTLE = Meta(max_msg_size=900)


def at(uri: str, data: str | None = None, *, more: bool = False, size: int | None = None) -> Item:
    return Item(Location(uri), meta=Meta(size=size) if size else None, data=data, more_data=more)


def part(data: str, *, more: bool = False, size: int | None = None, ref: int = 4) -> Results:
    """Return Results of the first order, whole or in part."""
    item = Item(source=Location("./A"), meta=Meta(size=size) if size else None, data=data)
    return Results(2, ref, (replace(item, more_data=more),), msg_ref=1)


class HeadEnd:
    """A server under test whose device by hand has been ordered to Get."""

    def __init__(self, budget: Budget | None = None, *more: Order) -> None:
        self.server = ServerSession(
            account(Scheme.BASIC),
            ServerConfig(SERVER, max_obj_size=1_000, idle_timeout=100.0),
            nonces=nonces("c"),
            orders=[order("get", Get, "./A"), *more],
            budget=budget,
        )
        self.device = scripted_client()
        self.done: list[OrderDone] = []
        self.give(OPEN, INFO)

    def give(self, *commands: Command, final: bool = True) -> Message:
        body = self.device.message(*commands, answers=self.device.msg_id or None, final=final)
        answer = read(self.server.receive(body, MediaType.WBXML, None, NOW))
        self.done += [event for event in events(self.server) if isinstance(event, OrderDone)]
        return answer

    def found(self, *results: Results, final: bool = True) -> Message:
        return self.give(StatusReport(1, 1, 4, "Get", 200), *results, final=final)


# A budget that sessions share.


def test_a_budget_is_shared_and_given_back() -> None:
    budget = Budget(100)
    one, other = Share(budget), Share(budget)
    assert one.take(60)
    assert not other.take(41)
    assert other.take(40)
    assert budget.left == 0
    one.give_back()
    one.give_back()
    assert budget.left == 60
    other.give_back()
    assert budget.left == 100


def test_chunks_are_held_by_a_budget_and_free_once_told() -> None:
    budget = Budget(5_000)
    one, other = HeadEnd(budget), HeadEnd(budget)
    assert statuses(one.found(part("x" * 900, more=True, size=1_000), final=False))[1:] == [
        ("Results", 213)
    ]
    assert budget.left == 4_100
    one.give(part("x" * 100))
    assert [(done.status, len(str(done.items[0].data))) for done in one.done] == [(200, 1_000)]
    assert budget.left == 5_000
    assert other.found(part("y")).final
    assert budget.left == 5_000


def test_an_object_that_the_budget_has_no_room_for() -> None:
    """Another session has taken it: 413, the order says so, and the session goes on."""
    budget = Budget(1_700)
    one, other = HeadEnd(budget), HeadEnd(budget)
    one.found(part("x" * 900, more=True, size=1_000), final=False)
    refused = other.found(part("y" * 900, more=True, size=1_000), final=False)
    assert statuses(refused)[1:] == [("Results", 413)]
    assert statuses(other.give(part("y" * 100)))[1:] == [("Results", 413)]
    assert [done.status for done in other.done] == [413]
    assert budget.left == 800
    other = HeadEnd(budget)
    one.server.handle_timer(NOW + 1e6)
    assert budget.left == 1_700
    assert other.found(part("y" * 900)).final
    assert [done.status for done in other.done] == [200]


def test_results_without_an_end() -> None:
    """What an order has found is held, so it has a bound of its own."""
    budget = Budget(10_000)
    head_end = HeadEnd(budget)
    told = [("Results", 413)]
    codes = [statuses(head_end.found(part("x" * 500), final=False))[1:] for _ in range(12)]
    assert codes.index(told) == 9
    assert codes[9:] == [told] * 3
    head_end.give()
    assert [(done.status, len(done.items)) for done in head_end.done] == [(413, 9)]
    assert budget.left == 10_000


def test_statuses_without_an_end() -> None:
    """A command has one Status, or one for each item: what comes besides is nobody's."""
    budget = Budget()
    head_end = HeadEnd(budget)
    for _ in range(5):
        head_end.give(StatusReport(1, 1, 4, "Get", 404, items=(Item(data="no"),)), final=False)
    head_end.give()
    assert [(len(done.parts), len(done.items)) for done in head_end.done] == [(1, 1)]
    assert budget.left == Budget().left


def test_words_of_a_status_that_the_budget_has_no_room_for() -> None:
    """They are left out; what became of the command is not."""
    head_end = HeadEnd(Budget(600))
    head_end.give(StatusReport(1, 1, 4, "Get", 404, items=(Item(data="x" * 500),)))
    assert [(done.status, done.items) for done in head_end.done] == [(404, ())]


def test_parts_of_what_nobody_has_asked_for() -> None:
    """They are answered as any, and belong to no order."""
    head_end = HeadEnd()
    head_end.found(part("x" * 10, more=True, size=12, ref=77), final=False)
    assert statuses(head_end.give(part("y", ref=77)))[1:] == [("Results", 424)]
    assert [(done.status, done.items) for done in head_end.done] == [(200, ())]


def test_a_document_costs_what_its_elements_do() -> None:
    def element(name: str, content: tuple[Element, ...] | str) -> Element:
        return Element(Page.DDF, name, content)

    flat = Item(data="x" * 100)
    deep = Item(
        data=element("MgmtTree", (element("VerDTD", "1.2"), element("Node", (element("Path", "x" * 97),))))
    )  # fmt: skip
    assert cost_of(deep) - cost_of(flat) == 3 * cost_of(Item())


@pytest.mark.parametrize(
    ("rest", "code"), [(part("z" * 300), 424), (part("z" * 1_000), 413)], ids=["size", "bound"]
)
def test_results_that_were_not_taken_are_no_success(rest: Results, code: int) -> None:
    budget = Budget(50_000)
    head_end = HeadEnd(budget)
    head_end.found(part("x" * 100, more=True, size=200), final=False)
    assert statuses(head_end.give(rest))[1:] == [("Results", code)]
    assert [(done.status, done.items) for done in head_end.done] == [(code, ())]
    assert budget.left == 50_000


def test_results_that_are_broken_off_are_unknown() -> None:
    budget = Budget(50_000)
    head_end = HeadEnd(budget)
    head_end.found(part("x" * 100, more=True, size=200), final=False)
    head_end.give(Alert(1, AlertCode.CLIENT_EVENT))
    assert [(done.status, done.items) for done in head_end.done] == [(NO_ANSWER, ())]
    assert budget.left == 50_000


def test_a_request_for_the_next_message_breaks_nothing_off() -> None:
    head_end = HeadEnd()
    head_end.found(part("x", more=True, size=2), final=False)
    head_end.give(Alert(1, AlertCode.NEXT_MESSAGE), part("y"))
    assert [(done.status, done.items[0].data) for done in head_end.done] == [(200, "xy")]


# What a server says.


def test_the_answer_is_in_the_encoding_of_the_first_message() -> None:
    for media in MediaType:
        wire = Wire(orders=[order("get", Get, "./A")], media=media)
        wire.run()
        assert {answer.content_type for answer in wire.answers} == {media}


def test_where_the_session_goes_on() -> None:
    config = ServerConfig(SERVER, resp_uri="https://other.example/dm")
    server = ServerSession(account(Scheme.BASIC), config, nonces=nonces("c"))
    answer = server.receive(scripted_client().message(OPEN), MediaType.WBXML, None, NOW)
    assert read(answer).header.resp_uri == "https://other.example/dm"


def test_every_message_keeps_a_session_alive() -> None:
    server = server_of(order("get", Get, "./A"))
    device = scripted_client()
    server.receive(device.message(OPEN, INFO), MediaType.WBXML, None, NOW)
    body = device.message(Alert(1, AlertCode.NEXT_MESSAGE), answers=1, final=False)
    server.receive(body, MediaType.WBXML, None, NOW + 100)
    server.handle_timer(NOW + 219)
    assert not server.closed
    server.handle_timer(NOW + 220)
    assert server.closed


def test_a_message_over_the_announced_size_though_it_is_decoded() -> None:
    config = ServerConfig(SERVER, max_msg_size=500)
    server = ServerSession(account(Scheme.BASIC), config, nonces=nonces("c"))
    body = scripted_client().message(Alert(1, AlertCode.CLIENT_EVENT, (Item(data="x" * 500),)))
    with pytest.raises(RemoteProtocolError) as caught:
        server.take(body, MediaType.WBXML, None, NOW, message=decode_message(body, MediaType.WBXML))
    assert caught.value.code == "omadm.too-large"


def test_a_package_of_the_device_ends_while_ours_does_not() -> None:
    """Orders of a package in parts are done when all of it was answered."""
    items = tuple(at(f"./{n}", "x" * 200) for n in range(8))
    server, device = server_of(Order("adds", Add(0, items))), scripted_client()
    meta = Meta(max_msg_size=700)
    answer = read(server.receive(device.message(OPEN, INFO, meta=meta), MediaType.WBXML, None, NOW))
    while not answer.final:
        told = [
            StatusReport(n, answer.header.msg_id, command.cmd_id, "Add", 200)
            for n, command in enumerate(answer.commands, 1)
            if isinstance(command, Add)
        ]
        assert not [event for event in events(server) if isinstance(event, OrderDone)]
        body = device.message(*told, answers=answer.header.msg_id, meta=meta)
        answer = read(server.receive(body, MediaType.WBXML, None, NOW))


def test_what_is_not_begun_is_not_broken_off() -> None:
    """Alert 1225 is about an object in parts: whole commands that wait still go out."""
    runs = [Exec(0, Item(Location(f"./{n}"), data="x" * 300)) for n in range(4)]
    server = server_of(*(Order(str(n), run) for n, run in enumerate(runs)))
    device = scripted_client()
    meta = Meta(max_msg_size=750)
    answer = read(server.receive(device.message(OPEN, INFO, meta=meta), MediaType.WBXML, None, NOW))
    sent: list[str] = []
    while True:
        runs = [c for c in answer.commands if isinstance(c, Exec)]
        sent += [run.item.target.uri for run in runs if run.item.target]
        if answer.final:
            break
        stop = Alert(1, AlertCode.NO_END_OF_DATA)
        body = device.message(stop, answers=answer.header.msg_id, final=False, meta=meta)
        answer = read(server.receive(body, MediaType.WBXML, None, NOW))
    assert sent == ["./0", "./1", "./2", "./3"]


def test_a_group_that_is_answered_in_part_is_unknown() -> None:
    group = Order("group", Atomic(0, (Add(0, (at("./B"),)), Add(0, (at("./C"),)))))
    head_end = HeadEnd(None, group)
    told = [StatusReport(n, 1, ref, "Add", 200) for n, ref in ((1, 4), (2, 5), (3, 6))]
    head_end.give(*told)
    assert [(done.id, done.status) for done in head_end.done] == [
        ("get", 200),
        ("group", NO_ANSWER),
    ]


def begun(server: ServerSession, *more: Command) -> tuple[Message, Script]:
    """Return a server's first answer to a device whose messages have little room, and the device."""
    device = scripted_client()
    body = device.message(OPEN, INFO, *more, meta=LITTLE)
    return read(server.receive(body, MediaType.WBXML, None, NOW)), device


def test_results_without_a_message_are_of_the_latest() -> None:
    """MsgRef may be left out (RepPro 1.2, 5.5.12): then it is the last message with that command."""
    server = server_of(*(order(name, Get, "./" + name * 300) for name in "ab"))
    first, device = begun(server)
    news = [Alert(n, AlertCode.CLIENT_EVENT) for n in (1, 2)]
    body = device.message(*news, answers=1, final=False, meta=LITTLE)
    second = read(server.receive(body, MediaType.WBXML, None, NOW))
    ids = {c.cmd_id for m in (first, second) for c in m.commands if isinstance(c, Get)}
    assert ids == {4}
    told = [StatusReport(n, n, 4, "Get", 200) for n in (1, 2)]
    found = replace(part("x"), msg_ref=None)
    server.receive(device.message(*told, found, answers=2), MediaType.WBXML, None, NOW)
    done = [event for event in events(server) if isinstance(event, OrderDone)]
    assert {end.id: [item.data for item in end.items] for end in done} == {"a": [], "b": ["x"]}


@pytest.mark.parametrize("by_server", [True, False])
def test_an_order_of_which_a_part_was_never_sent_is_unknown(by_server: bool) -> None:
    """Whoever aborts the session: what was sent has been carried out, the rest has not."""
    items = tuple(at(f"./{n}", "x" * 200) for n in range(8))
    server = server_of(Order("adds", Add(0, items)))
    answer, device = begun(server)
    adds = [command for command in answer.commands if isinstance(command, Add)]
    told = [StatusReport(n, 1, add.cmd_id, "Add", 200) for n, add in enumerate(adds, 1)]
    if by_server:
        server.abort()
    stop = [] if by_server else [Alert(90, AlertCode.SESSION_ABORT)]
    server.receive(device.message(*told, *stop, answers=1), MediaType.WBXML, None, NOW)
    (done,) = [event for event in events(server) if isinstance(event, OrderDone)]
    assert (done.status, done.parts[0].status) == (NO_ANSWER, 200)
