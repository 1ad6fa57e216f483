"""The machine of one download: each event in each state, and whole downloads in a bad world."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openami.core.errors import DecodeError, LocalProtocolError
from openami.omadm.download import answers
from openami.omadm.download.descriptor import Descriptor
from openami.omadm.download.ends import End
from openami.omadm.download.events import (
    Answered,
    Described,
    Failed,
    Found,
    Kept,
    Refused,
    Stopped,
    Told,
    Verified,
)
from openami.omadm.download.machine import (
    TELL_TRIES,
    Action,
    Move,
    Policy,
    request,
    resume,
    start,
    step,
)
from openami.omadm.download.pace import LEAST_OCTETS, WINDOW_S, Bucket, Pulse
from openami.omadm.download.state import Download, Phase, Wanted

if TYPE_CHECKING:
    from openami.omadm.download.events import Event

SIZE = 100_000
URL = "https://headend:8443/dd/1"
WANTED = Wanted(URL, SIZE, "ab" * 32)
POLICY = Policy(frozenset({"headend:8443"}), frozenset({"application/zip", "text/x-delta"}))
DESCRIPTOR = Descriptor(
    "https://headend:8443/o/1",
    SIZE,
    ("application/zip",),
    install_notify_uri="https://headend:8443/told",
)
TAG = '"v1"'
DATE = "Sat, 21 Nov 2026 12:00:00 GMT"
OLD = "Sat, 21 Nov 2026 11:00:00 GMT"
NEW = Download(WANTED)
LOADING = replace(NEW, phase=Phase.LOADING, descriptor=DESCRIPTOR)
PART = replace(LOADING, offset=40_000, validator=TAG)
WHOLE = replace(PART, phase=Phase.COMPLETE, offset=SIZE)
ENDED = replace(LOADING, phase=Phase.ENDED, end=End.NETWORK)
STATES = (NEW, LOADING, PART, WHOLE, ENDED, replace(ENDED, told=True))


def do(state: Download, *events: Event, policy: Policy = POLICY) -> Move:
    move = Move(state, Action.REST)
    for event in events:
        move = step(move.state, event, policy)
    return move


def ok(**headers: str) -> Answered:
    return Answered(200, {"etag": TAG, **{k.replace("_", "-"): v for k, v in headers.items()}})


def part(
    first: int = 40_000, last: int = SIZE - 1, total: str = str(SIZE), **more: str
) -> Answered:
    headers = {"content-range": f"bytes {first}-{last}/{total}", **more}
    return Answered(206, {name.replace("_", "-"): text for name, text in headers.items()})


def test_from_the_descriptor_to_the_end() -> None:
    move = start(WANTED, POLICY)
    assert (move.action, request(move.state).url) == (Action.FETCH, URL)
    move = step(move.state, Answered(200, {}), POLICY)
    assert move.action is Action.TAKE
    move = step(move.state, Described(DESCRIPTOR.encode(), SIZE), POLICY)
    asked = request(move.state)
    assert (move.action, asked.url) == (Action.FETCH, DESCRIPTOR.object_uri)
    assert "range" not in asked.headers
    assert asked.headers["accept-encoding"] == "identity"
    move = do(move.state, ok(content_length=str(SIZE)), Kept(SIZE - 1))
    assert (move.action, move.state.offset) == (Action.TAKE, SIZE - 1)
    move = step(move.state, Kept(1), POLICY)
    assert move.action is Action.VERIFY
    move = step(move.state, Verified(), POLICY)
    assert (move.action, move.state.end) == (Action.TELL, End.OK)
    move = step(move.state, Told(), POLICY)
    assert (move.action, move.state.end, move.state.told) == (Action.REST, End.OK, True)


def test_it_goes_on_where_it_was_cut() -> None:
    move = step(PART, Failed(End.NETWORK, 0.0), POLICY)
    assert (move.action, move.wait_s) == (Action.FETCH, POLICY.first_s)
    assert request(move.state).headers["range"] == "bytes=40000-"
    assert request(move.state).headers["if-range"] == TAG
    move = do(move.state, part(etag=TAG))
    assert (move.action, move.state.offset, move.state.joined) == (Action.TAKE, 40_000, True)


def test_nothing_is_joined_without_a_strong_validator() -> None:
    assert "range" not in request(replace(PART, validator="")).headers
    for headers in (
        {"etag": 'W/"v1"'},
        {"etag": "v1"},
        {"etag": f'"{"v" * 300}"'},
        {"last-modified": OLD},  # without a date
        {"last-modified": DATE, "date": DATE},
        {"last-modified": "yesterday GMT", "date": DATE},
        {"last-modified": OLD.replace("GMT", "+0000"), "date": DATE},
        {},
    ):
        assert answers.validator_of(headers) == "", headers
    assert answers.validator_of({"last-modified": OLD, "date": DATE}) == OLD
    assert answers.validator_of({"etag": 'W/"v1"', "last-modified": OLD, "date": DATE}) == OLD
    assert answers.validator_of({"etag": '"v1"', "last-modified": OLD, "date": DATE}) == TAG


def test_whoever_ignores_a_range_begins_anew() -> None:
    move = step(PART, ok(), POLICY)
    assert (move.action, move.state.offset, move.state.restarts) == (Action.TAKE, 0, 1)
    changed = step(PART, Answered(200, {"etag": '"v2"'}), POLICY)
    assert (changed.state.offset, changed.state.validator) == (0, '"v2"')


@pytest.mark.parametrize(
    "answer",
    [
        part(39_999),
        part(last=SIZE),
        part(total=str(SIZE + 1)),
        part(etag='"v2"'),
        part(content_encoding="gzip"),
        Answered(206, {}),
        Answered(206, {"content-range": "bytes 40000-/100000"}),
        Answered(206, {"content-type": "multipart/byteranges; boundary=x"}),
        Answered(416, {"content-range": "bytes */30000"}),
    ],
)
def test_another_part_than_the_rest_begins_anew(answer: Answered) -> None:
    move = step(PART, answer, POLICY)
    assert (move.action, move.state.offset, move.state.validator) == (Action.FETCH, 0, "")
    assert "range" not in request(move.state).headers


def test_a_part_of_unknown_whole_is_taken() -> None:
    assert step(PART, part(total="*"), POLICY).action is Action.TAKE
    assert step(PART, part(last=50_000), POLICY).action is Action.TAKE


def test_a_server_that_always_begins_anew_is_given_up() -> None:
    state = PART
    for _ in range(POLICY.restarts):
        state = replace(do(state, ok(), Kept(5_000), Failed(End.NETWORK)).state)
    assert state.end is None
    assert step(state, ok(), POLICY).state.end is End.SERVER
    assert step(state, part(0), POLICY).state.end is End.SERVER


@pytest.mark.parametrize("status", [206, 416, 304, 302, 204, 400, 418, 100])
def test_what_was_not_asked_for_ends_it(status: int) -> None:
    assert step(LOADING, Answered(status, {}), POLICY).state.end is End.SERVER


@pytest.mark.parametrize("state", [NEW, LOADING, PART], ids=["descriptor", "object", "part"])
@pytest.mark.parametrize(
    ("status", "end", "again"),
    [
        (401, End.FORBIDDEN, False),
        (403, End.FORBIDDEN, False),
        (404, End.MISSING, False),
        (410, End.MISSING, False),
        (405, End.SERVER, False),
        (408, End.TIMEOUT, True),
        (429, End.UNAVAILABLE, True),
        (500, End.SERVER, True),
        (503, End.UNAVAILABLE, True),
    ],
)
def test_statuses(state: Download, status: int, end: End, again: bool) -> None:
    answer = Answered(status, {}, 0.0)
    move = step(state, answer, POLICY)
    if not again:
        assert move.state.end is end
        return
    assert (move.action, move.state.end, move.wait_s) == (Action.FETCH, None, POLICY.first_s)
    for _ in range(POLICY.tries - 1):
        assert move.state.end is None
        move = step(move.state, answer, POLICY)
    assert move.state.end is end


@pytest.mark.parametrize(
    ("headers", "asked"),
    [
        ({"retry-after": "120"}, 120.0),
        ({"retry-after": "9" * 30}, 3600.0),
        ({"retry-after": DATE, "date": OLD}, 3600.0),
        ({"retry-after": OLD, "date": DATE}, 0.0),
        ({"retry-after": DATE}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "Sat, 99 Nov 2026 12:00:00 GMT", "date": DATE}, None),
        ({}, None),
    ],
)
def test_retry_after(headers: dict[str, str], asked: float | None) -> None:
    assert answers.retry_after(headers) == asked
    wait = step(PART, Answered(503, headers, 0.0), POLICY).wait_s
    assert wait == max(POLICY.first_s, asked or 0.0)
    assert step(PART, Answered(503, headers, 1.0), POLICY).wait_s >= (asked or 0.0)


def test_waits_double_to_a_bound_and_chance_halves_them() -> None:
    waits = [POLICY.wait(failures, 0.0) for failures in range(1, 40)]
    assert waits[:4] == [5.0, 10.0, 20.0, 40.0]
    assert max(waits) == POLICY.most_s
    assert POLICY.wait(1, 1.0) == 2.5


def test_tries_that_bring_next_to_nothing_end_it() -> None:
    state = PART
    for _ in range(POLICY.tries):
        state = do(state, part(state.offset), Kept(LEAST_OCTETS - 1), Failed(End.TIMEOUT)).state
        if state.end:
            break
    assert state.end is End.TIMEOUT
    good = do(replace(PART, failures=5), Kept(LEAST_OCTETS))
    assert good.state.failures == 0


@pytest.mark.parametrize(
    ("descriptor", "room", "end"),
    [
        (replace(DESCRIPTOR, types=("text/html",)), SIZE, End.BAD_TYPE),
        (replace(DESCRIPTOR, types=("application/zip", "text/html")), SIZE, End.BAD_TYPE),
        (replace(DESCRIPTOR, object_uri="https://elsewhere/o"), SIZE, End.BAD_URL),
        (replace(DESCRIPTOR, object_uri="https://headend/o"), SIZE, End.BAD_URL),
        (replace(DESCRIPTOR, object_uri="http://headend:8443/o"), SIZE, End.BAD_URL),
        (replace(DESCRIPTOR, size=SIZE - 1), SIZE, End.MISMATCH),
        (DESCRIPTOR, SIZE - 1, End.NO_ROOM),
        (DESCRIPTOR, SIZE, None),
    ],
)
def test_what_a_descriptor_may_say(descriptor: Descriptor, room: int, end: End | None) -> None:
    move = step(NEW, Described(descriptor.encode(), room), POLICY)
    assert move.state.end is end
    assert move.action is (Action.TELL if end else Action.FETCH)


def test_what_is_no_descriptor() -> None:
    assert step(NEW, Described(b"x", SIZE), POLICY).state.end is End.BAD_DESCRIPTOR
    newer = DESCRIPTOR.encode().replace(b">1.0<", b">2.0<")
    assert step(NEW, Described(newer, SIZE), POLICY).state.end is End.BAD_VERSION
    packed = Answered(200, {"content-encoding": "gzip"})
    assert step(NEW, packed, POLICY).state.end is End.SERVER
    assert start(replace(WANTED, url="https://elsewhere/dd"), POLICY).state.end is End.BAD_URL
    assert start(replace(WANTED, url="http://headend:8443/dd"), POLICY).action is Action.REST


@pytest.mark.parametrize(
    ("headers", "end"),
    [
        ({"content-length": str(SIZE + 1)}, End.MISMATCH),
        ({"content-length": str(SIZE)}, None),
        ({"content-length": "many"}, None),
        ({"content-type": "text/html"}, End.MISMATCH),
        ({"content-type": "application/ZIP; x=y"}, None),
        ({"content-type": "application/octet-stream"}, None),
        ({"content-encoding": "br"}, End.SERVER),
        ({"content-encoding": "identity"}, None),
    ],
)
def test_a_whole_that_cannot_be_it(headers: dict[str, str], end: End | None) -> None:
    assert step(LOADING, Answered(200, headers), POLICY).state.end is end


@pytest.mark.parametrize("state", [PART, WHOLE])
def test_wrong_octets_of_one_answer_end_it_of_several_begin_anew(state: Download) -> None:
    assert step(state, Refused(End.CORRUPT), POLICY).state.end is End.CORRUPT
    joined = step(replace(state, joined=True), Refused(End.CORRUPT), POLICY)
    assert (joined.action, joined.state.offset, joined.state.phase) == (
        Action.FETCH,
        0,
        Phase.LOADING,
    )


@pytest.mark.parametrize("state", STATES[:4])
def test_stopped(state: Download) -> None:
    move = step(state, Stopped(End.CANCELLED), POLICY)
    assert move.state.end is End.CANCELLED
    assert step(move.state, Stopped(End.ABORTED), POLICY).state.end is End.CANCELLED


def test_a_status_is_told_some_times_and_nowhere_else() -> None:
    move = step(PART, Stopped(End.CANCELLED), POLICY)
    for _ in range(TELL_TRIES):
        assert move.action is Action.TELL
        move = step(move.state, Failed(End.NETWORK), POLICY)
    assert (move.action, move.state.told) == (Action.REST, True)
    for uri in (None, "https://elsewhere/told", "http://headend:8443/told"):
        silent = replace(PART, descriptor=replace(DESCRIPTOR, install_notify_uri=uri))
        assert step(silent, Stopped(End.CANCELLED), POLICY).action is Action.REST


@pytest.mark.parametrize(
    ("state", "found", "action", "offset"),
    [
        (NEW, 0, Action.FETCH, 0),
        (PART, 40_000, Action.FETCH, 40_000),
        (PART, 50_000, Action.FETCH, 40_000),
        (PART, 30_000, Action.FETCH, 30_000),
        (WHOLE, SIZE, Action.VERIFY, SIZE),
        (WHOLE, 1, Action.FETCH, 1),
        (replace(WHOLE, phase=Phase.LOADING), SIZE, Action.VERIFY, SIZE),
        (ENDED, 0, Action.TELL, 0),
        (replace(ENDED, told=True), 0, Action.REST, 0),
    ],
)
def test_after_a_restart(state: Download, found: int, action: Action, offset: int) -> None:
    move = resume(state, found, POLICY)
    assert (move.action, move.state.offset) == (action, offset)


@pytest.mark.parametrize("state", [NEW, PART, WHOLE])
def test_a_device_that_moved_to_another_head_end_asks_the_old_one_no_more(state: Download) -> None:
    elsewhere = replace(POLICY, origins=frozenset({"elsewhere:443"}))
    move = resume(state, state.offset, elsewhere)
    assert (move.action, move.state.end) == (Action.REST, End.BAD_URL)


EVENTS: tuple[Event, ...] = (
    Found(0), Answered(200, {}), Described(b"", 0), Kept(1), Failed(End.NETWORK), Verified(),
    Refused(End.CORRUPT), Stopped(End.CANCELLED), Told(),
)  # fmt: skip
LEGAL = {
    Phase.DESCRIBING: {Found, Answered, Described, Failed, Stopped},
    Phase.LOADING: {Found, Answered, Kept, Failed, Refused, Stopped},
    Phase.COMPLETE: {Found, Verified, Refused, Stopped},
    Phase.ENDED: {Found, Stopped, Told, Failed},
}


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
@pytest.mark.parametrize("state", [NEW, PART, WHOLE, ENDED], ids=lambda state: state.phase.name)
def test_each_event_has_its_phases(state: Download, event: Event) -> None:
    if type(event) in LEGAL[state.phase]:
        assert step(state, event, POLICY).state.wanted is WANTED
    else:
        with pytest.raises(LocalProtocolError):
            step(state, event, POLICY)


def test_bugs_of_the_caller() -> None:
    with pytest.raises(LocalProtocolError):
        step(PART, Kept(SIZE), POLICY)
    with pytest.raises(LocalProtocolError):
        request(WHOLE)
    with pytest.raises(LocalProtocolError):
        request(replace(NEW, phase=Phase.LOADING))


@pytest.mark.parametrize("state", STATES)
def test_states_both_ways(state: Download) -> None:
    octets = state.encode()
    assert Download.decode(octets) == state
    for size in range(len(octets)):
        with pytest.raises(DecodeError):
            Download.decode(octets[:size])
    with pytest.raises(DecodeError):
        Download.decode(octets + b"\0")


@pytest.mark.parametrize(
    "state",
    [
        replace(PART, descriptor=None),
        replace(PART, end=End.OK),
        replace(ENDED, end=None),
        replace(PART, offset=SIZE + 1),
        replace(WHOLE, offset=1),
    ],
)
def test_a_state_that_cannot_be_is_none(state: Download) -> None:
    with pytest.raises(DecodeError):
        Download.decode(state.encode())


@given(st.sampled_from(STATES), st.integers(0), st.integers(0, 255))
def test_a_damaged_state_is_another_or_none(state: Download, place: int, octet: int) -> None:
    octets = bytearray(state.encode())
    octets[place % len(octets)] = octet
    try:
        found = Download.decode(bytes(octets))
    except DecodeError:
        return
    assert found.offset <= found.wanted.size


@dataclass
class World:
    """A server with one file at a time, which does what it likes."""

    right: bytes
    file: bytes
    tag: str = TAG

    def answer(self, headers: dict[str, str], whim: str) -> tuple[Answered, bytes]:
        if whim == "busy":
            return Answered(503, {"retry-after": "1"}), b""
        if whim == "changes":
            self.file, self.tag = self.file[::-1], f'"{len(self.tag)}{self.tag[1:-1]}"'
        if whim == "changes unseen":
            self.file = self.file[::-1]
        if whim == "comes to itself":
            self.file = self.right
        first = int(headers.get("range", "bytes=0-")[6:-1])
        if not first or whim == "ignores" or headers["if-range"] != self.tag:
            return ok(etag=self.tag), self.file
        span = f"bytes {first}-{len(self.file) - 1}/{len(self.file)}"
        return Answered(206, {"content-range": span, "etag": self.tag}), self.file[first:]


WHIMS = ("busy", "changes", "changes unseen", "comes to itself", "ignores", "", "", "")


@settings(max_examples=150)
@given(st.data())
def test_a_download_ends_and_only_with_the_right_file_well(data: st.DataObject) -> None:
    """Whatever the server does, wherever it is cut, however often the device starts again."""
    right = bytes(range(256)) * 40
    world = World(right, data.draw(st.sampled_from([right, right[::-1]])))
    wanted = replace(WANTED, size=len(right))
    described = replace(DESCRIPTOR, size=len(right)).encode()
    move = do(start(wanted, POLICY).state, Described(described, len(right)))
    disk = bytearray()
    for _ in range(2_000):
        if data.draw(st.integers(0, 9)) == 0:
            disk += b"torn" if data.draw(st.booleans()) else b""
            move = resume(Download.decode(move.state.encode()), len(disk), POLICY)
            del disk[move.state.offset :]
        if move.action is Action.VERIFY:
            move = do(move.state, Verified() if disk == right else Refused(End.CORRUPT))
        if move.action is not Action.FETCH:
            break
        headers = dict(request(move.state).headers)
        answer, body = world.answer(headers, data.draw(st.sampled_from(WHIMS)))
        move = do(move.state, answer)
        if move.action is not Action.TAKE:
            continue
        del disk[move.state.offset :]
        assert len(disk) == move.state.offset
        came = body[: data.draw(st.sampled_from([0, 100, 3_000, len(body)]))]
        disk += came
        move = do(move.state, Kept(len(came))) if came else move
        if move.action is Action.TAKE:
            move = do(move.state, Failed(End.NETWORK))
    assert move.state.end is not None
    assert (move.state.end is End.OK) is (disk == right and move.state.offset == len(right))


def test_a_bucket_gives_a_second_at_once_and_the_rate_then() -> None:
    bucket = Bucket(1000, now=0.0)
    assert bucket.take(1000, now=0.0) == 0.0
    assert bucket.take(500, now=0.0) == 0.5
    assert bucket.take(500, now=0.5) == 0.5
    assert bucket.take(0, now=100.0) == 0.0
    assert bucket.take(2000, now=100.0) == 1.0
    assert bucket.take(0, now=50.0) == 1.0, "a clock that goes back gives nothing"


@given(st.lists(st.tuples(st.integers(0, 5_000), st.floats(0, 10)), max_size=50))
def test_no_more_than_the_rate_comes(pieces: list[tuple[int, float]]) -> None:
    now = total = 0.0
    bucket = Bucket(1000, now=now)
    for octets, pause in pieces:
        total += octets
        now += bucket.take(octets, now=now)
        assert total <= 1000 * (now + 1) + 1e-3
        now += pause


def test_a_pulse_stops_who_crawls() -> None:
    pulse = Pulse()
    assert pulse.hear(LEAST_OCTETS, WINDOW_S)
    assert pulse.hear(LEAST_OCTETS - 1, WINDOW_S / 2)
    assert pulse.hear(1, WINDOW_S / 2)
    assert pulse.hear(1, WINDOW_S / 2)
    assert not pulse.hear(1, WINDOW_S / 2)
