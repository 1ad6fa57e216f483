"""What DCUs and head-end tell each other of meters' upgrades.

Those who ask at one moment are answered together: what all of them report is kept in one
transaction, and only then is it said to be taken.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import structlog

from openami.core.errors import RemoteProtocolError
from openami.fleet.campaigns.model import MAX_TEXT, STATES, DeviceState, StepKind
from openami.fleet.campaigns.progress import MAX_CODE, Report
from openami.fleet.campaigns.timeline import MAX_MARKS, Mark
from openami.fleet.devices import DeviceKind
from openami.headend.groups import Grouped
from openami.headend.seldom import Seldom

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from openami.core.clock import Clock
    from openami.fleet.campaigns.progress import StepFailed
    from openami.headend.campaigns.distrust import Distrust
    from openami.headend.campaigns.fleet import Fleet
    from openami.headend.campaigns.work import AtWork
    from openami.headend.metrics import Metrics

log = structlog.get_logger(__name__)

ATTEMPTS: Final = MAX_MARKS // len(STATES)
"""Attempts of a device of which marks are kept, so that they are not more than a timeline has."""


@dataclass(frozen=True, slots=True)
class SaidMark:
    """What a DCU says that a meter has reached."""

    meter: str
    state: DeviceState
    at: float
    attempt: int
    code: str | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Said:
    """What a DCU says of its meters in one campaign; nothing of it is checked yet."""

    campaign: str
    number: int
    counts: Mapping[DeviceState, int]
    codes: Mapping[str, int]
    failed: StepFailed | None = None
    marks: tuple[SaidMark, ...] = ()


@dataclass(frozen=True, slots=True)
class Asked:
    """A DCU reports, and asks what it is to do."""

    dcu: str
    reports: tuple[Said, ...] = ()


@dataclass(frozen=True, slots=True)
class ToldStep:
    """A step that a DCU may take: not begun before ``begin`` or from ``end`` on."""

    attempt: int
    rate: int
    begin: float
    end: float
    until: float


@dataclass(frozen=True, slots=True)
class ToldOrder:
    """Which release some meters shall run, and what of it may be done now."""

    campaign: str
    epoch: int
    release: str
    meters: Sequence[str]
    directive: str
    until: float | None
    steps: Mapping[StepKind, ToldStep]


@dataclass(frozen=True, slots=True)
class Told:
    """All that holds for a DCU, and by campaign the highest number of its that was taken."""

    epoch: int
    revision: int
    taken: Mapping[str, int]
    orders: tuple[ToldOrder, ...]


class Uplink:
    """Takes reports and tells orders."""

    def __init__(self, fleet: Fleet, distrust: Distrust, *, metrics: Metrics, wall: Clock) -> None:
        self._distrust = distrust
        self._fleet, self._metrics, self._wall = fleet, metrics, wall
        self._told = Seldom()
        self._grouped: Grouped[Asked, Told] = Grouped(self._together, "campaigns")

    async def exchange(self, asked: Asked) -> Told:
        """Keep what a DCU reports, and return what it is to do.

        A report that can not be is passed over, as one of a campaign that is not the DCU's: what is
        to be done, an emergency stop first of all, it is told in any case.

        Raises:
            StoreError: it can not be kept now.
            BusyError: the head-end is stopping.
        """
        return await self._grouped.do(asked)

    async def stop(self) -> None:
        """Answer who is waiting, then end."""
        await self._grouped.stop()

    def _together(self, asked: Sequence[Asked]) -> Sequence[Told]:
        with self._fleet.lock:
            with self._fleet.moment():
                taken = [self._taken(one) for one in asked]
            return [self._tell(one.dcu, done) for one, done in zip(asked, taken, strict=True)]

    def _taken(self, asked: Asked) -> Mapping[str, int]:
        taken = ((said.campaign, self._take(asked.dcu, said)) for said in asked.reports)
        return {campaign: number for campaign, number in taken if number is not None}

    def _take(self, dcu: str, said: Said) -> int | None:
        """Take a report; return the highest number that was taken, None: it can not be."""
        work = self._fleet.at_work(said.campaign, dcu=dcu)
        row = None if work is None else work.rows.get(dcu)
        if work is None or row is None or work.engine.run.campaign.kind is DeviceKind.DCU:
            self._metrics.campaign_report("stranger")
            return said.number
        failed = _counted(work, row, said)
        try:
            report = Report(said.number, said.counts, said.codes, said.failed)
            fresh = work.report(row, report, now=self._wall.now())
        except RemoteProtocolError as error:
            self._metrics.campaign_report("refused")
            if self._told.due((dcu, said.campaign, error.code), self._wall.now()):
                log.warning(
                    "report refused", dcu=dcu, campaign=said.campaign, code=error.code,
                    message=error.message,
                )  # fmt: skip
            return None
        self._metrics.campaign_report("taken" if fresh else "repeated")
        work.mark(self._own_marks(work, row, said))
        if failed is not None:
            self._distrust.failed(dcu, failed.code)
        elif any(one.state is DeviceState.DOWNLOADED for one in said.marks):
            self._distrust.fetched(dcu)
        return work.engine.progress.number(row)

    def _own_marks(self, work: AtWork, row: int, said: Said) -> Iterator[tuple[str, Mark]]:
        if not said.marks:
            return
        mine = frozenset(self._fleet.names([(work, row)])[work.key, row])
        for one in said.marks:
            mark = _mark(one)
            if mark is None or one.meter not in mine:
                self._metrics.campaign_mark_refused()
            elif mark.attempt <= ATTEMPTS:
                yield one.meter, mark

    def _tell(self, dcu: str, taken: Mapping[str, int]) -> Told:
        fleet = self._fleet
        listed = [
            (work, row, directive)
            for work in fleet.live.values()
            if (row := work.rows.get(dcu)) is not None
            and work.engine.run.campaign.kind is DeviceKind.METER
            and (directive := work.listed(row, epoch=fleet.epoch)) is not None
        ]
        names = fleet.names([(work, row) for work, row, _ in listed])
        orders = (
            ToldOrder(
                work.id,
                work.engine.run.epoch,
                work.engine.run.campaign.release,
                names[work.key, row],
                directive.value,
                work.engine.run.campaign.until,
                self._steps(work, row),
            )
            for work, row, directive in listed
        )
        return Told(fleet.epoch, fleet.revision(dcu), taken, tuple(orders))

    def _steps(self, work: AtWork, row: int) -> Mapping[StepKind, ToldStep]:
        now = self._wall.now()
        found: dict[StepKind, ToldStep] = {}
        for kind in StepKind:
            given = work.step(row, kind)
            if given is None:
                continue
            position = work.engine.position(row, kind)
            end = work.ends(row, kind, now)
            found[kind] = ToldStep(given.attempt, given.rate, given.begin, end, position.due)
        return found


def _counted(work: AtWork, row: int, said: Said) -> StepFailed | None:
    """Return a failure of the attempt that is under way: a DCU says it in each report after it."""
    failed = said.failed
    given = None if failed is None else work.step(row, failed.step)
    return failed if failed and given is not None and given.attempt == failed.attempt else None


def _line(words: str) -> str:
    """Return a device's words as a line: whatever does not print is no reason to lose a mark."""
    return "".join(sign if sign.isprintable() else " " for sign in words)[:MAX_TEXT].strip()


def _mark(said: SaidMark) -> Mark | None:
    if said.code is not None and len(said.code) > MAX_CODE:
        return None
    words = "" if said.code is None else _line(said.reason)
    try:
        return Mark(said.state, said.at, said.attempt, said.code, words)
    except ValueError:
        return None
