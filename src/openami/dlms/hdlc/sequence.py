"""Numbered frames: what both ends do alike.

The theory. Each end numbers its I frames modulo 8 with N(S) and says in N(R) which one it awaits,
by which it acknowledges all before. At most seven may be unacknowledged, so that N(R) is never
ambiguous. Only frames in sequence are taken (IEC 62056-46 knows no reject frame): when one is
lost, the sender starts again at the first that is not acknowledged. An APDU longer than a frame
is cut into segments; the segmentation bit is set in all but the last (6.4.4.4.3.4).
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final

from openami.core.errors import RemoteProtocolError
from openami.dlms.hdlc.frame import SEQUENCE_MODULUS

MAX_APDU: Final = 65536
"""Octets that segments may add up to: COSEM negotiates APDU sizes in 16 bits."""

LLC_COMMAND: Final = bytes.fromhex("E6E600")
LLC_RESPONSE: Final = bytes.fromhex("E6E700")
LLC_BROADCAST: Final = bytes.fromhex("FFE600")


@dataclass(frozen=True, slots=True)
class Segment:
    """One I frame's worth of an APDU."""

    info: bytes
    more: bool


class Outbox:
    """Segments until they are acknowledged.

    Args:
        size: information octets of a frame.
        window: frames that may be unacknowledged.
    """

    def __init__(self, size: int, window: int) -> None:
        self._size = size
        self._window = window
        self._queue: deque[Segment] = deque()
        self._base = 0  # N(S) of the queue's first
        self._flying = 0  # how many at the queue's start have been sent

    @property
    def empty(self) -> bool:
        """Whether everything has been acknowledged."""
        return not self._queue

    @property
    def flying(self) -> int:
        """Frames sent and not acknowledged."""
        return self._flying

    @property
    def next_number(self) -> int:
        """V(S): the N(S) of the next frame to be sent for the first time."""
        return (self._base + self._flying) % SEQUENCE_MODULUS

    def add(self, data: bytes) -> None:
        """Cut ``data`` into segments."""
        for start in range(0, len(data), self._size):
            end = start + self._size
            self._queue.append(Segment(data[start:end], more=end < len(data)))

    def acknowledge(self, nr: int) -> int:
        """Take note that all before ``nr`` have arrived; return how many that is.

        Raises:
            RemoteProtocolError: a frame that was never sent is acknowledged.
        """
        count = (nr - self._base) % SEQUENCE_MODULUS
        if count > self._flying:
            raise RemoteProtocolError(f"N(R) {nr} acknowledges what was not sent", code="hdlc.nr")
        for _ in range(count):
            self._queue.popleft()
        self._flying -= count
        self._base = nr
        return count

    def window(self) -> list[tuple[int, Segment]]:
        """Return all frames that may be sent now with their N(S), from the first unacknowledged."""
        self._flying = max(self._flying, min(self._window, len(self._queue)))
        return [
            ((self._base + index) % SEQUENCE_MODULUS, self._queue[index])
            for index in range(self._flying)
        ]


class Inbox:
    """Segments until they are an APDU.

    Args:
        llc: the header that the first segment must begin with.
    """

    def __init__(self, llc: bytes) -> None:
        self._llc = llc
        self._parts = bytearray()
        self.expected = 0

    @property
    def partial(self) -> bool:
        """Whether an APDU has begun and not ended."""
        return bool(self._parts)

    def take(self, ns: int, segment: Segment) -> bytes | None:
        """Take the frame in sequence; return the APDU if it ends one.

        Raises:
            RemoteProtocolError: the frame is empty, the APDU too long, or its LLC header wrong.
        """
        if not segment.info:  # segments that bring nothing would never end
            raise RemoteProtocolError("an I frame without information", code="hdlc.empty")
        self.expected = (ns + 1) % SEQUENCE_MODULUS
        self._parts += segment.info
        if len(self._parts) > MAX_APDU + len(self._llc):
            raise RemoteProtocolError(f"an APDU over {MAX_APDU} octets", code="hdlc.too-long")
        if segment.more:
            return None
        whole = bytes(self._parts)
        self._parts.clear()
        return strip_llc(whole, self._llc)


def strip_llc(data: bytes, *headers: bytes) -> bytes:
    """Return what follows the LLC header (6.3).

    Raises:
        RemoteProtocolError: another header stands there.
    """
    header = data[: len(LLC_COMMAND)]
    if header not in headers:
        raise RemoteProtocolError(f"LLC header {header.hex().upper()}", code="hdlc.llc")
    return data[len(header) :]
