"""COSEM data in A-XDR (IEC 61334-6; Green Book 9.5, Data): a type and a value, nested.

Decoding gives ``Data`` or raises ``DecodeError``. A count of elements is never trusted: every
element takes an octet at least, so an array can't have more elements than octets are left.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from openami.core.errors import DecodeError, LocalProtocolError
from openami.dlms.datatypes import BitString, DataType, type_name
from openami.dlms.datetime import CosemDate, CosemDateTime, CosemTime
from openami.wire.reader import Reader
from openami.wire.writer import encode_length

# The deepest attribute of the Blue Book (activity calendars, object lists) nests 6 deep; more than
# twice that is somebody trying our stack.
MAX_DEPTH: Final = 16


@dataclass(frozen=True, slots=True)
class RawData:
    """One encoded Data that is passed on as it is."""

    octets: bytes

    def encode(self) -> bytes:
        return self.octets

    def write(self, out: bytearray) -> None:
        out += self.octets

    def decode(self) -> Data:
        """Return what the octets say.

        Raises:
            DecodeError: they are not one Data.
        """
        return decode_data(self.octets)


@dataclass(frozen=True, slots=True)
class Data:
    """A type and the value that goes with it.

    ``value`` is None (null, don't care), a tuple of Data (array, structure), bool, int (all
    integers, enum, BCD octet), float, bytes (octets), str (visible, utf8), ``BitString``,
    ``CosemDateTime``, ``CosemDate`` or ``CosemTime``.
    """

    type: DataType
    value: Any = None

    def encode(self) -> bytes:
        """Return the A-XDR octets.

        Raises:
            LocalProtocolError: the value is not one of the type.
        """
        out = bytearray()
        self.write(out)
        return bytes(out)

    def write(self, out: bytearray) -> None:
        """Append the A-XDR octets to ``out``; raises as ``encode`` does."""
        try:
            encoder = _ENCODERS[self.type]
            out.append(self.type)
            encoder(out, self.value)
        except (ArithmeticError, AttributeError, LookupError, TypeError, struct.error) as error:
            raise LocalProtocolError(
                f"a value that is not {self.type!r}: {type(self.value).__name__} ({error})",
                code="protocol.local.data",
            ) from None
        except UnicodeEncodeError:
            raise LocalProtocolError(
                "a visible-string has no such characters", code="protocol.local.data"
            ) from None

    @classmethod
    def decode(cls, r: Reader) -> Data:
        """Read one Data and leave what follows.

        Raises:
            DecodeError: the octets are not Data, nest too deep, or are a compact-array.
        """
        return _decode(r, 0)

    def native(self) -> Any:
        """Return the value with arrays and structures as lists, bit-strings as ``"0110"``."""
        value = self.value
        if isinstance(value, tuple):
            return [item.native() for item in value]
        return str(value) if isinstance(value, BitString) else value

    def jsonable(self) -> Any:
        """Return ``native`` with octets as hexadecimal digits and dates and times as text.

        Floats that JSON can't have become None.
        """
        value = self.value
        if isinstance(value, tuple):
            return [item.jsonable() for item in value]
        if isinstance(value, bytes):
            return value.hex()
        if isinstance(value, float):
            return value if math.isfinite(value) else None
        if value is None or isinstance(value, (int, str)):
            return value
        return str(value)

    def items(self, count: int | None = None) -> tuple[Data, ...]:
        """Return the elements of an array or structure.

        Raises:
            DecodeError: it is neither, or has another number of elements than ``count``.
        """
        value = self.value
        if not isinstance(value, tuple):
            raise self._unlike("an array or structure")
        if count is not None and len(value) != count:
            raise DecodeError(f"{count} elements wanted, {len(value)} found")
        return value

    def integer(self) -> int:
        """Return the value of any integer type or enum.

        Raises:
            DecodeError: it is none.
        """
        if isinstance(self.value, int) and self.type is not DataType.BOOLEAN:
            return self.value
        raise self._unlike("an integer")

    def octets(self) -> bytes:
        """Return the value of an octet-string.

        Raises:
            DecodeError: it is none.
        """
        if isinstance(self.value, bytes):
            return self.value
        raise self._unlike("an octet-string")

    def text(self) -> str:
        """Return a visible-string, a utf8-string, or an octet-string that is UTF-8.

        Raises:
            DecodeError: it is none.
        """
        if isinstance(self.value, str):
            return self.value
        if isinstance(self.value, bytes):
            try:
                return self.value.decode("utf-8")
            except UnicodeDecodeError:
                raise DecodeError("an octet-string that is not text") from None
        raise self._unlike("a text")

    def datetime(self) -> CosemDateTime:
        """Return a date-time, or an octet-string of twelve as one.

        Raises:
            DecodeError: it is none.
        """
        if isinstance(self.value, CosemDateTime):
            return self.value
        return CosemDateTime.decode(self.octets())

    def _unlike(self, wanted: str) -> DecodeError:
        return DecodeError(f"{wanted} wanted, {type_name(self.type)} found")


Encodable = Data | RawData


def decode_data(octets: bytes | memoryview) -> Data:
    """Return the one Data that ``octets`` are.

    Raises:
        DecodeError: they are not, or something follows.
    """
    r = Reader(octets)
    data = _decode(r, 0)
    r.finish()
    return data


# -- decoding ------------------------------------------------------------------------------------

_Decoder = Callable[[Reader, int], Data]


def _decode(r: Reader, depth: int) -> Data:
    tag = r.u8()
    decoder = _DECODERS.get(tag)
    if decoder is None:
        if tag == DataType.COMPACT_ARRAY:
            raise _at_tag(r, "compact-array is not supported")
        raise _at_tag(r, f"{tag} is not a type of data")
    return decoder(r, depth)


def _at_tag(r: Reader, message: str) -> DecodeError:
    return DecodeError(message, offset=r.offset - 1)


def _constant(kind: DataType) -> _Decoder:
    data = Data(kind)
    return lambda _r, _depth: data


def _items(kind: DataType) -> _Decoder:
    def decode(r: Reader, depth: int) -> Data:
        if depth >= MAX_DEPTH:
            raise _at_tag(r, f"data nested deeper than {MAX_DEPTH}")
        count = r.length()
        if count > r.remaining:
            raise r.error(f"{count} elements in {r.remaining} octets")
        inner = depth + 1
        return Data(kind, tuple([_decode(r, inner) for _ in range(count)]))

    return decode


def _unsigned(kind: DataType, size: int) -> _Decoder:
    return lambda r, _depth: Data(kind, r.uint(size))


def _signed(kind: DataType, size: int) -> _Decoder:
    return lambda r, _depth: Data(kind, r.sint(size))


def _float(kind: DataType, layout: struct.Struct) -> _Decoder:
    return lambda r, _depth: Data(kind, layout.unpack(r.take(layout.size))[0])


def _boolean(r: Reader, _depth: int) -> Data:
    return Data(DataType.BOOLEAN, r.u8() != 0)


def _bit_string(r: Reader, _depth: int) -> Data:
    size = r.length()
    return Data(DataType.BIT_STRING, BitString(r.take((size + 7) // 8), size))


def _octets(r: Reader, _depth: int) -> Data:
    return Data(DataType.OCTETS, r.take(r.length()))


def _visible(r: Reader, _depth: int) -> Data:
    # ASCII by the standard; meters put other things there, and Latin-1 loses nothing.
    return Data(DataType.VISIBLE, r.take(r.length()).decode("latin-1"))


def _utf8(r: Reader, _depth: int) -> Data:
    octets = r.take(r.length())
    try:
        return Data(DataType.UTF8, octets.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise DecodeError(
            "a utf8-string that is not UTF-8", offset=r.offset - len(octets) + error.start
        ) from None


def _moment(
    kind: DataType, size: int, decode: Callable[[bytes], CosemDateTime | CosemDate | CosemTime]
) -> _Decoder:
    return lambda r, _depth: Data(kind, decode(r.take(size)))


_FLOAT32: Final = struct.Struct(">f")
_FLOAT64: Final = struct.Struct(">d")

_DECODERS: Final[Mapping[int, _Decoder]] = {
    DataType.NULL: _constant(DataType.NULL),
    DataType.ARRAY: _items(DataType.ARRAY),
    DataType.STRUCTURE: _items(DataType.STRUCTURE),
    DataType.BOOLEAN: _boolean,
    DataType.BIT_STRING: _bit_string,
    DataType.INT32: _signed(DataType.INT32, 4),
    DataType.UINT32: _unsigned(DataType.UINT32, 4),
    DataType.OCTETS: _octets,
    DataType.VISIBLE: _visible,
    DataType.UTF8: _utf8,
    DataType.BCD: _unsigned(DataType.BCD, 1),
    DataType.INT8: _signed(DataType.INT8, 1),
    DataType.INT16: _signed(DataType.INT16, 2),
    DataType.UINT8: _unsigned(DataType.UINT8, 1),
    DataType.UINT16: _unsigned(DataType.UINT16, 2),
    DataType.INT64: _signed(DataType.INT64, 8),
    DataType.UINT64: _unsigned(DataType.UINT64, 8),
    DataType.ENUM: _unsigned(DataType.ENUM, 1),
    DataType.FLOAT32: _float(DataType.FLOAT32, _FLOAT32),
    DataType.FLOAT64: _float(DataType.FLOAT64, _FLOAT64),
    DataType.DATETIME: _moment(DataType.DATETIME, 12, CosemDateTime.decode),
    DataType.DATE: _moment(DataType.DATE, 5, CosemDate.decode),
    DataType.TIME: _moment(DataType.TIME, 4, CosemTime.decode),
    DataType.DONT_CARE: _constant(DataType.DONT_CARE),
}


# -- encoding ------------------------------------------------------------------------------------

_Encoder = Callable[[bytearray, Any], None]


def _write_nothing(_out: bytearray, value: None) -> None:
    if value is not None:
        raise TypeError("no value wanted")


def _write_items(out: bytearray, value: tuple[Encodable, ...]) -> None:
    out += encode_length(len(value))
    for item in value:
        item.write(out)


def _write_integer(size: int, *, signed: bool) -> _Encoder:
    def write(out: bytearray, value: int) -> None:
        out += value.to_bytes(size, "big", signed=signed)

    return write


def _write_float(layout: struct.Struct) -> _Encoder:
    def write(out: bytearray, value: float) -> None:
        out += layout.pack(value)

    return write


def _write_boolean(out: bytearray, value: bool) -> None:
    out.append(1 if value else 0)


def _write_bits(out: bytearray, value: BitString) -> None:
    out += encode_length(value.size)
    out += value.octets


def _write_octets(out: bytearray, value: bytes) -> None:
    out += encode_length(len(value))
    out += value


def _write_text(encoding: str) -> _Encoder:
    return lambda out, value: _write_octets(out, value.encode(encoding))


def _write_moment(out: bytearray, value: CosemDateTime | CosemDate | CosemTime) -> None:
    out += value.encode()


_ENCODERS: Final[Mapping[DataType, _Encoder]] = {
    DataType.NULL: _write_nothing,
    DataType.ARRAY: _write_items,
    DataType.STRUCTURE: _write_items,
    DataType.BOOLEAN: _write_boolean,
    DataType.BIT_STRING: _write_bits,
    DataType.INT32: _write_integer(4, signed=True),
    DataType.UINT32: _write_integer(4, signed=False),
    DataType.OCTETS: _write_octets,
    DataType.VISIBLE: _write_text("latin-1"),
    DataType.UTF8: _write_text("utf-8"),
    DataType.BCD: _write_integer(1, signed=False),
    DataType.INT8: _write_integer(1, signed=True),
    DataType.INT16: _write_integer(2, signed=True),
    DataType.UINT8: _write_integer(1, signed=False),
    DataType.UINT16: _write_integer(2, signed=False),
    DataType.INT64: _write_integer(8, signed=True),
    DataType.UINT64: _write_integer(8, signed=False),
    DataType.ENUM: _write_integer(1, signed=False),
    DataType.FLOAT32: _write_float(_FLOAT32),
    DataType.FLOAT64: _write_float(_FLOAT64),
    DataType.DATETIME: _write_moment,
    DataType.DATE: _write_moment,
    DataType.TIME: _write_moment,
    DataType.DONT_CARE: _write_nothing,
}
