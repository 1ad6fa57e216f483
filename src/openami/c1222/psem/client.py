"""The end that asks, on a line: one request, one answer."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from openami.c1222.psem.link import Delivered, Link, LinkFailed, LinkParameters, Received
from openami.c1222.psem.services import Negotiated, decode_answer, encode
from openami.c1222.services import Terminate
from openami.core.errors import DecodeError, LocalProtocolError

if TYPE_CHECKING:
    from openami.c1222.psem.services import PsemRequest
    from openami.c1222.services import Response


@dataclass(frozen=True, slots=True)
class PsemAnswered:
    """The answer to what was asked."""

    response: Response


@dataclass(frozen=True, slots=True)
class PsemFailed:
    """There is none, and the line is as at its beginning.

    ``c1222.psem-silence``: nothing came in time; ``c1222.psem-nak``: what was sent came damaged
    too often; ``c1222.psem-sequence``; ``protocol.decode``: what came is no answer.
    """

    code: str


PsemEvent = PsemAnswered | PsemFailed


class PsemClient:
    """Asks one device; ``now`` is a clock that never runs backwards.

    Args:
        parameters: of the line, at its beginning.
        answer_s: how long an answer may take after the request was taken.
    """

    def __init__(self, parameters: LinkParameters | None = None, *, answer_s: float = 6.0) -> None:
        self._begin = parameters or LinkParameters()
        self._link = Link(self._begin)
        self._answer_s = answer_s
        self._asked: PsemRequest | None = None
        self._answer_at: float | None = None
        self._events: deque[PsemEvent] = deque()

    @property
    def most(self) -> int:
        """Octets of the longest message, either way."""
        return self._link.parameters.most

    def ask(self, request: PsemRequest, *, now: float) -> None:
        """Send a request; ``PsemAnswered`` or ``PsemFailed`` follows.

        Raises:
            LocalProtocolError: another one waits for its answer, or it is too long.
        """
        if self._asked is not None:
            raise LocalProtocolError("one request at a time")
        self._link.send(encode(request), now=now)
        self._asked = request

    def receive_data(self, data: bytes, *, now: float) -> None:
        """Take any slice of what came."""
        self._link.receive(data, now=now)
        self._settle(now)

    def receive_eof(self, *, now: float) -> None:  # noqa: ARG002 - as machines have it
        """Take note that the line is gone."""
        self._link.reset()
        if self._asked is not None:
            self._fail("c1222.psem-silence")

    def data_to_send(self) -> tuple[bytes, ...]:
        """Return the octets to send, once."""
        out = self._link.data_to_send()
        return (out,) if out else ()

    def next_event(self) -> PsemEvent | None:
        """Return what happened, or None."""
        return self._events.popleft() if self._events else None

    def next_timer(self) -> float | None:
        """Return when ``handle_timer`` has something to do."""
        timers = (self._link.next_timer(), self._answer_at)
        return min((at for at in timers if at is not None), default=None)

    def handle_timer(self, *, now: float) -> None:
        """Send again what was not taken, or give up waiting."""
        self._link.handle_timer(now=now)
        self._settle(now)
        if self._answer_at is not None and now >= self._answer_at:
            self._fail("c1222.psem-silence")

    def _settle(self, now: float) -> None:
        while (event := self._link.next_event()) is not None:
            if isinstance(event, Delivered):
                self._answer_at = now + self._answer_s
            elif isinstance(event, LinkFailed):
                self._fail(event.code)
            else:
                self._take(event)

    def _take(self, received: Received) -> None:
        request, self._asked = self._asked, None
        self._answer_at = None
        if request is None:  # nobody asked for it
            return
        try:
            response = decode_answer(received.data, request)
        except DecodeError as error:
            self._fail(error.code)
            return
        if isinstance(response, Negotiated):
            parameters = self._link.parameters
            self._link.parameters = parameters.limited(response.packet, response.packets)
        elif isinstance(request, Terminate):
            self._link.parameters = self._begin
        self._events.append(PsemAnswered(response))

    def _fail(self, code: str) -> None:
        waits, self._asked = self._asked is not None, None
        self._answer_at = None
        self._link.reset()
        self._link.parameters = self._begin
        if waits or code == "protocol.decode":
            self._events.append(PsemFailed(code))
