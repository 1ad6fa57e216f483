"""Deltas: a version of a file from the one before, in a tenth of its octets.

A delta is a head of 88 octets and a patch in the format of bsdiff 4. The head names the one file
that it is for and the one that it gives, by size and SHA-256; the patch has sizes of its own, and
three compressed blocks that may become any number of octets. So nothing of it is believed: each
block is first opened without being kept, and the patch is applied only if the blocks are exactly
as long as the result needs them to be.
"""

from __future__ import annotations

import bz2
import hashlib
import struct
from dataclasses import dataclass
from typing import Final, Self

import bsdiff4

from openami.core.errors import DecodeError, SecurityError

MAGIC: Final = b"OAMIDLT1"
_HEAD: Final = struct.Struct(">8sQ32sQ32s")

MAX_FILE: Final = 64 << 20
"""Octets of either file: an agent with its libraries is a third of it. To make a delta takes some
18 times the memory of a file (two arrays of words of 8 octets, and the blocks)."""

_PATCH_MAGIC: Final = b"BSDIFF40"
_PATCH_HEAD: Final = struct.Struct("<8sqqq")
_TRIPLE: Final = 24  # octets of one instruction: how much to add, to insert, to skip
_CHUNK: Final = 1 << 16
_LEAST_CONTROL: Final = 1 << 12


@dataclass(frozen=True, slots=True)
class Head:
    """Which file a delta is for, and which it gives; digests are SHA-256."""

    source_size: int
    source: bytes
    result_size: int
    result: bytes

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Read the head of a delta; ``data`` may be longer.

        Raises:
            DecodeError: it is none, or of files that are too large (``firmware.delta.malformed``).
        """
        if len(data) < _HEAD.size:
            raise _malformed("shorter than its head")
        magic, source_size, source, result_size, result = _HEAD.unpack_from(data)
        if magic != MAGIC:
            raise _malformed("not a delta")
        if max(source_size, result_size) > MAX_FILE:
            raise _malformed(f"of files of more than {MAX_FILE} octets")
        return cls(source_size, source, result_size, result)


def make(source: bytes, result: bytes) -> bytes:
    """Return the delta that gives ``result`` out of ``source``.

    Raises:
        ValueError: one of them has more than ``MAX_FILE`` octets.
    """
    if max(len(source), len(result)) > MAX_FILE:
        raise ValueError(f"a delta is of files of at most {MAX_FILE} octets")
    head = (len(source), _digest(source), len(result), _digest(result))
    patch: bytes = bsdiff4.diff(source, result)
    return _HEAD.pack(MAGIC, *head) + patch


def apply(source: bytes, delta: bytes, *, most: int = MAX_FILE) -> bytes:
    """Return the file that a delta gives.

    Beside the arguments twice the size of the file is held, and with a delta that is made to harm
    five times.

    Args:
        source: the file that is there.
        delta: what ``make`` returned.
        most: octets that the file may have, for a device with less memory.

    Raises:
        SecurityError: ``source`` is not the file that it was made from (``firmware.delta.source``),
            or what comes out is not the file that it names (``firmware.delta.result``).
        DecodeError: it is no delta (``firmware.delta.malformed``).
    """
    head = Head.decode(delta)
    if head.result_size > most:
        raise _malformed(f"of a file of more than {most} octets")
    if (len(source), _digest(source)) != (head.source_size, head.source):
        raise SecurityError(
            "the delta is for another version than the installed one", code="firmware.delta.source"
        )
    patch = memoryview(delta)[_HEAD.size :]
    _check_blocks(patch, head.result_size)
    try:
        result: bytes = bsdiff4.patch(source, patch)
    except ValueError as error:
        raise _malformed(str(error)) from None
    if _digest(result) != head.result:
        raise SecurityError(
            "what the delta gives is not what it names", code="firmware.delta.result"
        )
    return result


def _check_blocks(patch: memoryview, size: int) -> None:
    """Check that the three blocks are as long as a result of ``size`` octets needs them."""
    if len(patch) < _PATCH_HEAD.size:
        raise _malformed("its patch is shorter than its head")
    magic, control, diff, result = _PATCH_HEAD.unpack_from(patch)
    if magic != _PATCH_MAGIC or result != size:
        raise _malformed("its patch is of another format or size")
    blocks = patch[_PATCH_HEAD.size :]
    if min(control, diff) < 0 or control + diff > len(blocks):
        raise _malformed("its patch is cut")
    # bsdiff begins a new instruction only for a match of more than eight octets.
    instructions = _opened(blocks[:control], max(_LEAST_CONTROL, size * 3))
    added = _opened(blocks[control : control + diff], size)
    inserted = _opened(blocks[control + diff :], size)
    if instructions % _TRIPLE or added + inserted != size:
        raise _malformed("its blocks do not make the file that it names")


def _opened(block: memoryview, most: int) -> int:
    """Return how many octets a compressed block becomes, without keeping them."""
    opener = bz2.BZ2Decompressor()
    size, data = 0, block
    try:
        while not opener.eof:
            size += len(opener.decompress(data, max_length=_CHUNK))
            if size > most:
                raise _malformed(f"a block becomes more than {most} octets")
            data = memoryview(b"")
            if opener.needs_input and not opener.eof:
                raise _malformed("a block is cut")
    except OSError:
        raise _malformed("a block is not compressed as it should be") from None
    if opener.unused_data:
        raise _malformed("octets behind a block")
    return size


def _digest(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def _malformed(message: str) -> DecodeError:
    return DecodeError(f"delta: {message}", code="firmware.delta.malformed")
