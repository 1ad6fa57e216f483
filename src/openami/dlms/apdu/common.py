"""What the xDLMS services share: tags, the invoke-id octet, blocks, choices, lists."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Final, Self, TypeVar

from openami.core.errors import DecodeError
from openami.wire.writer import Writer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from openami.wire.reader import Reader

T = TypeVar("T")

CONFIRMED: Final = 0x40
HIGH_PRIORITY: Final = 0x80


class Tag(IntEnum):
    """First octets of APDUs that are not ciphered, and of the general forms."""

    INITIATE_REQUEST = 0x01
    INITIATE_RESPONSE = 0x08
    CONFIRMED_SERVICE_ERROR = 0x0E
    DATA_NOTIFICATION = 0x0F
    AARQ = 0x60
    AARE = 0x61
    RLRQ = 0x62
    RLRE = 0x63
    GET_REQUEST = 0xC0
    SET_REQUEST = 0xC1
    EVENT_NOTIFICATION = 0xC2
    ACTION_REQUEST = 0xC3
    GET_RESPONSE = 0xC4
    SET_RESPONSE = 0xC5
    ACTION_RESPONSE = 0xC7
    EXCEPTION_RESPONSE = 0xD8
    GENERAL_GLO_CIPHERING = 0xDB
    GENERAL_DED_CIPHERING = 0xDC
    GENERAL_BLOCK_TRANSFER = 0xE0


def invoke_octet(number: int, *, confirmed: bool = True, high_priority: bool = True) -> int:
    """Return an Invoke-Id-And-Priority octet; ``number`` counts modulo 16."""
    return (
        (number & 0x0F) | (CONFIRMED if confirmed else 0) | (HIGH_PRIORITY if high_priority else 0)
    )


def head(tag: Tag, choice: int, invoke_id: int) -> Writer:
    """Begin an APDU of the GET, SET and ACTION services."""
    return Writer().u8(tag).u8(choice).u8(invoke_id)


@dataclass(frozen=True, slots=True)
class Block:
    """One block of a long transfer; blocks are numbered from 1."""

    last: bool
    number: int
    octets: bytes

    def write(self, w: Writer) -> None:
        w.u8(self.last).u32(self.number).octets(self.octets)

    @classmethod
    def read(cls, r: Reader) -> Self:
        return cls(r.u8() != 0, r.u32(), r.take(r.length()))


def read_choice(r: Reader, choices: Mapping[int, Callable[[Reader], T]], what: str) -> T:
    """Read the octet of a CHOICE and what it chooses.

    Raises:
        DecodeError: there is no such choice, or what follows is something else.
    """
    choice = r.u8()
    decode = choices.get(choice)
    if decode is None:
        raise DecodeError(f"{what} has no choice {choice}", offset=r.offset - 1)
    return decode(r)


def read_list(r: Reader, read: Callable[[Reader], T]) -> tuple[T, ...]:
    """Read a SEQUENCE OF.

    Raises:
        DecodeError: it is none, or counts more elements than octets are left.
    """
    count = r.length()
    if count > r.remaining:
        raise r.error(f"{count} elements in {r.remaining} octets")
    return tuple([read(r) for _ in range(count)])


E = TypeVar("E", bound=IntEnum)


def read_enum(r: Reader, kind: type[E], what: str) -> E:
    """Read one octet that must be a member of ``kind``.

    Raises:
        DecodeError: it is none.
    """
    value = r.u8()
    try:
        return kind(value)
    except ValueError:
        raise DecodeError(f"{what} has no value {value}", offset=r.offset - 1) from None
