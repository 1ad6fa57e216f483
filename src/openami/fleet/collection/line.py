"""Which meter of a line is visited next, and which address is probed.

One line carries one conversation at a time, so the order is all there is to decide:

1. errands that are urgent, the longest due first, and nothing else in the same visit;
2. on-demand reads, first come first served, but after ``demand_burst`` of them one due visit;
3. the meter that has waited longest: since its oldest subject is due, or since it last failed,
   so that meters that do not answer take no more turns than others;
4. other errands: whatever visit comes before does them, too;
5. a probe of an address at which no meter is known, one after every ``visits_per_probe`` visits,
   or at once while nothing is due; after the first rounds with a rest between two probes.

A meter that fails is left alone for a growing, bounded time, and tried again for ever. Due times
are by the concentrator's clock (``wall``); waits are by one that never jumps (``tick``).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from datetime import UTC, tzinfo
from typing import TYPE_CHECKING

from openami.core.backoff import backoff
from openami.fleet.collection.plans import Edges, Plan, Progress, due_at, edges
from openami.fleet.collection.turns import (
    MeterStatus,
    Moment,
    Outcome,
    Policy,
    Probe,
    Rest,
    Step,
    Visit,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


@dataclass(slots=True)
class _Track:
    serial: str
    address: int
    jitter: float
    progress: dict[str, Progress] = field(default_factory=dict)
    failures: int = 0
    free_at: float = 0.0
    failed_at: float = 0.0
    refused: bool = False
    met: bool = False

    def move(self, subject: str, moment: Moment, outcome: Outcome) -> None:
        old = self.progress.get(subject, Progress())
        cursor = old.cursor if outcome.cursor is None else outcome.cursor
        self.progress[subject] = Progress(cursor, moment.wall, outcome.again)


@dataclass(frozen=True, slots=True)
class _Errand:
    due: float
    urgent: bool


@dataclass(slots=True)
class _Sweep:
    """Goes round the addresses at which no meter is known."""

    addresses: tuple[int, ...]
    place: int = 0
    laps: int = 0
    next_at: float = 0.0

    def find(self, taken: frozenset[int]) -> int | None:
        for step in range(len(self.addresses)):
            address = self.addresses[(self.place + step) % len(self.addresses)]
            if address not in taken:
                return address
        return None

    def probed(self, address: int, moment: Moment, policy: Policy) -> None:
        if address in self.addresses:
            place = self.addresses.index(address)
            if place < self.place or place + 1 == len(self.addresses):
                self.laps += 1
            self.place = (place + 1) % len(self.addresses)
        eager = self.laps < policy.eager_rounds
        self.next_at = moment.tick + (0.0 if eager else policy.probe_rest_s)


class Line:
    """The order of visits and probes on one line.

    Args:
        plans: what is read of every meter.
        policy: how the line is shared.
        addresses: where meters may be found.
        tz: where the line's midnights are.
        scheduled: whether subjects fall due by themselves; else only ``hasten`` makes them due.
    """

    def __init__(
        self,
        plans: Iterable[Plan],
        *,
        policy: Policy | None = None,
        addresses: Iterable[int] = (),
        tz: tzinfo = UTC,
        scheduled: bool = True,
    ) -> None:
        self._plans = tuple(plans)
        self._policy = policy or Policy()
        self._tz = tz
        self._scheduled = scheduled
        self._meters: dict[str, _Track] = {}
        self._sweep = _Sweep(tuple(sorted(set(addresses))))
        self._jobs: dict[str, str] = {}
        self._errands: dict[str, _Errand] = {}
        self._burst = 0
        self._since_probe = 0

    # What the line is told

    def add(
        self,
        serial: str,
        address: int,
        *,
        jitter: float,
        progress: Mapping[str, Progress] | None = None,
        free_at: float = 0.0,
    ) -> None:
        """Take note of a meter at ``address``; a known one moves there and is due at once.

        Whichever meter was known at that address is forgotten.

        Args:
            serial: the meter.
            address: where it is.
            jitter: its place in every spread, 0 to 1.
            progress: how far it was read before, if it is not known here.
            free_at: it is left alone until then (``Moment.tick``), or until it is woken.
        """
        for other in [m for m in self._meters.values() if m.address == address]:
            if other.serial != serial:
                self.forget(other.serial)
        old = self._meters.get(serial)
        kept = dict(progress or {}) if old is None else old.progress
        self._meters[serial] = _Track(serial, address, jitter, kept, free_at=free_at)

    def forget(self, serial: str) -> None:
        """Drop a meter that is no longer where it was; its address is probed again."""
        self._meters.pop(serial, None)

    def demand(self, job: str, serial: str) -> bool:
        """Queue an on-demand read; False if no such meter is known."""
        if serial not in self._meters:
            return False
        self._jobs.setdefault(job, serial)
        return True

    def withdraw(self, job: str) -> None:
        """Take an on-demand read off the queue: it is done, failed or no longer wanted."""
        self._jobs.pop(job, None)

    def errand(self, serial: str, *, due: float, urgent: bool = False) -> None:
        """Want a visit to a meter from then on (``Moment.wall``), in the place of one before.

        A visit that goes well settles it; one that fails is made again as the line allows.
        """
        self._errands[serial] = _Errand(due, urgent)

    def settle(self, serial: str) -> None:
        """Want no visit for an errand any more."""
        self._errands.pop(serial, None)

    def wake(self, serial: str) -> None:
        """Let a meter be tried at once: what it was refused for may have changed."""
        track = self._meters.get(serial)
        if track:
            track.free_at = 0.0

    def spare(self, serial: str, *, until: float) -> None:
        """Leave a meter alone until then (``Moment.tick``), or until it is woken: no failure."""
        track = self._meters.get(serial)
        if track:
            track.free_at = until

    def hasten(self, moment: Moment) -> None:
        """Let everything be due at every meter now, those that failed among them."""
        for track in self._meters.values():
            track.free_at = 0.0
            for plan in self._plans:
                old = track.progress.get(plan.subject, Progress())
                track.progress[plan.subject] = replace(old, again=moment.wall)

    def search(self) -> None:
        """Go round the addresses again as at the beginning: without rests."""
        self._sweep.laps, self._sweep.next_at = 0, 0.0

    def visited(self, visit: Visit, moment: Moment, outcomes: Mapping[str, Outcome]) -> None:
        """Take note of a visit that went well; a subject without an outcome had nothing new."""
        track = self._meters.get(visit.serial)
        if track is None:
            return
        self.settle(visit.serial)
        track.failures, track.free_at, track.refused, track.met = 0, 0.0, False, True
        for subject in visit.subjects:
            track.move(subject, moment, outcomes.get(subject, Outcome()))

    def failed(
        self,
        serial: str,
        moment: Moment,
        *,
        jitter: float,
        refused: bool = False,
        outcomes: Mapping[str, Outcome] | None = None,
    ) -> float:
        """Take note of a visit that failed; return how long the meter is now left alone.

        Args:
            serial: the meter.
            moment: now.
            jitter: takes off up to half of the delay.
            refused: the meter answered, but would not let us in.
            outcomes: of the subjects that were read whole before the failure.
        """
        track = self._meters.get(serial)
        if track is None:
            return 0.0
        for subject, outcome in (outcomes or {}).items():
            track.move(subject, moment, outcome)
        track.failures += 1
        track.refused = refused
        policy = self._policy
        delay = backoff(
            track.failures, first=policy.backoff_first_s, most=policy.backoff_most_s, jitter=jitter
        )
        track.free_at = moment.tick + delay
        track.failed_at = moment.wall
        return delay

    def probed(self, address: int, moment: Moment) -> None:
        """Take note that ``address`` was probed, whatever came of it."""
        self._sweep.probed(address, moment, self._policy)
        self._since_probe = 0

    # What the line tells

    def meters(self) -> tuple[str, ...]:
        """Return the serials of the known meters, in order of address."""
        return tuple(t.serial for t in sorted(self._meters.values(), key=lambda t: t.address))

    def address(self, serial: str) -> int | None:
        """Return where a meter is, None if it is not known."""
        track = self._meters.get(serial)
        return track.address if track else None

    def progress(self, serial: str) -> dict[str, Progress]:
        """Return how far a meter was read, by subject."""
        track = self._meters.get(serial)
        return dict(track.progress) if track else {}

    def status(self, serial: str) -> MeterStatus:
        """Return what a report says of a known meter.

        Raises:
            KeyError: no such meter is known.
        """
        track = self._meters[serial]
        if track.refused:
            return MeterStatus.REFUSED
        if track.failures >= self._policy.unreachable_after:
            return MeterStatus.UNREACHABLE
        if not track.met:
            return MeterStatus.DISCOVERED
        behind = any(p.again is not None for p in track.progress.values())
        return MeterStatus.READING if behind else MeterStatus.OK

    def next(self, moment: Moment) -> Step:
        """Return what to do now; asking changes nothing but the turns of the queues."""
        around = {plan.subject: edges(plan, moment.wall, self._tz) for plan in self._plans}
        if (urgent := self.urgent(moment)) is not None:
            return urgent
        due = self._most_overdue(moment, around)
        job = self._next_job()
        if job and (due is None or self._burst < self._policy.demand_burst):
            self._burst += 1
            return self._visit(self._meters[self._jobs[job]], moment, around)
        due = due or self._next_errand(moment, urgent=False)
        if due and not self._probe_turn(moment):
            self._burst = 0
            self._since_probe += 1
            return self._visit(due, moment, around)
        address = self._probe_address(moment)
        if address is not None:
            return Probe(address)
        return self._rest(moment, around)

    def urgent(self, moment: Moment) -> Visit | None:
        """Return the visit of the urgent errand that is due for longest; None: there is none.

        Nothing is read in it: another meter's errand may be as urgent.
        """
        first = self._next_errand(moment, urgent=True)
        return None if first is None else Visit(first.serial, first.address, (), ())

    def _free(self, serial: str, moment: Moment) -> bool:
        track = self._meters.get(serial)
        return track is not None and track.free_at <= moment.tick

    def _next_errand(self, moment: Moment, *, urgent: bool) -> _Track | None:
        ready = [
            (errand.due, serial)
            for serial, errand in self._errands.items()
            if errand.urgent == urgent and errand.due <= moment.wall and self._free(serial, moment)
        ]
        return self._meters[min(ready)[1]] if ready else None

    def _next_job(self) -> str | None:
        for job, serial in list(self._jobs.items()):
            if serial in self._meters:
                return job
            del self._jobs[job]
        return None

    def _visit(self, track: _Track, moment: Moment, around: Mapping[str, Edges]) -> Visit:
        jobs = tuple(job for job, serial in self._jobs.items() if serial == track.serial)
        subjects = tuple(
            plan.subject
            for plan in self._plans
            if self._due(track, plan, moment, around) <= moment.wall
        )
        return Visit(track.serial, track.address, subjects, jobs)

    def _due(self, track: _Track, plan: Plan, moment: Moment, around: Mapping[str, Edges]) -> float:
        progress = track.progress.get(plan.subject, Progress())
        if not self._scheduled:
            return math.inf if progress.again is None else progress.again
        return due_at(
            plan, progress, wall=moment.wall, around=around[plan.subject], jitter=track.jitter
        )

    def _first_due(self, track: _Track, moment: Moment, around: Mapping[str, Edges]) -> float:
        return min(self._due(track, plan, moment, around) for plan in self._plans)

    def _most_overdue(self, moment: Moment, around: Mapping[str, Edges]) -> _Track | None:
        if not self._plans:
            return None
        ready = [
            (max(due, min(track.failed_at, moment.wall)), track.serial)
            for track in self._meters.values()
            if track.free_at <= moment.tick
            and (due := self._first_due(track, moment, around)) <= moment.wall
        ]
        return self._meters[min(ready)[1]] if ready else None

    def _probe_turn(self, moment: Moment) -> bool:
        return (
            self._since_probe >= self._policy.visits_per_probe
            and self._probe_address(moment) is not None
        )

    def _probe_address(self, moment: Moment) -> int | None:
        return None if self._sweep.next_at > moment.tick else self._unknown_address()

    def _unknown_address(self) -> int | None:
        return self._sweep.find(frozenset(t.address for t in self._meters.values()))

    def _rest(self, moment: Moment, around: Mapping[str, Edges]) -> Rest:
        walls = [
            self._first_due(track, moment, around)
            for track in self._meters.values()
            if self._plans and track.free_at <= moment.tick
        ]
        walls += [
            errand.due for serial, errand in self._errands.items() if self._free(serial, moment)
        ]
        ticks = [t.free_at for t in self._meters.values() if t.free_at > moment.tick]
        if self._unknown_address() is not None:
            ticks.append(self._sweep.next_at)
        return Rest(min(walls, default=None), min(ticks, default=None))
