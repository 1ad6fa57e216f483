"""Messages out of a stream: on TCP a message ends where its own length says (RFC 6142, 3.1)."""

from __future__ import annotations

from typing import Final

from openami.c1222.apdu import TAG
from openami.c1222.limits import MAX_APDU
from openami.core.errors import DecodeError

PORT: Final = 1153
"""Of TCP and UDP (RFC 6142, 2)."""
_LONG: Final = 0x80
_LENGTHS: Final = 4


class MessageReader:
    """Take any slices of a stream, give messages. Never more than one message's octets are kept.

    Args:
        most: octets of the longest message that is taken.
    """

    def __init__(self, most: int = MAX_APDU) -> None:
        self._most = most
        self._buffer = bytearray()

    @property
    def pending(self) -> bool:
        """Whether a message has begun and not ended."""
        return bool(self._buffer)

    def feed(self, data: bytes) -> list[bytes]:
        """Return the messages that ``data`` completes.

        Raises:
            DecodeError: what comes is no message, or too long a one; nothing on this stream can be
                read after that, and the messages before it in ``data`` are lost.
        """
        self._buffer += data
        found = []
        start = 0
        while (size := self._size(start)) is not None and len(self._buffer) - start >= size:
            found.append(bytes(self._buffer[start : start + size]))
            start += size
        del self._buffer[:start]
        return found

    def _size(self, start: int) -> int | None:
        """Return the octets of the message at ``start``, if its length has come."""
        head = self._buffer[start : start + 2 + _LENGTHS]
        if head and head[0] != TAG:
            raise DecodeError(f"a message of C12.22 begins with {TAG:02X}", offset=start)
        if len(head) < 2:
            return None
        more = head[1] - _LONG if head[1] >= _LONG else 0
        if head[1] == _LONG or more > _LENGTHS:
            raise DecodeError("a length of 1 to 4 octets wanted", offset=start + 1)
        if len(head) < 2 + more:
            return None
        size = 2 + more + (int.from_bytes(head[2 : 2 + more]) if more else head[1])
        if size > self._most:
            raise DecodeError(f"a message of more than {self._most} octets", offset=start + 1)
        return size


def split_stream(data: bytes) -> list[bytes]:
    """Return the messages that ``data`` is made of, or itself where they are not whole."""
    reader = MessageReader()
    try:
        found = reader.feed(data)
    except DecodeError:
        return [data]
    return [data] if reader.pending else found
