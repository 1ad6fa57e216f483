"""Where a client's link stands, what moves it, and how long it waits."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from openami.dlms.hdlc.frame import FrameKind

# A frame that is still coming in extends the wait, noise that never ends must not.
_LONGEST_WAIT: Final = 10


class State(StrEnum):
    """Where the link stands."""

    DOWN = "down"
    CONNECTING = "connecting"
    IDLE = "idle"
    AWAITING = "awaiting"
    PAUSED = "paused"
    RELEASING = "releasing"


class Step(StrEnum):
    """What moves it."""

    CONNECT = "connect"
    ACCEPTED = "accepted"
    SEND = "send"
    ANSWERED = "answered"
    PAUSE = "pause"
    POLL = "poll"
    RELEASE = "release"
    LOST = "lost"


_UP: Final = (State.IDLE, State.AWAITING, State.PAUSED)

TRANSITIONS: Final[Mapping[tuple[State, Step], State]] = {
    (State.DOWN, Step.CONNECT): State.CONNECTING,
    (State.CONNECTING, Step.ACCEPTED): State.IDLE,
    (State.IDLE, Step.SEND): State.AWAITING,
    (State.AWAITING, Step.ANSWERED): State.IDLE,
    (State.AWAITING, Step.PAUSE): State.PAUSED,
    (State.PAUSED, Step.POLL): State.AWAITING,
    **{(state, Step.RELEASE): State.RELEASING for state in (State.CONNECTING, *_UP)},
    **{(state, Step.LOST): State.DOWN for state in State if state is not State.DOWN},
}


def when_up(kind: FrameKind) -> list[tuple[State, FrameKind]]:
    """Return the places in a table where a frame of ``kind`` finds the link standing."""
    return [(state, kind) for state in _UP]


@dataclass(slots=True)
class Turn:
    """What came since we last spoke."""

    by_rr: bool = False  # we spoke with RR, not with I frames
    progress: bool = False  # something was acknowledged or taken
    data: bool = False  # an I frame came, in sequence or not
    busy: bool = False  # RNR came


class Patience:
    """How long to wait, and how often to try again.

    Args:
        retries: tries without progress before it is over.
        seconds: how long an answer may take.
    """

    def __init__(self, retries: int, seconds: float) -> None:
        self._retries = retries
        self._seconds = seconds
        self._attempts = 0
        self._cap = 0.0
        self.deadline: float | None = None
        self.progress_at = 0.0

    def wait(self, now: float, seconds: float | None = None) -> None:
        """Wait from now, for an answer or for so long."""
        seconds = self._seconds if seconds is None else seconds
        self.deadline = now + seconds
        self._cap = now + seconds * _LONGEST_WAIT

    def extend(self, now: float) -> None:
        """Wait anew, since more is coming in; but not without end."""
        if self.deadline is not None:
            self.deadline = max(self.deadline, min(now + self._seconds, self._cap))

    def rest(self) -> None:
        """Wait for nothing."""
        self.deadline = None

    def progress(self, now: float) -> None:
        """Take note that something got through, and wait anew."""
        self._attempts = 0
        self.progress_at = now
        self.wait(now)

    def again(self) -> bool:
        """Count a try; return whether there was one left."""
        self._attempts += 1
        return self._attempts <= self._retries
