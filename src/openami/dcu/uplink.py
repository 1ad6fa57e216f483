"""The DCU's side of the head-end: three loops that never give up.

* ``Uploader`` hands batches over, oldest first, and drops what is acknowledged as durable. A batch
  that the head-end refuses for good is set aside in a folder, after it was taken apart by meters
  so that one meter's fault costs no other's readings.
* ``Reporter`` says how the DCU and its meters are.
* ``Worker`` asks for jobs and tells how they go.
"""

from __future__ import annotations

import asyncio
import json
import os
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Protocol

import structlog

from openami.core.errors import DecodeError, StoreError
from openami.dcu.batches import split
from openami.dcu.headend import BatchKind, HeadEndAwayError, HeadEndRefusalError
from openami.dcu.rounds import Ending, ending, give_up
from openami.omadm.codes import Status

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from pathlib import Path

    from openami.core.clock import Clock
    from openami.dcu.flow import Patience, Stop
    from openami.dcu.headend import HeadEnd
    from openami.dcu.jobs import JobBoard
    from openami.dcu.rounds import Ended
    from openami.store.spool import Spool, SpoolBatch

# What a batch is set aside for; a DCU that is shut out or misled by a proxy keeps it and tries on.
HOPELESS: Final = frozenset({400, 409, 413, 415, 422})
NOT_OURS: Final = "fleet.not-yours"

# Beyond this the DCU's clock or the head-end's is wrong; requests take a fraction of it.
CLOCK_DOUBT_S: Final = 5.0

log = structlog.get_logger("dcu.uplink")


@dataclass(slots=True)
class UplinkFigures:
    """What the loops have done since the start."""

    uploaded: int = 0
    repeated: int = 0
    rows: int = 0
    failures: int = 0
    refused: int = 0
    reports: int = 0


class Quarantine:
    """The folder of batches that the head-end refused for good.

    Each is two files: the batch as it was sent, and why it was refused.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __len__(self) -> int:
        return sum(1 for _ in self._folder.glob("*.json")) if self._folder.is_dir() else 0

    def keep(self, batch: SpoolBatch, error: HeadEndRefusalError) -> None:
        """Keep a batch, durably; OSError if it can not be written."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        why = {
            "id": batch.id,
            "kind": batch.kind,
            "rows": batch.rows,
            "status": error.status,
            "code": error.code,
            "message": error.message,
        }
        self._write(f"{batch.id}.arrows", batch.body)
        self._write(f"{batch.id}.json", json.dumps(why, indent=1).encode())

    def _write(self, name: str, content: bytes) -> None:
        part = self._folder / f"{name}.part"
        try:
            with part.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            part.replace(self._folder / name)
        except OSError:
            part.unlink(missing_ok=True)
            raise


class Uploader:
    """Empties the spool.

    Args:
        headend: who takes the batches.
        spool: where they wait.
        quarantine: where refused ones go.
        patience: between tries.
        stop: when set, what waits is still handed over, but the first failure ends the loop.
        fresh: set whenever the spool got something.
        figures: counted here.
    """

    def __init__(
        self,
        headend: HeadEnd,
        spool: Spool,
        quarantine: Quarantine,
        *,
        patience: Patience,
        stop: Stop,
        fresh: asyncio.Event,
        figures: UplinkFigures,
    ) -> None:
        self._headend = headend
        self._spool = spool
        self._quarantine = quarantine
        self._patience = patience
        self._stop = stop
        self._fresh = fresh
        self._figures = figures
        self._set_aside: set[str] = set()

    async def run(self) -> None:
        """Upload until the DCU ends and nothing is left, or nothing more goes through."""
        while True:
            self._fresh.clear()
            batch = await asyncio.to_thread(self._next)
            if batch is None:
                if self._stop:
                    return
                await self._stop.sleep(3600.0, self._fresh)
                continue
            wait = await self._offer(batch)
            if wait and self._stop:
                return
            if wait:
                await self._stop.sleep(wait)

    def _next(self) -> SpoolBatch | None:
        waiting = self._spool.oldest(len(self._set_aside) + 1)
        return next((batch for batch in waiting if batch.id not in self._set_aside), None)

    async def _offer(self, batch: SpoolBatch) -> float:
        """Hand one batch over; return how long to wait before the next, 0 if it went well."""
        try:
            stored = await self._headend.upload(batch.id, BatchKind(batch.kind), batch.body)
            self._figures.uploaded += 1
            self._figures.repeated += stored.repeated
            self._figures.rows += batch.rows
            await asyncio.to_thread(self._spool.acknowledge, [batch.id])
        except HeadEndRefusalError as error:
            if error.status in HOPELESS or error.code == NOT_OURS:
                await self._refused(batch, error)
                return 0.0
            return self._failed(batch, error)
        except (HeadEndAwayError, StoreError) as error:
            return self._failed(batch, error)
        self._patience.succeeded()
        log.debug("uploaded", batch=batch.id, rows=batch.rows, repeated=stored.repeated)
        return 0.0

    def _failed(self, batch: SpoolBatch, error: Exception) -> float:
        self._figures.failures += 1
        wait = self._patience.failed(error)
        log.warning("upload failed", batch=batch.id, error=str(error), wait_s=round(wait, 1))
        return wait

    async def _refused(self, batch: SpoolBatch, error: HeadEndRefusalError) -> None:
        """Take a refused batch apart, or set it aside if it is one meter's."""
        try:
            await asyncio.to_thread(self._put_away, batch, error)
        except (StoreError, OSError) as problem:
            # No room to set it aside: it stays in the spool, out of the way of the others.
            self._set_aside.add(batch.id)
            log.warning("refused batch stays in the spool", batch=batch.id, error=str(problem))

    def _put_away(self, batch: SpoolBatch, error: HeadEndRefusalError) -> None:
        try:
            parts = split(batch)
        except DecodeError:
            parts = []  # what we can not read ourselves is kept as it is
        if parts:
            self._spool.append(parts)
            log.warning("refused batch taken apart", batch=batch.id, parts=len(parts),
                        code=error.code)  # fmt: skip
        else:
            self._quarantine.keep(batch, error)
            self._figures.refused += 1
            log.error("batch refused for good", batch=batch.id, rows=batch.rows,
                      status=error.status, code=error.code, message=error.message)  # fmt: skip
        self._spool.acknowledge([batch.id])


class Reporter:
    """Reports every so often, and when it is asked to.

    Args:
        headend: who is told.
        compose: returns the report.
        reported: called after each report that went through.
        every_s: how often.
        patience: between tries.
        stop: ends the loop.
        clock: the DCU's own, which is compared with the head-end's.
        figures: counted here.
    """

    def __init__(
        self,
        headend: HeadEnd,
        compose: Callable[[], dict[str, Any]],
        *,
        reported: Callable[[], Awaitable[None]],
        every_s: float,
        patience: Patience,
        stop: Stop,
        clock: Clock,
        figures: UplinkFigures,
    ) -> None:
        self._headend = headend
        self._compose = compose
        self._reported = reported
        self._every = every_s
        self._patience = patience
        self._stop = stop
        self._clock = clock
        self._figures = figures
        self.asked = asyncio.Event()
        """Set it for a report out of turn."""
        self._awaited: list[Ended] = []

    def ask(self) -> Ended:
        """Report out of turn; over when the head-end has taken a report that begins from now on."""
        self._awaited = [one for one in self._awaited if not one.done()]
        self._awaited.append(ending())
        self.asked.set()
        return self._awaited[-1]

    def give_up(self) -> None:
        """Tell who waits for a report that there will be none."""
        give_up(self._awaited)

    async def run(self) -> None:
        """Report until the DCU ends, and once more then."""
        while not self._stop:
            self.asked.clear()
            wait = await self._report()
            # A head-end that is away gets no reports out of turn: they would be as many tries.
            await self._stop.sleep(wait or self._every, *([] if wait else [self.asked]))
        await self._report()

    async def _report(self) -> float:
        """Report; return how long to wait if it failed."""
        sent, awaited = self._clock.now(), tuple(self._awaited)
        try:
            shown = await self._headend.report(self._compose())
            self._check_clock(sent, self._clock.now(), shown)
            await self._reported()
        except (HeadEndAwayError, HeadEndRefusalError) as error:
            wait = self._patience.failed(error)
            log.warning("report failed", error=str(error), wait_s=round(wait, 1))
            return wait
        self._patience.succeeded()
        self._figures.reports += 1
        for one in awaited:
            if not one.done():
                one.set_result(Ending(Status.OK, "reported"))
        return 0.0

    def _check_clock(self, sent: float, received: float, shown: float) -> None:
        """Say so if the two clocks differ by more than the request can explain."""
        offset = shown - (sent + received) / 2
        if abs(offset) > CLOCK_DOUBT_S + abs(received - sent):
            log.warning("the head-end's clock differs from ours", offset_s=round(offset, 1))


class Followed(Protocol):
    """Something whose number at the head-end is waited for together with work."""

    @property
    def revision(self) -> int | None:
        """The number that is known here; None: nothing is."""
        ...

    def revised(self, revision: int) -> None:
        """Take the number that the head-end has, where that is another."""


class Worker:
    """Takes jobs from the head-end and tells how they go.

    Args:
        headend: who offers them.
        board: where they are kept.
        accept: called with each new job.
        followed: what else is waited for, by its name in the request.
        wait_s: how long a request for work waits.
        patience: two of them, for asking and for telling.
        stop: ends the loops.
    """

    def __init__(
        self,
        headend: HeadEnd,
        board: JobBoard,
        accept: Callable[[str], None],
        *,
        wait_s: float,
        patience: tuple[Patience, Patience],
        stop: Stop,
        followed: Mapping[str, Followed] = MappingProxyType({}),
    ) -> None:
        self._headend = headend
        self._board = board
        self._accept = accept
        self._followed = followed
        self._wait = wait_s
        self._asking, self._telling = patience
        self._stop = stop

    async def ask(self) -> None:
        """Ask for jobs until the DCU ends; the request in hand is given up then."""
        while not self._stop:
            asking = asyncio.ensure_future(self._ask())
            ending = asyncio.ensure_future(self._stop.wait())
            try:
                await asyncio.wait([asking, ending], return_when=asyncio.FIRST_COMPLETED)
            finally:
                ending.cancel()
                asking.cancel()
            if asking.done() and not asking.cancelled() and (wait := asking.result()):
                await self._stop.sleep(wait)

    async def _ask(self) -> float:
        try:
            known = {name: one.revision for name, one in self._followed.items()}
            offered = await self._headend.work(self._wait, **known)
        except (HeadEndAwayError, HeadEndRefusalError) as error:
            wait = self._asking.failed(error)
            log.info("no answer about work", error=str(error), wait_s=round(wait, 1))
            return wait
        self._asking.succeeded()
        for name, one in self._followed.items():
            number = getattr(offered, name)
            if number not in {None, known[name]}:
                one.revised(number)
        for work in offered.jobs:
            if self._board.offer(work):
                log.info("job taken", job=work.id, meter=work.meter)
                self._accept(work.id)
        # A head-end that answers at once with nothing would make this a busy loop.
        return 0.0 if offered.jobs else min(1.0, self._wait / 20)

    async def tell(self) -> None:
        """Tell of jobs until the DCU ends and everything is told, or nothing goes through."""
        while True:
            told = self._board.take_update()
            if told is None:
                if self._stop:
                    return
                await self._stop.sleep(3600.0, self._board.news)
                continue
            try:
                await self._headend.tell_job(told[0], told[1].body())
                self._telling.succeeded()
            except HeadEndRefusalError as error:
                log.info("nobody wants to know of a job", job=told[0], error=str(error))
            except HeadEndAwayError as error:
                self._board.give_back(*told)
                if self._stop:
                    return
                await self._stop.sleep(self._telling.failed(error))
