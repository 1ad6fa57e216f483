"""Frames on a line of octets: stuffed so that a zero is only ever between them, numbered, checked.

A frame is ``00``, then kind (1), number (2), body and CRC-32 (4) stuffed by COBS (consistent
overhead byte stuffing, Cheshire and Baker, 1999), then ``00``. A receiver that lost its place has
it again at the next zero. Thirty-two bits of check, since a report carries a customer's energy.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final, Self

from openami.core.errors import DecodeError, LocalProtocolError
from openami.wire.crc import crc32

MAX_BODY: Final = 512
"""Octets: a report of three phases has 400, the rest is room to grow."""

NUMBERS: Final = 1 << 16

_HEAD: Final = 3
_CHECK: Final = 4
_RUN: Final = 254
_LARGEST: Final = (_HEAD + MAX_BODY + _CHECK) * (_RUN + 1) // _RUN + 1
_WAITING: Final = 256  # frames: minutes of reports; a caller that takes none loses the oldest


def stuff(data: bytes) -> bytes:
    """Return ``data`` without any zero, a little longer."""
    out = bytearray()
    for part in data.split(b"\0"):
        rest = part
        while len(rest) >= _RUN:
            out += b"\xff" + rest[:_RUN]
            rest = rest[_RUN:]
        out.append(len(rest) + 1)
        out += rest
    return bytes(out)


def unstuff(data: bytes) -> bytes:
    """Return what was stuffed.

    Raises:
        DecodeError: it ends within a run, or has a zero.
    """
    out, at = bytearray(), 0
    while at < len(data):
        run = data[at]
        part = data[at + 1 : at + run]
        if run == 0 or len(part) != run - 1 or 0 in part:
            raise DecodeError("a run of a frame is cut", offset=at, code="metrology.frame")
        out += part
        at += run
        if run <= _RUN and at < len(data):
            out.append(0)
    return bytes(out)


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame.

    Args:
        kind: of its body, 1 to 255.
        number: of its sender's frames, 0 to 65535 and over again.
        body: at most ``MAX_BODY`` octets.
    """

    kind: int
    number: int
    body: bytes

    def encode(self) -> bytes:
        """Return the octets of the line.

        Raises:
            LocalProtocolError: the body is too long.
        """
        if len(self.body) > MAX_BODY:
            raise LocalProtocolError("a frame's body is too long", code="metrology.frame")
        raw = bytes((self.kind,)) + self.number.to_bytes(2, "big") + self.body
        return b"\0" + stuff(raw + crc32(raw).to_bytes(_CHECK, "big")) + b"\0"

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Return the frame of what stood between two zeros.

        Raises:
            DecodeError: it is damaged.
        """
        raw = unstuff(data)
        body, check = raw[:-_CHECK], raw[-_CHECK:]
        if not _HEAD <= len(body) <= _HEAD + MAX_BODY:
            raise DecodeError("a frame of this length is none", code="metrology.frame")
        if crc32(body) != int.from_bytes(check, "big"):
            raise DecodeError("a frame's check is wrong", code="metrology.frame")
        return cls(body[0], int.from_bytes(body[1:_HEAD], "big"), body[_HEAD:])


class Deframer:
    """Finds frames in any slices of a line. What is no frame is counted and passed over.

    ``damaged`` is how many pieces between zeros were no frame, ``lost`` how many numbers were
    missing between the frames that came, ``repeated`` how many came twice in a row.
    """

    def __init__(self) -> None:
        self.damaged = 0
        self.lost = 0
        self.repeated = 0
        self._piece = bytearray()
        self._last: int | None = None
        self._frames: deque[Frame] = deque(maxlen=_WAITING)

    def receive_data(self, data: bytes) -> None:
        """Take the next octets of the line."""
        *ended, rest = data.split(b"\0")
        for part in ended:
            self._grow(part)
            if self._piece:
                self._take(bytes(self._piece))
            self._piece.clear()
        self._grow(rest)

    def next_frame(self) -> Frame | None:
        """Return the oldest frame that has come whole, once; None: none waits."""
        return self._frames.popleft() if self._frames else None

    def _grow(self, part: bytes) -> None:
        # One octet over the largest frame is enough to know that a piece is none.
        self._piece += part[: _LARGEST + 1 - len(self._piece)]

    def _take(self, piece: bytes) -> None:
        try:
            frame = Frame.decode(piece)
        except DecodeError:
            self.damaged += 1
            return
        if frame.number == self._last:
            self.repeated += 1
            return
        if self._last is not None:
            missing = (frame.number - self._last - 1) % NUMBERS
            # A number from before: the sender has begun anew.
            self.lost += missing if missing < NUMBERS // 2 else 0
        self._last = frame.number
        self._frames.append(frame)
