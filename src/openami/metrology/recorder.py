"""A meter's rings, and which of their rows are not yet in its non-volatile memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from openami.metrology import rows
from openami.metrology.events import CAPACITY, LOGS, Event, Ring
from openami.metrology.rings import RowRing

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from openami.metrology.memory import Row


class Recorder:
    """Captures rows.

    Args:
        lasts: the newest sequence number of each ring, by its number.
        restored: the rows that the memory held, ordered by ring and number.
        capacity: how many rows each ring keeps.
    """

    def __init__(
        self,
        lasts: Mapping[int, int] | None = None,
        restored: Iterable[Row] = (),
        capacity: Mapping[Ring, int] = CAPACITY,
    ) -> None:
        lasts = lasts or {}
        self._rings = {
            ring: RowRing(ring, size, last=lasts.get(ring, 0)) for ring, size in capacity.items()
        }
        by_ring: dict[int, list[Row]] = {}
        for row in restored:
            by_ring.setdefault(row.ring, []).append(row)
        for ring, kept in self._rings.items():
            kept.restore(by_ring.get(ring, ()))
        self._kept = {ring: kept.last for ring, kept in self._rings.items()}
        self._cleared: set[Ring] = set()

    def __getitem__(self, ring: Ring) -> RowRing:
        return self._rings[ring]

    @property
    def lasts(self) -> dict[int, int]:
        """The newest sequence number of each ring."""
        return {int(ring): kept.last for ring, kept in self._rings.items()}

    @property
    def firsts(self) -> dict[int, int]:
        """For each ring that changed since the last commit, the first row still wanted."""
        return {
            int(ring): kept.first
            for ring, kept in self._rings.items()
            if kept.last != self._kept[ring] or ring in self._cleared
        }

    @property
    def pending(self) -> tuple[Row, ...]:
        """The rows not yet committed, as far as the rings still hold them."""
        return tuple(
            row
            for ring, kept in self._rings.items()
            if kept.last != self._kept[ring]
            for row in kept.since(self._kept[ring])
        )

    @property
    def dirty(self) -> bool:
        """Tell whether there is anything that a reader could see and the memory does not hold."""
        return bool(self._cleared) or any(
            kept.last != self._kept[ring] for ring, kept in self._rings.items()
        )

    def committed(self) -> None:
        """Take note that the memory holds everything."""
        self._kept = {ring: kept.last for ring, kept in self._rings.items()}
        self._cleared.clear()

    def clear(self, ring: Ring) -> None:
        """Forget the rows of a ring."""
        self._rings[ring].clear()
        self._cleared.add(ring)

    def event(self, event: Event, time: int, stamp: bytes) -> None:
        """Write an event to its log."""
        data = rows.structure(rows.clock(stamp), rows.u8(event))
        self._rings[LOGS[event]].append(time, data)
