"""What the applications ask of their stores.

Calls block; an event loop runs them in threads. Every store may be used from several threads at
once. Whatever the database's library raises arrives as a ``StoreError``; ``StoreFullError`` means
that nothing of the call was kept and that it may be tried again. Lists come in pages: ``after`` is
the ``next`` of the page before, opaque, and refused with ``ConflictError`` when it is not one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Final, Generic, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    import pyarrow as pa

    from openami.core.identifiers import SystemTitle
    from openami.fleet.audit import Chain, Head
    from openami.fleet.devices import (
        AuditEntry,
        Contact,
        Device,
        DeviceKind,
        LifecycleState,
        Location,
        ReadSchedule,
        Sighting,
    )
    from openami.fleet.events import MeterEvent
    from openami.fleet.jobs import Effect, Job, JobEvent

T = TypeVar("T")

# What one answer may hold: a page of a screen, or of an export by a program.
MAX_PAGE: Final = 1000
# Rows of readings in one page: a month of one meter (11,520) fits with room.
MAX_READINGS_PAGE: Final = 100_000
# Rows of readings of several meters at once, 200 MB: how many a meter has, its device decides.
MAX_READINGS: Final = 5_000_000


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """A part of a list; ``next`` names the part that follows, None for the end."""

    items: tuple[T, ...]
    next: str | None = None


@dataclass(frozen=True, slots=True)
class DeviceFilter:
    """Which devices; None means any. ``search`` is a part of serial, label or model.

    ``model`` is all of it, as the registry has it.
    """

    kind: DeviceKind | None = None
    state: LifecycleState | None = None
    dcu: str | None = None
    contact: Contact | None = None
    region: str | None = None
    search: str | None = None
    model: str | None = None


@dataclass(frozen=True, slots=True)
class FleetCounts:
    """How many devices there are of one kind.

    ``read_hour`` and ``read_day`` are those that were read in the last 3,600 and 86,400 seconds.
    """

    total: int
    by_state: Mapping[str, int]
    by_health: Mapping[str, int]
    by_contact: Mapping[str, int] = field(default_factory=dict)
    read_hour: int = 0
    read_day: int = 0


class DeviceStore(Protocol):
    """The registry."""

    def get(self, device_id: str) -> Device:
        """Return a device; NotFoundError."""
        ...

    def by_system_title(self, title: SystemTitle) -> Device | None: ...

    def add(self, device: Device, *, who: str, when: float, why: str = "") -> Device:
        """Add a device and its audit entry; ConflictError if serial or system title are taken."""
        ...

    def sight(self, sightings: Sequence[Sighting], *, now: float) -> Sequence[Device]:
        """Bring the registry up to date with a report, in one transaction; adds unknown devices.

        A sighting whose system title belongs to another serial keeps the title where it was. A
        meter seen by another DCU moves there. Devices that are new get an audit entry.
        """
        ...

    def describe(
        self,
        device_id: str,
        *,
        who: str,
        when: float,
        label: str | None = None,
        region: str | None = None,
        location: Location | None = None,
    ) -> Device:
        """Set what people say of a device; None leaves as it is."""
        ...

    def move(
        self, device_id: str, to: LifecycleState, *, who: str, when: float, why: str
    ) -> Device:
        """Move a device in its lifecycle, with the audit entry; ConflictError if no way leads."""
        ...

    def advance(
        self,
        device_ids: Collection[str],
        onward: Mapping[LifecycleState, LifecycleState],
        *,
        who: str,
        when: float,
        why: str,
    ) -> Sequence[Device]:
        """Move devices as far as ``onward`` leads from where each is, in one transaction.

        Each step gets its audit entry; devices that are not known are passed over.
        """
        ...

    def list(
        self, which: DeviceFilter | None = None, *, after: str | None = None, limit: int = 100
    ) -> Page[Device]:
        """Return devices by kind and serial."""
        ...

    def counts(
        self, kind: DeviceKind, *, schedule: ReadSchedule, now: float, dcu: str | None = None
    ) -> FleetCounts:
        """Return the figures of all devices of a kind, or of those behind one DCU."""
        ...


class JobStore(Protocol):
    """Jobs, moved only by ``openami.fleet.jobs.next_state``."""

    def add(self, job: Job) -> Job: ...

    def get(self, job_id: str) -> Job:
        """Return a job; NotFoundError."""
        ...

    def apply(self, job_id: str, event: JobEvent) -> tuple[Job, tuple[Effect, ...]]:
        """Move a job in one transaction."""
        ...

    def offer(self, dcu: str, *, now: float, lease: float, limit: int = 16) -> Sequence[Job]:
        """Offer a DCU its queued jobs, oldest first, with leases that end after ``lease``."""
        ...

    def pass_time(self, *, now: float, limit: int = 1000) -> Sequence[Effect]:
        """Take back offers whose lease is over and expire jobs that are."""
        ...

    def purge(self, *, before: float, limit: int = 1000) -> int:
        """Forget jobs that ended before a time, those of longest ago first; return how many.

        As many as ``limit``: more may be left.
        """
        ...

    def list(
        self, *, meter: str | None = None, after: str | None = None, limit: int = 100
    ) -> Page[Job]:
        """Return jobs, newest first."""
        ...


class BatchStatus(StrEnum):
    """What became of an uploaded batch."""

    STORED = "stored"
    REPEATED = "repeated"
    CONFLICT = "conflict"


@dataclass(frozen=True, slots=True)
class Batch:
    """One upload of a DCU: a table by ``openami.mdm.readings``, already validated.

    ``digest`` is the SHA-256 of the body as it came.
    """

    dcu: str
    id: str
    digest: bytes
    table: pa.Table = field(repr=False)


@dataclass(frozen=True, slots=True)
class BatchResult:
    """What became of a batch: ``stored`` and ``repeated`` are durable, ``conflict`` was refused.

    A conflict is a batch whose id is known with another digest: nothing of it was kept.
    """

    status: BatchStatus
    rows: int


class EventStore(Protocol):
    """Meters' events."""

    def commit(self, batches: Sequence[Batch]) -> Sequence[BatchResult]:
        """Store batches of the events schema in one transaction; an event known is not repeated."""
        ...

    def forget(self, *, limit: int = 1000) -> int:
        """Forget up to ``limit`` batches that can not come again (``ledger``); return how many."""
        ...

    def list(
        self,
        *,
        meter: str | None = None,
        log: str | None = None,
        after: str | None = None,
        limit: int = 100,
    ) -> Page[MeterEvent]:
        """Return events, newest first."""
        ...

    def count(self, *, since: int = 0) -> int: ...


class AuditLog(Protocol):
    """Who did what; entries are never changed or taken away."""

    def add(self, entry: AuditEntry) -> AuditEntry: ...

    def list(
        self,
        *,
        subject: str | None = None,
        who: str | None = None,
        what: str | None = None,
        since: float | None = None,
        until: float | None = None,
        after: str | None = None,
        limit: int = 100,
    ) -> Page[AuditEntry]:
        """Return entries, newest first; ``what`` is how it begins."""
        ...

    def lay(self, chain: Chain, *, most: int) -> int:
        """Give entries that have none their places in the chain, in one transaction.

        Args:
            chain: is given the head that is kept, None if there is none yet, and what is to follow
                it; returns the same with places, and the new head.
            most: entries at once.

        Returns:
            How many there were.

        Raises:
            AuditError: ``audit.broken``, the entry that the head is of is not there or is
                another; and what ``chain`` raises.
        """
        ...

    def adopt(
        self, head: Callable[[int, bytes], Head], said: Callable[[int], AuditEntry]
    ) -> AuditEntry:
        """Take what the database has as the chain, whatever was signed before; say so in it.

        Args:
            head: signs a head for the number and the hash of the last entry that is there.
            said: returns the entry that tells of it.

        Returns:
            The entry that tells of it, which is the next.
        """
        ...

    def chained(self, *, after: int, limit: int) -> Sequence[AuditEntry]:
        """Return entries of the chain by their numbers, those beyond ``after``."""
        ...

    def end(self) -> Head | None:
        """Return the head that is kept, of a chain that ends there.

        Raises:
            AuditError: ``audit.broken``, as ``lay`` says it.
        """
        ...

    def head(self) -> Head | None:
        """Return the head that is kept; None: nothing has been laid yet."""
        ...

    def waiting(self) -> int:
        """Return how many entries have no place in the chain yet."""
        ...


class Vault(Protocol):
    """Secrets, which rest only encrypted. ``kind`` and ``owner`` name a device or a part of us."""

    def put(self, kind: str, owner: str, name: str, secret: bytes) -> None: ...

    def get(self, kind: str, owner: str, name: str) -> bytes:
        """Return a secret; NotFoundError, or SecurityError if it was tampered with."""
        ...

    def find(self, kind: str, owner: str) -> Mapping[str, bytes]:
        """Return every secret of one owner by name; empty if there are none."""
        ...

    def delete(self, kind: str, owner: str, name: str) -> None:
        """Forget a secret; nothing happens if there is none."""
        ...

    def rotate(self) -> int:
        """Seal every secret with a new key-encryption key; return how many there are."""
        ...


@dataclass(frozen=True, slots=True)
class ReadingFilter:
    """Which readings: of one meter, in times ``start`` < t ≤ ``end`` (interval ends), or any."""

    meter: str
    channels: tuple[str, ...] = ()
    profile: str | None = None
    start: int | None = None
    end: int | None = None
    all_versions: bool = False


@dataclass(frozen=True, slots=True)
class StoreCounts:
    """The figures of a store of readings.

    ``readings`` counts the latest version of each (meter, channel, profile, time), ``versions``
    all of them; ``batches`` those that the ledger remembers; ``octets`` is what the files take.
    """

    readings: int
    versions: int
    meters: int
    batches: int
    octets: int
    newest: int | None = None


class ReadingStore(Protocol):
    """Interval data: raw values are never overwritten, and queries see the latest version."""

    def commit(self, batches: Sequence[Batch]) -> Sequence[BatchResult]:
        """Make many batches durable in one transaction."""
        ...

    def readings(
        self, which: ReadingFilter, *, after: str | None = None, limit: int = MAX_READINGS_PAGE
    ) -> Page[pa.Table]:
        """Return the readings by time and channel: one table, in the schema of the lake's queries.

        The page holds at most one table; its ``next`` is for the one that follows.
        """
        ...

    def of_meters(
        self, meters: Sequence[str], channel: str, *, profile: str, start: int, end: int
    ) -> pa.Table:
        """Return one channel of a profile of some meters in ``start`` < t ≤ ``end``, at once.

        The schema is that of ``readings``; the rows are in no order.

        Raises:
            ConflictError: ``store.readings``, they are more than ``MAX_READINGS``.
        """
        ...

    def latest(self, meter: str) -> pa.Table:
        """Return the newest reading of each of a meter's channels."""
        ...

    def cursors(self, meters: Sequence[str]) -> Mapping[str, Mapping[str, int]]:
        """Return by meter and profile the time of the last stored reading."""
        ...

    def sums(
        self,
        meters: Sequence[str] | None = None,
        *,
        start: int | None = None,
        end: int | None = None,
    ) -> pa.Table:
        """Return per meter, profile and channel, in ``start`` < t ≤ ``end`` or any time.

        The columns are ``openami.mdm.sums.SUMS_SCHEMA``: count, exact sum, first and last time.
        """
        ...

    def hourly(
        self,
        channel: str,
        *,
        profile: str,
        start: int,
        end: int,
        meters: Sequence[str] | None = None,
    ) -> pa.Table:
        """Return per hour, named by its end, the sum and count of a channel over some meters.

        Only readings of ``profile`` count: the same channel may come as single reads, too.
        """
        ...

    def gaps(
        self, *, start: int, end: int, period: int, profile: str, meters: Sequence[str]
    ) -> pa.Table:
        """Return the intervals that should be there and are not: meter, channel, first, last."""
        ...

    def coverage(
        self, *, start: int, end: int, period: int, profile: str, meters: Sequence[str]
    ) -> pa.Table:
        """Return per meter and channel how many intervals are ``expected`` and ``present``."""
        ...

    def duplicates(self, *, start: int | None = None, end: int | None = None) -> int:
        """Return how many rows repeat both the key and the value of another; looks at them all."""
        ...

    def counts(self) -> StoreCounts: ...

    def compact(self) -> None:
        """Merge small files, drop old snapshots and files that nothing needs any more."""
        ...
