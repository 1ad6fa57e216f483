"""What becomes of a download: ``step`` takes the state and what happened, and says what to do.

::

                 Described            Kept (the last)         Verified
    DESCRIBING ────────────► LOADING ───────────────► COMPLETE ───────► ENDED
        │                     │ ▲  ▲                   │  │              ▲
        │                     └─┘  └───────────────────┘  │              │
        │       Answered, Failed    Found, Refused: anew  │ Refused      │
        └───────────────────────────── refused, given up ─┴──────────────┘

The caller makes each state durable before it does what ``Move.action`` says, and octets durable
before it reports them as ``Kept``; so a cut at any point repeats at most what was under way.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum, auto
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from openami.core.backoff import backoff
from openami.core.errors import DecodeError, LocalProtocolError
from openami.omadm.download import answers
from openami.omadm.download.descriptor import MEDIA_TYPE, WRONG_VERSION, Descriptor, origin_of
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
from openami.omadm.download.pace import LEAST_OCTETS
from openami.omadm.download.state import Download, Phase

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from openami.omadm.download.answers import Refusal
    from openami.omadm.download.events import Event
    from openami.omadm.download.state import Wanted

TELL_TRIES: Final = 3
"""How often the status is posted: it is a courtesy, for results go by alerts."""


@dataclass(frozen=True, slots=True)
class Policy:
    """What a device accepts, and how long it tries.

    Attributes:
        origins: where it fetches from, and tells, as ``descriptor.origin_of`` names them.
        types: the media types that it can use.
        first_s: the wait after one failure; it doubles.
        most_s: the longest wait.
        tries: failures in a row that end it.
        restarts: how often it begins anew.
    """

    origins: frozenset[str]
    types: frozenset[str]
    first_s: float = 5.0
    most_s: float = 1800.0
    tries: int = 16
    restarts: int = 8

    def wait(self, failures: int, chance: float) -> float:
        """Return the seconds after so many failures; chance takes off up to a half."""
        return backoff(failures, first=self.first_s, most=self.most_s, jitter=chance)


class Action(Enum):
    """What the caller does next."""

    FETCH = auto()
    """Send ``request`` and report ``Answered`` or ``Failed``."""
    TAKE = auto()
    """Read the answer's body: the descriptor, or the object from ``offset`` on."""
    VERIFY = auto()
    """Check the object, and report ``Verified`` or ``Refused``."""
    TELL = auto()
    """Post the status of ``end``, and report ``Told`` or ``Failed``."""
    REST = auto()
    """Nothing."""


@dataclass(frozen=True, slots=True)
class Move:
    """The next state, what to do in it, and how many seconds to wait before."""

    state: Download
    action: Action
    wait_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Request:
    """A GET that is to be sent."""

    url: str
    headers: Mapping[str, str]


def start(wanted: Wanted, policy: Policy) -> Move:
    """Return how a download begins."""
    state = Download(wanted)
    if origin_of(wanted.url) not in policy.origins:
        return _ended(state, End.BAD_URL, policy)
    return Move(state, Action.FETCH)


def resume(state: Download, octets: int, policy: Policy) -> Move:
    """Return how a download goes on that was kept, and has so many octets on the disk."""
    uris = [state.wanted.url, *([state.descriptor.object_uri] if state.descriptor else ())]
    if state.end is None and not {origin_of(uri) for uri in uris} <= policy.origins:
        return _ended(state, End.BAD_URL, policy)  # the device has another head-end by now
    return step(state, Found(octets), policy)


def request(state: Download) -> Request:
    """Return what ``Action.FETCH`` asks for.

    Raises:
        LocalProtocolError: nothing is.
    """
    if state.phase is Phase.DESCRIBING:
        return Request(state.wanted.url, {"accept": MEDIA_TYPE, **_PLAIN})
    if state.phase is not Phase.LOADING:
        raise LocalProtocolError("nothing is to be fetched")
    headers = {"accept": ", ".join((*_described(state).types, "*/*;q=0.1")), **_PLAIN}
    if _asked_for_part(state):  # 13.1.5: nothing may be joined without one
        headers |= {"range": f"bytes={state.offset}-", "if-range": state.validator}
    return Request(_described(state).object_uri, headers)


_PLAIN: Final = MappingProxyType({"accept-encoding": "identity"})


def step(state: Download, event: Event, policy: Policy) -> Move:
    """Return what follows from an event.

    Raises:
        LocalProtocolError: it cannot be in this state.
    """
    handler = _TABLE.get((state.phase, type(event)))
    if handler is None:
        raise LocalProtocolError(f"{type(event).__name__} has no place in {state.phase.name}")
    return handler(state, event, policy)


def _found_nothing(state: Download, _event: Found, _policy: Policy) -> Move:
    return Move(state, Action.FETCH)


def _found(state: Download, event: Found, _policy: Policy) -> Move:
    """Octets beyond ``offset`` are a torn tail: nobody said that they were durable."""
    offset = min(state.offset, event.octets)
    if offset == state.wanted.size:
        return Move(replace(state, phase=Phase.COMPLETE), Action.VERIFY)
    return Move(replace(state, phase=Phase.LOADING, offset=offset), Action.FETCH)


def _found_end(state: Download, _event: Found, policy: Policy) -> Move:
    return _at_end(state, policy)


def _descriptor_answered(state: Download, event: Answered, policy: Policy) -> Move:
    if event.status != answers.OK:
        return _turned_away(state, event, answers.refusal(event.status), policy)
    if not answers.is_plain(event.headers):
        return _ended(state, End.SERVER, policy)
    return Move(state, Action.TAKE)


def _described_as(state: Download, event: Described, policy: Policy) -> Move:
    try:
        descriptor = Descriptor.decode(event.octets)
    except DecodeError as error:
        end = End.BAD_VERSION if error.code == WRONG_VERSION else End.BAD_DESCRIPTOR
        return _ended(state, end, policy)
    state = replace(state, descriptor=descriptor)
    checks = (
        (End.BAD_TYPE, set(descriptor.types) <= policy.types),
        (End.BAD_URL, origin_of(descriptor.object_uri) in policy.origins),
        (End.MISMATCH, descriptor.size == state.wanted.size),
        (End.NO_ROOM, descriptor.size <= event.room),
    )
    wrong = next((end for end, good in checks if not good), None)
    if wrong is not None:
        return _ended(state, wrong, policy)
    return Move(replace(state, phase=Phase.LOADING, failures=0), Action.FETCH)


def _object_answered(state: Download, event: Answered, policy: Policy) -> Move:
    handler = _ANSWERS.get(event.status)
    if handler is None or (event.status != answers.OK and not _asked_for_part(state)):
        return _turned_away(state, event, answers.refusal(event.status), policy)
    return handler(state, event, policy)


def _whole(state: Download, event: Answered, policy: Policy) -> Move:
    """200: the file from its beginning, whatever was asked for (14.2, 13.1.5)."""
    length = answers.length_of(event.headers)
    if not answers.is_plain(event.headers):
        return _ended(state, End.SERVER, policy)
    sized = length is None or length == state.wanted.size
    if not sized or not answers.fits_types(event.headers, _described(state).types):
        return _ended(state, End.MISMATCH, policy)
    move = _anew(state, policy) if state.offset else Move(state, Action.FETCH)
    if move.state.phase is Phase.ENDED:
        return move
    validator = answers.validator_of(event.headers)
    return Move(replace(move.state, validator=validator, joined=False), Action.TAKE)


def _part(state: Download, event: Answered, policy: Policy) -> Move:
    """206: the rest of the same file (15.3.7), or another range, or of another file: anew."""
    got = answers.content_range(event.headers)
    validator = answers.validator_of(event.headers)
    same = validator in {"", state.validator}
    if got is None or not same or not answers.is_plain(event.headers):
        return _anew(state, policy)
    if got.first != state.offset or got.last >= state.wanted.size:
        return _anew(state, policy)
    if got.total not in {None, state.wanted.size}:
        return _anew(state, policy)
    return Move(replace(state, joined=True), Action.TAKE)


def _beyond(state: Download, _event: Answered, policy: Policy) -> Move:
    """416: the server's file ends before what we have (15.5.17)."""
    return _anew(state, policy)


def _asked_for_part(state: Download) -> bool:
    return bool(state.offset and state.validator)


def _kept(state: Download, event: Kept, _policy: Policy) -> Move:
    offset = state.offset + event.octets
    if offset > state.wanted.size:
        raise LocalProtocolError("more octets than the object has")
    whole = offset == state.wanted.size
    # A try that brings next to nothing is one of those that end it.
    failures = 0 if whole or event.octets >= LEAST_OCTETS else state.failures
    phase = Phase.COMPLETE if whole else Phase.LOADING
    action = Action.VERIFY if whole else Action.TAKE
    return Move(replace(state, offset=offset, phase=phase, failures=failures), action)


def _verified(state: Download, _event: Verified, policy: Policy) -> Move:
    return _ended(state, End.OK, policy)


def _refused(state: Download, event: Refused, policy: Policy) -> Move:
    """Wrong octets of several answers may be a file that changed under an old validator."""
    return _anew(state, policy) if state.joined else _ended(state, event.end, policy)


def _failed(state: Download, event: Failed, policy: Policy) -> Move:
    return _again(state, event.end, event.chance, 0.0, policy)


def _stopped(state: Download, event: Stopped, policy: Policy) -> Move:
    return _ended(state, event.end, policy)


def _stopped_late(state: Download, _event: Stopped, policy: Policy) -> Move:
    return _at_end(state, policy)


def _told(state: Download, _event: Told, _policy: Policy) -> Move:
    return Move(replace(state, told=True), Action.REST)


def _not_told(state: Download, event: Failed, policy: Policy) -> Move:
    failures = state.failures + 1
    told = failures >= TELL_TRIES
    wait = 0.0 if told else policy.wait(failures, event.chance)
    return _at_end(replace(state, failures=failures, told=told), policy, wait)


def _turned_away(state: Download, event: Answered, refusal: Refusal, policy: Policy) -> Move:
    if not refusal.again:
        return _ended(state, refusal.end, policy)
    asked = answers.retry_after(event.headers) or 0.0
    return _again(state, refusal.end, event.chance, asked, policy)


def _again(state: Download, end: End, chance: float, asked: float, policy: Policy) -> Move:
    failures = state.failures + 1
    if failures >= policy.tries:
        return _ended(state, end, policy)
    # What many were asked to wait, they do not wait exactly: they would come back together.
    wait = max(policy.wait(failures, chance), asked * (1 + chance / 4))
    return Move(replace(state, failures=failures), Action.FETCH, wait)


def _anew(state: Download, policy: Policy) -> Move:
    """Throw away what is here; a server that makes us do that for ever is broken."""
    if state.restarts >= policy.restarts:
        return _ended(state, End.SERVER, policy)
    fresh = replace(
        state,
        phase=Phase.LOADING,
        offset=0,
        validator="",
        joined=False,
        restarts=state.restarts + 1,
    )
    return Move(fresh, Action.FETCH)


def _ended(state: Download, end: End, policy: Policy) -> Move:
    return _at_end(replace(state, phase=Phase.ENDED, end=end, failures=0), policy)


def _at_end(state: Download, policy: Policy, wait_s: float = 0.0) -> Move:
    """Go to the end; a status is told nowhere but where the device also fetches from."""
    uri = None if state.descriptor is None else state.descriptor.install_notify_uri
    if state.told or uri is None or origin_of(uri) not in policy.origins:
        return Move(replace(state, told=True), Action.REST)
    return Move(state, Action.TELL, wait_s)


def _described(state: Download) -> Descriptor:
    if state.descriptor is None:
        raise LocalProtocolError("no descriptor has come")
    return state.descriptor


_ANSWERS: Final[Mapping[int, Callable[[Download, Answered, Policy], Move]]] = MappingProxyType(
    {answers.OK: _whole, answers.PARTIAL: _part, answers.NOT_SATISFIABLE: _beyond}
)
_OPEN: Final = (Phase.DESCRIBING, Phase.LOADING, Phase.COMPLETE)
_Handler: TypeAlias = "Callable[[Download, Any, Policy], Move]"  # Any: the event of its key
_TABLE: Final[Mapping[tuple[Phase, type[Event]], _Handler]] = MappingProxyType(
    {
        (Phase.DESCRIBING, Found): _found_nothing,
        (Phase.DESCRIBING, Answered): _descriptor_answered,
        (Phase.DESCRIBING, Described): _described_as,
        (Phase.DESCRIBING, Failed): _failed,
        (Phase.LOADING, Found): _found,
        (Phase.LOADING, Answered): _object_answered,
        (Phase.LOADING, Kept): _kept,
        (Phase.LOADING, Failed): _failed,
        (Phase.LOADING, Refused): _refused,
        (Phase.COMPLETE, Found): _found,
        (Phase.COMPLETE, Verified): _verified,
        (Phase.COMPLETE, Refused): _refused,
        (Phase.ENDED, Found): _found_end,
        (Phase.ENDED, Stopped): _stopped_late,
        (Phase.ENDED, Told): _told,
        (Phase.ENDED, Failed): _not_told,
        **{(phase, Stopped): _stopped for phase in _OPEN},
    }
)
