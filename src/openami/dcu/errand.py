"""What a visit to a meter is for, and what comes of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, Protocol

from openami.core.errors import OpenAmiError, SecurityError
from openami.dcu.batches import Harvest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from openami.dcu.discovery import Greeting
    from openami.dcu.headend import Credentials, Work
    from openami.dcu.known import KnownMeter
    from openami.dcu.roster import Station
    from openami.fleet.collection import Outcome
    from openami.transport.session import DlmsSession


class Shown(NamedTuple):
    """A meter's clock: local time to UTC in minutes, whether it is summer time, how far ahead."""

    deviation: int
    dst: bool
    offset_s: float


class Carrier(Protocol):
    """Carries something to a meter while an association with it is open."""

    @property
    def urgent(self) -> bool:
        """Whether it goes before anything is read."""
        ...

    async def carry(self, session: DlmsSession, shown: Shown) -> None:
        """Do it.

        Raises:
            OpenAmiError: the line, the meter or the disk failed; the visit ends with it.
        """


class ReplacedError(OpenAmiError):
    """Another meter answers at the address."""

    code = "meter.replaced"

    def __init__(self, greeting: Greeting | None) -> None:
        super().__init__("another meter answers at this address")
        self.greeting = greeting


class RefusedError(SecurityError):
    """The meter answers, and does not let us in."""

    code = "meter.refused"


@dataclass(frozen=True, slots=True)
class Errand:
    """What a visit is for.

    Attributes:
        station: the meter; its counters are prepared.
        credentials: what opens it.
        subjects: what is due.
        jobs: on-demand reads.
        carrier: what is carried to the meter, besides.
    """

    station: Station
    credentials: Credentials
    subjects: Sequence[str]
    jobs: Sequence[Work] = ()
    carrier: Carrier | None = None


@dataclass(slots=True)
class Report:
    """What came of a visit, good up to where it ended.

    Attributes:
        meter: as it is known now.
        harvest: what was read.
        outcomes: of each subject that was dealt with.
        offset_s: how far ahead the meter's clock is; None: not known.
        fault: what went wrong with a part of it: code and message.
    """

    meter: KnownMeter
    harvest: Harvest = field(default_factory=Harvest)
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    offset_s: float | None = None
    fault: tuple[str, str] | None = None
