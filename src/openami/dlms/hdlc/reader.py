"""Frames out of a stream of octets."""

from __future__ import annotations

from typing import Final

from openami.core.errors import DecodeError
from openami.dlms.hdlc.address import HdlcAddress
from openami.dlms.hdlc.frame import CHECK_SIZE, FLAG_OCTET, Frame, read_format
from openami.wire.crc import crc16_x25
from openami.wire.reader import Reader

# Flag, format, two addresses, control, HCS: with so many octets a header can be judged.
_LONGEST_HEADER: Final = 1 + 2 + 4 + 4 + 1 + CHECK_SIZE
_FORMAT_END: Final = 3


class FrameReader:
    """Take any slices of a stream, give its frames.

    What is not a frame is skipped up to the next flag; a closing flag may open the next frame.
    Never more than one frame's octets (2 KiB) are kept, since whatever cannot become a frame is
    dropped as soon as its header is there.

    Attributes:
        frames: good frames so far.
        errors: runs of octets that looked like a frame, or stood where one should, and were not.
    """

    def __init__(self) -> None:
        self._buffer = bytearray()
        self.frames = 0
        self.errors = 0

    @property
    def pending(self) -> bool:
        """Whether a frame has begun and not ended."""
        return len(self._buffer) > 1

    def reset(self) -> None:
        """Forget a frame that has begun: the line fell silent within it."""
        self.errors += self.pending
        self._buffer.clear()

    def feed(self, data: bytes) -> list[Frame]:
        """Return the frames that ``data`` completes."""
        self._buffer += data
        found = []
        while self._align():
            try:
                size = self._frame_size()
                if not size:
                    break
                found.append(Frame.decode(bytes(self._buffer[:size])))
            except DecodeError:
                self.errors += 1
                del self._buffer[:1]  # the flag opened no frame; another one may
                continue
            del self._buffer[: size - 1]  # the closing flag may open the next frame
        self.frames += len(found)
        return found

    def _align(self) -> bool:
        """Drop what stands before a flag, and flags before the last of a run."""
        buffer = self._buffer
        start = buffer.find(FLAG_OCTET)
        if start < 0:
            buffer.clear()
            return False
        while buffer[start + 1 : start + 2] == FLAG_OCTET:
            start += 1
        del buffer[:start]
        return True

    def _frame_size(self) -> int:
        """Return the octets of the frame at the start with its flags; 0 if more are needed.

        Raises:
            DecodeError: no frame begins here, which shows long before it would be whole.
        """
        have = len(self._buffer)
        if have < _FORMAT_END:
            return 0
        length, _ = read_format(Reader(self._buffer[1:_FORMAT_END]))
        if have >= length + 2:
            return length + 2
        if have >= _LONGEST_HEADER:
            _judge_header(bytes(self._buffer[1:_LONGEST_HEADER]), length)
        return 0


def _judge_header(header: bytes, length: int) -> None:
    r = Reader(header)
    r.take(2)
    HdlcAddress.decode(r)
    HdlcAddress.decode(r)
    r.u8()
    end = r.offset
    if length == end + CHECK_SIZE:
        return  # no information, hence no HCS
    if crc16_x25(header[:end]).to_bytes(CHECK_SIZE, "little") != r.take(CHECK_SIZE):
        raise DecodeError("HCS is wrong", offset=end + 1, code="hdlc.hcs")
