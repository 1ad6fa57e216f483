"""On-demand reads: asked for by operators, offered to DCUs that wait for work, followed to the end.

A job lives in the database and moves only by ``openami.fleet.jobs.next_state``; what is in memory
here is who is waiting. After a restart the DCUs ask again, and get what is queued. Times are the
machine's: an operator does not wait by a scaled clock.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import defaultdict
from typing import TYPE_CHECKING, Final

from openami.core.errors import ConflictError, NotFoundError
from openami.fleet.devices import ITSELF, LifecycleState, MeterProtocol
from openami.fleet.jobs import MAX_ATTRIBUTES, Job, JobChanged, TimePassed, WakeDcu, created
from openami.headend.bus import LiveEvent, Topic
from openami.headend.errors import BusyError, RequestError
from openami.headend.registry import SHUT_OUT

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence

    from openami.core.clock import Clock
    from openami.fleet.devices import Device
    from openami.fleet.jobs import Effect, JobEvent, Target
    from openami.fleet.ports import JobStore, Page
    from openami.headend.bus import Bus, Subscription
    from openami.headend.metrics import Metrics
    from openami.headend.registry import Registry
    from openami.headend.settings import HeadendSettings

ID_OCTETS: Final = 10
LEASE_S: Final = 60.0  # a DCU that took a job and said nothing for this long has lost it
DAY_S: Final = 86_400.0
PURGE: Final = 1000  # jobs forgotten in one transaction
POLLS: Final = 4  # of one DCU at once: it has one, and some that a proxy still holds


class Jobs:
    """Creates, offers and follows jobs."""

    def __init__(
        self,
        jobs: JobStore,
        registry: Registry,
        *,
        bus: Bus,
        wall: Clock,
        metrics: Metrics,
        settings: HeadendSettings,
    ) -> None:
        self._jobs = jobs
        self._registry = registry
        self._bus = bus
        self._wall = wall
        self._metrics = metrics
        self._settings = settings
        self._waiting: defaultdict[str, set[asyncio.Event]] = defaultdict(set)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping = False
        self._watching: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin, in the running loop, to end the waiting of DCUs that are shut out.

        That ends with the bus.
        """
        self._loop = asyncio.get_running_loop()
        news = self._bus.subscribe(_shuts_out, topics={Topic.DEVICE})
        self._watching = asyncio.create_task(self._watch(news), name="shut out")

    async def read(self, meter: str, targets: Sequence[Target], *, who: str) -> Job:
        """Ask for some attributes of a meter.

        Raises:
            NotFoundError: there is no such meter.
            ConflictError: ``job.no-dcu`` or ``job.retired``, nobody can read it.
            RequestError: ``request.job``, nothing or too much is asked for.
        """
        if not 0 < len(targets) <= MAX_ATTRIBUTES:
            raise RequestError(f"ask for 1 to {MAX_ATTRIBUTES} attributes", code="request.job")
        device = await asyncio.to_thread(self._registry.meter, meter)
        if device.state is LifecycleState.RETIRED:
            raise ConflictError(f"meter {meter} is retired", code="job.retired")
        dcu = self._reader(device)
        if dcu is None:
            raise ConflictError(f"no DCU looks after meter {meter}", code="job.no-dcu")
        now = self._wall.now()
        job = Job(
            id=secrets.token_hex(ID_OCTETS),
            meter=meter,
            dcu=dcu,
            who=who,
            created=now,
            updated=now,
            expires=now + self._settings.job_expiry_s,
            targets=tuple(dict.fromkeys(targets)),
        )
        stored = await asyncio.to_thread(self._jobs.add, job)
        self._do(created(stored))
        return stored

    def _reader(self, device: Device) -> str | None:
        """Return who reads a meter: its DCU, or ``ITSELF``; None: nobody does."""
        itself = self._settings.c1222_listen is not None
        if device.dcu is None and device.protocol is MeterProtocol.C1222 and itself:
            return ITSELF
        return device.dcu

    async def get(self, job_id: str) -> Job:
        """Return a job; NotFoundError."""
        return await asyncio.to_thread(self._jobs.get, job_id)

    async def list(
        self, *, meter: str | None = None, after: str | None = None, limit: int = 100
    ) -> Page[Job]:
        """Return jobs, newest first."""
        return await asyncio.to_thread(self._jobs.list, meter=meter, after=after, limit=limit)

    async def work(
        self, dcu: str, *, wait: float, news: Callable[[], bool] = lambda: False
    ) -> Sequence[Job]:
        """Return what a DCU is to do, waiting up to ``wait`` seconds for there to be something.

        Args:
            dcu: which.
            wait: seconds.
            news: whether there is something else to tell it; asked in a thread, and again whenever
                it is woken.

        Raises:
            BusyError: ``busy.polls``, it waits too often at once.
            SecurityError: ``fleet.shut-out``, it was suspended or retired, also while it waits.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + max(0.0, min(wait, self._settings.long_poll_s))
        woken = asyncio.Event()
        with _Waiter(self._waiting, dcu, woken):
            while True:
                woken.clear()
                offered, told = await asyncio.to_thread(self._look, dcu, news)
                if offered or told or self._stopping or loop.time() >= deadline:
                    self._do(JobChanged(job) for job in offered)
                    return offered
                try:
                    async with asyncio.timeout_at(deadline):
                        await woken.wait()
                except TimeoutError:
                    return ()

    def wake(self, dcus: Collection[str] | None) -> None:
        """Have DCUs that wait be looked at again, from any thread; None: all."""
        loop = self._loop
        if loop is not None and not loop.is_closed():
            loop.call_soon_threadsafe(self._wake, dcus)

    def waiting(self) -> Collection[str]:
        """Return which DCUs wait for work; asked in the loop."""
        return tuple(self._waiting)

    def _wake(self, dcus: Collection[str] | None) -> None:
        for dcu in tuple(self._waiting) if dcus is None else dcus:
            self._look_again(dcu)

    def _look(self, dcu: str, news: Callable[[], bool]) -> tuple[Sequence[Job], bool]:
        if dcu != ITSELF:
            self._registry.admitted(dcu)
        offered = self._jobs.offer(dcu, now=self._wall.now(), lease=LEASE_S)
        return offered, bool(offered) or news()

    async def report(self, dcu: str, job_id: str, event: JobEvent) -> Job:
        """Take what a DCU says of one of its jobs; a repeat changes nothing.

        Raises:
            NotFoundError: it has no such job.
        """
        job = await self.get(job_id)
        if job.dcu != dcu:
            raise NotFoundError(f"no job {job_id}", code="job.unknown")
        job, effects = await asyncio.to_thread(self._jobs.apply, job_id, event)
        self._do(effects)
        return job

    async def pass_time(self) -> None:
        """Take back offers that nobody took up, expire jobs that nobody waits for any more."""
        event = TimePassed(self._wall.now())
        self._do(await asyncio.to_thread(self._jobs.pass_time, now=event.now))

    async def forget(self) -> None:
        """Forget jobs that ended longer ago than they are to be kept."""
        before = self._wall.now() - self._settings.keep_jobs_days * DAY_S
        forgotten = PURGE
        while forgotten == PURGE:  # a transaction each, so that no other writer waits long
            forgotten = await asyncio.to_thread(self._jobs.purge, before=before, limit=PURGE)

    def lease(self) -> float:
        """Return until when a DCU that reports now has to report again."""
        return self._wall.now() + LEASE_S

    def now(self) -> float:
        """Return the time that jobs go by."""
        return self._wall.now()

    async def _watch(self, news: Subscription) -> None:
        with news:
            while not news.closed:
                event = await news.next(DAY_S)
                missed = tuple(self._waiting) if news.dropped() else ()
                for dcu in (*missed, *((event.dcu,) if event and event.dcu else ())):
                    self._look_again(dcu)

    def _look_again(self, dcu: str) -> None:
        for event in self._waiting.get(dcu, ()):
            event.set()

    def stop(self) -> None:
        """Answer every DCU that is waiting."""
        self._stopping = True
        for dcu in self._waiting:
            self._look_again(dcu)

    def _do(self, effects: Iterable[Effect]) -> None:
        for effect in effects:
            match effect:
                case WakeDcu(dcu):
                    self._look_again(dcu)
                case JobChanged(job):
                    self._metrics.job(job.state.value)
                    self._bus.publish(job_news(job))


class _Waiter:
    """Stands in the list of those to be woken for a DCU."""

    def __init__(
        self, waiting: defaultdict[str, set[asyncio.Event]], dcu: str, event: asyncio.Event
    ) -> None:
        self._waiting = waiting
        self._dcu = dcu
        self._event = event

    def __enter__(self) -> None:
        if len(self._waiting.get(self._dcu, ())) >= POLLS:
            raise BusyError(
                f"at most {POLLS} requests for work at once", retry_after=1.0, code="busy.polls"
            )
        self._waiting[self._dcu].add(self._event)

    def __exit__(self, *_: object) -> None:
        self._waiting[self._dcu].discard(self._event)
        if not self._waiting[self._dcu]:
            del self._waiting[self._dcu]


def _shuts_out(event: LiveEvent) -> bool:
    return event.data.get("state") in SHUT_OUT


def job_news(job: Job) -> LiveEvent:
    """Return the live event for a job that has changed."""
    data = {
        "id": job.id,
        "meter": job.meter,
        "state": job.state.value,
        "progress": job.progress,
        "results": len(job.results),
        "error": job.error_code,
    }
    return LiveEvent(Topic.JOB, job.id, job.updated, data, dcu=job.dcu)
