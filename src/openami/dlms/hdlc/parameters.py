"""What the two ends of an HDLC link agree upon (IEC 62056-46, 6.4.4.4.3.2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

from openami.core.errors import DecodeError
from openami.dlms.hdlc.frame import MAX_INFO
from openami.wire.reader import Reader

if TYPE_CHECKING:
    from collections.abc import Mapping

DEFAULT_INFO: Final = 128
DEFAULT_WINDOW: Final = 1
MAX_WINDOW: Final = 7  # modulo-8 numbers cannot tell eight frames from none

_FORMAT: Final = 0x81
_GROUP: Final = 0x80
_INFO_TX: Final = 0x05
_INFO_RX: Final = 0x06
_WINDOW_TX: Final = 0x07
_WINDOW_RX: Final = 0x08
_VALUE_SIZES: Final = frozenset((1, 2, 4))


@dataclass(frozen=True, slots=True)
class Limits:
    """Information octets of a frame and frames of a window, as the sender of this list sees it."""

    info_tx: int = DEFAULT_INFO
    info_rx: int = DEFAULT_INFO
    window_tx: int = DEFAULT_WINDOW
    window_rx: int = DEFAULT_WINDOW

    def agreed_with(self, peer: Limits) -> Limits:
        """Return our limits after the peer's list: the smaller wins; what it takes, we send."""
        return Limits(
            info_tx=min(self.info_tx, peer.info_rx),
            info_rx=min(self.info_rx, peer.info_tx),
            window_tx=min(self.window_tx, peer.window_rx),
            window_rx=min(self.window_rx, peer.window_tx),
        )

    def encode(self) -> bytes:
        """Return the information of an SNRM or UA frame, in the shorter form that holds it."""
        size = 1 if max(self.info_tx, self.info_rx) <= 0xFF else 2
        group = b"".join(
            bytes((identifier, octets)) + value.to_bytes(octets, "big")
            for identifier, octets, value in (
                (_INFO_TX, size, self.info_tx),
                (_INFO_RX, size, self.info_rx),
                (_WINDOW_TX, 4, self.window_tx),
                (_WINDOW_RX, 4, self.window_rx),
            )
        )
        return bytes((_FORMAT, _GROUP, len(group))) + group

    @classmethod
    def decode(cls, info: bytes) -> Self:
        """Read the information of an SNRM or UA frame; what is not named has its default.

        Groups and parameters of other kinds are skipped, since a maker may add some.

        Raises:
            DecodeError: not a list of parameters, or a limit of 0.
        """
        if not info:
            return cls()
        r = Reader(info)
        r.expect(_FORMAT, "format identifier")
        values = _read_groups(r)
        return cls(
            info_tx=min(values.get(_INFO_TX, DEFAULT_INFO), MAX_INFO),
            info_rx=min(values.get(_INFO_RX, DEFAULT_INFO), MAX_INFO),
            window_tx=min(values.get(_WINDOW_TX, DEFAULT_WINDOW), MAX_WINDOW),
            window_rx=min(values.get(_WINDOW_RX, DEFAULT_WINDOW), MAX_WINDOW),
        )


def _read_groups(r: Reader) -> Mapping[int, int]:
    values: dict[int, int] = {}
    while True:
        group = r.u8()
        body = r.sub(r.u8())
        if group == _GROUP:
            values |= _read_group(body)
        if not r.remaining:
            return values


def _read_group(r: Reader) -> Mapping[int, int]:
    values = {}
    while r.remaining:
        identifier = r.u8()
        size = r.u8()
        start = r.offset
        value = r.uint(size)
        if not _INFO_TX <= identifier <= _WINDOW_RX:
            continue
        if size not in _VALUE_SIZES or not value:
            raise DecodeError("a limit of 1, 2 or 4 octets, more than 0, wanted", offset=start)
        values[identifier] = value
    return values


@dataclass(frozen=True, slots=True)
class HdlcParameters:
    """How one end of a link behaves. Times are in seconds.

    Args:
        max_info_tx: most information octets in a frame that we send.
        max_info_rx: most information octets in a frame that we take.
        window_tx: most frames that we send before we must be answered.
        window_rx: most frames that we take before we answer.
        response_timeout: how long a polled station may be silent: so long the client waits, and
            so long a server's application may take to use a P.
        retries: client: how often the same thing is tried again before the link is given up.
        inactivity_timeout: without a frame for so long the link is gone; 0: never.
        inter_frame: a silence that ends a frame that has begun.
        busy_poll: client: how long a station that has nothing to say yet is left alone.
        busy_timeout: client: for how long a station may say that it has nothing to say yet.

    Raises:
        ValueError: a value that the standard or common sense excludes.
    """

    max_info_tx: int = DEFAULT_INFO
    max_info_rx: int = DEFAULT_INFO
    window_tx: int = DEFAULT_WINDOW
    window_rx: int = DEFAULT_WINDOW
    response_timeout: float = 3.0
    retries: int = 3
    inactivity_timeout: float = 120.0
    inter_frame: float = 0.5
    busy_poll: float = 0.1
    busy_timeout: float = 60.0

    def __post_init__(self) -> None:
        if not all(8 <= size <= MAX_INFO for size in (self.max_info_tx, self.max_info_rx)):
            raise ValueError(f"a frame's information has 8 to {MAX_INFO} octets at most")
        if not all(1 <= size <= MAX_WINDOW for size in (self.window_tx, self.window_rx)):
            raise ValueError(f"a window has 1 to {MAX_WINDOW} frames")
        if self.retries < 0 or self.inactivity_timeout < 0:
            raise ValueError("retries and the inactivity timeout are not negative")
        waits = (self.response_timeout, self.inter_frame, self.busy_poll, self.busy_timeout)
        if not all(wait > 0 for wait in waits):
            raise ValueError("a wait is longer than nothing")

    @property
    def limits(self) -> Limits:
        """What we propose or accept."""
        return Limits(self.max_info_tx, self.max_info_rx, self.window_tx, self.window_rx)
