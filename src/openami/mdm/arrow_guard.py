"""How much an Arrow IPC stream would unpack to, told from its metadata alone.

A compressed buffer begins with the length that it claims to unpack to, and a reader allocates
that much before it looks further. The sum of the claims is therefore checked first. Layouts:
Apache Arrow ``format/Message.fbs``, in FlatBuffers' binary encoding.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

import pyarrow as pa

from openami.core.errors import DecodeError

if TYPE_CHECKING:
    from collections.abc import Iterator

# A stream of one table has a schema, a dictionary for each text column and a few record batches.
MAX_MESSAGES: Final = 4096
# Eight columns, two or three buffers each; anything near this is not a table of ours.
MAX_BUFFERS: Final = 256

_DICTIONARY_BATCH: Final = 2
_RECORD_BATCH: Final = 3
# Message.fbs: numbers of the fields in their tables.
_MESSAGE_HEADER_TYPE: Final = 1
_MESSAGE_HEADER: Final = 2
_DICTIONARY_DATA: Final = 1
_BATCH_LENGTH: Final = 0
_BATCH_BUFFERS: Final = 2
_BATCH_COMPRESSION: Final = 3


def check_unpacked_size(data: bytes, *, max_octets: int, max_rows: int) -> None:
    """Raise DecodeError unless the stream is well-formed and unpacks to what is allowed.

    Raises:
        DecodeError: ``upload.stream`` or ``upload.too-large``.
    """
    octets = rows = 0
    try:
        for message in _messages(data):
            batch = _batch(message.metadata)
            if batch is None:
                continue
            rows += batch.integer(_BATCH_LENGTH)
            octets += sum(_claims(batch, message.body))
            if octets > max_octets or rows > max_rows:
                raise DecodeError(
                    f"the stream unpacks to more than {max_octets} octets or {max_rows} rows",
                    code="upload.too-large",
                )
    except (pa.ArrowException, struct.error, OSError) as error:
        raise malformed(error) from error


def malformed(error: Exception) -> DecodeError:
    """Return the error for a stream that is not Arrow IPC."""
    reason = str(error).partition("\n")[0][:200]
    return DecodeError(f"not a whole Arrow IPC stream: {reason}", code="upload.stream")


def _messages(data: bytes) -> Iterator[pa.Message]:
    reader = pa.ipc.MessageReader.open_stream(pa.BufferReader(data))
    for count, message in enumerate(reader):
        if count >= MAX_MESSAGES:
            raise DecodeError(f"more than {MAX_MESSAGES} messages", code="upload.too-large")
        yield message


class _Table:
    """A FlatBuffers table: its fields are found through a table of offsets before it."""

    def __init__(self, data: bytes, position: int) -> None:
        self.data = data
        self.position = position
        self._vtable = position - _read("<i", data, position)
        self._size = _read("<H", data, self._vtable)

    def field(self, number: int) -> int | None:
        """Return where a field is, None if it has its default."""
        slot = 4 + 2 * number
        if slot + 2 > self._size:
            return None
        offset = _read("<H", self.data, self._vtable + slot)
        return self.position + offset if offset else None

    def integer(self, number: int, form: str = "<q") -> int:
        at = self.field(number)
        value = 0 if at is None else _read(form, self.data, at)
        if value < 0:
            raise struct.error("a negative length")
        return value

    def table(self, number: int) -> _Table | None:
        at = self.field(number)
        return None if at is None else _Table(self.data, at + _read("<I", self.data, at))

    def vector(self, number: int) -> tuple[int, int]:
        """Return where the elements of a vector begin and how many there are."""
        at = self.field(number)
        if at is None:
            return 0, 0
        start = at + _read("<I", self.data, at)
        return start + 4, _read("<I", self.data, start)


def _read(form: str, data: bytes, position: int) -> int:
    if position < 0:
        raise struct.error("an offset before the message")
    return int(struct.unpack_from(form, data, position)[0])


def _batch(metadata: pa.Buffer) -> _Table | None:
    data = metadata.to_pybytes()
    message = _Table(data, _read("<I", data, 0))
    kind = message.integer(_MESSAGE_HEADER_TYPE, "<B")
    header = message.table(_MESSAGE_HEADER)
    if header is None or kind == _RECORD_BATCH:
        return header
    return header.table(_DICTIONARY_DATA) if kind == _DICTIONARY_BATCH else None


def _claims(batch: _Table, body: pa.Buffer | None) -> Iterator[int]:
    start, count = batch.vector(_BATCH_BUFFERS)
    if count > MAX_BUFFERS:
        raise DecodeError(f"more than {MAX_BUFFERS} buffers", code="upload.too-large")
    compressed = batch.field(_BATCH_COMPRESSION) is not None
    octets = memoryview(body) if body is not None else memoryview(b"")
    for number in range(count):
        offset, length = struct.unpack_from("<qq", batch.data, start + 16 * number)
        if offset < 0 or length < 0:
            raise struct.error("a negative length")
        if not compressed or length == 0:
            yield length
            continue
        claim = struct.unpack_from("<q", octets, offset)[0]
        yield length if claim < 0 else claim  # -1: this buffer is not compressed after all
