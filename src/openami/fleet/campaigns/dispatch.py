"""Which DCU is given a step next: one queue per step of a campaign.

              ┌──────────── rest is over ─────────────┐
              ▼                                       │
    idle ──► queued ──give──► given ──failed, silent──► resting
              ▲                 │ └──failed too often──► spent
              └──── open ───────┴──settle──► done

DCUs wait by segment of the network, in the plan's order. A segment without room is looked at again
when something in it ends; what is done is a matter of what is given, not of how many wait.
"""

from __future__ import annotations

import heapq
from array import array
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Final

from openami.fleet.campaigns.allowance import Full

if TYPE_CHECKING:
    from collections.abc import Iterable

    from openami.fleet.campaigns.allowance import Allowance
    from openami.fleet.campaigns.model import Budget, Retry
    from openami.fleet.campaigns.plan import Plan
    from openami.fleet.campaigns.sites import Sites

_MASK: Final = 2**64 - 1
LINK_REST_S: Final = 60.0
"""After this a DCU that is busy with another campaign is looked at again."""


class Place(IntEnum):
    """Where a DCU is in the queue of a step."""

    IDLE = 0
    QUEUED = 1
    GIVEN = 2
    RESTING = 3
    DONE = 4
    SPENT = 5


@dataclass(frozen=True, slots=True)
class Grant:
    """A DCU may take a step.

    Attributes:
        row: of the DCU in the plan.
        attempt: its number, from 1; never given twice.
        rate: octets a second that it may take; 0: none are needed.
        begin: not before this: its place in the jitter.
        until: when it is given up if nothing is heard.
    """

    row: int
    attempt: int
    rate: int
    begin: float
    until: float


@dataclass(frozen=True, slots=True)
class Position:
    """Where a DCU is in a queue, as it is kept in a store.

    Attributes:
        attempt: the last one.
        failures: in a row.
        due: when the rest or the lease is over.
        ends: when what was given is over at the latest.
        rate: that is reserved.
        code: of the last failure.
    """

    row: int
    place: Place
    attempt: int = 0
    failures: int = 0
    due: float = 0.0
    ends: float = 0.0
    rate: int = 0
    code: str | None = None


class Queue:
    """The queue of one step of a campaign.

    Args:
        sites: the DCUs.
        plan: their order.
        allowance: what is reserved, here and by others.
        budget: what may be reserved.
        retry: what is done about failures.
        jitter_s: what is given at one time begins within this time.
        carries: whether the step takes anything of the links' rates.
    """

    def __init__(
        self,
        sites: Sites,
        plan: Plan,
        allowance: Allowance,
        *,
        budget: Budget,
        retry: Retry,
        jitter_s: float,
        carries: bool,
    ) -> None:
        self._sites, self._plan = sites, plan
        self._allowance, self._budget = allowance, budget
        self._retry, self._jitter, self._carries = retry, jitter_s, carries
        self._freed = allowance.listen()
        self._places = bytearray(len(sites))
        self._attempts = array("i", bytes(4 * len(sites)))
        self._failures = array("i", bytes(4 * len(sites)))
        self._silences: dict[int, int] = {}
        self._codes: dict[int, str] = {}
        self._due = array("d", bytes(8 * len(sites)))
        self._ends = array("d", bytes(8 * len(sites)))
        self._rates = array("q", bytes(8 * len(sites)))
        self._lines: dict[int, list[tuple[int, int]]] = {}  # by segment: heap of place and row
        self._ready: list[tuple[int, int]] = []  # heap of the first place and its segment
        self._listed: dict[int, int] = {}  # by segment: its place in ``_ready`` that counts
        self._full: set[int] = set()
        self._timers: list[tuple[float, int, int]] = []

    def extend(self, sites: Sites, plan: Plan) -> None:
        """Take in the rows that ``sites`` has more."""
        more = len(sites) - len(self._places)
        self._sites, self._plan = sites, plan
        self._places.extend(bytes(more))
        for column in (self._attempts, self._failures, self._due, self._ends, self._rates):
            column.frombytes(bytes(column.itemsize * more))

    # What is known of a row

    def place(self, row: int) -> Place:
        """Return where a DCU is."""
        return Place(self._places[row])

    def saved(self, row: int) -> Position:
        """Return what a store keeps of a DCU."""
        return Position(
            row,
            self.place(row),
            self._attempts[row],
            self._failures[row],
            self._due[row],
            self._ends[row],
            self._rates[row],
            self.code(row),
        )

    def code(self, row: int) -> str | None:
        """Return the code of a DCU's last failure, until it succeeds; None: there was none."""
        return self._codes.get(row)

    def segment(self, row: int) -> int:
        """Return the segment in which a DCU waits."""
        return int(self._sites.segment[row])

    def is_full(self, row: int) -> bool:
        """Return whether a DCU waits for room in its segment."""
        return self.segment(row) in self._full

    # What happens

    def open(self, rows: Iterable[int], *, again: bool = False) -> None:
        """Let DCUs wait for the step that never have; ``again``: those that are done, too."""
        for row in rows:
            if self._places[row] == Place.IDLE or (again and self._places[row] == Place.DONE):
                self._enqueue(row)

    def give(self, now: float, *, most: int) -> list[Grant]:
        """Return what may begin now, in the plan's order, as far as there is room."""
        self.pass_time(now)
        self._look_again()
        grants: list[Grant] = []
        while self._ready and len(grants) < most:
            place, segment = heapq.heappop(self._ready)
            if self._listed.get(segment) != place:
                continue
            del self._listed[segment]
            row = self._first(segment)
            if row is None:
                continue
            full = self._reserve(row, segment)
            if full is Full.SEGMENT:
                self._full.add(segment)
                continue
            if full is Full.HEAD_END:
                self._list(segment)
                break
            heapq.heappop(self._lines[segment])
            self._list(segment)
            if full is Full.LINK:
                self._rest(row, now + LINK_REST_S)
            else:
                grants.append(self._grant(row, now))
        return grants

    def pass_time(self, now: float) -> None:
        """Let rests and leases end that are over."""
        while self._timers and self._timers[0][0] <= now:
            _, row, attempt = heapq.heappop(self._timers)
            if self._attempts[row] != attempt:
                continue
            if self._places[row] in {Place.GIVEN, Place.RESTING} and self._due[row] > now:
                heapq.heappush(self._timers, (self._due[row], row, attempt))
            elif self._places[row] == Place.GIVEN:
                self._leave(row)
                silences = self._silences[row] = self._silences.get(row, 0) + 1
                self._rest(row, now + self._retry.rest(silences) * (1 + self._spread(row)))
            elif self._places[row] == Place.RESTING:
                self._enqueue(row)

    def heard(self, row: int, now: float) -> None:
        """Take note that a DCU is at work on what it was given: its lease begins anew."""
        if self._places[row] == Place.GIVEN:
            self._silences.pop(row, None)
            self._due[row] = min(now + self._retry.lease_s, self._ends[row])

    def settle(self, row: int) -> bool:
        """Take note that a DCU has done the step; False if it was known, or never opened."""
        place = self._places[row]
        if place in {Place.IDLE, Place.DONE}:
            return False
        self._leave(row)
        self._silences.pop(row, None)
        self._codes.pop(row, None)
        self._failures[row] = 0
        self._places[row] = Place.DONE
        return True

    def fail(self, row: int, attempt: int, code: str, now: float) -> bool:
        """Take note that an attempt has failed; False if it is not the one under way."""
        if self._places[row] != Place.GIVEN or self._attempts[row] != attempt:
            return False
        self._leave(row)
        self._codes[row] = code
        self._failures[row] += 1
        if self._failures[row] >= self._retry.attempts:
            self._places[row] = Place.SPENT
        else:
            self._rest(row, now + self._retry.rest(self._failures[row]) * (1 + self._spread(row)))
        return True

    def recall(self) -> None:
        """Take everything back for good: nobody waits, nothing is given, nothing is reserved."""
        for row, place in enumerate(self._places):
            if place == Place.GIVEN:
                self._leave(row)
            if place in {Place.QUEUED, Place.GIVEN, Place.RESTING}:
                self._places[row] = Place.IDLE
        self._lines.clear()
        self._ready.clear()
        self._listed.clear()
        self._full.clear()
        self._timers.clear()
        self._allowance.forget(self._freed)

    def next_timer(self) -> float | None:
        """Return when a rest or a lease may be over; None: none is under way."""
        return self._timers[0][0] if self._timers else None

    def restore(self, kept: Position) -> None:
        """Take back what a store kept of a DCU, into a queue that was just made."""
        row = kept.row
        self._attempts[row], self._failures[row] = kept.attempt, kept.failures
        self._due[row], self._ends[row], self._rates[row] = kept.due, kept.ends, kept.rate
        self._places[row] = kept.place
        if kept.place is Place.QUEUED:
            self._enqueue(row)
        elif kept.place in {Place.GIVEN, Place.RESTING}:
            heapq.heappush(self._timers, (kept.due, row, kept.attempt))
        if kept.code is not None:
            self._codes[row] = kept.code
        if kept.place is Place.GIVEN:
            self._allowance.retake(int(self._sites.dcu[row]), self.segment(row), kept.rate)

    def _grant(self, row: int, now: float) -> Grant:
        self._attempts[row] += 1
        attempt = self._attempts[row]
        begin = now + self._jitter * self._spread(row)
        self._places[row] = Place.GIVEN
        self._due[row] = begin + self._retry.lease_s
        self._ends[row] = begin + self._retry.longest_s
        heapq.heappush(self._timers, (self._due[row], row, attempt))
        return Grant(row, attempt, self._rates[row], begin, self._due[row])

    def _reserve(self, row: int, segment: int) -> Full | None:
        self._rates[row] = self._budget.rate_of(int(self._sites.rate[row])) if self._carries else 0
        dcu = int(self._sites.dcu[row])
        return self._allowance.take(dcu, segment, self._rates[row], self._budget)

    def _look_again(self) -> None:
        for segment in self._freed & self._full:
            self._full.discard(segment)
            self._list(segment)
        self._freed.clear()

    def _enqueue(self, row: int) -> None:
        segment = self.segment(row)
        self._places[row] = Place.QUEUED
        line = self._lines.setdefault(segment, [])
        heapq.heappush(line, (int(self._plan.place[row]), row))
        if segment not in self._full:
            self._list(segment)

    def _list(self, segment: int) -> None:
        """Let a segment be looked at in its turn, if somebody waits there."""
        if self._first(segment) is None:
            return
        place = self._lines[segment][0][0]
        if place < self._listed.get(segment, place + 1):
            self._listed[segment] = place
            heapq.heappush(self._ready, (place, segment))

    def _first(self, segment: int) -> int | None:
        line = self._lines.get(segment, [])
        while line and self._places[line[0][1]] != Place.QUEUED:
            heapq.heappop(line)  # it has settled while it waited
        if line:
            return line[0][1]
        self._lines.pop(segment, None)
        return None

    def _rest(self, row: int, due: float) -> None:
        self._places[row] = Place.RESTING
        self._due[row] = due
        heapq.heappush(self._timers, (due, row, self._attempts[row]))

    def _leave(self, row: int) -> None:
        """Give back what an attempt that is under way has reserved."""
        if self._places[row] == Place.GIVEN:
            self._allowance.give_back(int(self._sites.dcu[row]))

    def _spread(self, row: int) -> float:
        """Return a DCU's place in the jitter of its present attempt, 0 to 1, the same each time."""
        mixed = (int(self._sites.dcu[row]) * 65_537 + self._attempts[row]) * 0x9E3779B97F4A7C15
        mixed = ((mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        return (mixed ^ (mixed >> 27)) / 2.0**64
