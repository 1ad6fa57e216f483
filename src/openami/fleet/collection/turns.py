"""What a line is told and what it tells: moments, turns, how they came out, and its policy."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class Moment:
    """Now, by two clocks, in seconds: ``wall`` is UTC and may jump, ``tick`` only goes on."""

    wall: float
    tick: float


@dataclass(frozen=True, slots=True)
class Policy:
    """How a line is shared.

    Attributes:
        backoff_first_s: how long a meter is left alone after its first failure.
        backoff_most_s: the most it is left alone, however often it failed.
        unreachable_after: failures in a row after which a meter is called unreachable.
        demand_burst: on-demand reads in a row before a due visit gets its turn.
        visits_per_probe: visits between two probes while meters are due.
        probe_rest_s: rest between two probes once the first rounds are over.
        eager_rounds: rounds over all addresses without a rest: an answer may have been lost.
    """

    backoff_first_s: float = 30.0
    backoff_most_s: float = 3600.0
    unreachable_after: int = 3
    demand_burst: int = 4
    visits_per_probe: int = 2
    probe_rest_s: float = 30.0
    eager_rounds: int = 2

    def __post_init__(self) -> None:
        if not 0 < self.backoff_first_s <= self.backoff_most_s:
            raise ValueError("the first backoff is more than 0 and at most the longest")
        if (
            min(self.unreachable_after, self.demand_burst, self.visits_per_probe, self.eager_rounds)
            < 1
        ):
            raise ValueError("a policy's counts are at least 1")


class MeterStatus(StrEnum):
    """What a report says of a meter."""

    DISCOVERED = "discovered"
    READING = "reading"
    OK = "ok"
    UNREACHABLE = "unreachable"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Visit:
    """Associate with this meter and read these subjects; ``jobs`` are on-demand reads."""

    serial: str
    address: int
    subjects: tuple[str, ...]
    jobs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Probe:
    """See whether a meter answers at this address."""

    address: int


@dataclass(frozen=True, slots=True)
class Rest:
    """Nothing to do until the first of these moments, or until something is told."""

    wall: float | None = None
    tick: float | None = None


Step = Visit | Probe | Rest


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one subject of a visit came out.

    Attributes:
        cursor: time of the last entry now kept; None leaves it as it was.
        again: when the subject wants another visit before it is due (concentrator's time).
    """

    cursor: int | None = None
    again: float | None = None
