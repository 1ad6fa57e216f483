"""Where a client stands, and what moves it."""

from __future__ import annotations

from enum import Enum, auto
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping


class State(Enum):
    """Where the client stands."""

    IDLE = auto()
    CONNECTING = auto()
    ASSOCIATING = auto()
    PROVING = auto()
    READY = auto()
    REQUESTING = auto()
    RELEASING = auto()
    DISCONNECTING = auto()
    CLOSED = auto()


class Step(Enum):
    """What moves it."""

    OPEN = auto()
    LINK = auto()
    CHALLENGE = auto()
    ACCEPT = auto()
    REQUEST = auto()
    ANSWER = auto()
    RELEASE = auto()
    DISCONNECT = auto()
    END = auto()


# Green Book 9.4.1, client side. A client opens once; everything that goes wrong disconnects.
TRANSITIONS: Final[Mapping[tuple[State, Step], State]] = {
    (State.IDLE, Step.OPEN): State.CONNECTING,
    (State.CONNECTING, Step.LINK): State.ASSOCIATING,
    (State.ASSOCIATING, Step.ACCEPT): State.READY,
    (State.ASSOCIATING, Step.CHALLENGE): State.PROVING,
    (State.PROVING, Step.ACCEPT): State.READY,
    (State.READY, Step.REQUEST): State.REQUESTING,
    (State.REQUESTING, Step.ANSWER): State.READY,
    (State.READY, Step.RELEASE): State.RELEASING,
    **{
        (state, Step.DISCONNECT): State.DISCONNECTING
        for state in State
        if state not in (State.IDLE, State.DISCONNECTING, State.CLOSED)
    },
    **{(state, Step.END): State.CLOSED for state in State if state is not State.CLOSED},
}
