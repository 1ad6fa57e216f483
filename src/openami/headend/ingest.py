"""Uploads of DCUs: checked, committed in groups, told to who is listening.

An upload is answered after it is durable. What a DCU may send is bounded before it is looked at,
and decoded on a pool of threads before it is queued, so that a bad one never enters a group.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING, Final, Protocol

from openami.core.errors import ConflictError, DecodeError
from openami.fleet.devices import ITSELF
from openami.fleet.ports import Batch, BatchResult, BatchStatus
from openami.headend.errors import BusyError, RequestError
from openami.headend.groups import Grouped, apart
from openami.headend.news import NEWS, batch_news
from openami.mdm.readings import EVENTS_SCHEMA, MAX_UNPACKED_OCTETS, READINGS_SCHEMA, from_ipc

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    import pyarrow as pa

    from openami.core.clock import Clock
    from openami.fleet.ports import EventStore, ReadingStore
    from openami.headend.bus import Bus
    from openami.headend.metrics import Metrics
    from openami.headend.settings import HeadendSettings

BATCH_ID: Final = 64  # a UUID or a SHA-256 in hexadecimal
PURGE: Final = 1000  # entries of the ledger forgotten in one transaction


class BatchKind(StrEnum):
    """What a batch holds."""

    READINGS = "readings"
    EVENTS = "events"


SCHEMAS: Final[Mapping[BatchKind, pa.Schema]] = {
    BatchKind.READINGS: READINGS_SCHEMA,
    BatchKind.EVENTS: EVENTS_SCHEMA,
}


class Owners(Protocol):
    """Knows which DCU looks after which meter."""

    def claim(self, dcu: str, meters: Collection[str]) -> None:
        """Return if ``dcu`` may speak of every one of ``meters``; SecurityError if not."""
        ...


@dataclass(frozen=True, slots=True)
class Upload:
    """One batch as it came; ``digest`` is the SHA-256 that the DCU gave with it.

    What the head-end has read itself comes in the same way, from ``ITSELF``.
    """

    dcu: str
    id: str
    kind: BatchKind
    digest: bytes
    body: bytes = field(repr=False)


class Ingest:
    """Takes uploads."""

    def __init__(
        self,
        readings: ReadingStore,
        events: EventStore,
        owners: Owners,
        *,
        bus: Bus,
        clock: Clock,
        metrics: Metrics,
        settings: HeadendSettings,
    ) -> None:
        self._events = events
        self._owners = owners
        self._bus = bus
        self._clock = clock
        self._metrics = metrics
        self._settings = settings
        stores: Mapping[BatchKind, ReadingStore | EventStore] = {
            BatchKind.READINGS: readings,
            BatchKind.EVENTS: events,
        }
        self._groups: Mapping[BatchKind, Grouped[Batch, BatchResult]] = {
            kind: Grouped(
                partial(apart, store.commit),
                f"commit {kind}",
                most=settings.commit_batches,
                window_s=settings.commit_window_ms / 1000,
                done=metrics.group,
            )
            for kind, store in stores.items()
        }
        self._decoders = ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="decode")
        self._batches = 0
        self._octets = 0
        metrics.watch_queue(lambda: self._batches)

    async def stop(self) -> None:
        """Answer what was taken, then end."""
        for groups in self._groups.values():
            await groups.stop()
        self._decoders.shutdown()

    def running(self) -> bool:
        """Whether uploads are taken."""
        return all(groups.running() for groups in self._groups.values())

    async def forget(self) -> None:
        """Forget uploads of events that can not come again; the lake does as much by itself."""
        forgotten = PURGE
        while forgotten == PURGE:  # a transaction each, so that no other writer waits long
            forgotten = await asyncio.to_thread(self._events.forget, limit=PURGE)

    @contextmanager
    def room(self, octets: int) -> Iterator[None]:
        """Hold room for an upload of ``octets`` while it is received and committed.

        Raises:
            BusyError: there is none.
        """
        if self._batches >= self._settings.queue_batches:
            raise self._busy()
        self._batches += 1
        try:
            with self._memory(octets):
                yield
        finally:
            self._batches -= 1

    @contextmanager
    def _memory(self, octets: int) -> Iterator[None]:
        if self._octets and self._octets + octets > self._settings.queue_octets:
            raise self._busy()
        self._octets += octets
        try:
            yield
        finally:
            self._octets -= octets

    def _busy(self) -> BusyError:
        self._metrics.refused("busy.queue")
        return BusyError(
            "too many uploads are waiting",
            retry_after=self._settings.retry_after_s,
            code="busy.queue",
        )

    async def submit(self, upload: Upload) -> BatchResult:
        """Return what became of ``upload``, once that is durable.

        Raises:
            RequestError: ``upload.digest``, the body is not what its digest says.
            DecodeError: the body is not a table that can be stored.
            SecurityError: ``fleet.not-yours``, a meter in it belongs to another DCU.
            ConflictError: ``upload.conflict``, the id is known with another content.
            StoreError, BusyError: nothing was kept, the DCU should try again.
        """
        if not self.running():
            raise BusyError(
                "the head-end is stopping",
                retry_after=self._settings.retry_after_s,
                code="busy.stopping",
            )
        loop = asyncio.get_running_loop()
        batch = await loop.run_in_executor(self._decoders, self._check, upload)
        with self._memory(batch.table.nbytes):
            result = await self._groups[upload.kind].do(batch)
        self._metrics.batch(upload.kind, result, len(upload.body))
        if result.status is BatchStatus.CONFLICT:
            raise ConflictError(
                f"batch {upload.id} was stored with another content", code="upload.conflict"
            )
        if result.status is BatchStatus.STORED:
            self._tell(upload, batch, result)
        return result

    def _check(self, upload: Upload) -> Batch:
        if not hmac.compare_digest(hashlib.sha256(upload.body).digest(), upload.digest):
            raise RequestError("the body does not have the digest given", code="upload.digest")
        table = from_ipc(upload.body, MAX_UNPACKED_OCTETS, schema=SCHEMAS[upload.kind])
        if table.num_rows > self._settings.batch_rows:
            raise DecodeError(
                f"more than {self._settings.batch_rows} rows", code="upload.too-large"
            )
        if upload.dcu != ITSELF:
            self._owners.claim(upload.dcu, meters_of(table))
        return Batch(upload.dcu, upload.id, upload.digest, table)

    def _tell(self, upload: Upload, batch: Batch, result: BatchResult) -> None:
        if self._bus.wants(NEWS):
            now = self._clock.now()
            for news in batch_news(batch, upload.kind, result.rows, now=now):
                self._bus.publish(news)


def meters_of(table: pa.Table) -> frozenset[str]:
    """Return the serial numbers that a table of readings or events names."""
    return frozenset(
        name for chunk in table["meter"].chunks for name in chunk.dictionary.to_pylist()
    )
