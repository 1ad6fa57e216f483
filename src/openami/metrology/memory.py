"""A meter's non-volatile memory: the port that ``openami.store`` implements.

A meter has one snapshot (its registers, clock and counters as of one moment, opaque octets) and
some rings of rows (load profiles, billing, event logs). Rows are only ever appended; each has a
sequence number that counts up by one in its ring for the meter's life. A commit carries the
snapshot that belongs to its rows, so what ``load`` returns is always the state of one moment.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@dataclass(frozen=True, slots=True)
class Row:
    """One captured row.

    Args:
        ring: which ring of the meter it belongs to (0 to 255).
        sequence: its number in the ring, counted from 1.
        time: the meter's clock at the capture, UTC seconds; not always rising.
        data: the row as an A-XDR structure, ready to be served.
    """

    ring: int
    sequence: int
    time: int
    data: bytes


@dataclass(frozen=True, slots=True)
class MeterCommit:
    """What one meter wants kept.

    Args:
        meter: its serial number.
        snapshot: replaces the snapshot kept before; holds keys only wrapped by one that is not in
            it.
        rows: appended to their rings, oldest first within a ring.
        first: for the rings named, the first sequence number still wanted: rows before it go.
    """

    meter: str
    snapshot: bytes
    rows: tuple[Row, ...] = ()
    first: Mapping[int, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class MeterImage:
    """What the memory holds of one meter: ``rows`` by ring, then by sequence number."""

    snapshot: bytes
    rows: tuple[Row, ...] = ()


class MeterMemory(Protocol):
    """The non-volatile memory of any number of meters."""

    def load(self, meter: str) -> MeterImage | None:
        """Return what was last committed for ``meter``; None for a meter never seen.

        Raises:
            StoreError: the memory could not be read.
        """
        ...

    def commit(self, commits: Sequence[MeterCommit]) -> None:
        """Keep all of ``commits`` or none; they are durable when this returns.

        The same row given again replaces itself.

        Raises:
            StoreFullError: there is no room; nothing of the call was kept.
            StoreError: another failure; nothing of the call was kept.
        """


class VolatileMemory:
    """A memory that dies with the process, for meters that need not survive it."""

    def __init__(self) -> None:
        self._snapshots: dict[str, bytes] = {}
        self._rows: dict[str, dict[tuple[int, int], Row]] = {}

    def load(self, meter: str) -> MeterImage | None:
        snapshot = self._snapshots.get(meter)
        if snapshot is None:
            return None
        rows = self._rows.get(meter, {})
        return MeterImage(snapshot, tuple(rows[key] for key in sorted(rows)))

    def commit(self, commits: Sequence[MeterCommit]) -> None:
        for commit in commits:
            self._snapshots[commit.meter] = commit.snapshot
            rows = self._rows.setdefault(commit.meter, {})
            rows.update({(row.ring, row.sequence): row for row in commit.rows})
            for key in [k for k in rows if k[1] < commit.first.get(k[0], 0)]:
                del rows[key]
