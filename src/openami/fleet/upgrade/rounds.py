"""What is sent next to a group of meters whose blocks have one size.

What some meter is known to lack is broadcast to all, whoever else may lack it. When nothing is
known to be lacking, there is a choice. A meter can be asked: its bitmap takes a good part of the
line time of a block. Or blocks can be sent again unasked that somebody lacks in all likelihood:
after the first round to many meters nearly every block. So a few meters are asked after the first
round, to learn how much is lost; then it is reckoned which is cheaper. Asking goes from meter to
meter, the one first that probably lacks most, and what it lacks is sent before the next one is
asked: those that come later lack less, and most of them are asked but once.

When it is cheaper to visit meters one by one, and for meters that hear no broadcasts, blocks go to
one meter, with its answer. However it goes, it ends: with meters that are full, silent, or stuck.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Final

import numpy as np

from openami.fleet.upgrade.costs import (
    askings,
    to_finish_by_broadcast,
    to_finish_by_unicast,
    wasted,
)
from openami.fleet.upgrade.ledger import Ledger, Place

if TYPE_CHECKING:
    from openami.fleet.upgrade.answers import Bits
    from openami.fleet.upgrade.costs import Costs
    from openami.fleet.upgrade.ledger import Indices


@dataclass(frozen=True, slots=True)
class Blocks:
    """Broadcast these blocks to all stations, unanswered."""

    block_size: int
    numbers: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Ask:
    """Read a meter's bitmap."""

    serial: str


@dataclass(frozen=True, slots=True)
class Send:
    """Send these blocks to one meter, each answered."""

    serial: str
    block_size: int
    numbers: tuple[int, ...]


Turn = Blocks | Ask | Send


@dataclass(frozen=True, slots=True)
class RoundPolicy:
    """How a group is filled.

    Attributes:
        chunk: octets of line time after which others get their turn.
        sample: meters that are asked after the first round, to learn how much is lost.
        loss: what is supposed until then.
        likely: how likely it must be that somebody lacks a block that is sent unasked.
        blind: how often a block is sent to a meter that is not asked, at most.
        asks: of one meter, after which it is visited alone.
        patience: silences in a row, after which a meter is set aside.
        visits: of one meter, after which it is set aside; three without progress are enough.
    """

    chunk: float = 4096.0
    sample: int = 8
    loss: float = 0.05
    likely: float = 0.9
    blind: int = 4
    asks: int = 24
    patience: int = 3
    visits: int = 24

    def __post_init__(self) -> None:
        if min(self.sample, self.blind, self.asks, self.patience, self.visits) < 1:
            raise ValueError("a policy's counts are at least 1")
        if not (self.chunk > 0 and 0 < self.loss < 1 and 0 < self.likely <= 1):
            raise ValueError("a chunk is more than nothing, chances are between 0 and 1")


_PATIENCE: Final = 3
"""Visits without progress: the answer of one may have been lost, and a bitmap read wrongly."""
_PRUDENCE: Final = 2.0
"""What was sent in vain stays so; asking in vain is over as soon as an answer shows it."""


class Rounds:
    """One group.

    Args:
        blocks: of the image.
        block_size: octets of each.
        costs: of this line with such blocks.
        policy: how it is filled.
    """

    def __init__(
        self, blocks: int, block_size: int, costs: Costs, *, policy: RoundPolicy | None = None
    ) -> None:
        self._policy = policy or RoundPolicy()
        self._costs = costs
        self._size = block_size
        self._ledger = Ledger(blocks, loss=self._policy.loss)
        self._failures: Counter[int] = Counter()
        self._visits: Counter[int] = Counter()
        self._idle: Counter[int] = Counter()
        self._asks: deque[int] = deque()
        self._queue: deque[int] = deque()
        self._asked: Counter[int] = Counter()
        self._host: int | None = None
        self._todo: deque[int] = deque()

    # What it is told.

    def add(self, serial: str, bits: Bits | None = None, *, hears: bool = True) -> None:
        """Take in a meter that has been told to begin, or take note anew of what it has.

        Args:
            serial: the meter.
            bits: what it has; None: nothing.
            hears: whether it takes broadcasts.

        Raises:
            ValueError: the group is too large.
        """
        row = self._ledger.add(serial, bits, Place.HEARS if hears else Place.ALONE)
        for counts in (self._failures, self._visits, self._idle, self._asked):
            counts.pop(row, None)

    def drop(self, serial: str) -> None:
        """Take a meter out."""
        self._set_aside(serial, Place.SILENT)

    def sent(self, numbers: tuple[int, ...]) -> None:
        """Take note that blocks were broadcast."""
        self._ledger.sent(numbers)
        gone = set(numbers)
        self._queue = deque(number for number in self._queue if number not in gone)

    def reported(self, serial: str, bits: Bits) -> None:
        """Take note of a meter's bitmap."""
        row = self._known(serial)
        if row is None:
            return
        self._asks = deque(other for other in self._asks if other != row)
        self._asked[row] += 1
        progress = self._ledger.reported(row, bits)
        self._failures.pop(row, None)
        if self._host == row:
            self._leave(row, progress=progress)

    def _leave(self, row: int, *, progress: bool) -> None:
        self._host = None
        self._idle[row] = 0 if progress else self._idle[row] + 1
        tired = self._idle[row] >= _PATIENCE or self._visits[row] >= self._policy.visits
        if tired and self._ledger.places[row].active:
            self._set_aside(self._ledger.serials[row], Place.STUCK)

    def silent(self, serial: str) -> None:
        """Take note that a meter did not answer."""
        row = self._known(serial)
        if row is None:
            return
        self._failures[row] += 1
        if self._failures[row] >= self._policy.patience:
            self._set_aside(serial, Place.SILENT)
        elif row in self._asks:
            self._asks.remove(row)
            self._asks.append(row)

    def delivered(self, serial: str, number: int) -> None:
        """Take note that a meter said that it took a block."""
        row = self._known(serial)
        if row is not None and row == self._host and number in self._todo:
            self._failures.pop(row, None)
            self._todo.remove(number)
            self._ledger.taken(row, number)

    # What it tells.

    def place(self, serial: str) -> Place | None:
        """Return where a meter stands; None: it is not of this group."""
        row = self._ledger.row(serial)
        return None if row is None else self._ledger.places[row]

    def has_room(self, serial: str) -> bool:
        """Tell whether a meter is of this group, or may be."""
        return self._ledger.has_room(serial)

    def deaf(self, serial: str) -> bool:
        """Whether a meter has heard nothing of all that was broadcast."""
        return self._ledger.row(serial) in self._ledger.deaf

    def next(self, room: float = float("inf")) -> Turn | None:
        """Return what to do now; None: nothing, or nothing that has room.

        Asking again gives the same until the group is told something.

        Args:
            room: octets of line time until somebody else needs the line.
        """
        self._plan()
        if self._asks:
            serial = self._ledger.serials[self._asks[0]]
            return Ask(serial) if room >= self._costs.ask else None
        if self._queue:
            numbers = self._first(self._queue, room, self._costs.broadcast)
            return Blocks(self._size, numbers) if numbers else None
        if self._host is not None:
            numbers = self._first(self._todo, room, self._costs.unicast)
            serial = self._ledger.serials[self._host]
            return Send(serial, self._size, numbers) if numbers else None
        return None

    def _first(self, numbers: deque[int], room: float, each: float) -> tuple[int, ...]:
        fitting = int(min(room, max(self._policy.chunk, each)) / each)
        return tuple(islice(numbers, fitting))

    # How it decides.

    def _plan(self) -> None:
        if self._asks or self._queue or self._todo:
            return
        if self._host is not None:  # all that it lacked was sent
            self._asks.append(self._host)
            return
        self._leave_alone()
        hearing = self._ledger.at(Place.HEARS)
        alone = self._ledger.at(Place.ALONE)
        if len(hearing):
            self._go_round(hearing)
        elif len(alone):
            self._visit(int(alone[0]))

    def _leave_alone(self) -> None:
        """Give broadcasts up for meters asked too often, or for all if that is cheaper."""
        ledger = self._ledger
        hearing = ledger.at(Place.HEARS)
        if not len(hearing):
            return
        doubts, loss = ledger.doubts(hearing), ledger.loss
        cheaper = to_finish_by_unicast(doubts, loss, self._costs) < to_finish_by_broadcast(
            doubts, loss, self._costs
        )
        for row in hearing.tolist():
            if cheaper or self._asked[row] >= self._policy.asks:
                ledger.places[row] = Place.ALONE

    def _go_round(self, hearing: Indices) -> None:
        ledger = self._ledger
        numbers = ledger.wanted(hearing)
        if not len(numbers) and not ledger.measured:
            self._asks.extend(hearing[:: -(-len(hearing) // self._policy.sample)].tolist())
            return
        if not len(numbers):
            numbers = self._unasked(hearing)
        self._queue.extend(numbers.tolist())
        if not self._queue:
            probably = ledger.doubts(hearing).sum(axis=1)
            self._asks.append(int(hearing[np.argmax(probably)]))

    def _unasked(self, hearing: Indices) -> Indices:
        """Return the blocks that are worth sending before anybody is asked."""
        doubts = self._ledger.doubts(hearing)
        waste = wasted(doubts)
        numbers = np.flatnonzero(waste <= 1 - self._policy.likely)
        if not len(numbers) or self._ledger.tried(hearing).max() >= self._policy.blind:
            return numbers[:0]
        spared = askings(doubts[:, numbers]) * self._costs.visit
        costs = waste[numbers].sum() * self._costs.broadcast
        return numbers if costs * _PRUDENCE < spared else numbers[:0]

    def _visit(self, row: int) -> None:
        self._host = row
        self._visits[row] += 1
        if self._ledger.tried(np.array([row]))[0] > 0:
            self._asks.append(row)
        else:
            self._todo.extend(self._ledger.lacks(row).tolist())

    def _known(self, serial: str) -> int | None:
        row = self._ledger.row(serial)
        return row if row is not None and self._ledger.places[row].active else None

    def _set_aside(self, serial: str, place: Place) -> None:
        row = self._known(serial)
        if row is None:
            return
        self._ledger.places[row] = place
        self._asks = deque(other for other in self._asks if other != row)
        if self._host == row:
            self._host = None
            self._todo.clear()
