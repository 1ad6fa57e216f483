"""Buffers of profile generic objects as numpy columns (DLMS UA 1000-1, profile generic, buffer).

A buffer is an array of structures, and nearly always each row has the shape of the first: the
same tags and lengths at the same places. Then a template made from one row reads all rows of one
buffer, or of many buffers of the same shape, at once. What differs in shape is read row by row,
with the same result.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from openami.core.errors import DecodeError
from openami.dlms.columns.result import ProfileBufferError, ProfileColumns, Reading, join
from openami.dlms.columns.rows import decode_rows
from openami.dlms.columns.template import Template, template_of
from openami.dlms.datatypes import DataType
from openami.wire.reader import Reader

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

__all__ = ["ProfileBufferError", "ProfileColumns", "decode_profile", "decode_profiles"]

_ONE_OCTET_COUNT: Final = 0x80

# Shapes that were met lately: a fleet has a few, and a peer that makes up many costs only time.
_MAX_TEMPLATES: Final = 64
_Key = tuple[bytes, int, "frozenset[int] | None"]
_templates: dict[_Key, Template] = {}


def decode_profile(
    buffer: bytes,
    *,
    default_deviation: int | None = None,
    period: int | None = None,
    clocks: Collection[int] | None = None,
    width: int | None = None,
) -> ProfileColumns:
    """Decode the buffer of one profile, an encoded array of structures.

    A null repeats the value of the row before; for a clock it means a capture period later.

    Args:
        buffer: the octets of Data, as they stand in a get-response.
        default_deviation: minutes from local time to UTC for date-times that name none; without
            it they are NaT.
        period: the capture period in seconds, for clocks that are null; without it they are NaT.
        clocks: which columns are date-times, counted from 0, as the capture objects tell; without
            it those whose first value has a date-time's type, or twelve octets that look like one.
        width: how many columns there are, as the capture objects tell: rows of another width are
            left out and counted.

    Raises:
        DecodeError: the octets are no array of structures; ``profile.columns``, they have not all
            the same number of elements and no ``width`` is given.
    """
    places = None if clocks is None else frozenset(clocks)
    reading = Reading(default_deviation, period, places, width)
    return _decode(buffer, reading)


def decode_profiles(
    buffers: Sequence[bytes],
    *,
    default_deviation: int | None = None,
    period: int | None = None,
    clocks: Collection[int] | None = None,
) -> tuple[ProfileColumns, npt.NDArray[np.int64]]:
    """Decode many buffers into one set of columns: the joined results of ``decode_profile``.

    Args:
        buffers: of profiles with the same columns.
        default_deviation: see ``decode_profile``.
        period: see ``decode_profile``.
        clocks: see ``decode_profile``.

    Returns:
        The columns, and where each buffer's rows begin: those of ``buffers[k]`` are
        ``offsets[k]:offsets[k + 1]``.

    Raises:
        ProfileBufferError: as ``decode_profile``, for any of the buffers; or they have different
            numbers of columns. It tells which buffer is wrong.
    """
    reading = Reading(default_deviation, period, None if clocks is None else frozenset(clocks))
    joined = _joined(buffers, reading)
    if joined is not None:
        return joined
    parts = [_decode_one(number, buffer, reading) for number, buffer in enumerate(buffers)]
    return join(parts), _offsets([part.rows for part in parts])


def _decode_one(number: int, buffer: bytes, reading: Reading) -> ProfileColumns:
    try:
        return _decode(buffer, reading)
    except DecodeError as error:
        raise ProfileBufferError(
            number, error.reason, offset=error.offset, code=error.code
        ) from error


def _decode(buffer: bytes, reading: Reading) -> ProfileColumns:
    count, start = _head(buffer)
    found = None
    if count:
        found = _by_template(buffer[start:], [count], reading)
    if found is None:
        return decode_rows(buffer, reading)
    if reading.width not in {None, len(found.columns)}:
        return ProfileColumns(0, left_out=found.rows)
    return found


def _joined(
    buffers: Sequence[bytes], reading: Reading
) -> tuple[ProfileColumns, npt.NDArray[np.int64]] | None:
    """Decode all buffers at once, if they have one shape."""
    try:
        heads = [_head(buffer) for buffer in buffers]
    except DecodeError:  # told better buffer by buffer
        return None
    counts = [count for count, _ in heads]
    pieces = [buffer[start:] for buffer, (_, start) in zip(buffers, heads, strict=True)]
    strides = {len(piece) / count for piece, count in zip(pieces, counts, strict=True) if count}
    surplus = any(piece for piece, count in zip(pieces, counts, strict=True) if not count)
    if len(strides) != 1 or surplus:
        return None
    found = _by_template(b"".join(pieces), [count for count in counts if count], reading)
    return None if found is None else (found, _offsets(counts))


def _head(buffer: bytes) -> tuple[int, int]:
    """Return how many rows a buffer says it has, and where they begin."""
    if len(buffer) > 1 and buffer[0] == DataType.ARRAY and buffer[1] < _ONE_OCTET_COUNT:
        return buffer[1], 2
    r = Reader(buffer)
    r.expect(DataType.ARRAY, "array")
    return r.length(), r.offset


def _offsets(counts: Sequence[int]) -> npt.NDArray[np.int64]:
    return np.cumsum([0, *counts], dtype=np.int64)


def _by_template(data: bytes, counts: Sequence[int], reading: Reading) -> ProfileColumns | None:
    """Decode rows of one shape, so many of each buffer; None if they are not of one."""
    stride, odd = divmod(len(data), sum(counts))
    if odd or not stride:
        return None
    starts = [0] if len(counts) == 1 else [int(start) * stride for start in _offsets(counts)[:-1]]
    key = (data[:4], stride, reading.clocks)
    template = _templates.get(key)
    found = None if template is None else template.decode(data, starts, reading)
    if found is not None:
        return found
    try:
        template = template_of(data, reading.clocks)
    except DecodeError:  # told better row by row
        return None
    if template.stride != stride:
        return None
    if len(_templates) >= _MAX_TEMPLATES:
        _templates.clear()
    _templates[key] = template
    return template.decode(data, starts, reading)
