"""Visits meters when they are due, and does for operators what they ask of one."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import structlog

from openami.core.errors import ConflictError, NotFoundError, OpenAmiError
from openami.fleet.devices import ITSELF
from openami.fleet.jobs import Failed, Finished, Started
from openami.headend.c1222.meters import in_thread
from openami.headend.c1222.ondemand import read_targets
from openami.headend.c1222.rounds import LOST_AFTER, Rounds
from openami.headend.c1222.talk import Talk
from openami.headend.c1222.visit import Visit
from openami.headend.seldom import Seldom
from openami.transport.clock import monotonic, speed_of

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from openami.c1222.services import Request
    from openami.core.clock import Clock
    from openami.fleet.collection import ClockRule
    from openami.fleet.jobs import Job, JobEvent
    from openami.headend.c1222.directory import Directory, Node
    from openami.headend.c1222.front import Front
    from openami.headend.c1222.meters import Meters
    from openami.headend.c1222.models import Model, Models
    from openami.headend.c1222.rounds import Pace
    from openami.headend.jobs import Jobs
    from openami.headend.metrics import Metrics

log = structlog.get_logger(__name__)

LOOK_S: Final = 1.0  # real seconds after which the clock is looked at, whatever it showed
WORK_S: Final = 20.0
TOLD_S: Final = 5.0  # real seconds in which a meter that tells a lot is visited once for it
PAUSE_S: Final = 1.0  # real seconds before more work is asked for, when that failed


class Collector:
    """Visits meters.

    Args:
        front: asks them.
        directory: of nodes.
        meters: stores what they bring.
        models: what is known of kinds of meters.
        jobs: what operators ask.
        pace: how often they are visited.
        rule: when clocks are set; None: never.
        clock: the time of meters.
        metrics: counts.
        at_once: meters that are visited at a time.
        history: seconds to go back in a profile of which nothing is stored.
    """

    def __init__(
        self,
        front: Front,
        directory: Directory,
        meters: Meters,
        models: Models,
        jobs: Jobs,
        *,
        pace: Pace,
        rule: ClockRule | None,
        clock: Clock,
        metrics: Metrics,
        at_once: int,
        history: int,
    ) -> None:
        self._front = front
        self._directory = directory
        self._meters = meters
        self._models = models
        self._jobs = jobs
        self._rounds = Rounds(pace)
        self._rule = rule
        self._clock = clock
        self._metrics = metrics
        self._at_once = at_once
        self._history = history
        self._known: dict[str, Model] = {}
        self._told_lately = Seldom(TOLD_S)
        self._later: dict[str, asyncio.TimerHandle] = {}
        self._visits: set[asyncio.Task[None]] = set()
        self._errands: set[asyncio.Task[None]] = set()
        self._look = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin, in the running loop: who is registered is due at once."""
        self._front.on_joined = self.call
        self._front.on_notified = self._told
        for registration in self._front.host.registrations:
            node = self._directory.of_title(registration.title)
            if node is not None:
                self.call(node.meter)
        self._tasks = [
            asyncio.create_task(self._rounds_forever(), name="c1222 visits"),
            asyncio.create_task(self._work_forever(), name="c1222 on demand"),
        ]

    async def stop(self) -> None:
        """End; what is at work in a store is waited for."""
        for timer in self._later.values():
            timer.cancel()
        for task in (*self._tasks, *self._visits, *self._errands):
            task.cancel()
        await asyncio.gather(*self._tasks, *self._visits, *self._errands, return_exceptions=True)

    def call(self, meter: str) -> None:
        """Have a meter visited now."""
        self._rounds.call(meter, self._clock.now())
        self._look.set()

    def _told(self, meter: str, request: Request) -> None:
        """Read a meter that has something to tell: what it is stands in its event log."""
        log.debug("notification", meter=meter, service=type(request).__name__)
        if self._told_lately.due(meter, monotonic()):
            self.call(meter)
        elif meter not in self._later:
            loop = asyncio.get_running_loop()
            self._later[meter] = loop.call_later(TOLD_S, self._call_later, meter)

    def _call_later(self, meter: str) -> None:
        del self._later[meter]
        self.call(meter)

    # Visits

    async def _rounds_forever(self) -> None:
        while True:
            self._look.clear()
            now = self._clock.now()
            while len(self._visits) < self._at_once:
                meter = self._rounds.take(now)
                if meter is None:
                    break
                self._spawn(self._visit(meter), self._visits)
            with suppress(TimeoutError):
                async with asyncio.timeout(self._wait(now)):
                    await self._look.wait()

    def _wait(self, now: float) -> float:
        due = self._rounds.next()
        if due is None or len(self._visits) >= self._at_once:
            return LOOK_S
        return min(LOOK_S, max(0.0, due - now) / speed_of(self._clock))

    def _spawn(self, work: Coroutine[None, None, None], among: set[asyncio.Task[None]]) -> None:
        task = asyncio.create_task(work)
        among.add(task)

        def done(ended: asyncio.Task[None]) -> None:
            among.discard(ended)
            self._look.set()

        task.add_done_callback(done)

    async def _visit(self, meter: str) -> None:
        node = self._directory.of_meter(meter)
        try:
            if node is None or not await self._is_due(node):
                self._rounds.dropped(meter)
                return
            await self._visited(node)
        except OpenAmiError as error:
            await self._failed(meter, error)
        except Exception:
            log.exception("visit failed", meter=meter, code="internal")
            self._metrics.c1222_visit("internal")
            self._rounds.failed(meter, self._clock.now())
        else:
            self._metrics.c1222_visit("ok")

    async def _is_due(self, node: Node) -> bool:
        """Return whether a node can be asked, and is to be: one that is not comes back itself."""
        if self._front.host.registrations.find(node.title) is None:
            return False
        try:
            return await in_thread(self._meters.may_be_read, node.meter)
        except NotFoundError:
            return False

    async def _visited(self, node: Node) -> None:
        cursors = await in_thread(self._meters.cursors, node.meter)
        visit = Visit(
            await self._talk(node),
            node.meter,
            self._models,
            clock=self._clock,
            rule=self._rule,
            cursors=cursors,
            history=self._history,
        )
        try:
            report = await visit.run(self._known.get(node.meter))
        except OpenAmiError:
            # What came before the failure is good, and need not come again.
            await self._meters.store(node.meter, visit.report)
            raise
        if report.model is not None:
            self._known[node.meter] = report.model
        await self._meters.store(node.meter, report)
        await in_thread(self._meters.came, node.meter, report, self._address(node))
        self._rounds.came(node.meter, self._clock.now(), again=report.again)

    async def _failed(self, meter: str, error: OpenAmiError) -> None:
        self._known.pop(meter, None)
        self._metrics.c1222_visit(error.code)
        failures = self._rounds.failed(meter, self._clock.now())
        log.info("not read", meter=meter, code=error.code, message=error.message, times=failures)
        node = self._directory.of_meter(meter)
        where = "" if node is None else self._address(node)
        lost = failures >= LOST_AFTER
        try:
            await in_thread(self._meters.failed, meter, error, where, lost=lost)
        except OpenAmiError as worse:
            log.warning("fault not kept", meter=meter, code=worse.code)

    async def _talk(self, node: Node) -> Talk:
        password = await in_thread(self._directory.password_of, node)

        async def ask(*requests: Request) -> tuple[object, ...]:
            return await self._front.ask(node.title, *requests)

        return Talk(ask, user=node.user, password=password)  # type: ignore[arg-type]

    def _address(self, node: Node) -> str:
        found = self._front.host.registrations.find(node.title)
        return "" if found is None or found.native is None else str(found.native)

    # On demand

    async def _work_forever(self) -> None:
        while True:
            try:
                offered = await self._jobs.work(ITSELF, wait=WORK_S)
            except OpenAmiError as error:
                log.warning("no work", code=error.code, message=error.message)
                await asyncio.sleep(PAUSE_S)
                continue
            for job in offered:
                self._spawn(self._do(job), self._errands)

    async def _do(self, job: Job) -> None:
        try:
            event = await self._outcome(job)
        except Exception:
            log.exception("on-demand read failed", meter=job.meter, code="internal")
            event = Failed(self._jobs.now(), "internal", "see the head-end's log")
        try:
            await self._jobs.report(ITSELF, job.id, event)
        except OpenAmiError as error:  # it is offered again when its lease ends
            log.warning("outcome not kept", job=job.id, code=error.code)

    async def way(self, meter: str) -> tuple[Talk, Model]:
        """Return how to speak to a meter.

        Raises:
            ConflictError: ``c1222.shut-out``, it is no node, or not to be spoken to from here.
            OpenAmiError: it does not answer, or not as it should.
        """
        node = self._directory.of_meter(meter)
        if node is None or not await in_thread(self._meters.may_be_read, meter):
            raise ConflictError(f"meter {meter} is not read from here", code="c1222.shut-out")
        talk = await self._talk(node)
        model = self._known.get(meter) or await self._models.learn(talk)
        self._known[meter] = model
        return talk, model

    async def _outcome(self, job: Job) -> JobEvent:
        try:
            started = Started(self._jobs.now(), self._jobs.lease())
            await self._jobs.report(ITSELF, job.id, started)
            talk, model = await self.way(job.meter)
            results = await read_targets(talk, model, job.targets, clock=self._clock)
        except OpenAmiError as error:
            return Failed(self._jobs.now(), error.code, error.message)
        return Finished(self._jobs.now(), results)
