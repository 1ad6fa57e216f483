"""Octet pipes: what TCP connections, serial lines, ptys and datagram flows have in common.

What arrives goes straight to the attached receiver (a driver, within the same call of the event
loop), or is kept until somebody reads. Both ways are bounded: a channel whose octets nobody takes
stops reading from its peer, and an answering end whose peer takes no answers reads no questions.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections import deque
from typing import TYPE_CHECKING, ClassVar, Final, Protocol

from openami.transport.failures import closed_error

if TYPE_CHECKING:
    from openami.core.errors import TransportError

RECEIVE_LIMIT: Final = 256 * 1024
"""Octets kept for a reader before the peer is held up: a few of the largest APDUs (64 KiB)."""

_UNREAD: Final = "unread"
_UNSENT: Final = "unsent"


class Receiver(Protocol):
    """Who takes a channel's octets as they come."""

    def data_received(self, data: bytes) -> None:
        """Take a piece of the stream, or one datagram."""

    def channel_closed(self, error: TransportError | None) -> None:
        """Take note that nothing more will come; ``error`` tells why, None: in good order."""


class Channel(ABC):
    """One end of an octet pipe.

    Args:
        name: the peer, for messages and logs.
        answers: whether this end answers: it then reads no more while much is unsent. An end that
            asks must go on reading, or two ends with much to say would wait for each other.

    Attributes:
        name: the peer, for messages and logs.
        error: why the channel closed; None while it is open or when it was closed in good order.
        received_octets: how many have come.
        sent_octets: how many were handed to the system.
        served: a receiver has been attached and detached: what comes now is meant for nobody.
    """

    datagrams: ClassVar[bool] = False
    """Whether each piece written and read is one datagram."""

    def __init__(self, name: str, *, answers: bool = False) -> None:
        self.name = name
        self._answers = answers
        self.error: TransportError | None = None
        self.received_octets = 0
        self.sent_octets = 0
        self.served = False
        self._receiver: Receiver | None = None
        self._pieces: deque[bytes] = deque()
        self._held = 0
        self._holds: set[str] = set()
        self._closed = asyncio.Event()
        self._arrived = asyncio.Event()
        self._writable = asyncio.Event()
        self._writable.set()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}{' closed' if self.closed else ''}>"

    @property
    def closed(self) -> bool:
        """Whether the pipe is gone: nothing can be written and nothing more will come."""
        return self._closed.is_set()

    def write(self, data: bytes) -> None:
        """Hand octets to the system; see ``drain``.

        Raises:
            TransportError: ``transport.closed``.
        """
        if self.closed:
            raise self.error or closed_error(self.name)
        self.sent_octets += len(data)
        self._send(data)

    @property
    def full(self) -> bool:
        """Whether the system has no room for more octets; see ``drain``."""
        return not self._writable.is_set()

    @property
    def pending(self) -> bool:
        """Whether octets that were written wait for the system to take them."""
        return self.full

    async def drain(self) -> None:
        """Return when the system has room again for more octets."""
        await self._writable.wait()

    async def read(self) -> bytes:
        """Return the next piece (any slice of the stream, or one datagram), ``b""`` at the end.

        Raises:
            TransportError: the channel broke; what had come before was returned first.
        """
        while not self._pieces:
            if self.closed:
                if self.error is not None:
                    raise self.error
                return b""
            self._arrived.clear()
            await self._arrived.wait()
        piece = self._pieces.popleft()
        self._held -= len(piece)
        if self._held <= RECEIVE_LIMIT // 2:
            self.release(_UNREAD)
        return piece

    def discard(self) -> int:
        """Forget what came and was not read; return how many octets that was."""
        forgotten, self._held = self._held, 0
        self._pieces.clear()
        self.release(_UNREAD)
        return forgotten

    def attach(self, receiver: Receiver) -> None:
        """Give ``receiver`` all that comes from now on, and what came already.

        Raises:
            RuntimeError: another receiver is attached: a bug of the caller.
        """
        if self._receiver is not None:
            raise RuntimeError(f"{self.name} has a receiver already")
        self._receiver = receiver
        while self._pieces and self._receiver is receiver:
            piece = self._pieces.popleft()
            self._held -= len(piece)
            receiver.data_received(piece)
        self.release(_UNREAD)
        if self.closed and self._receiver is receiver:
            receiver.channel_closed(self.error)

    def detach(self, receiver: Receiver) -> None:
        """Stop giving octets to ``receiver``; does nothing if it is not attached."""
        if self._receiver is receiver:
            self._receiver = None
            self.served = True

    def hold(self, reason: str) -> None:
        """Stop reading from the peer until each reason given was released."""
        if not self._holds and not self.closed:
            self._pause()
        self._holds.add(reason)

    def release(self, reason: str) -> None:
        """Take one reason to hold away."""
        if reason not in self._holds:
            return
        self._holds.discard(reason)
        if not self._holds and not self.closed:
            self._resume()

    def close(self) -> None:
        """Close in good order; octets on their way out are still sent. May be called again."""
        if not self.closed:
            self._close()
            self._finish(None)

    async def wait_closed(self) -> None:
        """Return when the channel is closed, by either side."""
        await self._closed.wait()

    @abstractmethod
    def _send(self, data: bytes) -> None:
        """Hand octets to the system without waiting."""

    @abstractmethod
    def _close(self) -> None:
        """Begin to close."""

    def _pause(self) -> None:  # noqa: B027 - not every carrier can hold its peer up
        """Stop reading from the system."""

    def _resume(self) -> None:  # noqa: B027 - as above
        """Read from the system again."""

    def _feed(self, data: bytes) -> None:
        """Take what the system read."""
        self.received_octets += len(data)
        if self._receiver is not None:
            self._receiver.data_received(data)
            return
        self._pieces.append(data)
        self._held += len(data)
        self._arrived.set()
        if self._held > RECEIVE_LIMIT:
            self.hold(_UNREAD)

    def _stall(self) -> None:
        """Take note that the system has no room for more octets."""
        self._writable.clear()
        if self._answers:
            self.hold(_UNSENT)

    def _flow(self) -> None:
        """Take note that the system has room again."""
        self._writable.set()
        self.release(_UNSENT)

    def _finish(self, error: TransportError | None) -> None:
        """Take note that the pipe is gone."""
        if self.closed:
            return
        self.error = error
        self._closed.set()
        self._arrived.set()
        self._writable.set()
        if self._receiver is not None:
            self._receiver.channel_closed(error)
