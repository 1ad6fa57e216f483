"""Single elements of tables: integers, octets, text, sets and bit fields (C12.19, 6: data types).

A codec knows its size and turns octets into a value and back. What does not fit, either way, is a
``ValueError``; the layout that holds the codec says where.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Final, TypeVar

from openami.c1222.tables.formats import CharFormat, IntFormat, Order

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

T = TypeVar("T")

BCD_CHARACTERS: Final = "0123456789- ?.??"
"""Of each nibble: A is a minus, B a space, D a decimal point; C, E and F mean nothing."""


def typed(value: Any, kind: type[T]) -> T:
    """Return ``value`` if it is a ``kind``, which a bool is not where a number is wanted."""
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise ValueError(f"{kind.__name__} wanted, {type(value).__name__} found")
    return value


class Codec(ABC):
    """One element: ``size`` octets."""

    __slots__ = ()
    size: int
    VARIABLE: ClassVar[bool] = False

    @abstractmethod
    def decode(self, octets: bytes) -> Any:
        """Return the value of ``size`` octets."""

    @abstractmethod
    def encode(self, value: Any) -> bytes:
        """Return the octets of a value."""

    def to_json(self, value: Any) -> Any:
        """Return the value as JSON has it."""
        return value

    def from_json(self, value: Any) -> Any:
        """Return the value that JSON has."""
        return value


@dataclass(frozen=True, slots=True)
class UInt(Codec):
    """An integer without a sign."""

    size: int
    order: Order

    def decode(self, octets: bytes) -> int:
        return int.from_bytes(octets, self.order)

    def encode(self, value: Any) -> bytes:
        return typed(value, int).to_bytes(self.size, self.order)


@dataclass(frozen=True, slots=True)
class SInt(Codec):
    """An integer with a sign, as INT_FORMAT writes it; minus zero is read as 0."""

    size: int
    order: Order
    form: IntFormat

    def decode(self, octets: bytes) -> int:
        number = int.from_bytes(octets, self.order)
        sign = 1 << (8 * self.size - 1)
        if not number & sign:
            return number
        if self.form is IntFormat.TWOS_COMPLEMENT:
            return number - 2 * sign
        if self.form is IntFormat.ONES_COMPLEMENT:
            return number - 2 * sign + 1
        return sign - number

    def encode(self, value: Any) -> bytes:
        number = typed(value, int)
        if self.form is IntFormat.TWOS_COMPLEMENT:
            return number.to_bytes(self.size, self.order, signed=True)
        sign = 1 << (8 * self.size - 1)
        if abs(number) >= sign:
            raise ValueError(f"{number} does not fit in {self.size} octets")
        if number < 0:
            one = self.form is IntFormat.ONES_COMPLEMENT
            number = 2 * sign - 1 + number if one else sign - number
        return number.to_bytes(self.size, self.order)


@dataclass(frozen=True, slots=True)
class Octets(Codec):
    """Octets that mean nothing here."""

    size: int

    def decode(self, octets: bytes) -> bytes:
        return octets

    def encode(self, value: Any) -> bytes:
        octets = typed(value, bytes)
        if len(octets) != self.size:
            raise ValueError(f"{self.size} octets wanted, {len(octets)} found")
        return octets

    def to_json(self, value: Any) -> str:
        return typed(value, bytes).hex()

    def from_json(self, value: Any) -> bytes:
        return bytes.fromhex(typed(value, str))


class SecretOctets(bytes):
    """A password or a key of a table: what shows it shows its length."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"SecretOctets({len(self)})"

    __str__ = __repr__


@dataclass(frozen=True, slots=True)
class Secret(Octets):
    """A password or a key. JSON takes it, and never gives it."""

    def decode(self, octets: bytes) -> SecretOctets:
        return SecretOctets(octets)

    def to_json(self, value: Any) -> str:
        return str(SecretOctets(typed(value, bytes)))


@dataclass(frozen=True, slots=True)
class Tail(Octets):
    """Octets to the end of the table, ``size`` at most: what a procedure takes or answers."""

    VARIABLE = True

    def encode(self, value: Any) -> bytes:
        octets = typed(value, bytes)
        if len(octets) > self.size:
            raise ValueError(f"{self.size} octets at most, {len(octets)} found")
        return octets


_ENCODINGS: Final = {
    CharFormat.ASCII: "latin-1",  # a device that writes beyond ASCII all the same is still read
    CharFormat.LATIN_1: "latin-1",
    CharFormat.UTF_8: "utf-8",
}
_WIDE: Final = {CharFormat.UTF_16: "utf-16", CharFormat.UTF_32: "utf-32"}


@dataclass(frozen=True, slots=True)
class Text(Codec):
    """Characters, with spaces after them that are no part of the value."""

    size: int
    char: int
    order: Order

    @property
    def _encoding(self) -> str:
        wide = _WIDE.get(CharFormat(self.char)) if self.char in _WIDE else None
        if wide is not None:
            return f"{wide}-{'le' if self.order == 'little' else 'be'}"
        return _ENCODINGS[CharFormat(self.char)] if self.char in _ENCODINGS else "latin-1"

    def decode(self, octets: bytes) -> str:
        encoding = self._encoding
        odd = len(octets) % len(" ".encode(encoding))  # what is left over holds no character
        return octets[: len(octets) - odd].decode(encoding).rstrip(" ")

    def encode(self, value: Any) -> bytes:
        encoding = self._encoding
        octets = typed(value, str).encode(encoding)
        space = " ".encode(encoding)
        missing, odd = divmod(self.size - len(octets), len(space))
        if missing < 0:
            raise ValueError(f"{len(octets)} octets of text do not fit in {self.size}")
        return octets + missing * space + bytes(odd)


@dataclass(frozen=True, slots=True)
class BcdText(Codec):
    """An identifier of BCD digits, two in an octet; spaces after them are no part of it."""

    size: int

    def decode(self, octets: bytes) -> str:
        return bcd_characters(octets).rstrip(" ")

    def encode(self, value: Any) -> bytes:
        return bcd_octets(typed(value, str).ljust(2 * self.size), self.size)


def bcd_characters(octets: bytes) -> str:
    """Return the characters of BCD digits."""
    text = "".join(BCD_CHARACTERS[octet >> 4] + BCD_CHARACTERS[octet & 0x0F] for octet in octets)
    if "?" in text:
        raise ValueError(f"a BCD digit that is none: {octets.hex()}")
    return text


def bcd_octets(text: str, size: int) -> bytes:
    """Return BCD digits in ``size`` octets."""
    nibbles = [BCD_CHARACTERS.find(character) for character in text]
    if len(nibbles) != 2 * size or -1 in nibbles or "?" in text:
        raise ValueError(f"{text!r} is no {2 * size} BCD digits")
    return bytes(high << 4 | low for high, low in zip(nibbles[::2], nibbles[1::2], strict=True))


@dataclass(frozen=True, slots=True)
class SetOf(Codec):
    """A set of numbers: bit i is bit i % 8 of octet i / 8 (C12.19, SET)."""

    size: int

    def decode(self, octets: bytes) -> frozenset[int]:
        return frozenset(
            8 * place + bit
            for place, octet in enumerate(octets)
            for bit in range(8)
            if octet >> bit & 1
        )

    def encode(self, value: Any) -> bytes:
        members: AbstractSet[Any] = typed(value, frozenset)
        if any(not 0 <= typed(bit, int) < 8 * self.size for bit in members):
            raise ValueError(f"a set of {8 * self.size} holds 0 to {8 * self.size - 1}")
        octets = bytearray(self.size)
        for bit in members:
            octets[bit // 8] |= 1 << bit % 8
        return bytes(octets)

    def to_json(self, value: Any) -> list[int]:
        return sorted(typed(value, frozenset))

    def from_json(self, value: Any) -> frozenset[int]:
        return frozenset(typed(bit, int) for bit in typed(value, list))


@dataclass(frozen=True, slots=True)
class Bit:
    """A part of a bit field: ``width`` bits from ``low`` on; of one bit it is a bool."""

    name: str
    low: int
    width: int


UNNAMED: Final = "UNNAMED"
"""Under this name stand the bits that no part names, where some are set."""


@dataclass(frozen=True, slots=True)
class BitField(Codec):
    """An integer whose bits have names."""

    size: int
    order: Order
    parts: tuple[Bit, ...]

    def decode(self, octets: bytes) -> dict[str, bool | int]:
        number = int.from_bytes(octets, self.order)
        found: dict[str, bool | int] = {}
        for part in self.parts:
            value = number >> part.low & ((1 << part.width) - 1)
            number ^= value << part.low
            found[part.name] = bool(value) if part.width == 1 else value
        if number:
            found[UNNAMED] = number
        return found

    def encode(self, value: Any) -> bytes:
        rest: dict[str, Any] = dict(typed(value, Mapping))  # type: ignore[type-abstract]  # asked for isinstance only
        number = 0
        for part in self.parts:
            if part.name not in rest:
                raise ValueError(f"{part.name} is missing")
            bits = rest.pop(part.name)
            bits = int(bits) if part.width == 1 and isinstance(bits, bool) else typed(bits, int)
            if not 0 <= bits < 1 << part.width:
                raise ValueError(f"{part.name} has {part.width} bits")
            number |= bits << part.low
        unnamed = typed(rest.pop(UNNAMED, 0), int)
        named = sum(((1 << part.width) - 1) << part.low for part in self.parts)
        if rest or unnamed & named:
            raise ValueError(f"no part of the bit field: {', '.join(rest) or UNNAMED}")
        return (number | unnamed).to_bytes(self.size, self.order)
