"""What each meter of a group lacks, as far as is known, and how well it hears."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Final

import numpy as np

from openami.fleet.upgrade.bitmap import MAX_BLOCKS, present
from openami.fleet.upgrade.costs import LEAST_LOSS, MOST_LOSS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from openami.fleet.upgrade.answers import Bits

    Bitmap = NDArray[np.bool_]
    Chances = NDArray[np.float64]
    Indices = NDArray[np.int64]

MAX_METERS: Final = 4096
"""Of a group: a concentrator's segment has some hundred, at most two thousand."""
MAX_CELLS: Final = 1 << 26
"""Meters times blocks, an octet each: 64 MiB, of 2,000 meters with 32,000 blocks."""
_DEAF: Final = 16
"""Blocks of which not one came: a meter that hears at all misses them once in 10^16 at a loss of
0.1, once in six at ``MOST_LOSS``."""
_WEIGHT: Final = 256.0
"""How many blocks of its own a meter's loss must be seen in to count as much as the others'."""
_PRIOR: Final = 32.0
"""How many blocks what is supposed of the line counts as."""
_HAS: Final = 255
_TAKEN: Final = 254
"""The meter has said that it took the block; its bitmap has not shown it yet."""
_LUCK: Final = 1e-3
"""How unlikely it must be that a meter missed all that was sent to it, for its bits to be read
otherwise: of a thousand meters that lack one more block, one is sent a few that it has."""


class Place(StrEnum):
    """Where a meter stands in its group."""

    HEARS = "hears"
    ALONE = "alone"
    FULL = "full"
    SILENT = "silent"
    STUCK = "stuck"

    @property
    def active(self) -> bool:
        """Whether anything is still to be done for it."""
        return self in {Place.HEARS, Place.ALONE}


class Ledger:
    """Rows of meters, columns of blocks.

    Args:
        blocks: of the image.
        loss: what is supposed of the line before anything is known.

    Attributes:
        places: where each row stands.
        serials: whose row it is.
        deaf: rows of meters that have heard nothing of all that was broadcast.
    """

    def __init__(self, blocks: int, *, loss: float) -> None:
        if not 0 < blocks <= MAX_BLOCKS:
            raise ValueError(f"1 to {MAX_BLOCKS} blocks wanted")
        self.blocks = blocks
        self.places: list[Place] = []
        self.serials: list[str] = []
        self.deaf: set[int] = set()
        self._rows: dict[str, int] = {}
        # How often a block was broadcast since the meter said that it lacks it; _TAKEN, _HAS.
        self._tries = np.zeros((0, blocks), dtype=np.uint8)
        self._lost = np.zeros(0)
        self._tried = np.zeros(0)
        self._suspect = np.zeros(0, dtype=np.bool_)
        self._luck = np.ones(0)
        self._loss = loss

    def row(self, serial: str) -> int | None:
        """Return a meter's row; None: it is not of this group."""
        return self._rows.get(serial)

    def has_room(self, serial: str) -> bool:
        """Tell whether a meter is of this group, or may be."""
        rows = len(self.serials) + 1
        return serial in self._rows or (rows <= MAX_METERS and rows * self.blocks <= MAX_CELLS)

    def add(self, serial: str, bits: Bits | None, place: Place) -> int:
        """Take in a meter, or take note anew of what it has; return its row.

        Args:
            serial: the meter.
            bits: what it has; None: it has just begun.
            place: where it stands, unless it turns out to hear nothing, or to be full.

        Raises:
            ValueError: the group is too large.
        """
        row = self._rows.get(serial)
        if row is None:
            row = self._grow(serial)
        self.places[row] = Place.ALONE if row in self.deaf else place
        if bits is None:
            self._tries[row] = 0
        else:
            self.reported(row, bits)
        return row

    def _grow(self, serial: str) -> int:
        if not self.has_room(serial):
            raise ValueError("too many meters for blocks of this size")
        row = len(self.serials)
        self._tries = np.vstack((self._tries, np.zeros((1, self.blocks), dtype=np.uint8)))
        self._lost, self._tried = np.append(self._lost, 0.0), np.append(self._tried, 0.0)
        self._suspect = np.append(self._suspect, [False])
        self._luck = np.append(self._luck, 1.0)
        self.places.append(Place.HEARS)
        self.serials.append(serial)
        self._rows[serial] = row
        return row

    def at(self, place: Place) -> Indices:
        """Return the rows that stand there."""
        return np.flatnonzero([here is place for here in self.places])

    def lacks(self, row: int) -> Indices:
        """Return the blocks that a meter lacked when it was asked last."""
        return np.flatnonzero(self._tries[row] != _HAS)

    def wanted(self, rows: Indices) -> Indices:
        """Return the blocks that one of these meters lacks and that were not sent since."""
        return np.flatnonzero((self._tries[rows] == 0).any(axis=0))

    def tried(self, rows: Indices) -> Indices:
        """Return how often at most a block was sent since each of these meters was asked."""
        tries = self._tries[rows]
        counts: Indices = np.where(tries == _HAS, 0, tries).max(axis=1).astype(np.int64)
        return counts

    # How well they hear.

    @property
    def measured(self) -> bool:
        """Whether any meter has told what it missed of a broadcast."""
        return bool(self._tried.any())

    @property
    def loss(self) -> float:
        """Of a block at a meter, over all meters."""
        if not self.measured:
            return self._loss
        seen = (self._lost.sum() + 0.5) / (self._tried.sum() + 1.0)
        return float(min(max(seen, LEAST_LOSS), MOST_LOSS))

    def doubts(self, rows: Indices) -> Chances:
        """Return the chances that these meters lack each block.

        A meter's loss is what it has told, and the others' while it has told little.
        """
        losses = (self._lost[rows] + _WEIGHT * self.loss) / (self._tried[rows] + _WEIGHT)
        losses = np.clip(losses, LEAST_LOSS, MOST_LOSS)
        tries = self._tries[rows]
        chances: Chances = np.where(tries == _HAS, 0.0, losses[:, None] ** tries)
        return chances

    # What they are sent, and what they say.

    def sent(self, numbers: tuple[int, ...]) -> None:
        """Take note that blocks were broadcast."""
        columns = list(numbers)
        tries = self._tries[:, columns]
        self._tries[:, columns] = tries + (tries < _TAKEN - 1)

    def taken(self, row: int, number: int) -> None:
        """Take note that a meter said that it took a block which it lacked."""
        self._tries[row, number] = _TAKEN

    def reported(self, row: int, bits: Bits) -> bool:
        """Take note of a bitmap; return whether it shows more than the one before.

        A meter whose gaps were all sent and do not become fewer may count its bits from the other
        end; from then on it has only what both ways of reading show.
        """
        tries = self._tries[row].copy()
        lacked = tries != _HAS
        there = present(bits, self.blocks, suspect=bool(self._suspect[row]))
        self._measure(row, tries, there)
        progress = int((~there).sum()) < int(lacked.sum())
        self._luck[row] = 1.0 if progress else self._luck[row] * self._chance(row, tries[lacked])
        if self._luck[row] < _LUCK and not there.all():
            self._suspect[row] = True
            there = present(bits, self.blocks, suspect=True)
        self._note(row, there)
        return progress

    def _chance(self, row: int, tries: NDArray[np.uint8]) -> float:
        """Return how likely it is, by what others hear, that nothing arrived of what was sent."""
        if (tries == _TAKEN).any():
            return 0.0
        lost = self._lost.sum() - self._lost[row] + self._loss * _PRIOR
        loss = lost / (self._tried.sum() - self._tried[row] + _PRIOR)
        return float(min(loss, MOST_LOSS) ** tries.sum(dtype=np.int64))

    def _note(self, row: int, there: Bitmap) -> None:
        self._tries[row] = np.where(there, _HAS, 0)
        if there.all():
            self.places[row] = Place.FULL

    def _measure(self, row: int, tries: NDArray[np.uint8], there: Bitmap) -> None:
        sent = (tries < _TAKEN) & (tries > 0)
        for times in np.unique(tries[sent]):
            cells = tries == times
            count, left = int(cells.sum()), int((cells & ~there).sum())
            self._lost[row] += count * (left / count) ** (1 / float(times))
            self._tried[row] += count
        if sent.sum() >= _DEAF and not (sent & there).any():
            self.places[row] = Place.ALONE
            self.deaf.add(row)
