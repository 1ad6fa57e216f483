"""Meter images: MCUboot's format.

An image is a header of 32 octets, padded to ``header_size``; the payload; protected entries; and
entries that no signature covers. MCUboot's documents call the entries TLVs. Numbers are little
endian. The hash, and the ECDSA signature, run over all that is before the unprotected entries, of
which there are exactly three: hash, key's hash, signature. So nothing in an image is unsigned but
the signature itself.

What is no image of ours raises ``DecodeError`` with one of the codes ``firmware.magic``,
``firmware.cut``, ``firmware.size``, ``firmware.form`` and ``firmware.flags``.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass, field
from typing import Final, Self

from openami.core.errors import DecodeError
from openami.firmware.keys import MAX_SIGNATURE
from openami.firmware.tlv import (
    PROTECTED,
    UNPROTECTED,
    Tlv,
    TlvType,
    area_magic,
    cut,
    decode_area,
    malformed,
)
from openami.firmware.version import Version

MAGIC: Final = 0x96F3B83D
HEADER_SIZE: Final = 32  # octets; a linker that wants the vector table aligned takes more
# Payloads of meters are under 1 MiB; 16 MiB bounds what is read into memory to check one.
MAX_PAYLOAD: Final = 16 << 20
DIGEST_SIZE: Final = 32

POSITION_INDEPENDENT: Final = 0x01
# Of the flags only this one leaves the octets as they are run from the bank: others encrypt,
# compress, copy to RAM, bind to one address, or forbid to boot.
FLAGS: Final = frozenset({0, POSITION_INDEPENDENT})

# load address, header size, size of protected entries, payload size, flags, version, padding
HEADER: Final = struct.Struct("<IIHHII8sI")
_DEPENDENCY: Final = struct.Struct("<B3x8s")
COUNTER_SIZE: Final = 4
# The name of any type plate fits in 64 characters.
HARDWARE_NAME: Final = re.compile(r"[!-~](?:[ -~]{0,62}[!-~])?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Dependency:
    """Another image of the device, by its number, and the least version that it must have.

    Number 0 is this image itself: the version that must run when this one is installed.
    """

    image: int
    version: Version

    def encode(self) -> bytes:
        return _DEPENDENCY.pack(self.image, self.version.encode())

    @classmethod
    def decode(cls, value: bytes) -> Self:
        image, version = _DEPENDENCY.unpack(value)
        return cls(image, Version.decode(version))


@dataclass(frozen=True, slots=True)
class Image:
    """An image that is well formed; nothing is said of who made it.

    ``signed`` is what the signature covers, ``digest`` what the image says is its hash; ``key_id``
    and ``signature`` are empty on an image that nobody signed. ``others`` are protected entries
    of types that this room does not read.
    """

    version: Version
    counter: int | None
    hardware: tuple[str, ...]
    dependencies: tuple[Dependency, ...]
    flags: int
    load_address: int
    header_size: int
    payload_size: int
    others: tuple[Tlv, ...]
    digest: bytes = field(repr=False)
    key_id: bytes = field(repr=False)
    signature: bytes = field(repr=False)
    signed: bytes = field(repr=False)
    size: int

    @property
    def payload(self) -> bytes:
        return self.signed[self.header_size :][: self.payload_size]

    @classmethod
    def decode(cls, data: bytes, *, padded: bool = False) -> Self:
        """Read an image from its first octet.

        Args:
            data: the image.
            padded: whether other octets may follow it, as in the slot of a flash.

        Raises:
            DecodeError: with one of the codes of this module.
        """
        header = _Header.decode(data)
        end = header.size + header.payload
        if end > len(data):
            raise cut("the payload", len(data))
        protected, hashed = _protected(data, end, header.protected)
        loose, size = _unprotected(data, hashed)
        if size != len(data) and not padded:
            message = f"{len(data)} octets, of which the image has {size}"
            raise DecodeError(message, offset=size, code="firmware.size")
        seal = _Seal.read(loose, hashed)
        return cls(
            version=header.version,
            counter=_counter(protected, end),
            hardware=tuple(_text(value, end) for value in _all(protected, TlvType.HARDWARE)),
            dependencies=tuple(
                Dependency.decode(_sized(value, _DEPENDENCY.size, end))
                for value in _all(protected, TlvType.DEPENDENCY)
            ),
            flags=header.flags,
            load_address=header.load_address,
            header_size=header.size,
            payload_size=header.payload,
            others=tuple(entry for entry in protected if entry.type not in _READ),
            digest=seal.digest,
            key_id=seal.key_id,
            signature=seal.signature,
            signed=data[:hashed],
            size=size,
        )


def version_of(data: bytes) -> Version | None:
    """Return the version in the header that ``data`` begins with; ``None`` if it is none."""
    try:
        return _Header.decode(data).version
    except DecodeError:
        return None


_READ: Final = frozenset({TlvType.SEC_CNT, TlvType.DEPENDENCY, TlvType.HARDWARE})
_LOOSE: Final = frozenset({TlvType.SHA256, TlvType.KEYHASH, TlvType.ECDSA_SIG})
RESERVED: Final = _READ | _LOOSE  # types that no other meaning may be given to


@dataclass(frozen=True, slots=True)
class _Header:
    load_address: int
    size: int
    protected: int
    payload: int
    flags: int
    version: Version

    @classmethod
    def decode(cls, data: bytes) -> Self:
        if len(data) < HEADER_SIZE:
            raise cut("the header", len(data))
        magic, load, size, protected, payload, flags, version, _ = HEADER.unpack_from(data)
        if magic != MAGIC:
            raise DecodeError("no image of MCUboot's format", code="firmware.magic")
        if size < HEADER_SIZE:
            raise malformed("a header of at least 32 octets wanted", 8)
        if not 0 < payload <= MAX_PAYLOAD:
            message = f"a payload of 1 to {MAX_PAYLOAD} octets wanted"
            raise DecodeError(message, offset=12, code="firmware.size")
        if flags not in FLAGS:
            message = f"flags {flags:#x}: encrypted, compressed, or not to be run in place"
            raise DecodeError(message, offset=16, code="firmware.flags")
        return cls(load, size, protected, payload, flags, Version.decode(version))


@dataclass(frozen=True, slots=True)
class _Seal:
    digest: bytes
    key_id: bytes
    signature: bytes

    @classmethod
    def read(cls, entries: tuple[Tlv, ...], offset: int) -> Self:
        found = {entry.type: entry.value for entry in entries}
        # Nothing signs these entries: whatever else could stand here could be changed unseen.
        if len(found) != len(entries) or not found.keys() <= _LOOSE:
            raise malformed("one hash, one key's hash and one signature wanted", offset)
        digest = _sized(found.get(TlvType.SHA256, b""), DIGEST_SIZE, offset)
        signature = found.get(TlvType.ECDSA_SIG, b"")
        if len(signature) > MAX_SIGNATURE:
            raise malformed(f"a signature of at most {MAX_SIGNATURE} octets wanted", offset)
        return cls(digest, found.get(TlvType.KEYHASH, b""), signature)


def _protected(data: bytes, offset: int, size: int) -> tuple[tuple[Tlv, ...], int]:
    if not size:
        return (), offset
    if area_magic(data, offset) != PROTECTED:
        raise malformed("protected entries wanted", offset)
    entries, end = decode_area(data, offset)
    if end - offset != size:
        raise malformed("protected entries of another size than the header says", offset)
    return entries, end


def _unprotected(data: bytes, offset: int) -> tuple[tuple[Tlv, ...], int]:
    if offset == len(data):
        message, hint = "hash and signature are missing", "it has to be signed first"
        raise DecodeError(message, offset=offset, hint=hint, code="firmware.cut")
    if area_magic(data, offset) != UNPROTECTED:
        raise malformed("entries that are not protected wanted", offset)
    return decode_area(data, offset)


def _all(entries: tuple[Tlv, ...], kind: TlvType) -> tuple[bytes, ...]:
    return tuple(entry.value for entry in entries if entry.type == kind)


def _counter(entries: tuple[Tlv, ...], offset: int) -> int | None:
    found = _all(entries, TlvType.SEC_CNT)
    if len(found) > 1:
        raise malformed("one security counter wanted", offset)
    for value in found:
        return int.from_bytes(_sized(value, COUNTER_SIZE, offset), "little")
    return None


def _sized(value: bytes, size: int, offset: int) -> bytes:
    if len(value) != size:
        raise malformed(f"an entry of {size} octets wanted", offset)
    return value


def _text(value: bytes, offset: int) -> str:
    text = value.decode("ascii", "replace")
    if HARDWARE_NAME.fullmatch(text) is None:
        raise malformed("names of hardware: 1 to 64 characters of ASCII", offset)
    return text
