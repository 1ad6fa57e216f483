"""What a service refers to: attributes, methods, and a part of a profile's buffer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

from openami.core.errors import DecodeError
from openami.core.obis import Obis
from openami.dlms import data as d
from openami.dlms.data import Data

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from openami.dlms.datetime import CosemDateTime
    from openami.wire.reader import Reader
    from openami.wire.writer import Writer

CLOCK: Final = Obis.parse("0.0.1.0.0.255")


@dataclass(frozen=True, slots=True, order=True)
class AttributeRef:
    """One attribute of one object (Cosem-Attribute-Descriptor)."""

    class_id: int
    obis: Obis
    attribute: int

    def write(self, w: Writer) -> None:
        w.u16(self.class_id).raw(self.obis.raw).sint(self.attribute, 1)

    @classmethod
    def read(cls, r: Reader) -> Self:
        return cls(r.u16(), Obis(r.take(6)), r.sint(1))

    def __str__(self) -> str:
        return f"{self.class_id}/{self.obis}/{self.attribute}"


@dataclass(frozen=True, slots=True, order=True)
class MethodRef:
    """One method of one object (Cosem-Method-Descriptor)."""

    class_id: int
    obis: Obis
    method: int

    def write(self, w: Writer) -> None:
        w.u16(self.class_id).raw(self.obis.raw).sint(self.method, 1)

    @classmethod
    def read(cls, r: Reader) -> Self:
        return cls(r.u16(), Obis(r.take(6)), r.sint(1))

    def __str__(self) -> str:
        return f"{self.class_id}/{self.obis}/method {self.method}"


@dataclass(frozen=True, slots=True, order=True)
class CaptureObject:
    """A column of a profile (Blue Book, profile generic, capture_objects)."""

    class_id: int
    obis: Obis
    attribute: int
    index: int = 0

    def data(self) -> Data:
        return d.structure(
            d.u16(self.class_id), d.octets(self.obis.raw), d.i8(self.attribute), d.u16(self.index)
        )

    @classmethod
    def of(cls, data: Data) -> Self:
        """Read ``data``.

        Raises:
            DecodeError: it is not a capture object.
        """
        class_id, name, attribute, index = data.items(4)
        return cls(class_id.integer(), obis_of(name), attribute.integer(), index.integer())

    def __str__(self) -> str:
        return f"{self.class_id}/{self.obis}/{self.attribute}/{self.index}"


CLOCK_COLUMN: Final = CaptureObject(8, CLOCK, 2)


def obis_of(data: Data) -> Obis:
    """Return the logical name in an octet-string.

    Raises:
        DecodeError: it is none, or has not six octets.
    """
    octets = data.octets()
    if len(octets) != 6:
        raise DecodeError(f"a logical name of six octets wanted, {len(octets)} found")
    return Obis(octets)


@dataclass(frozen=True, slots=True)
class RangeSelection:
    """Rows whose ``column`` is from ``start`` to ``end``, both included (selector 1, class 7).

    ``columns`` are those wanted, in any order; empty means all.
    """

    column: CaptureObject
    start: Data
    end: Data
    columns: tuple[CaptureObject, ...] = ()

    @classmethod
    def of_times(
        cls,
        start: CosemDateTime,
        end: CosemDateTime,
        *,
        column: CaptureObject = CLOCK_COLUMN,
        columns: tuple[CaptureObject, ...] = (),
    ) -> Self:
        """Return the rows from ``start`` to ``end`` by the clock."""
        return cls(column, d.octets(start.encode()), d.octets(end.encode()), columns)

    @property
    def selector(self) -> int:
        return 1

    @property
    def parameters(self) -> Data:
        columns = d.array(*(column.data() for column in self.columns))
        return d.structure(self.column.data(), self.start, self.end, columns)

    @classmethod
    def of(cls, parameters: Data) -> Self:
        """Read the access parameters of selector 1.

        Raises:
            DecodeError: they are not a range_descriptor.
        """
        column, start, end, columns = parameters.items(4)
        return cls(
            CaptureObject.of(column), start, end, tuple(map(CaptureObject.of, columns.items()))
        )


@dataclass(frozen=True, slots=True)
class EntrySelection:
    """Rows and columns by number from 1, both ends included; an end of 0 is the highest there is.

    Selector 2 of class 7.
    """

    first: int
    last: int = 0
    first_column: int = 1
    last_column: int = 0

    @property
    def selector(self) -> int:
        return 2

    @property
    def parameters(self) -> Data:
        return d.structure(
            d.u32(self.first), d.u32(self.last), d.u16(self.first_column), d.u16(self.last_column)
        )

    @classmethod
    def of(cls, parameters: Data) -> Self:
        """Read the access parameters of selector 2.

        Raises:
            DecodeError: they are not an entry_descriptor.
        """
        first, last, first_column, last_column = parameters.items(4)
        return cls(first.integer(), last.integer(), first_column.integer(), last_column.integer())


@dataclass(frozen=True, slots=True)
class OtherSelection:
    """A selector that class 7 doesn't have, or parameters that aren't in its form."""

    selector: int
    parameters: Data


Selection = RangeSelection | EntrySelection | OtherSelection

_SELECTIONS: Final[Mapping[int, Callable[[Data], RangeSelection | EntrySelection]]] = {
    1: RangeSelection.of,
    2: EntrySelection.of,
}


def write_selection(w: Writer, selection: Selection | None) -> None:
    """Write the optional Selective-Access-Descriptor."""
    if selection is None:
        w.u8(0)
    else:
        w.u8(1).u8(selection.selector).raw(selection.parameters.encode())


def read_selection(r: Reader) -> Selection | None:
    """Read the optional Selective-Access-Descriptor.

    Raises:
        DecodeError: it is none.
    """
    if not read_presence(r):
        return None
    selector = r.u8()
    parameters = Data.decode(r)
    form = _SELECTIONS.get(selector)
    if form is not None:
        try:
            selection = form(parameters)
        except DecodeError:
            return OtherSelection(selector, parameters)
        if selection.parameters == parameters:  # else its numbers have other types than ours
            return selection
    return OtherSelection(selector, parameters)


def read_presence(r: Reader) -> bool:
    """Read the flag before an OPTIONAL or DEFAULT element (IEC 61334-6): 0 absent, else present."""
    return r.u8() != 0
