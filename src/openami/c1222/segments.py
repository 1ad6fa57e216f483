"""Messages in segments, where the network below takes no long ones (C12.22, 5.3.4.12).

The whole message, with its tag and length, is cut into slices. Each segment is a message of its
own: it copies the context, the titles, the qualifier and the invocation id, and says how large the
whole is and where its slice begins. Nothing of a segment is authenticated; the whole is, after it
was put together.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from openami.c1222.apdu import TAG, Apdu
from openami.c1222.limits import MAX_APDU
from openami.c1222.station import blamed
from openami.core.errors import LocalProtocolError, RemoteProtocolError

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

MTU_IPV4: Final = 576
MTU_IPV6: Final = 1280
"""Octets of a packet that every path carries, where nothing else is known (RFC 6142, 3.5)."""
HEADERS_IPV4: Final = 20 + 8
HEADERS_IPV6: Final = 40 + 8
"""Octets of IP and UDP before a message."""
MAX_SEGMENTS: Final = 1024
"""Of one message: the largest one in packets that every path carries has fewer."""
MAX_OPEN: Final = 64
"""Messages that are being put together at once."""
MAX_OCTETS: Final = 4 * MAX_APDU
"""Of all of them together."""
TIMEOUT: Final = 30.0
"""Seconds until a message whose segments do not all come is given up: a sender that is not answered
sends all of them again.
"""
_HEAD_ROOM: Final = 20  # a total (7), a reference (5), and four lengths of two more octets
_LEAST_SLICE: Final = 16

_Name = tuple[bytes, bytes, int]
_Key = tuple["Hashable", _Name]


def split(message: bytes, largest: int) -> tuple[bytes, ...]:
    """Return what to send of a message: itself if it fits, or its segments.

    Args:
        message: a whole message, or a segment, which is cut into smaller ones.
        largest: octets that the network below takes.

    Raises:
        LocalProtocolError: ``largest`` leaves no room for slices (``c1222.mtu``).
        DecodeError: it is no message.
    """
    if len(message) <= largest:
        return (message,)
    apdu = Apdu.decode(message)
    head = replace(
        apdu, answers=None, key=None, mechanism=None, information=b"", total=None, reference=None
    )
    size = largest - len(head.encode()) - _HEAD_ROOM
    if apdu.total is None or apdu.reference is None:
        total, first, octets = len(message), 0, message
    else:
        total, first, octets = apdu.total, apdu.reference, apdu.information
    if size < _LEAST_SLICE or total > size * MAX_SEGMENTS:
        raise LocalProtocolError(f"no segments of {largest} octets", code="c1222.mtu")
    return tuple(
        replace(
            head, total=total, reference=first + at, information=octets[at : at + size]
        ).encode()
        for at in range(0, len(octets), size)
    )


class SegmentError(RemoteProtocolError):
    """Segments do not fit together: all of their message are forgotten."""

    code = "c1222.segment"


@dataclass(slots=True)
class _Whole:
    """Slices of one message, by where they begin."""

    total: int
    deadline: float
    offsets: list[int] = field(default_factory=list)
    slices: list[bytes] = field(default_factory=list, repr=False)
    octets: int = 0

    def add(self, at: int, data: bytes) -> bool:
        """Take a slice; whether it is new.

        Raises:
            SegmentError: it is empty, beyond the end, or overlaps another one.
        """
        place = bisect_left(self.offsets, at)
        if place < len(self.offsets) and self.offsets[place] == at and self.slices[place] == data:
            return False
        before = self.offsets[place - 1] + len(self.slices[place - 1]) if place else 0
        after = self.offsets[place] if place < len(self.offsets) else self.total
        if not data or at < before or at + len(data) > after:
            raise SegmentError("a segment that is empty, or where another one is")
        if len(self.offsets) >= MAX_SEGMENTS:
            raise SegmentError(f"more than {MAX_SEGMENTS} segments")
        self.offsets.insert(place, at)
        self.slices.insert(place, data)
        self.octets += len(data)
        return True

    @property
    def complete(self) -> bool:
        # Slices do not overlap and end within the whole: as many octets are all of them.
        return self.octets == self.total


class Reassembler:
    """Puts messages together, in whatever order and however often their segments come.

    Hosts are kept apart: what one sends makes nothing of another's wrong, and where there is no
    room, whoever has the most loses the oldest.

    Args:
        timeout: seconds that a message may take.
        most: octets of the longest message.
        open_most: messages at once.
        octets_most: of all of them.

    Attributes:
        dropped: messages given up so far: late, contradictory, or for want of room.
    """

    def __init__(
        self,
        *,
        timeout: float = TIMEOUT,
        most: int = MAX_APDU,
        open_most: int = MAX_OPEN,
        octets_most: int = MAX_OCTETS,
    ) -> None:
        self._timeout = timeout
        self._most = most
        self._open_most = open_most
        self._octets_most = octets_most
        self._open: dict[_Key, _Whole] = {}
        self._octets = 0
        self.dropped = 0

    def receive(self, message: bytes, *, now: float, source: Hashable = None) -> Apdu | None:
        """Return the message that ``message`` is or completes, or None while segments lack.

        Args:
            message: a message or a segment.
            now: seconds of UTC.
            source: where it came from.

        Raises:
            DecodeError: it is none, nor a segment.
            SegmentError: the segment, or the whole, contradicts what came before; or there is no
                room for it.
        """
        apdu = Apdu.decode(message)
        if apdu.total is None or apdu.reference is None:
            return apdu
        self.handle_timer(now=now)
        key = blamed(source), _name(apdu)
        try:
            return self._add(key, apdu, apdu.total, apdu.reference, now)
        except SegmentError:
            self._drop(key)
            raise

    def _add(self, key: _Key, apdu: Apdu, total: int, at: int, now: float) -> Apdu | None:
        whole = self._open.get(key)
        if whole is None:
            if not 0 < total <= self._most:
                raise SegmentError(f"a message of {total} octets, {self._most} at most")
            if len(self._open) >= self._open_most:
                self._drop(self._least_likely(lambda _: 1))
            whole = self._open[key] = _Whole(total, now + self._timeout)
        if whole.total != total:
            raise SegmentError(f"a message of {whole.total} octets, and of {total}")
        if whole.add(at, apdu.information):
            self._octets += len(apdu.information)
        while self._octets > self._octets_most:
            victim = self._least_likely(lambda each: each.octets)
            if victim == key:
                raise SegmentError("no room for more segments")
            self._drop(victim)
        if not whole.complete:
            return None
        self._forget(key)
        return _checked(b"".join(whole.slices), key[1])

    def _least_likely(self, weight: Callable[[_Whole], int]) -> _Key:
        """Return the message that is the least likely to end: the oldest of who has the most."""
        shares: Counter[Hashable] = Counter()
        for (host, _), whole in self._open.items():
            shares[host] += weight(whole)
        ((most, _),) = shares.most_common(1)
        return next(key for key in self._open if key[0] == most)

    def _forget(self, key: _Key) -> None:
        self._octets -= self._open.pop(key).octets

    def _drop(self, key: _Key) -> None:
        if key in self._open:
            self._forget(key)
            self.dropped += 1

    def next_timer(self) -> float | None:
        """Return when the oldest message is given up."""
        return next((whole.deadline for whole in self._open.values()), None)

    def handle_timer(self, *, now: float) -> None:
        """Give up messages that have taken too long."""
        # One timeout for all: they stand in the order of their ends.
        while self._open and next(iter(self._open.values())).deadline <= now:
            self._drop(next(iter(self._open)))


def _name(apdu: Apdu) -> _Name:
    calling = b"" if apdu.calling is None else apdu.calling.name
    called = b"" if apdu.called is None else apdu.called.name
    return calling, called, apdu.invocation_id


def _checked(message: bytes, name: _Name) -> Apdu:
    """Return the whole, if it is the message that its segments said it is."""
    if message[0] != TAG:
        raise SegmentError("the segments are of no message")
    apdu = Apdu.decode(message)
    if apdu.total is not None or _name(apdu) != name:
        raise SegmentError("the message has other titles than its segments")
    return apdu
