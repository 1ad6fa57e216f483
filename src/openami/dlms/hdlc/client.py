"""The client's end of an HDLC link: the primary station (IEC 62056-46, 6.4).

The theory. The line is half duplex and the right to speak is what the P/F bit hands over. The
client speaks first: a window of I frames, or RR when it has nothing to say, the last frame with
P. Then it is silent until the server's frame with F, or until a timeout. What the server's answer
leaves open decides the next turn::

    our segments not all acknowledged   send the next window, or the same one again
    the server's APDU has begun         RR: go on
    nothing came                        leave the server alone for a while, then RR: and now?
    an APDU came whole                  it is the answer; the turn is the caller's

After a timeout RR asks for the state of the other end, never the I frames again: the answer's
N(R) tells which were lost, and what was lost of the answer is sent again from our N(R)
(6.4.4.4.3.5). An APDU is handed on once F was seen, or once a timeout shows that F is lost; a
frame that repeats the last one taken is an echo of an earlier turn and answers nothing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from typing import ClassVar, Final

from openami.core.errors import DecodeError, LocalProtocolError, RemoteProtocolError
from openami.dlms.hdlc.address import HdlcAddress
from openami.dlms.hdlc.counters import LinkCounters
from openami.dlms.hdlc.frame import SEQUENCE_MODULUS, Control, Frame, FrameKind
from openami.dlms.hdlc.parameters import HdlcParameters, Limits
from openami.dlms.hdlc.reader import FrameReader
from openami.dlms.hdlc.sequence import (
    LLC_COMMAND,
    LLC_RESPONSE,
    MAX_APDU,
    Inbox,
    Outbox,
    Segment,
    strip_llc,
)
from openami.dlms.hdlc.turns import TRANSITIONS, Patience, State, Step, Turn, when_up
from openami.dlms.link import ApduReceived, LinkDown, LinkEvent, LinkUp

# One answer and a few event notifications; more without an F is a station gone mad.
_MOST_APDUS: Final = 16


_Handler = Callable[["HdlcClientLink", Frame, float], None]
_OnTimeout = Callable[["HdlcClientLink", float], None]


class HdlcClientLink:
    """One client and one server on a line; implements ``openami.dlms.link.ClientLink``.

    ``LinkDown`` codes: ``disconnected`` (as asked, or the server says it is), ``refused``,
    ``timeout``, ``inactivity``, ``rejected`` (FRMR), ``closed`` (end of stream), ``protocol``.

    Args:
        client: the client's SAP, 1 to 127.
        server: the server's address, in the form that the server wants.
        parameters: limits to propose, and times.
    """

    def __init__(
        self, client: int, server: HdlcAddress, parameters: HdlcParameters | None = None
    ) -> None:
        self.client = HdlcAddress(client)
        self.server = server
        self.parameters = parameters or HdlcParameters()
        self.limits = Limits()
        self.state = State.DOWN
        self._reader = FrameReader()
        self._events: deque[LinkEvent] = deque()
        self._out: list[bytes] = []
        self._sent = 0
        self._errors = 0
        self._repeats = 0
        self._heard_at = 0.0
        self._reset()

    def _reset(self) -> None:
        self._outbox = Outbox(self.limits.info_tx, self.limits.window_tx)
        self._inbox = Inbox(LLC_RESPONSE)
        self._whole: list[bytes] = []
        self._turn = Turn()
        self._patience = Patience(self.parameters.retries, self.parameters.response_timeout)

    @property
    def counters(self) -> LinkCounters:
        """What this end has seen so far."""
        return LinkCounters(
            received=self._reader.frames,
            sent=self._sent,
            errors=self._reader.errors + self._errors,
            repeats=self._repeats,
        )

    # Commands

    def connect(self, *, now: float) -> None:
        """Set the link up.

        Raises:
            LocalProtocolError: the link is not down.
        """
        self._move(Step.CONNECT)
        self.limits = Limits()
        self._reset()
        self._reader.reset()
        self._heard_at = now
        self._command(FrameKind.SNRM, self.parameters.limits.encode(), now)

    def send(self, apdu: bytes, *, now: float) -> None:
        """Send one APDU and await the answer.

        Raises:
            LocalProtocolError: the link is not up, or an answer is still awaited.
        """
        self._move(Step.SEND)
        self._outbox.add(LLC_COMMAND + apdu)
        self._patience.progress(now)
        self._speak(now)

    def send_unconfirmed(self, apdu: bytes) -> None:
        """Send one APDU in an UI frame, to which nobody answers; no link is needed.

        With a broadcast address as the server's, every station takes it.

        Raises:
            LocalProtocolError: an answer is awaited, or the APDU does not fit one frame.
        """
        if self.state not in (State.DOWN, State.IDLE):
            raise LocalProtocolError(f"the line is taken: {self.state}")
        info = LLC_COMMAND + apdu
        if len(info) > self.parameters.max_info_tx:
            raise LocalProtocolError("an unconfirmed APDU must fit one frame")
        self._put(Control.of(FrameKind.UI, final=False), info)

    def disconnect(self, *, now: float) -> None:
        """Take the link down; ``LinkDown`` follows, at once if it is down already."""
        if self.state is State.DOWN:
            self._events.append(LinkDown("disconnected"))
        elif self.state is not State.RELEASING:
            self._move(Step.RELEASE)
            self._patience.progress(now)
            self._command(FrameKind.DISC, b"", now)

    # The machine

    def receive_data(self, data: bytes, *, now: float) -> None:
        for frame in self._reader.feed(data):
            self._receive_frame(frame, now)
        if self._reader.pending:
            self._extend(now)

    def receive_eof(self, *, now: float) -> None:  # noqa: ARG002 - the port's signature
        self._lose("closed", "the line was closed")

    def data_to_send(self) -> tuple[bytes, ...]:
        out = tuple(self._out)
        self._out.clear()
        return out

    def next_event(self) -> LinkEvent | None:
        return self._events.popleft() if self._events else None

    def next_timer(self) -> float | None:
        if self.state is State.IDLE and self.parameters.inactivity_timeout:
            return self._heard_at + self.parameters.inactivity_timeout
        return self._patience.deadline

    def handle_timer(self, *, now: float) -> None:
        due = self.next_timer()
        if due is not None and now >= due:
            self._TIMEOUTS[self.state](self, now)

    # Speaking

    def _put(self, control: Control, info: bytes = b"", *, segmented: bool = False) -> None:
        frame = Frame(self.server, self.client, control, info, segmented)
        self._out.append(frame.encode())
        self._sent += 1

    def _extend(self, now: float) -> None:
        if self.state is not State.PAUSED:
            self._patience.extend(now)

    def _command(self, kind: FrameKind, info: bytes, now: float) -> None:
        self._put(Control.of(kind), info)
        self._patience.wait(now)

    def _speak(self, now: float) -> None:
        """Take a turn with the window that may be sent."""
        self._repeats += self._outbox.flying
        window = self._outbox.window()
        last, _ = window[-1]
        for ns, segment in window:
            control = Control.of(FrameKind.I, final=ns == last, ns=ns, nr=self._inbox.expected)
            self._put(control, segment.info, segmented=segment.more)
        self._turn = Turn()
        self._patience.wait(now)

    def _ask(self, now: float) -> None:
        """Take a turn with RR: it acknowledges, and asks for the other end's state."""
        self._put(Control.of(FrameKind.RR, nr=self._inbox.expected))
        self._turn = Turn(by_rr=True)
        self._patience.wait(now)

    # Listening

    def _receive_frame(self, frame: Frame, now: float) -> None:
        if frame.destination != self.client or frame.source != self.server:
            return
        self._heard_at = now
        handler = self._HANDLERS.get((self.state, frame.control.kind))
        if handler is None:  # an echo of an earlier turn
            return
        try:
            handler(self, frame, now)
        except RemoteProtocolError as error:
            self._errors += 1
            self._lose("protocol", str(error))

    def _accepted(self, frame: Frame, now: float) -> None:
        try:
            proposed = Limits.decode(frame.info)
        except DecodeError as error:
            raise RemoteProtocolError(f"UA: {error}") from error
        self._move(Step.ACCEPTED)
        self.limits = self.parameters.limits.agreed_with(proposed)
        self._reset()
        self._heard_at = now
        self._events.append(LinkUp(MAX_APDU))

    def _refused(self, _frame: Frame, _now: float) -> None:
        self._lose("refused", "the station refuses the link (DM)")

    def _released(self, _frame: Frame, _now: float) -> None:
        self._lose("disconnected", "")

    def _dropped(self, _frame: Frame, _now: float) -> None:
        self._lose("disconnected", "the station has dropped the link (DM)")

    def _rejected(self, frame: Frame, _now: float) -> None:
        self._lose("rejected", f"the station rejects a frame (FRMR {frame.info.hex().upper()})")

    def _unconfirmed(self, frame: Frame, _now: float) -> None:
        try:
            self._events.append(ApduReceived(strip_llc(frame.info, LLC_RESPONSE)))
        except RemoteProtocolError:  # it concerns no link
            self._errors += 1

    def _acknowledge(self, frame: Frame, now: float) -> None:
        if self._outbox.acknowledge(frame.control.nr):
            self._advance(now)

    def _advance(self, now: float) -> None:
        self._turn.progress = True
        self._patience.progress(now)

    def _information(self, frame: Frame, now: float) -> None:
        ahead = (frame.control.ns - self._inbox.expected) % SEQUENCE_MODULUS
        if ahead == SEQUENCE_MODULUS - 1:  # the last one taken, once more
            return
        self._acknowledge(frame, now)
        self._turn.data = True
        if not ahead:
            apdu = self._inbox.take(frame.control.ns, Segment(frame.info, frame.segmented))
            self._advance(now)
            if apdu is not None:
                self._whole.append(apdu)
            if len(self._whole) > _MOST_APDUS:
                raise RemoteProtocolError("APDUs without end", code="hdlc.too-many")
        self._heard(frame, now)

    def _ready(self, frame: Frame, now: float) -> None:
        self._acknowledge(frame, now)
        self._heard(frame, now)

    def _not_ready(self, frame: Frame, now: float) -> None:
        self._turn.busy = True
        self._ready(frame, now)

    def _heard(self, frame: Frame, now: float) -> None:
        """Go on after a frame: wait for the next one, or take the turn that F gives."""
        if not frame.control.final:
            self._extend(now)
            return
        if self._is_complete:
            self._answer()
        elif self._turn.busy:
            self._pause(now)
        elif not self._outbox.empty:
            self._continue_sending(now)
        elif self._turn.data:
            self._again(now, self._ask)
        else:
            self._pause(now)

    @property
    def _is_complete(self) -> bool:
        return bool(self._whole) and self._outbox.empty and not self._inbox.partial

    def _answer(self) -> None:
        self._move(Step.ANSWERED)
        self._patience.rest()
        self._events.extend(ApduReceived(apdu) for apdu in self._whole)
        self._whole.clear()

    def _continue_sending(self, now: float) -> None:
        """Send the next window, or again what this answer shows to be lost.

        An answer to a single I frame acknowledges it, or else answers an earlier turn.
        """
        if self._turn.by_rr:  # the timeout before has counted as a try
            self._speak(now)
        elif self._turn.progress or self._outbox.flying > 1:
            self._again(now, self._speak)

    def _again(self, now: float, speak: Callable[[float], None]) -> None:
        """Take a turn; without progress only so many times."""
        if self._turn.progress or self._patience.again():
            speak(now)
        else:
            self._lose("timeout", "the station answers and nothing gets through")

    def _pause(self, now: float) -> None:
        if now - self._patience.progress_at >= self.parameters.busy_timeout:
            self._lose("timeout", "the station stays busy")
            return
        self._move(Step.PAUSE)
        self._patience.wait(now, self.parameters.busy_poll)

    def _connect_again(self, now: float) -> None:
        self._repeat(now, FrameKind.SNRM, self.parameters.limits.encode())

    def _release_again(self, now: float) -> None:
        self._repeat(now, FrameKind.DISC, b"")

    def _repeat(self, now: float, kind: FrameKind, info: bytes) -> None:
        self._reader.reset()
        if self._patience.again():
            self._repeats += 1
            self._command(kind, info, now)
        else:
            self._lose("timeout", f"the station does not answer {kind}")

    def _ask_again(self, now: float) -> None:
        self._reader.reset()
        if self._is_complete:  # only F was lost
            self._answer()
        elif self._patience.again():
            self._repeats += 1
            self._ask(now)
        else:
            self._lose("timeout", "the station does not answer")

    def _poll(self, now: float) -> None:
        self._move(Step.POLL)
        self._ask(now)

    def _expire(self, _now: float) -> None:
        self._lose("inactivity", "nothing was heard for too long")

    # State

    def _move(self, step: Step) -> None:
        try:
            self.state = TRANSITIONS[self.state, step]
        except KeyError:
            raise LocalProtocolError(f"cannot {step} while {self.state}") from None

    def _lose(self, code: str, message: str) -> None:
        if self.state is State.DOWN:
            return
        self._move(Step.LOST)
        self._patience.rest()
        self._reader.reset()
        self._events.append(LinkDown(code, message))

    # What is not listed answers an earlier turn, and is ignored.
    _HANDLERS: ClassVar[Mapping[tuple[State, FrameKind], _Handler]] = {
        (State.CONNECTING, FrameKind.UA): _accepted,
        (State.CONNECTING, FrameKind.DM): _refused,
        (State.RELEASING, FrameKind.UA): _released,
        (State.RELEASING, FrameKind.DM): _released,
        (State.AWAITING, FrameKind.I): _information,
        (State.AWAITING, FrameKind.RR): _ready,
        (State.AWAITING, FrameKind.RNR): _not_ready,
        **dict.fromkeys(when_up(FrameKind.DM), _dropped),
        **dict.fromkeys(when_up(FrameKind.FRMR), _rejected),
        **dict.fromkeys(when_up(FrameKind.UI), _unconfirmed),
    }
    _TIMEOUTS: ClassVar[Mapping[State, _OnTimeout]] = {
        State.CONNECTING: _connect_again,
        State.IDLE: _expire,
        State.AWAITING: _ask_again,
        State.PAUSED: _poll,
        State.RELEASING: _release_again,
    }
