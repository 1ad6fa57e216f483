"""The elements of BER of which ACSE's APDUs are made (ITU-T X.690)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from openami.core.errors import DecodeError
from openami.wire.writer import Writer, encode_length

if TYPE_CHECKING:
    from collections.abc import Mapping

    from openami.wire.reader import Reader

OID: Final = 0x06
INTEGER: Final = 0x02
OCTET_STRING: Final = 0x04


def read_fields(r: Reader) -> dict[int, Reader]:
    """Read the length and the elements of a SEQUENCE, by tag."""
    r = r.sub(r.length())
    fields: dict[int, Reader] = {}
    while r.remaining:
        at = r.offset
        tag = r.u8()
        if tag & 0x1F == 0x1F:
            raise DecodeError(f"no field has the tag {tag:02X}", offset=at)
        if tag in fields:
            raise DecodeError(f"field {tag:02X} comes twice", offset=at)
        fields[tag] = r.sub(r.length())
    return fields


def _order(tag: int) -> int:
    return tag & 0x1F  # the fields of all four APDUs stand in the order of their numbers


def write_fields(tag: int, fields: Mapping[int, bytes]) -> bytes:
    """Return a SEQUENCE of ``fields`` in the order of their numbers."""
    body = Writer()
    for number in sorted(fields, key=_order):
        body.u8(number).octets(fields[number])
    return Writer().u8(tag).octets(body.bytes()).bytes()


def wrap(tag: int, content: bytes) -> bytes:
    """Return one element."""
    return bytes((tag,)) + encode_length(len(content)) + content


def unwrap(r: Reader, tag: int, what: str) -> bytes:
    """Return the content of the one element that is left."""
    inner = element(r, tag, what)
    r.finish()
    return inner


def element(r: Reader, tag: int, what: str) -> bytes:
    """Return the content of the next element."""
    r.expect(tag, what)
    return r.take(r.length())


def integer(r: Reader, what: str) -> int:
    """Return the INTEGER that is left."""
    octets = unwrap(r, INTEGER, what)
    _check_integer(r, octets, what)
    return int.from_bytes(octets, "big", signed=True)


def unsigned(r: Reader, what: str) -> int:
    """Return the next INTEGER, of a peer that writes numbers without their sign."""
    octets = element(r, INTEGER, what)
    _check_integer(r, octets, what)
    return int.from_bytes(octets, "big")


def _check_integer(r: Reader, octets: bytes, what: str) -> None:
    if not 1 <= len(octets) <= 4:  # no number of ours has more; that leaves room for padding
        raise r.error(f"{what}: an integer of 1 to 4 octets wanted, not {len(octets)}")


def write_integer(value: int) -> bytes:
    """Return an INTEGER."""
    return wrap(INTEGER, value.to_bytes(value.bit_length() // 8 + 1, "big", signed=True))


def write_unsigned(value: int) -> bytes:
    """Return an INTEGER without its sign, in as few octets as hold it."""
    return wrap(INTEGER, value.to_bytes(max((value.bit_length() + 7) // 8, 1), "big"))


def optional(tag: int, content: bytes | None) -> dict[int, bytes]:
    """Return the field, if there is one."""
    return {} if content is None else {tag: content}


def titled(tag: int, title: bytes | None) -> dict[int, bytes]:
    """Return the field with an OCTET STRING inside, if there is one."""
    return {} if title is None else {tag: wrap(OCTET_STRING, title)}
