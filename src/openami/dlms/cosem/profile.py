"""Profile generic (Blue Book 4.3.6) over a port that gives rows already encoded."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import IntEnum
from itertools import islice
from typing import ClassVar, Final, Protocol

from openami.core.obis import Obis
from openami.dlms.cosem.access import FOR_READERS, AccessTable
from openami.dlms.cosem.base import (
    AccessError,
    ActionError,
    Attribute,
    Context,
    CosemObject,
    Method,
)
from openami.dlms.cosem.fields import number
from openami.dlms.data import Data, DataType, Encodable, RawData, array
from openami.dlms.datetime import CosemDateTime
from openami.dlms.references import (
    CLOCK_COLUMN,
    CaptureObject,
    EntrySelection,
    OtherSelection,
    RangeSelection,
    Selection,
)
from openami.dlms.results import ActionResult, DataAccessResult
from openami.wire.writer import encode_length


class SortMethod(IntEnum):
    """Attribute 5."""

    FIFO = 1
    LIFO = 2
    LARGEST = 3
    SMALLEST = 4
    NEAREST_TO_ZERO = 5
    FARTHEST_FROM_ZERO = 6


Columns = Sequence[int] | None
"""Which columns are wanted, counted from 0, in order; None for all."""


class ProfileSource(Protocol):
    """Holds a profile's rows, oldest first; a row is the octets of an encoded structure."""

    def entries_in_use(self) -> int:
        """Return how many rows there are."""
        ...

    def by_range(self, start: float | None, end: float | None, columns: Columns) -> Iterable[bytes]:
        """Return the rows whose time in UTC seconds is in ``start`` … ``end``, both included."""
        ...

    def by_entry(self, first: int, last: int, columns: Columns) -> Iterable[bytes]:
        """Return the rows ``first`` to ``last``, counted from 1, both included."""
        ...

    def capture(self) -> None:
        """Capture a row now."""

    def reset(self) -> None:
        """Forget all rows."""


def encode_row(cells: Sequence[bytes], columns: Columns = None) -> bytes:
    """Return the octets of the structure of encoded ``cells``, or of those in ``columns``."""
    chosen = cells if columns is None else [cells[index] for index in columns]
    return b"".join((b"\x02", encode_length(len(chosen)), *chosen))


def encode_rows(rows: Iterable[bytes]) -> RawData:
    """Return the array of encoded ``rows``."""
    rows = tuple(rows)
    return RawData(b"".join((b"\x01", encode_length(len(rows)), *rows)))


class MemoryProfile:
    """Rows in memory, the oldest dropped when there are more than ``capacity``.

    Args:
        capacity: how many rows are kept.
        snapshot: returns the time in UTC seconds and the encoded cells of a row captured now.
    """

    def __init__(
        self, capacity: int, snapshot: Callable[[], tuple[float, Sequence[bytes]]] | None = None
    ) -> None:
        self._rows: deque[tuple[float, tuple[bytes, ...]]] = deque(maxlen=capacity)
        self._snapshot = snapshot

    def append(self, time: float, cells: Sequence[bytes]) -> None:
        """Add a row; ``time`` is not before the last row's."""
        self._rows.append((time, tuple(cells)))

    def entries_in_use(self) -> int:
        return len(self._rows)

    def by_range(self, start: float | None, end: float | None, columns: Columns) -> Iterable[bytes]:
        times = [time for time, _ in self._rows]
        first = 0 if start is None else bisect_left(times, start)
        last = len(times) if end is None else bisect_right(times, end)
        return self._encoded(first, last, columns)

    def by_entry(self, first: int, last: int, columns: Columns) -> Iterable[bytes]:
        return self._encoded(first - 1, last, columns)

    def _encoded(self, first: int, last: int, columns: Columns) -> Iterable[bytes]:
        return [encode_row(row, columns) for _, row in islice(self._rows, first, max(first, last))]

    def capture(self) -> None:
        if self._snapshot is None:
            raise ActionError(ActionResult.READ_WRITE_DENIED)
        self.append(*self._snapshot())

    def reset(self) -> None:
        self._rows.clear()


_FORMS: Final[Mapping[int, Callable[[Data], RangeSelection | EntrySelection]]] = {
    1: RangeSelection.of,
    2: EntrySelection.of,
}


def _known(selection: OtherSelection) -> RangeSelection | EntrySelection:
    form = _FORMS.get(selection.selector)
    if form is None:
        raise AccessError(DataAccessResult.SCOPE_OF_ACCESS_VIOLATED, "no such selector")
    return form(selection.parameters)


class ProfileGeneric(CosemObject):
    """Class 7: rows of captured values in the order of time.

    Args:
        obis: the logical name.
        source: holds the rows.
        columns: what the columns hold; the clock's is the one that ranges are over.
        period: seconds between captures, 0 if an event captures.
        entries: how many rows are kept at most.
        deviation: returns local time to UTC in minutes, for ranges that name none.
        sort: how rows are sorted.
        sort_object: what they are sorted by; none for unsorted.
        on_period: takes a written capture period; without it the period is read only.
        access: what each kind of client may do with it.
    """

    CLASS_ID = 7
    VERSION = 1

    def __init__(
        self,
        obis: Obis | str,
        source: ProfileSource,
        columns: Sequence[CaptureObject],
        *,
        period: int = 900,
        entries: int = 0,
        deviation: Callable[[], int] | None = None,
        sort: SortMethod = SortMethod.FIFO,
        sort_object: CaptureObject | None = None,
        on_period: Callable[[int], None] | None = None,
        access: AccessTable = FOR_READERS,
    ) -> None:
        super().__init__(obis, access=access)
        self.source = source
        self.columns = tuple(columns)
        self.period = period
        self.entries = entries
        self.sort = sort
        self.sort_object = sort_object
        self._deviation = deviation or (lambda: 0)
        self._on_period = on_period
        if on_period is None:
            self.read_only = frozenset({4})

    def buffer(self, _: Context) -> RawData:
        return encode_rows(self.source.by_range(None, None, None))

    def select(self, selection: Selection, _: Context) -> RawData:
        """Return the part of the buffer that ``selection`` names (Blue Book 4.3.6.2.2)."""
        if isinstance(selection, OtherSelection):  # numbers of other types than ours, or unknown
            selection = _known(selection)
        if isinstance(selection, RangeSelection):
            return encode_rows(self._range(selection))
        return encode_rows(self._entries(selection))

    def _range(self, selection: RangeSelection) -> Iterable[bytes]:
        if selection.column != CLOCK_COLUMN:
            raise AccessError(
                DataAccessResult.SCOPE_OF_ACCESS_VIOLATED, "ranges are over the clock"
            )
        chosen = self._chosen(selection.columns)
        start, end = self._moment(selection.start), self._moment(selection.end)
        return self.source.by_range(start, end, chosen)

    def _moment(self, value: Data) -> float | None:
        """Return a limit of a range in UTC seconds; None if it is left open."""
        if value.type is DataType.NULL:
            return None
        if value.type is DataType.UINT32:
            return float(value.integer())
        time = value.datetime()
        if time.date == CosemDateTime().date:
            return None
        try:
            return time.timestamp(self._deviation())
        except ValueError as error:
            raise AccessError(DataAccessResult.OTHER_REASON, str(error)) from None

    def _chosen(self, wanted: Sequence[CaptureObject]) -> Columns:
        if not wanted:
            return None
        try:
            return [self.columns.index(column) for column in wanted]
        except ValueError:
            raise AccessError(DataAccessResult.OTHER_REASON, "no such column") from None

    def _entries(self, selection: EntrySelection) -> Iterable[bytes]:
        in_use = self.source.entries_in_use()
        last = min(selection.last or in_use, in_use)
        if selection.first < 1 or selection.first_column < 1:
            raise AccessError(DataAccessResult.OTHER_REASON, "entries and columns count from 1")
        if selection.first > in_use:
            return ()
        width = len(self.columns)
        last_column = min(selection.last_column or width, width)
        columns = range(selection.first_column - 1, last_column)
        if not columns:
            raise AccessError(DataAccessResult.OTHER_REASON, "no such column")
        every = len(columns) == width
        return self.source.by_entry(selection.first, last, None if every else columns)

    def capture_objects(self, _: Context) -> Encodable:
        return array(*(column.data() for column in self.columns))

    def get_sort_object(self, _: Context) -> Encodable:
        return (self.sort_object or CaptureObject(0, Obis(bytes(6)), 0)).data()

    def set_period(self, value: Data, _: Context) -> None:
        if self._on_period is not None:
            self._on_period(value.integer())
        self.period = value.integer()

    def reset(self) -> None:
        """Method 1: forget all rows."""
        self.source.reset()

    def capture(self) -> None:
        """Method 2: capture a row now."""
        self.source.capture()

    ATTRIBUTES: ClassVar[Mapping[int, Attribute]] = {
        2: Attribute("buffer", buffer, select=select),
        3: Attribute("capture_objects", capture_objects),
        4: Attribute(
            "capture_period",
            lambda o, _: Data(DataType.UINT32, o.period),
            set_period,
            (DataType.UINT32,),
        ),
        5: Attribute("sort_method", lambda o, _: Data(DataType.ENUM, o.sort)),
        6: Attribute("sort_object", get_sort_object),
        7: Attribute(
            "entries_in_use", lambda o, _: Data(DataType.UINT32, o.source.entries_in_use())
        ),
        8: number("profile_entries", DataType.UINT32, "entries", writable=False),
    }
    METHODS: ClassVar[Mapping[int, Method]] = {
        1: Method("reset", lambda o, _, __: o.reset()),
        2: Method("capture", lambda o, _, __: o.capture()),
    }
