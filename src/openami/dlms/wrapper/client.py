"""The client's end of a connection with wrapper headers."""

from __future__ import annotations

from collections import deque
from typing import Final

from openami.core.errors import DecodeError, LocalProtocolError
from openami.dlms.link import ApduReceived, LinkDown, LinkEvent, LinkUp
from openami.dlms.wrapper.packet import (
    GENERAL,
    NOTIFICATIONS,
    Packet,
    PacketReader,
    WrapperParameters,
)

# An answer that is still coming in extends the wait, one that never ends must not.
_LONGEST_WAIT: Final = 10

_AARQ: Final = 0x60
_AARE: Final = 0x61
_RLRQ: Final = 0x62
_RLRE: Final = 0x63
_GET_REQUEST: Final = 0xC0
_GET_RESPONSE: Final = 0xC4

_SENT_AGAIN: Final = frozenset((_AARQ, _RLRQ, _GET_REQUEST))
# Answers that fit one request only; every other tag may answer anything.
_ANSWERS: Final = {_AARE: _AARQ, _RLRE: _RLRQ, _GET_RESPONSE: _GET_REQUEST}
_INVOKE_ID_AT: Final = 2
_INVOKE_ID_MASK: Final = 0x0F


class WrapperClientLink:
    """One client and one logical device; implements ``openami.dlms.link.ClientLink``.

    The caller opens the connection before ``connect`` and closes it after ``LinkDown``, whose
    codes are ``disconnected`` (as asked), ``timeout``, ``closed`` and ``protocol``.

    Args:
        client: the client's wPort.
        server: the logical device's wPort.
        parameters: stream or datagrams, and times.
    """

    def __init__(
        self, client: int, server: int, parameters: WrapperParameters | None = None
    ) -> None:
        self.client = client
        self.server = server
        self.parameters = parameters or WrapperParameters()
        self._unasked = NOTIFICATIONS | (GENERAL if self.parameters.pushes else frozenset())
        self._reader = PacketReader(self.parameters)
        self._events: deque[LinkEvent] = deque()
        self._out: list[bytes] = []
        self._up = False
        self._request: bytes | None = None  # awaiting its answer
        self._tries = 0
        self._deadline: float | None = None
        self._latest = 0.0
        self._answered: bytes = b""  # the last answer, of which more copies may come
        self._copies = 0

    def connect(self, *, now: float) -> None:  # noqa: ARG002 - the port's signature
        """Begin; ``LinkUp`` follows at once, since the wrapper has no link of its own.

        Raises:
            LocalProtocolError: it has begun already.
        """
        if self._up:
            raise LocalProtocolError("cannot connect while up")
        self._reader = PacketReader(self.parameters)
        self._up = True
        self._copies = 0
        self._events.append(LinkUp(self.parameters.largest_sent))

    def send(self, apdu: bytes, *, now: float) -> None:
        """Send one APDU and await the answer.

        Raises:
            LocalProtocolError: the link is not up, an answer is still awaited, or the APDU is
                empty or too long.
        """
        if not self._up or self._request is not None:
            raise LocalProtocolError("cannot send while down or awaiting an answer")
        if not 1 <= len(apdu) <= self.parameters.largest_sent:
            raise LocalProtocolError(f"an APDU of {len(apdu)} octets does not fit the wrapper")
        self._request = apdu
        self._tries = 0
        self._transmit(apdu, now)

    def disconnect(self, *, now: float) -> None:  # noqa: ARG002 - the port's signature
        """Take the link down; ``LinkDown`` follows at once."""
        self._up = True  # the event is promised also where there is no link
        self._lose("disconnected", "")

    def receive_data(self, data: bytes, *, now: float) -> None:
        if not self._up:
            return
        try:
            packets = self._reader.feed(data)
        except DecodeError as error:
            self._lose("protocol", str(error))
            return
        for packet in packets:
            if (packet.source, packet.destination) == (self.server, self.client):
                self._receive(packet.apdu)
        if self._deadline is not None and self._reader.pending:
            wanted = now + self.parameters.response_timeout
            self._deadline = max(self._deadline, min(wanted, self._latest))

    def receive_eof(self, *, now: float) -> None:  # noqa: ARG002 - the port's signature
        self._lose("closed", "the connection was closed")

    def data_to_send(self) -> tuple[bytes, ...]:
        out = tuple(self._out)
        self._out.clear()
        return out

    def next_event(self) -> LinkEvent | None:
        return self._events.popleft() if self._events else None

    def next_timer(self) -> float | None:
        return self._deadline

    def handle_timer(self, *, now: float) -> None:
        if self._deadline is None or self._request is None or now < self._deadline:
            return
        repeatable = self.parameters.datagrams and self._request[0] in _SENT_AGAIN
        if repeatable and self._tries < self.parameters.retries:
            self._tries += 1
            self._transmit(self._request, now)
        else:
            self._lose("timeout", "no answer")

    def _transmit(self, apdu: bytes, now: float) -> None:
        self._out.append(Packet(self.client, self.server, apdu).encode())
        self._deadline = now + self.parameters.response_timeout
        self._latest = now + self.parameters.response_timeout * _LONGEST_WAIT

    def _receive(self, apdu: bytes) -> None:
        if apdu[0] in self._unasked:
            self._events.append(ApduReceived(apdu))
        elif self._request is not None and self._answers(apdu, self._request):
            self._request = None
            self._deadline = None
            self._answered = apdu
            self._copies = self._tries
            self._events.append(ApduReceived(apdu))

    def _answers(self, apdu: bytes, request: bytes) -> bool:
        """Return whether ``apdu`` may be the answer, not a late one to an earlier request."""
        if not self.parameters.datagrams:
            return True
        if self._copies and apdu == self._answered:  # blocks of one transfer share an invoke id
            self._copies -= 1
            return False
        if _ANSWERS.get(apdu[0], request[0]) != request[0]:
            return False
        return apdu[0] != _GET_RESPONSE or _invoke_id(apdu) == _invoke_id(request)

    def _lose(self, code: str, message: str) -> None:
        if not self._up:
            return
        self._up = False
        self._request = None
        self._deadline = None
        self._events.append(LinkDown(code, message))


def _invoke_id(apdu: bytes) -> int:
    return apdu[_INVOKE_ID_AT] & _INVOKE_ID_MASK if len(apdu) > _INVOKE_ID_AT else -1
