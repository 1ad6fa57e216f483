"""Which hardware holds a key: the ``hwModuleName`` of a factory certificate (RFC 4108 5)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Self

from cryptography.x509 import ObjectIdentifier

from openami.core.errors import DecodeError, SecurityError
from openami.wire.reader import Reader
from openami.wire.writer import Writer

HARDWARE_MODULE_NAME: Final = ObjectIdentifier("1.3.6.1.5.5.7.8.4")

_SEQUENCE: Final = 0x30
_OBJECT_IDENTIFIER: Final = 0x06
_OCTET_STRING: Final = 0x04
_MOST_SERIAL: Final = 64  # octets; makers write a part number and a serial number there
_MOST_TYPE: Final = 32  # octets of the encoded identifier: an enterprise's arc has about 12
_MOST_ARC: Final = 1 << 32


@dataclass(frozen=True, slots=True)
class HardwareModule:
    """A type of hardware, as an object identifier in dots, and a serial number within it."""

    type: str
    serial: bytes

    def encode(self) -> bytes:
        """Return the DER of ``HardwareModuleName``.

        Raises:
            ValueError: the type is not an object identifier.
        """
        body = Writer().u8(_OBJECT_IDENTIFIER).octets(_encode_identifier(self.type))
        body.u8(_OCTET_STRING).octets(self.serial)
        return Writer().u8(_SEQUENCE).octets(body.bytes()).bytes()

    @classmethod
    def decode(cls, der: bytes) -> Self:
        """Read the DER of ``HardwareModuleName``.

        Raises:
            SecurityError: it is none (``certificate.form``).
        """
        try:
            return cls._decode(Reader(der))
        except DecodeError as error:
            raise SecurityError(f"hwModuleName: {error}", code="certificate.form") from error

    @classmethod
    def _decode(cls, reader: Reader) -> Self:
        body = _element(reader, _SEQUENCE, 4 + _MOST_TYPE + _MOST_SERIAL)
        reader.finish()
        kind = _decode_identifier(_element(body, _OBJECT_IDENTIFIER, _MOST_TYPE))
        serial = _element(body, _OCTET_STRING, _MOST_SERIAL).rest()
        body.finish()
        return cls(kind, serial)


def _element(reader: Reader, tag: int, most: int) -> Reader:
    reader.expect(tag, "tag")
    size = reader.length()
    if size > most:
        raise reader.error(f"at most {most} octets wanted")
    return reader.sub(size)


def _encode_identifier(dotted: str) -> bytes:
    first, second, *others = (int(arc) for arc in ObjectIdentifier(dotted).dotted_string.split("."))
    return b"".join(_base128(arc) for arc in (first * 40 + second, *others))


def _base128(arc: int) -> bytes:
    octets = bytearray([arc & 0x7F])
    while arc := arc >> 7:
        octets.append(0x80 | arc & 0x7F)
    return bytes(reversed(octets))


def _decode_identifier(reader: Reader) -> str:
    if not reader.remaining:
        raise reader.error("an object identifier wanted")
    joined = _arc(reader)
    first = min(joined // 40, 2)  # X.690 8.19.4: the first two arcs share a number
    arcs = [first, joined - 40 * first]
    while reader.remaining:
        arcs.append(_arc(reader))
    return ".".join(map(str, arcs))


def _arc(reader: Reader) -> int:
    if reader.peek() == 0x80:
        raise reader.error("an arc in its shortest form wanted")  # X.690 8.19.2
    arc = 0
    while True:
        octet = reader.u8()
        arc = arc << 7 | octet & 0x7F
        if arc >= _MOST_ARC:
            raise reader.error("an arc of at most 32 bits wanted")
        if octet < 0x80:
            return arc
