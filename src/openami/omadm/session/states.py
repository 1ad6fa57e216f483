"""The states of both ends (OMA-TS-DM_Protocol 1.2, clause 8).

A client is AWAITING whenever a message is out: it has one at a time, and makes the next from the
answer. Nothing is READY without having been MADE, so a timer can only repeat. A server is OPENING
until the device has proved who it is; before that, no order leaves it. CLOSED is for good.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from openami.core.errors import LocalProtocolError

if TYPE_CHECKING:
    from collections.abc import Mapping

S = TypeVar("S", bound=Enum)
T = TypeVar("T", bound=Enum)


class ClientState(Enum):
    """Where a client's session is."""

    IDLE = auto()
    READY = auto()
    AWAITING = auto()
    CLOSED = auto()


class ClientStep(Enum):
    """What moves a client's session."""

    MADE = auto()
    SENT = auto()
    ENDED = auto()


class ServerState(Enum):
    """Where a server's session is."""

    OPENING = auto()
    MANAGING = auto()
    CLOSED = auto()


class ServerStep(Enum):
    """What moves a server's session."""

    TRUSTED = auto()
    ENDED = auto()


@dataclass(frozen=True, slots=True)
class Table(Generic[S, T]):
    """Which state follows which by what step."""

    rows: Mapping[tuple[S, T], S]

    def after(self, state: S, step: T) -> S:
        """Return the next state.

        Raises:
            LocalProtocolError: the step is not legal in this state.
        """
        following = self.rows.get((state, step))
        if following is None:
            raise LocalProtocolError(f"{step.name} while {state.name}")
        return following


CLIENT: Final = Table(
    MappingProxyType(
        {
            (ClientState.IDLE, ClientStep.MADE): ClientState.READY,
            (ClientState.READY, ClientStep.SENT): ClientState.AWAITING,
            (ClientState.AWAITING, ClientStep.MADE): ClientState.READY,
            (ClientState.AWAITING, ClientStep.ENDED): ClientState.CLOSED,
            (ClientState.READY, ClientStep.ENDED): ClientState.CLOSED,
        }
    )
)
SERVER: Final = Table(
    MappingProxyType(
        {
            (ServerState.OPENING, ServerStep.TRUSTED): ServerState.MANAGING,
            (ServerState.MANAGING, ServerStep.TRUSTED): ServerState.MANAGING,
            (ServerState.OPENING, ServerStep.ENDED): ServerState.CLOSED,
            (ServerState.MANAGING, ServerStep.ENDED): ServerState.CLOSED,
        }
    )
)
