"""Load profiles, ST-64 to ST-67, as columns: without a step per interval (C12.19, decade 6).

A block has intervals of so many channels, and the time at which its last interval ended. Blocks
and intervals may stand newest first, and the newest block may be partly filled: ST-63 tells. What
comes out is one row per interval, oldest first, named by the interval's end.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np
import numpy.typing as npt

from openami.c1222.tables.columns import Column, Values, column_of
from openami.c1222.tables.ids import TableId, standard
from openami.c1222.tables.layout import Array, Leaf, Node, Record
from openami.core.errors import DecodeError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from openami.c1222.tables.tables import Tables

CONTROL: Final = standard(62)
DIMENSIONS: Final = standard(61)
FIRST_DATA: Final = 63
"""ST-64 has the first set."""


@dataclass(frozen=True, slots=True)
class ProfileColumns:
    """Intervals, one a row, oldest first.

    Attributes:
        ends: when each interval ended, as the device's clock shows it, datetime64[s]; NaT where
            the block's time is none.
        values: a row per channel, as the device counted: int64, or float64 where it writes
            non-integers.
        scalars: of each channel; 1 where ST-62 has none.
        divisors: of each channel; 1 where ST-62 has none.
        valid: what SIMPLE_INT_STATUS says; all true without it.
        common: the status of each interval for all channels (high nibble of the first octet of
            EXTENDED_INT_STATUS); None without it.
        status: a row per channel of its own status nibbles; None without it.
        block_ends: of each block.
        readings: BLK_END_READ of each block, a row per channel; None without it.
        pulses: BLK_END_PULSE of each block, a row per channel; None without it.
    """

    ends: npt.NDArray[np.datetime64]
    values: Values
    scalars: npt.NDArray[np.int64]
    divisors: npt.NDArray[np.int64]
    valid: npt.NDArray[np.bool_]
    common: npt.NDArray[np.uint8] | None
    status: npt.NDArray[np.uint8] | None
    block_ends: npt.NDArray[np.datetime64]
    readings: Values | None
    pulses: Values | None

    @property
    def rows(self) -> int:
        """How many intervals."""
        return len(self.ends)


@dataclass(frozen=True, slots=True)
class _Extent:
    """Which blocks, in which order, and how many intervals the newest has."""

    order: npt.NDArray[np.int64] | None
    newest: int
    reverse: bool


@dataclass(frozen=True, slots=True)
class ProfileSet:
    """One of the four sets of a device, ready to read its data again and again.

    Attributes:
        number: 1 to 4.
        blocks: how many the table has.
        intervals: of a block.
        channels: of an interval.
        minutes: how long an interval is.
        block_size: octets of a block, for reads of some blocks by offset.
    """

    number: int
    blocks: int
    intervals: int
    channels: int
    minutes: int
    block_size: int
    _dtype: np.dtype[Any]
    _columns: Mapping[str, Column]
    _scales: tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]
    _before: npt.NDArray[np.timedelta64]

    @classmethod
    def of(cls, tables: Tables, number: int) -> Self:
        """Return a set of a device whose ST-61 and ST-62 are known.

        Raises:
            LocalProtocolError: ``c1219.dimension``, they are not, or the device has no such set.
            ConfigError: ``c1219.table``, there are sets 1 to 4.
        """
        layout = tables.layout(cls.table(number))
        array = _only(layout, "BLOCKS", Array)
        block = _as(array.of, Record)
        size = tables.known[DIMENSIONS][f"SET{number}"]
        control = tables.known[CONTROL][f"SET{number}"]
        ones = [1] * size["NBR_CHNS"]
        columns: dict[str, Column] = {}
        return cls(
            number,
            size["NBR_BLKS"],
            size["NBR_BLK_INTS"],
            size["NBR_CHNS"],
            size["MAX_INT_TIME"],
            block.size,
            _dtype(block, columns),
            columns,
            (
                np.array(control.get("SCALARS", ones), np.int64),
                np.array(control.get("DIVISORS", ones), np.int64),
            ),
            np.arange(size["NBR_BLK_INTS"] - 1, -1, -1)
            * np.timedelta64(60 * size["MAX_INT_TIME"], "s"),
        )

    @staticmethod
    def table(number: int) -> TableId:
        """Return the table that a set's data stand in."""
        return standard(FIRST_DATA + number)

    def decode(self, octets: bytes, status: Mapping[str, Any] | None = None) -> ProfileColumns:
        """Return the intervals of a set.

        Args:
            octets: whole blocks; with a status, all the table's.
            status: the set's record of ST-63, which tells the order and what is filled; without
                it all blocks are taken as they stand, each full and ascending.

        Raises:
            DecodeError: the octets are no such blocks, or the status speaks of others.
        """
        if not self.block_size or len(octets) % self.block_size:
            raise DecodeError(
                f"blocks of {self.block_size} octets wanted, {len(octets)} octets found",
                offset=len(octets),
            )
        data = np.frombuffer(octets, self._dtype)
        extent = _Extent(None, self.intervals, reverse=False)
        if status is not None:
            extent = self._extent(len(data), status)
            data = data[extent.order]
        return self._columns_of(data, extent)

    def _extent(self, found: int, status: Mapping[str, Any]) -> _Extent:
        count, last = status["NBR_VALID_BLOCKS"], status["LAST_BLOCK_ELEMENT"]
        newest = status["NBR_VALID_INT"]
        if found != self.blocks or count > found or newest > self.intervals:
            raise DecodeError(f"{count} blocks of {self.blocks} wanted, {found} found")
        if count and last >= found:
            raise DecodeError(f"block {last} of {found} is none")
        ages = np.arange(count - 1, -1, -1)
        descending = status["FLAGS"]["ORDER"]
        order = (last + ages if descending else last - ages) % max(found, 1)
        return _Extent(order, newest, status["FLAGS"]["INTERVAL_ORDER"])

    def _columns_of(self, data: Values, extent: _Extent) -> ProfileColumns:
        intervals = data["INTERVALS"]
        if extent.reverse:
            intervals = intervals[:, ::-1]
        keep = self._kept(len(data), extent)
        block_ends = self._columns["BLK_END_TIME"].convert(data["BLK_END_TIME"])
        by_channel = np.moveaxis(intervals["INT_DATA"], 2, 0)
        numbers = np.ascontiguousarray(self._columns["INT_DATA"].convert(by_channel))
        common, status = self._statuses(intervals, keep)
        readings, pulses = (self._of_blocks(data, name) for name in ("READ", "PULSE"))
        return ProfileColumns(
            self._ends(block_ends, extent).reshape(-1)[keep],
            numbers.reshape(self.channels, len(data) * self.intervals)[:, keep],
            *self._scales,
            self._valid(data, extent)[keep],
            common,
            status,
            block_ends,
            readings,
            pulses,
        )

    def _kept(self, blocks: int, extent: _Extent) -> Any:
        """Return which rows there are: all but those that the newest block has not filled."""
        rows, empty = blocks * self.intervals, self.intervals - extent.newest
        if not blocks or not empty:
            return slice(None)
        if not extent.reverse:
            return slice(rows - empty)
        keep = np.ones(rows, bool)
        keep[rows - self.intervals : rows - extent.newest] = False
        return keep

    def _ends(self, block_ends: npt.NDArray[np.datetime64], extent: _Extent) -> Values:
        ends = block_ends[:, None] - self._before
        if len(ends) and not extent.reverse:  # the newest block's time is its last interval's
            ends[-1] += self._before[extent.newest - 1] if extent.newest else 0
        return ends

    def _valid(self, data: Values, extent: _Extent) -> npt.NDArray[np.bool_]:
        if "SIMPLE_INT_STATUS" not in self._names:
            return np.ones(len(data) * self.intervals, bool)
        bits = np.unpackbits(data["SIMPLE_INT_STATUS"], axis=-1, bitorder="little")
        bits = bits[:, : self.intervals]
        return (bits[:, ::-1] if extent.reverse else bits).reshape(-1).view(np.bool_)

    @property
    def _names(self) -> tuple[str, ...]:
        return self._dtype.names or ()

    def _statuses(
        self, intervals: Values, keep: Any
    ) -> tuple[npt.NDArray[np.uint8] | None, npt.NDArray[np.uint8] | None]:
        """Return the nibbles: high of the first octet for all channels, then one per channel."""
        if "EXTENDED_INT_STATUS" not in (intervals.dtype.names or ()):
            return None, None
        octets = intervals["EXTENDED_INT_STATUS"]
        rows = octets.shape[0] * self.intervals
        flat = np.moveaxis(octets, 2, 0).reshape(octets.shape[2], rows)[:, keep]
        own = np.empty((self.channels, flat.shape[1]), np.uint8)
        own[0::2] = flat[: (self.channels + 1) // 2] & 0x0F
        own[1::2] = flat[1 : 1 + self.channels // 2] >> 4
        return flat[0] >> 4, own

    def _of_blocks(self, data: Values, what: str) -> Values | None:
        name = f"BLK_END_{what}"
        if name not in self._columns:
            return None
        return np.ascontiguousarray(self._columns[name].convert(data["END_READINGS"][name]).T)


def _as(node: Node | None, kind: type[Any]) -> Any:
    """Return a node of the kind that the layout of a profile has there."""
    if not isinstance(node, kind):
        raise DecodeError("the layout is no load profile's")
    return node


def _only(record: Record, name: str, kind: type[Any]) -> Any:
    return _as({each.name: node for each, node in record.present}.get(name), kind)


_SUBJECTS: Final = {"SIMPLE_INT_STATUS", "EXTENDED_INT_STATUS"}
"""Octets whose bits are taken apart: they stay octets."""


def _dtype(record: Record, columns: dict[str, Column]) -> np.dtype[Any]:
    """Return a record as numpy has it, and note the columns of its numbers and times."""
    names: list[str] = []
    formats: list[Any] = []
    offsets: list[int] = []
    for each, node in record.present:
        names.append(each.name)
        formats.append(_format(each.name, node, columns))
        offsets.append(each.offset)
    return np.dtype(
        {"names": names, "formats": formats, "offsets": offsets, "itemsize": record.size}
    )


def _format(name: str, node: Node, columns: dict[str, Column]) -> Any:
    if isinstance(node, Array):
        return (_format(name, node.of, columns), (node.count,))
    if isinstance(node, Record):
        return _dtype(node, columns)
    if name in _SUBJECTS:
        return (np.uint8, (node.size,)) if name == "SIMPLE_INT_STATUS" else np.uint8
    return _noted(name, node, columns)


def _noted(name: str, leaf: Leaf, columns: dict[str, Column]) -> np.dtype[Any]:
    columns[name] = column_of(leaf.codec)
    return columns[name].dtype
