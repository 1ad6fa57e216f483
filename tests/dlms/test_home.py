"""What is pushed to displays, and how they are paired: octets and the object, without a meter."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openami.core.errors import DecodeError, SecurityError
from openami.core.identifiers import SystemTitle
from openami.crypto.pairing import Pairing
from openami.dlms import data as d
from openami.dlms.cosem import ActionError, Context
from openami.dlms.cosem.pairing import (
    ATTEMPT_S,
    ATTEMPTS,
    BEGUN,
    BEGUN_S,
    Display,
    HomePairing,
)
from openami.dlms.cosem.push import PushSetup
from openami.dlms.data import Data, DataType, decode_data
from openami.dlms.home import LIVE_OBIS, MAX_PHASES, Live
from openami.dlms.home.messages import MAX_NAME, Begin, Confirm, Confirmed, Place
from openami.dlms.home.throttle import (
    FIRST_PAUSE_S,
    FORGOTTEN_S,
    FREE_ATTEMPTS,
    LONGEST_PAUSE_S,
    CodeThrottle,
)
from openami.dlms.references import CaptureObject
from openami.dlms.results import ActionResult
from openami.meter.identity import seeded

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

METER, DISPLAY = SystemTitle.of("OAM", 1), SystemTitle.of("OAM", 2)
CODE = b"12345678"

LIVE = Live(
    at=1_774_742_400,
    voltage=(230_108, 229_400, 230_600),
    current=(15_600, 0, 40),
    active=-3_600_000,
    reactive=1_200_000,
    apparent=3_794_733,
    factor=-948,
    frequency=4999,
    imported=123_456_789,
    exported=42,
    rate=4,
    supply=1,
    limit=3000,
    emergency=True,
    status=0x82,
    revision=7,
)

# What is pushed.


def test_what_is_pushed_has_this_form() -> None:
    octets = LIVE.data().encode()
    assert octets.hex() == (
        "0210"  # a structure of sixteen
        "0669c86b80"
        "0103060003" "82dc" "0600038018" "06000384c8"
        "010306" "00003cf0" "0600000000" "0600000028"
        "05ffc91180" "0500124f80" "060039e72d" "10fc4c" "121387"
        "1500000000075bcd15" "15000000000000002a"
        "1104" "1601" "0600000bb8" "0301" "1182" "0600000007"
    )  # fmt: skip
    assert Live.of(decode_data(octets)) == LIVE
    for size in range(len(octets)):
        with pytest.raises(DecodeError):
            Live.of(decode_data(octets[:size]))


def test_no_limit_is_null() -> None:
    live = replace(LIVE, limit=None)
    found = decode_data(live.data().encode())
    assert found.items()[12].type is DataType.NULL
    assert Live.of(found) == live


def changed(place: int, value: Data) -> Data:
    items = list(decode_data(LIVE.data().encode()).items())
    items[place] = value
    return d.structure(*items)


@pytest.mark.parametrize("place", range(16))
def test_an_element_of_another_type_is_refused(place: int) -> None:
    with pytest.raises(DecodeError):
        Live.of(changed(place, d.visible("12")))


@pytest.mark.parametrize(
    "data",
    [
        d.null(),
        d.array(*decode_data(LIVE.data().encode()).items()),
        d.structure(*decode_data(LIVE.data().encode()).items()[1:]),
        changed(1, d.array()),
        changed(1, d.array(*[d.u32(1)] * (MAX_PHASES + 1))),
        changed(1, d.array(d.u32(1))),
        changed(2, d.array(*[d.i32(1)] * 3)),
        changed(12, d.i32(1)),
        changed(0, d.null()),
    ],
    ids=["nothing", "array", "15", "no phase", "4 phases", "1 and 3", "types", "limit", "time"],
)
def test_what_is_something_else_is_refused(data: Data) -> None:
    with pytest.raises(DecodeError):
        Live.of(data)


@given(st.binary(max_size=120))
def test_octets_are_a_push_or_a_decode_error(octets: bytes) -> None:
    try:
        found = Live.of(decode_data(octets))
    except DecodeError:
        return
    assert Live.of(decode_data(found.data().encode())) == found


def test_the_push_setup_tells_what_is_pushed() -> None:
    setup = PushSetup((CaptureObject(1, LIVE_OBIS, 2),))
    (shown,) = decode_data(setup.read(2).encode()).items()
    assert CaptureObject.of(shown) == CaptureObject(1, LIVE_OBIS, 2)
    destination = decode_data(setup.read(3).encode()).native()
    assert destination == [0, b"", 0]
    assert [decode_data(setup.read(index).encode()).native() for index in (4, 5, 6, 7)] == [
        [], 0, 0, 0,
    ]  # fmt: skip
    assert not setup.methods()


# The throttle.


def test_wrong_codes_double_the_pause() -> None:
    throttle, now, pauses = CodeThrottle(), 1000.0, []
    for _ in range(14):
        throttle = throttle.failed(now)
        pauses.append(throttle.wait(now))
        now += pauses[-1]
        assert throttle.wait(now) == 0
    assert pauses[: FREE_ATTEMPTS - 1] == [0] * (FREE_ATTEMPTS - 1)
    assert pauses[FREE_ATTEMPTS - 1 :][:4] == [FIRST_PAUSE_S * 2**n for n in range(4)]
    assert pauses[-1] == LONGEST_PAUSE_S
    within_an_hour = sum(sum(pauses[:n]) <= 3600 for n in range(len(pauses)))
    assert within_an_hour == 9


def test_a_clock_that_is_set_makes_nobody_wait_for_long() -> None:
    throttle = CodeThrottle(FREE_ATTEMPTS, 1_000_000)
    assert throttle.wait(0) == FIRST_PAUSE_S
    assert throttle.wait(2_000_000) == 0
    assert throttle.failed(1_000_000 + FORGOTTEN_S).failures == 1
    assert throttle.failed(999_999 + FORGOTTEN_S).failures == FREE_ATTEMPTS + 1


# Messages.

MESSAGE = b"A" + bytes(32)
PLACE = Place.draw(0x30, METER, "OAM00000001", seeded("place"))
MESSAGES: list[tuple[Any, Callable[[Data], Any]]] = [
    (Begin(DISPLAY, "거실", MESSAGE), Begin.of),
    (Confirm(DISPLAY, bytes(32)), Confirm.of),
    (Confirmed(bytes(32), bytes(70)), Confirmed.of),
]


@pytest.mark.parametrize(("message", "read"), MESSAGES, ids=["begin", "confirm", "confirmed"])
def test_messages_go_both_ways(message: Any, read: Callable[[Data], Any]) -> None:
    octets = message.data().encode()
    assert read(decode_data(octets)) == message
    for size in range(len(octets)):
        with pytest.raises(DecodeError):
            read(decode_data(octets[:size]))


def test_a_place_goes_both_ways_and_shows_no_keys() -> None:
    octets = PLACE.encode()
    assert Place.decode(octets) == PLACE
    assert (PLACE.keys.guek or b"").hex() not in repr(PLACE)
    for size in range(len(octets)):
        with pytest.raises(DecodeError):
            Place.decode(octets[:size])
    with pytest.raises(DecodeError):
        Place.decode(replace(PLACE, serial="no serial").encode())


@pytest.mark.parametrize("name", ["", "x" * (MAX_NAME + 1), "a\nb", "\x1b[2J"])
def test_a_name_is_short_and_printable(name: str) -> None:
    with pytest.raises(DecodeError):
        Begin.of(Begin(DISPLAY, name, MESSAGE).data())


@pytest.mark.parametrize(
    ("data", "read"),
    [
        (d.structure(d.octets(bytes(7)), d.utf8("x"), d.octets(MESSAGE)), Begin.of),
        (d.structure(d.octets(bytes(8)), d.utf8("x"), d.octets(MESSAGE[1:])), Begin.of),
        (d.structure(d.octets(bytes(8)), d.octets(bytes(31))), Confirm.of),
        (d.structure(d.octets(bytes(32)), d.octets(bytes(257))), Confirmed.of),
    ],
)
def test_sizes_are_exact(data: Data, read: Callable[[Data], Any]) -> None:
    with pytest.raises(DecodeError):
        read(data)


# The object.


class Desk:
    """A meter that pairs, without a memory."""

    title = METER
    places = 2

    def __init__(self) -> None:
        self.code: bytes | None = CODE
        self.pause = self.failures = 0
        self.displays: Sequence[Display] = ()

    def wait(self) -> int:
        return self.pause

    def failed(self) -> None:
        self.failures += 1

    def take(self, title: SystemTitle, name: str) -> Place | None:
        others = [each for each in self.displays if each.title != title]
        if len(others) >= self.places:
            return None
        self.displays = (*others, Display(0x30 + len(others), title, name, 5))
        return Place.draw(self.displays[-1].client, METER, "OAM00000001", seeded("desk"))

    def forget(self, client: int | None) -> bool:
        left = [each for each in self.displays if client not in {None, each.client}]
        gone, self.displays = len(left) != len(self.displays), left
        return gone


class Visitor:
    """A display that wants to be paired."""

    def __init__(
        self, item: HomePairing, number: int = 2, *, code: bytes = CODE, name: str = "Wall"
    ) -> None:
        self.item = item
        self.title = SystemTitle.of("OAM", number)
        self.side = Pairing(
            code, self.title.raw, METER.raw, begins=True, octets=seeded(f"display {number}")
        )
        self.begun = Begin(self.title, name, self.side.message)
        self.proof = b""

    def begin(self, now: float = 0.0) -> None:
        answer = self.item.invoke(1, self.begun.data(), Context(now=now))
        assert answer is not None
        self.agreed = self.side.agree(decode_data(answer.encode()).octets(), self.begun.context)
        self.proof = self.agreed.first

    def confirm(self, now: float = 0.0) -> Place:
        answer = self.item.invoke(2, Confirm(self.title, self.proof).data(), Context(now=now))
        assert answer is not None
        found = Confirmed.of(decode_data(answer.encode()))
        self.agreed.check_second(found.proof)
        return Place.decode(self.agreed.open(found.sealed))

    def pair(self, now: float = 0.0) -> Place:
        self.begin(now)
        return self.confirm(now)


@pytest.fixture
def desk() -> Desk:
    return Desk()


@pytest.fixture
def item(desk: Desk) -> HomePairing:
    return HomePairing(desk, seeded("meter"))


def refused(action: Callable[[], object]) -> ActionResult:
    with pytest.raises(ActionError) as caught:
        action()
    return caught.value.result


def read(item: HomePairing, index: int) -> Any:
    return decode_data(item.read(index).encode()).native()


def test_who_has_the_code_is_given_a_place(desk: Desk, item: HomePairing) -> None:
    assert (read(item, 2), read(item, 3), read(item, 4), read(item, 5)) == (METER.raw, 2, 0, 0)
    place = Visitor(item, name="Kitchen").pair()
    assert (place.client, place.meter, place.serial) == (0x30, METER, "OAM00000001")
    assert read(item, 4) == 1
    assert read(item, 6) == [[0x30, DISPLAY.raw, "Kitchen", 5]]
    assert desk.failures == 0


def test_who_has_another_code_learns_that_and_no_more(desk: Desk, item: HomePairing) -> None:
    stranger = Visitor(item, code=b"12345679")
    stranger.begin()
    assert refused(stranger.confirm) is ActionResult.READ_WRITE_DENIED
    assert (desk.failures, list(desk.displays)) == (1, [])
    assert refused(stranger.confirm) is ActionResult.OTHER_REASON  # one proof for each attempt
    assert desk.failures == 1


def test_a_proof_counts_for_its_own_attempt(desk: Desk, item: HomePairing) -> None:
    first = Visitor(item)
    first.pair()
    recorded = first.proof
    again = Visitor(item)
    again.begin()
    again.proof = recorded
    assert refused(again.confirm) is ActionResult.READ_WRITE_DENIED
    assert desk.failures == 1


def test_an_attempt_ends(item: HomePairing) -> None:
    late = Visitor(item)
    late.begin(now=0)
    assert refused(lambda: late.confirm(now=ATTEMPT_S)) is ActionResult.OTHER_REASON


def test_several_displays_are_paired_at_a_time_but_not_any_number(
    desk: Desk, item: HomePairing
) -> None:
    desk.places = 10
    many = [Visitor(item, number) for number in range(2, 3 + ATTEMPTS)]
    for visitor in many:
        visitor.begin()
    assert refused(many[0].confirm) is ActionResult.OTHER_REASON
    assert [visitor.confirm().client for visitor in many[1:]] == [0x30, 0x31, 0x32, 0x33]


def test_attempts_are_begun_at_a_bounded_rate(item: HomePairing) -> None:
    for _ in range(BEGUN):
        Visitor(item).begin(now=1)
    assert refused(lambda: Visitor(item).begin(now=1)) is ActionResult.TEMPORARY_FAILURE
    Visitor(item).begin(now=1 + BEGUN_S)


def test_a_full_meter_takes_those_again_whom_it_knows(item: HomePairing) -> None:
    waiting = Visitor(item, 9)
    waiting.begin()
    places = [Visitor(item, number).pair().client for number in (2, 3)]
    assert places == [0x30, 0x31]
    assert refused(lambda: Visitor(item, 4).begin()) is ActionResult.OBJECT_UNAVAILABLE
    assert refused(waiting.confirm) is ActionResult.OBJECT_UNAVAILABLE  # began when there was room
    Visitor(item, 3).pair()
    assert read(item, 4) == 2


def test_while_it_is_locked_no_code_is_looked_at(desk: Desk, item: HomePairing) -> None:
    early = Visitor(item)
    early.begin()
    desk.pause = 30
    assert read(item, 5) == 30
    assert refused(early.confirm) is ActionResult.TEMPORARY_FAILURE
    assert refused(Visitor(item, 3).begin) is ActionResult.TEMPORARY_FAILURE
    desk.pause = 0
    assert early.confirm().client == 0x30


def test_a_meter_without_a_code_pairs_with_nobody(desk: Desk, item: HomePairing) -> None:
    desk.code = None
    assert refused(Visitor(item).begin) is ActionResult.OTHER_REASON


@pytest.mark.parametrize("message", [bytes(33), b"A" + bytes(32), b"B" + b"\1" + bytes(31)])
def test_what_is_no_message_is_no_attempt(desk: Desk, item: HomePairing, message: bytes) -> None:
    bad = Begin(DISPLAY, "Wall", message).data()
    assert refused(lambda: item.invoke(1, bad)) is ActionResult.TYPE_UNMATCHED
    assert refused(lambda: item.invoke(1, d.structure())) is ActionResult.TYPE_UNMATCHED
    assert refused(lambda: item.invoke(2, d.structure())) is ActionResult.TYPE_UNMATCHED
    assert refused(lambda: item.invoke(1)) is ActionResult.TYPE_UNMATCHED
    assert refused(lambda: item.invoke(2)) is ActionResult.TYPE_UNMATCHED
    assert desk.failures == 0


def test_displays_are_forgotten_one_or_all(desk: Desk, item: HomePairing) -> None:
    for number in (2, 3):
        Visitor(item, number).pair()
    item.invoke(3, d.u16(0x30))
    assert [each.client for each in desk.displays] == [0x31]
    assert refused(lambda: item.invoke(3, d.u16(0x30))) is ActionResult.OBJECT_UNAVAILABLE
    under_way = Visitor(item, 4)
    under_way.begin()
    item.invoke(3, d.u16(0))
    assert list(desk.displays) == []
    assert refused(under_way.confirm) is ActionResult.OTHER_REASON
    item.invoke(3, d.u16(0))  # who moves out of an empty house


def test_the_meter_shows_that_it_has_the_code(desk: Desk, item: HomePairing) -> None:
    """A display that is answered by somebody without the code does not take what it is given."""
    desk.code = b"00000000"
    misled = Visitor(item)
    misled.begin()
    impostor = Pairing(
        b"00000000", misled.title.raw, METER.raw, begins=False, octets=seeded("impostor")
    ).agree(misled.begun.message, misled.begun.context)
    with pytest.raises(SecurityError):
        misled.agreed.check_second(impostor.second)
    with pytest.raises(SecurityError):
        misled.agreed.open(impostor.seal(PLACE.encode()))
