"""What is kept of events, and what a look at the registry finds for their targets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from openami.fleet.demand.machine import EventState
    from openami.fleet.demand.model import Event, Notice
    from openami.fleet.demand.standing import News, Standing
    from openami.fleet.devices import MeterProtocol


@dataclass(frozen=True, slots=True)
class EventRecord:
    """An event and how far it is.

    Attributes:
        key: given by the store; later ones are greater.
        created: when it was drafted, UTC seconds of the machine; ``who`` by.
        published: when, of the meters' clock; None: not yet.
        ended: when it was completed or cancelled, of the meters' clock.
        meters: how many its targets named when it was published.
    """

    key: int
    event: Event
    state: EventState
    created: float
    who: str
    published: float | None = None
    ended: float | None = None
    meters: int = 0


@dataclass(frozen=True, slots=True)
class NoticeRecord:
    """A notice, who wrote it and whether it was taken back."""

    key: int
    notice: Notice
    who: str
    withdrawn: bool = False


@dataclass(frozen=True, slots=True)
class Reach:
    """Whom targets concern.

    Attributes:
        meters: how many are named that are not retired, also those that no DCU looks after.
        dcus: of the meters; None: all there are.
    """

    meters: int
    dcus: frozenset[str] | None


@dataclass(frozen=True, slots=True)
class MeterNews:
    """News of an event, by its key, at a meter."""

    event: int
    meter: str
    news: News


@dataclass(frozen=True, slots=True)
class MeterStanding:
    """How an event stands at a meter."""

    meter: str
    standing: Standing


@dataclass(frozen=True, slots=True)
class Unheard:
    """A meter that an event is for and of which nothing was heard, and who speaks to it."""

    meter: str
    dcu: str | None
    protocol: MeterProtocol


@dataclass(frozen=True, slots=True)
class DisplayOrder:
    """An order that a meter forgets the displays of a household that moved out; it is not done.

    Attributes:
        id: its name.
        meter: serial number.
        due: when the household moved out, of the meters' clock.
        dcu: looks after the meter; None: no DCU does, so nobody can have it done.
        refused: when the meter last refused it, of the meters' clock; None: it has not.
        code: of the refusal.
        reason: the same in words.
    """

    id: str
    meter: str
    due: float
    dcu: str | None
    refused: float | None = None
    code: str | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Behind:
    """The meters of a DCU as targets see them: their serial numbers and regions."""

    dcu: str
    meters: Sequence[tuple[str, str]]
