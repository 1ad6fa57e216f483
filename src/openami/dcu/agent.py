"""The DCU: its stores, its line, its head-end, and the tasks between them.

::

    line task ──► gatherer ──► spool ──► uploader ──► head-end
        ▲                                               │
        └── jobs, cursors, credentials ── reporter, worker

The tasks share nothing but the spool, the roster and the job board. Stopping first ends the line
task, whose visit in hand is finished, then hands over what waits, as far as the time allows.
"""

from __future__ import annotations

import asyncio
import hashlib
import random
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any, Final, Self

import structlog

from openami import __version__
from openami.core.clock import isoformat
from openami.core.errors import ConfigError
from openami.core.identifiers import SystemTitle
from openami.dcu.batches import Gatherer
from openami.dcu.collector import Collector
from openami.dcu.demand.desk import Desk
from openami.dcu.demand.desk import Means as DeskMeans
from openami.dcu.flow import Patience, Stop
from openami.dcu.headend import HeadEnd
from openami.dcu.jobs import JobBoard
from openami.dcu.keys import Keyring
from openami.dcu.modem import Modem
from openami.dcu.roster import Roster
from openami.dcu.schedule import make_line
from openami.dcu.surroundings import Surroundings
from openami.dcu.upgrade.modem_line import ModemLine
from openami.dcu.upgrade.upgrader import Means, Upgrader
from openami.dcu.uplink import Quarantine, Reporter, UplinkFigures, Uploader, Worker
from openami.store.salvage import opened
from openami.store.spool import Spool
from openami.store.vault import FileVault
from openami.transport.clock import monotonic

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping

    from openami.core.clock import Clock
    from openami.dcu.gateway.gateway import Gateway
    from openami.dcu.roster import Station
    from openami.dcu.rounds import Ended
    from openami.dcu.settings import DcuSettings
    from openami.dcu.upgrade.upgrader import Upgrading
    from openami.transport.http import HttpClient

FLAG: Final = "OAM"

# What the head-end takes of a message (characters).
WORDS: Final = 300

log = structlog.get_logger("dcu")


def title_of(settings: DcuSettings) -> SystemTitle:
    """Return the DCU's system title: as set, or made from its id."""
    if settings.system_title is not None:
        return SystemTitle.parse(settings.system_title)
    digest = hashlib.sha256(f"openami dcu {settings.id}".encode()).digest()
    return SystemTitle.of(FLAG, int.from_bytes(digest[:5], "big"))


class Dcu:
    """One data concentrator; as an async context manager it opens and closes its stores.

    Args:
        settings: what is decided of it.
        clock: the time that it keeps and gives to its meters.
        connect: makes a client of the head-end at an address.
        facts: what else the head-end is told of the DCU.
        upgrading: what it needs for upgrading its meters; None: it does not.
        gateway: lets displays reach their meters; None: none do.

    Raises:
        ConfigError: its folder or its line can not be used.
        StoreError: its state can not be used, or another process has it.
    """

    def __init__(
        self,
        settings: DcuSettings,
        clock: Clock,
        *,
        connect: Callable[[str], HttpClient],
        facts: Mapping[str, Any] | None = None,
        upgrading: Upgrading | None = None,
        gateway: Gateway | None = None,
    ) -> None:
        self.settings = settings
        self._gateway = gateway
        self._upgrading = upgrading
        self._clock = clock
        self._connect = connect
        self._facts = dict(facts or {})
        self._stack = AsyncExitStack()
        self._chance = random.SystemRandom().random
        self._stop_line, self._stop_uplink = Stop(), Stop()
        self._fresh = asyncio.Event()
        self._began = monotonic()
        self.figures = UplinkFigures()
        self.quarantine = Quarantine(settings.state / "quarantine")
        self.board = JobBoard(monotonic)
        self.modem = Modem(settings, title_of(settings))
        self.line = make_line(settings)
        self.spool: Spool
        self.roster: Roster
        self.collector: Collector
        self.upgrader: Upgrader | None = None
        self.desk: Desk

    async def __aenter__(self) -> Self:
        settings = self.settings
        try:
            settings.state.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(f"{settings.state}: {error.strerror}", code="config.state") from error
        async with AsyncExitStack() as stack:
            file = settings.state / "spool.sqlite"
            self.spool = opened(lambda: Spool(file, max_octets=settings.spool_octets), file)
            stack.callback(self.spool.close)
            vault = FileVault(settings.state / "vault.sqlite", kek=settings.state / "kek")
            stack.callback(vault.close)
            client = self._connect(str(settings.headend).rstrip("/"))
            await stack.enter_async_context(client)
            self._headend = HeadEnd(client, upload_timeout_s=settings.upload_timeout_s)
            await self._assemble(Keyring(vault, self._headend))
            if self._upgrading is not None:
                upgrader = Upgrader(self._means(), self._upgrading)
                self.upgrader = await stack.enter_async_context(upgrader)
            self.desk = await stack.enter_async_context(Desk(self._desk_means()))
            self.collector = Collector(settings, self._surroundings())
            if self._gateway is not None:
                self._gateway.nudge = self.collector.nudge.set
                self._gateway.known = lambda serial: self.roster.get(serial) is not None
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def _assemble(self, keyring: Keyring) -> None:
        settings = self.settings
        self.roster = Roster(
            self.line, self.spool, keyring, listed=settings.listed, titles=settings.titles
        )
        await self.roster.load(free_at=monotonic() + self.settings.introduction_s)
        self.gatherer = Gatherer(
            self.spool,
            rows=settings.batch_rows,
            age_s=settings.batch_age_s,
            fresh=self._fresh,
            now=monotonic,
        )
        self._reporter = Reporter(
            self._headend,
            self.report,
            reported=self._reported,
            every_s=settings.report_every_s,
            patience=self._patience(),
            stop=self._stop_uplink,
            clock=self._clock,
            figures=self.figures,
        )

    def _means(self) -> Means:
        return Means(
            folder=self.settings.state,
            headend=self._headend,
            line=ModemLine(
                self.settings,
                self.modem,
                self.roster.credentials,
                spool=self.spool,
                clock=self._clock,
            ),
            roster=self.roster,
            retry=self._patience,
            stop=self._stop_uplink,
            nudge=self._look_again,
            back=self.line.wake,
        )

    def _desk_means(self) -> DeskMeans:
        return DeskMeans(
            folder=self.settings.state,
            headend=self._headend,
            line=self.line,
            clock=self._clock,
            patience=self._patience(),
            stop=self._stop_uplink,
            nudge=self._look_again,
        )

    def _look_again(self) -> None:
        self.collector.nudge.set()

    def _surroundings(self) -> Surroundings:
        settings = self.settings
        return Surroundings(
            line=self.line,
            roster=self.roster,
            modem=self.modem,
            gatherer=self.gatherer,
            board=self.board,
            clock=self._clock,
            tick=monotonic,
            chance=self._chance,
            patience=Patience(settings.reconnect_first_s, settings.reconnect_most_s, self._chance),
            stop=self._stop_line,
            news=self._reporter.asked.set,
            guest=None if self.upgrader is None else self.upgrader.guest,
            gateway=self._gateway,
            desk=self.desk,
        )

    def _patience(self) -> Patience:
        return Patience(self.settings.retry_first_s, self.settings.retry_most_s, self._chance)

    async def _reported(self) -> None:
        """Let the head-end, which knows our meters now, say what it has of the new ones."""
        if await self.roster.introduce(self._headend):
            self.collector.nudge.set()

    # Running

    def collect(self) -> Ended:
        """Read every meter now, not only what is due."""
        return self.collector.collect()

    def discover(self) -> Ended:
        """Search the line for meters now."""
        return self.collector.discover()

    def tell(self) -> Ended:
        """Report to the head-end now."""
        return self._reporter.ask()

    def give_up(self) -> None:
        """Tell who waits for what this DCU was to do that it has ended."""
        self.collector.rounds.give_up()
        self._reporter.give_up()

    def stop(self) -> None:
        """Ask the DCU to end in good order."""
        self._stop_line.set()

    async def run(self) -> None:
        """Work until ``stop`` is called.

        Raises:
            Exception: a task failed, which is a bug of ours: the state on disk is good.
        """
        settings, upgrader = self.settings, self.upgrader
        log.info("begins", id=settings.id, meters=len(self.roster), waiting=self.spool.size.batches)
        worker = Worker(
            self._headend,
            self.board,
            self.collector.accept,
            wait_s=settings.long_poll_s,
            patience=(self._patience(), self._patience()),
            stop=self._stop_uplink,
            followed={"demand": self.desk, **({} if upgrader is None else {"upgrade": upgrader})},
        )
        uploader = Uploader(
            self._headend,
            self.spool,
            self.quarantine,
            patience=self._patience(),
            stop=self._stop_uplink,
            fresh=self._fresh,
            figures=self.figures,
        )
        upgrades = () if upgrader is None else upgrader.works()
        asking = (worker.ask(), worker.tell(), self.desk.run())
        uplink = (uploader.run(), self._reporter.run(), *asking, *upgrades)
        await self._run(self.collector.run(), uplink)
        log.info("ends", waiting=self.spool.size.batches, uploaded=self.figures.uploaded)

    async def _run(
        self, line: Coroutine[Any, Any, None], uplink: tuple[Coroutine[Any, Any, None], ...]
    ) -> None:
        """Run the tasks; end the line's first, then the others, each within its time."""
        tasks = [asyncio.ensure_future(work) for work in (line, *uplink)]
        ending = asyncio.ensure_future(self._stop_line.wait())
        try:
            await asyncio.wait([ending, *tasks], return_when=asyncio.FIRST_COMPLETED)
            self._stop_line.set()
            await asyncio.wait(tasks[:1], timeout=self.settings.stop_s)
            self._stop_uplink.set()
            self._fresh.set()
            await asyncio.wait(tasks[1:], timeout=self.settings.stop_s)
        finally:
            ending.cancel()
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
        for task in tasks:
            if not task.cancelled():
                task.result()

    # What is told

    def report(self) -> dict[str, Any]:
        """Return what the head-end is told of the DCU and its meters."""
        size, figures = self.spool.size, self.modem.figures
        return {
            "dcu": {
                **self._facts,
                "version": __version__,
                "uptime_s": round(monotonic() - self._began, 1),
                "spool_batches": size.batches,
                "spool_octets": size.octets,
                "spool_full": self.collector.paused,
                "refused_batches": len(self.quarantine),
                **self._progress(),
                "line": {
                    "up": self.modem.up,
                    "frames": figures.frames,
                    "errors": figures.errors,
                    "conflicts": {
                        str(address): what[:WORDS]
                        for address, what in sorted(self.roster.conflicts.items())
                    },
                },
            },
            "meters": [self._meter(station) for station in self.roster],
        }

    def _progress(self) -> dict[str, Any]:
        progress = {} if self.upgrader is None else self.upgrader.book.progress()
        return {"upgrade": progress} if progress else {}

    def _meter(self, station: Station) -> dict[str, Any]:
        meter, fault = station.meter, station.fault
        return {
            "serial": meter.serial,
            "system_title": meter.system_title,
            "logical_device_name": meter.logical_device_name,
            "address": meter.address,
            "model": meter.model,
            "firmware": meter.firmware,
            "state": self.line.status(meter.serial).value,
            "last_read": None if station.last_read is None else isoformat(station.last_read),
            "clock_offset_s": station.clock_offset_s,
            "error": None if fault is None else {"code": fault[0], "message": fault[1][:WORDS]},
        }
