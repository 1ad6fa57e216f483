"""A server's end of an HDLC line: one secondary station (IEC 62056-46, 6.4).

The theory. Many stations hear every frame; one answers, when the frame is for it and has P. It
says everything it may say now, a window of I frames or one RR, with F in the last. What the
client's N(R) leaves unacknowledged is said again, first frame first. A station that is asked
before its application has an answer stays silent until the answer comes, and then uses that P;
asked again meanwhile it says RR: nothing yet.

A link is named by the client's and the logical device's addresses. One that is not connected
answers DM to whatever asks, but to SNRM (6.4.4.4.1). A frame that breaks the rules is answered
with FRMR, and the link is gone (6.4.4.4.3.6).
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, ClassVar, Final

from openami.core.errors import DecodeError, RemoteProtocolError
from openami.dlms.hdlc.counters import LinkCounters
from openami.dlms.hdlc.frame import Control, Frame, FrameKind
from openami.dlms.hdlc.parameters import HdlcParameters, Limits
from openami.dlms.hdlc.reader import FrameReader
from openami.dlms.hdlc.sequence import (
    LLC_BROADCAST,
    LLC_COMMAND,
    LLC_RESPONSE,
    Inbox,
    Outbox,
    Segment,
    strip_llc,
)
from openami.dlms.link import (
    Peer,
    PeerApduReceived,
    PeerConnected,
    PeerDisconnected,
    ServerLinkEvent,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from openami.dlms.hdlc.address import HdlcAddress

MAX_LINKS: Final = 8
"""Clients with a link at once: a meter knows a handful of SAPs, and each may hold 64 KiB."""

# FRMR's reasons (6.4.4.4.3.6): W, X, Y and Z of its third octet.
_UNKNOWN_CONTROL: Final = 0x01
_INFO_TOO_LONG: Final = 0x04
_WRONG_NR: Final = 0x08


# No station, and all stations: nobody speaks under these names (6.4.2.3).
_NO_CLIENTS: Final = frozenset((0x00, 0x7F))


_NEVER: Final = float("-inf")


class _FrameRejected(Exception):  # noqa: N818 - never leaves this module
    def __init__(self, reason: int) -> None:
        super().__init__(reason)
        self.reason = reason


class _Link:
    """What the station keeps of one client."""

    def __init__(self, peer: Peer, frame: Frame, limits: Limits, now: float) -> None:
        self.peer = peer
        self.client = frame.source
        self.server = frame.destination
        self.limits = limits
        self.outbox = Outbox(limits.info_tx, limits.window_tx)
        self.inbox = Inbox(LLC_COMMAND)
        self.polled_until = _NEVER  # so long a P waits for the application's answer
        self.client_busy = False
        self.heard_at = now


class HdlcServerLink:
    """One station on a line; implements ``openami.dlms.link.ServerLink``.

    ``PeerDisconnected`` codes: ``disconnected`` (as the client asked), ``reconnected`` (the client
    starts anew; ``PeerConnected`` follows), ``inactivity``, ``rejected`` (FRMR), ``closed``.

    Args:
        station: the lower address, 1 to 16381.
        devices: the upper addresses of the logical devices.
        parameters: limits to accept, and times.
        alone: the only station on its line: it also takes addresses without a lower part.
    """

    def __init__(
        self,
        station: int,
        devices: Collection[int] = (1,),
        parameters: HdlcParameters | None = None,
        *,
        alone: bool = False,
    ) -> None:
        self.station = station
        self.devices = frozenset(devices)
        self.parameters = parameters or HdlcParameters()
        self._alone = alone
        self._reader = FrameReader()
        self._octet_at = 0.0
        self._links: dict[Peer, _Link] = {}
        self._events: deque[ServerLinkEvent] = deque()
        self._out: list[bytes] = []
        self._sent = 0
        self._errors = 0
        self._repeats = 0

    @property
    def counters(self) -> LinkCounters:
        """What this station has seen so far."""
        return LinkCounters(
            received=self._reader.frames,
            sent=self._sent,
            errors=self._reader.errors + self._errors,
            repeats=self._repeats,
        )

    # Commands

    def send(self, peer: Peer, apdu: bytes, *, now: float) -> None:
        """Send one APDU to ``peer``; dropped if its link has gone in the meantime."""
        link = self._links.get(peer)
        if link is None:
            return
        link.outbox.add(LLC_RESPONSE + apdu)
        if now <= link.polled_until:  # later the line may have been given to another station
            self._speak(link)

    def forget(self) -> None:
        """Lose every client and all that is under way, as a station does that restarts."""
        self._reader.reset()
        self._links.clear()
        self._events.clear()
        self._out.clear()

    # The machine

    def receive_data(self, data: bytes, *, now: float) -> None:
        if self._reader.pending and now - self._octet_at > self.parameters.inter_frame:
            self._reader.reset()
        self._octet_at = now
        for frame in self._reader.feed(data):
            self.receive_frame(frame, now=now)

    def receive_frame(self, frame: Frame, *, now: float) -> None:
        """Take a frame that somebody else has read from the line for many stations."""
        if frame.source.size != 1 or frame.source.upper in _NO_CLIENTS:
            return
        devices = self._addressed(frame.destination)
        if frame.control.kind is FrameKind.UI:
            self._unconfirmed(frame, devices)
        elif devices and not frame.destination.is_broadcast:
            self._receive(Peer(frame.source.upper, frame.destination.upper), frame, now)

    def receive_eof(self, *, now: float) -> None:  # noqa: ARG002 - the port's signature
        self._reader.reset()
        for peer in tuple(self._links):
            self._drop(peer, "closed")

    def data_to_send(self) -> tuple[bytes, ...]:
        out = tuple(self._out)
        self._out.clear()
        return out

    def next_event(self) -> ServerLinkEvent | None:
        return self._events.popleft() if self._events else None

    def next_timer(self) -> float | None:
        if not self._links or not self.parameters.inactivity_timeout:
            return None
        oldest = min(link.heard_at for link in self._links.values())
        return oldest + self.parameters.inactivity_timeout

    def handle_timer(self, *, now: float) -> None:
        limit = self.parameters.inactivity_timeout
        if not limit:
            return
        for peer, link in tuple(self._links.items()):
            if now >= link.heard_at + limit:
                self._drop(peer, "inactivity")

    # Addresses

    def _addressed(self, address: HdlcAddress) -> list[int]:
        """Return the logical devices that a frame is for; none if it is for other stations."""
        everywhere = address.all_stations
        if address.lower is None:
            here = self._alone or address.upper == everywhere
        else:
            here = address.lower in (self.station, everywhere)
        if not here:
            return []
        if address.upper == everywhere:
            return sorted(self.devices)
        return [address.upper] if address.upper in self.devices else []

    # Listening

    def _receive(self, peer: Peer, frame: Frame, now: float) -> None:
        link = self._links.get(peer)
        if frame.control.kind is FrameKind.SNRM:
            self._connect(peer, frame, now)
        elif link is None:
            self._answer(frame, FrameKind.DM)
        else:
            link.heard_at = now
            try:
                self._HANDLERS.get(frame.control.kind, HdlcServerLink._unknown)(self, link, frame)
            except _FrameRejected as rejected:
                self._reject(link, frame, rejected.reason)

    def _connect(self, peer: Peer, frame: Frame, now: float) -> None:
        if not frame.control.final:
            return
        try:
            limits = self.parameters.limits.agreed_with(Limits.decode(frame.info))
        except DecodeError:
            self._errors += 1
            self._answer(frame, FrameKind.DM)
            return
        self._drop(peer, "reconnected")
        if len(self._links) >= MAX_LINKS:
            self._answer(frame, FrameKind.DM)
            return
        self._links[peer] = _Link(peer, frame, limits, now)
        self._answer(frame, FrameKind.UA, limits.encode())
        self._events.append(PeerConnected(peer))

    def _release(self, link: _Link, frame: Frame) -> None:
        self._answer(frame, FrameKind.UA)
        self._drop(link.peer, "disconnected")

    def _unconfirmed(self, frame: Frame, devices: Collection[int]) -> None:
        """Take an UI frame: for one or all stations, never answered."""
        try:
            apdu = strip_llc(frame.info, LLC_COMMAND, LLC_BROADCAST)
        except RemoteProtocolError:
            self._errors += bool(devices)
            return
        if len(frame.info) > self.parameters.max_info_rx:  # it has no room for so long a frame
            self._errors += bool(devices)
            return
        for device in devices:
            peer = Peer(frame.source.upper, device)
            self._events.append(PeerApduReceived(peer, apdu, broadcast=True))

    def _information(self, link: _Link, frame: Frame) -> None:
        self._acknowledge(link, frame)
        if len(frame.info) > link.limits.info_rx:
            raise _FrameRejected(_INFO_TOO_LONG)
        repeated = frame.control.ns != link.inbox.expected
        apdu = None if repeated else self._take(link, frame)
        if apdu is not None:
            self._events.append(PeerApduReceived(link.peer, apdu))
        if not frame.control.final:
            return
        waiting = repeated and link.outbox.empty and link.heard_at <= link.polled_until
        if apdu is not None or waiting:  # the application's answer uses this P
            link.polled_until = link.heard_at + self.parameters.response_timeout
        else:
            self._speak(link)

    def _take(self, link: _Link, frame: Frame) -> bytes | None:
        try:
            return link.inbox.take(frame.control.ns, Segment(frame.info, frame.segmented))
        except RemoteProtocolError as error:
            raise _FrameRejected(_INFO_TOO_LONG) from error

    def _ready(self, link: _Link, frame: Frame) -> None:
        link.client_busy = False
        self._supervise(link, frame)

    def _not_ready(self, link: _Link, frame: Frame) -> None:
        link.client_busy = True
        self._supervise(link, frame)

    def _supervise(self, link: _Link, frame: Frame) -> None:
        self._acknowledge(link, frame)
        if frame.control.final:
            self._speak(link)

    def _acknowledge(self, link: _Link, frame: Frame) -> None:
        try:
            link.outbox.acknowledge(frame.control.nr)
        except RemoteProtocolError as error:
            raise _FrameRejected(_WRONG_NR) from error

    def _unknown(self, _link: _Link, _frame: Frame) -> None:
        raise _FrameRejected(_UNKNOWN_CONTROL)

    # Speaking

    def _speak(self, link: _Link) -> None:
        """Use the P: send the window that may be sent, or RR."""
        link.polled_until = _NEVER
        window = [] if link.client_busy else self._window(link)
        nr = link.inbox.expected
        if not window:
            self._put(link.client, link.server, Control.of(FrameKind.RR, nr=nr))
            return
        last, _ = window[-1]
        for ns, segment in window:
            control = Control.of(FrameKind.I, final=ns == last, ns=ns, nr=nr)
            self._put(link.client, link.server, control, segment.info, segmented=segment.more)

    def _window(self, link: _Link) -> list[tuple[int, Segment]]:
        self._repeats += link.outbox.flying
        return link.outbox.window()

    def _answer(self, frame: Frame, kind: FrameKind, info: bytes = b"") -> None:
        if frame.control.final:  # 6.4.4.2: a station that is not asked is silent
            self._put(frame.source, frame.destination, Control.of(kind), info)

    def _reject(self, link: _Link, frame: Frame, reason: int) -> None:
        self._errors += 1
        numbers = (link.inbox.expected << 5) | (link.outbox.next_number << 1)
        self._answer(frame, FrameKind.FRMR, bytes((frame.control.octet, numbers, reason)))
        self._drop(link.peer, "rejected")

    def _put(
        self,
        client: HdlcAddress,
        server: HdlcAddress,
        control: Control,
        info: bytes = b"",
        *,
        segmented: bool = False,
    ) -> None:
        self._out.append(Frame(client, server, control, info, segmented).encode())
        self._sent += 1

    def _drop(self, peer: Peer, code: str) -> None:
        if self._links.pop(peer, None) is not None:
            self._events.append(PeerDisconnected(peer, code))

    _HANDLERS: ClassVar[Mapping[FrameKind, Callable[[HdlcServerLink, _Link, Frame], None]]] = {
        FrameKind.I: _information,
        FrameKind.RR: _ready,
        FrameKind.RNR: _not_ready,
        FrameKind.DISC: _release,
    }
