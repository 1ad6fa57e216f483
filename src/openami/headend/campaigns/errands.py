"""Campaigns for DCUs: orders are jobs of device management, and what comes of these is reported.

A DCU is told where its package is (Replace ``PkgURL``), to fetch it (Exec ``Download``), and at its
time to run it (Exec ``Update``): OMA-TS-DM-FUMO 1.0. A job is noted with the order before it is
made, so that a kill between the two leaves one that is made later, and none that is made twice.
"""

from __future__ import annotations

import re
import secrets
from types import MappingProxyType
from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode, urlsplit

import structlog

from openami.core.errors import ConflictError, NotFoundError
from openami.fleet.campaigns.machine import CampaignState
from openami.fleet.campaigns.model import DeviceState as D
from openami.fleet.campaigns.model import StepKind
from openami.fleet.campaigns.progress import MAX_CODE, Report, StepFailed
from openami.fleet.campaigns.records import TaskRecord
from openami.fleet.campaigns.timeline import Mark
from openami.fleet.devices import DeviceKind
from openami.fleet.tasks import Command, ManagementJob, TaskKind, TaskState
from openami.headend.campaigns.uplink import ATTEMPTS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from openami.core.clock import Clock
    from openami.fleet.campaigns.records import TaskNews
    from openami.fleet.management import TaskRecords, TreeRecords
    from openami.headend.campaigns.distrust import Distrust
    from openami.headend.campaigns.fleet import Fleet
    from openami.headend.campaigns.work import AtWork

log = structlog.get_logger(__name__)

MOST: Final = 4096
"""Jobs that are looked at in one round."""
MADE: Final = 128
"""Jobs that are made in one round: each is a transaction of its own."""
REST: Final = 4.0
"""Of the time that a look takes, so that it has a fifth of the time, however many jobs are open."""
REST_MOST_S: Final = 60.0
ID_OCTETS: Final = 10
LEAST_S: Final = 60.0
FIRST: Final = "./FUMO/1"
"""The package's node of a device that has told of none."""
URL, DOWNLOAD, UPDATE = "url", "download", "update"
_FIRST: Final[Mapping[StepKind, str]] = MappingProxyType(
    {StepKind.DOWNLOAD: URL, StepKind.ACTIVATE: UPDATE}
)
_DONE: Final[Mapping[str, tuple[D, ...]]] = MappingProxyType(
    {DOWNLOAD: (D.DOWNLOADED, D.VERIFIED), UPDATE: (D.ACTIVATED, D.CONFIRMED)}
)
"""What a DCU has reached when a part has succeeded."""
TAKEN_BACK: Final = 410
"""The result of FUMO (clause 7) that says that the update failed: the old version runs."""
_NODE: Final = re.compile(r"(\./FUMO/[^/]+)/")
_CODE: Final = re.compile(r"\d{3} ([a-z0-9]+(?:[.-][a-z0-9]+){1,7})(?: |$)")


class Errands:
    """Makes jobs of orders, and reports of what came of them. Calls block."""

    def __init__(
        self,
        fleet: Fleet,
        tasks: TaskRecords,
        trees: TreeRecords,
        distrust: Distrust,
        *,
        wall: Clock,
    ) -> None:
        self._distrust = distrust
        self._fleet, self._tasks, self._trees, self._wall = fleet, tasks, trees, wall
        self._origin: str | None = None
        self._rests = 0.0

    def reach_at(self, url: str) -> None:
        """Take note of an address at which devices find this head-end."""
        parts = urlsplit(url)
        self._origin = f"{parts.scheme}://{parts.netloc}"

    def go(self, now: float) -> None:
        """Take what has come of jobs, and make those that are wanted."""
        if self._rests - REST_MOST_S < now < self._rests:
            return
        wanted = self._wanted(now)
        end = self._wall.now()
        self._rests = end + min(max(0.0, end - now) * REST, REST_MOST_S)
        for work, task in wanted[:MADE]:
            with self._fleet.lock:
                if work.may(task.row, task.step, now):  # an operator may just have stopped it
                    self._make(work, task, now)

    def _wanted(self, now: float) -> Sequence[tuple[AtWork, TaskRecord]]:
        wanted: list[tuple[AtWork, TaskRecord]] = []
        news = self._fleet.store.task_news(most=MOST)
        if not news and not any(_for_dcus(one) for one in list(self._fleet.live.values())):
            return ()
        with self._fleet.moment() as live:
            for id_, one in news:
                work = self._fleet.at_work(id_)
                if work is None:
                    continue
                if one.state is None and work.may(one.task.row, one.task.step, now):
                    wanted.append((work, one.task))
                else:
                    wanted += ((work, task) for task in self._ended(work, one, now))
            for work in [one for one in live.values() if _for_dcus(one)]:
                wanted += ((work, task) for task in _asked(work, now))
        return wanted

    def _make(self, work: AtWork, task: TaskRecord, now: float) -> None:
        dcu = work.planned[task.row].dcu
        due = work.engine.position(task.row, task.step).due
        expires = min(max(due, now + LEAST_S), work.ends(task.row, task.step, now))
        kind, command = self._command(work, task, dcu)
        job = ManagementJob(
            task.job, kind, (command,), f"campaign {work.id}", now, expires,
            devices=(dcu,), why=work.engine.run.campaign.name, repeatable=task.part != UPDATE,
        )  # fmt: skip
        try:
            self._tasks.add(job)
        except NotFoundError as error:  # it has no account that is live
            with self._fleet.moment():
                self._failed(work, task, error.code, now)
        except ConflictError:
            log.info("a job is there already", job=task.job)

    def _command(self, work: AtWork, task: TaskRecord, dcu: str) -> tuple[TaskKind, Command]:
        known = self._trees.known(dcu, below="./FUMO")
        found = sorted({told.group(1) for uri in known if (told := _NODE.match(uri))})
        node = found[0] if found else FIRST
        if task.part == URL:
            run, given = work.engine.run, work.step(task.row, task.step)
            more = {"epoch": run.epoch}  # so that the DCU sees what an emergency has made void
            if given is not None and given.rate:
                more["rate"] = given.rate
            place = f"{self._origin or ''}/device/v1/descriptors/{run.campaign.release}"
            url = f"{place}?{urlencode(more)}"
            return TaskKind.SET, Command(f"{node}/Download/PkgURL", "chr", url)
        name = "Download" if task.part == DOWNLOAD else "Update"
        return TaskKind.EXEC, Command(f"{node}/{name}")

    def _ended(self, work: AtWork, news: TaskNews, now: float) -> Iterator[TaskRecord]:
        """Take what has come of a job; yield the one that follows."""
        task = news.task
        match news.state:
            case TaskState.DONE if task.part == URL:
                work.close_task(task)
                if work.may(task.row, task.step, now):
                    yield work.open_task(_task(task.row, task.step, task.attempt, DOWNLOAD))
            case TaskState.DONE:
                self._reached(work, task, _DONE[task.part], now)
                if task.part == DOWNLOAD:
                    self._distrust.fetched(work.planned[task.row].dcu)
            case TaskState.FAILED if task.part == UPDATE and news.status == TAKEN_BACK:
                self._reached(work, task, (D.REVERTED,), now, code=_code(news))
            case TaskState.FAILED:
                self._failed(work, task, _code(news), now)
            case TaskState.UNKNOWN if work.step(task.row, task.step) is not None:
                pass  # it may still say how it ended
            case _:
                work.close_task(task)

    def _reached(
        self,
        work: AtWork,
        task: TaskRecord,
        states: Sequence[D],
        now: float,
        *,
        code: str | None = None,
    ) -> None:
        work.close_task(task)
        row, last = task.row, states[-1]
        number = work.engine.progress.number(row) + 1
        codes = {} if code is None else {code: 1}
        work.report(row, Report(number, {last: 1}, codes), now=now)
        attempt = min(task.attempt, ATTEMPTS)
        dcu = work.planned[row].dcu
        work.mark(
            (dcu, Mark(state, now, attempt, code if state is last else None)) for state in states
        )

    def _failed(self, work: AtWork, task: TaskRecord, code: str, now: float) -> None:
        work.close_task(task)
        row = task.row
        counts = work.engine.progress.counts(row)
        counts.pop(D.WAITING, None)
        number = work.engine.progress.number(row) + 1
        failed = StepFailed(task.step, task.attempt, code[:MAX_CODE])
        codes = work.engine.progress.codes(row)
        work.report(row, Report(number, counts, codes, failed), now=now)
        self._distrust.failed(work.planned[row].dcu, failed.code)


def _asked(work: AtWork, now: float) -> Iterator[TaskRecord]:
    """Yield a new job for every DCU that may begin a step and has none."""
    if not _runs(work):
        return
    for row, step in sorted(work.jobless):
        given = work.step(row, step)
        if given is None or (row, step) in work.tasks:
            work.jobless.discard((row, step))
        elif work.may(row, step, now):
            yield work.open_task(_task(row, step, given.attempt, _FIRST[step]))
            if step is StepKind.DOWNLOAD and given.attempt <= ATTEMPTS:
                mark = Mark(D.OFFERED, given.begin, given.attempt)
                work.mark([(work.planned[row].dcu, mark)])


def _task(row: int, step: StepKind, attempt: int, part: str) -> TaskRecord:
    return TaskRecord(secrets.token_hex(ID_OCTETS), row, step, attempt, part)


def _runs(work: AtWork) -> bool:
    return work.engine.run.state is CampaignState.RUNNING


def _for_dcus(work: AtWork) -> bool:
    return work.engine.run.campaign.kind is DeviceKind.DCU


def _code(news: TaskNews) -> str:
    """Return the code of why a job failed: what the DCU said, else its result's number."""
    said = news.results[-1].value if news.results else None
    found = _CODE.match(said or "")
    fits = found is not None and len(found.group(1)) <= MAX_CODE
    return found.group(1) if found and fits else f"dcu.result-{news.status or 0}"
