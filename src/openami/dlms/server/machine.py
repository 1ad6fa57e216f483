"""The server: associations and services over any link, one state per client."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from openami.core.errors import SecurityError, StoreError
from openami.dlms.link import Peer, PeerApduReceived, PeerConnected, PeerDisconnected
from openami.dlms.server.device import LogicalDevice
from openami.dlms.server.dispatch import NOT_ALLOWED, Dispatcher
from openami.dlms.server.events import (
    ApduRefused,
)
from openami.dlms.server.notifications import notification
from openami.dlms.server.session import Session, State
from openami.dlms.server.throttle import FailureThrottle

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable

    from openami.dlms.cosem.access import ClientKind
    from openami.dlms.data import Encodable
    from openami.dlms.link import ServerLink, ServerLinkEvent
    from openami.dlms.server.events import ServerEvent
    from openami.dlms.server.throttle import Throttle

# HDLC has 127 clients and a meter few devices; a peer over this many waits for another to leave.
MAX_SESSIONS: Final = 256


class DlmsServer:
    """One physical device: its logical devices, for every client on a link.

    A ``Machine[ServerEvent]``: see ``openami.dlms.link`` for the caller's loop. Whatever clients
    send, it never raises; what it refuses it answers as the standard says, and tells in an event.

    Args:
        devices: the logical devices, one for each SAP.
        link: an ``HdlcServerLink``, a ``WrapperServerLink`` or any other ``ServerLink``.
        random_octets: returns that many octets from a cryptographic source: challenges.
        throttle: slows guessing of passwords down; share it between the links of one meter.
        kinds: of the clients that may associate on this link; None: all.
    """

    def __init__(
        self,
        devices: LogicalDevice | Iterable[LogicalDevice],
        link: ServerLink,
        *,
        random_octets: Callable[[int], bytes],
        throttle: Throttle | None = None,
        kinds: Container[ClientKind] | None = None,
    ) -> None:
        several = (devices,) if isinstance(devices, LogicalDevice) else tuple(devices)
        self._devices: dict[int, LogicalDevice] = {device.sap: device for device in several}
        self._link = link
        self._kinds = kinds
        self._sessions: dict[Peer, Session] = {}
        self._standing: dict[Peer, Session] = {}
        self._events: deque[ServerEvent] = deque()
        self._dispatcher = Dispatcher(
            self._events.append,
            random_octets,
            FailureThrottle() if throttle is None else throttle,
        )

    # -- the machine -----------------------------------------------------------------------

    def receive_data(self, data: bytes, *, now: float) -> None:
        self._link.receive_data(data, now=now)
        self._pump(now)

    def receive_eof(self, *, now: float) -> None:
        self._link.receive_eof(now=now)
        self._pump(now)

    def data_to_send(self) -> tuple[bytes, ...]:
        return self._link.data_to_send()

    def next_event(self) -> ServerEvent | None:
        return self._events.popleft() if self._events else None

    def next_timer(self) -> float | None:
        return self._link.next_timer()

    def handle_timer(self, *, now: float) -> None:
        self._link.handle_timer(now=now)
        self._pump(now)

    @property
    def associated(self) -> tuple[Peer, ...]:
        """The clients that are associated now."""
        return tuple(p for p, s in self._sessions.items() if s.state is State.ASSOCIATED)

    def kind(self, peer: Peer) -> ClientKind | None:
        """Return what kind of client ``peer`` is; None if it is not associated."""
        session = self._sessions.get(peer)
        if session is None or session.association is None or session.state is not State.ASSOCIATED:
            return None
        return session.association.kind

    def notify(self, peer: Peer, body: Encodable, *, now: float) -> bool:
        """Send a DataNotification, protected as the client's association wants it.

        Returns:
            False: it is not sent. The association is gone, its keys are no longer in force (then
            it ends), its counters cannot be kept, or the client takes no APDU that long.
        """
        session = self._sessions.get(peer)
        if session is None:
            return False
        if session.replaced:
            self._dispatcher.end(session, "keys")
        try:
            octets = notification(session, body)
        except (SecurityError, StoreError) as error:
            self._events.append(ApduRefused(peer, error.code))
            return False
        if octets is not None:
            self._link.send(peer, octets, now=now)
        return octets is not None

    def _pump(self, now: float) -> None:
        while (event := self._link.next_event()) is not None:
            self._link_event(event, now)

    def _link_event(self, event: ServerLinkEvent, now: float) -> None:
        match event:
            case PeerConnected(peer):
                self._end(peer, "replaced")
            case PeerDisconnected(peer, code):
                self._end(peer, code)
                self._sessions.pop(peer, None)
            case PeerApduReceived(peer, apdu, broadcast):
                if broadcast:
                    self._broadcast(peer, apdu, now)
                else:
                    self._received(peer, apdu, now)

    def _end(self, peer: Peer, code: str) -> None:
        session = self._sessions.get(peer)
        if session is not None:
            self._dispatcher.end(session, code)

    def _session(self, peer: Peer) -> Session | None:
        """Return the client's session; None if its device is not here, or too many are."""
        session = self._sessions.get(peer)
        device = self._devices.get(peer.server)
        if session is not None or device is None:
            return session
        if len(self._sessions) >= MAX_SESSIONS:
            idle = [p for p, s in self._sessions.items() if s.state is State.IDLE]
            if not idle:
                return None
            del self._sessions[idle[0]]
        session = self._sessions[peer] = Session(peer, device, kinds=self._kinds)
        return session

    # -- one APDU --------------------------------------------------------------------------

    def _received(self, peer: Peer, octets: bytes, now: float) -> None:
        session = self._session(peer)
        if session is None:
            self._events.append(ApduRefused(peer, "no-device"))
            answer = NOT_ALLOWED.encode()
        else:
            answer = self._dispatcher.answer(session, octets, now)
        if answer:
            self._link.send(peer, answer, now=now)

    def _broadcast(self, peer: Peer, octets: bytes, now: float) -> None:
        """Execute a request to all stations for each association of its client."""
        standing = self._stands(peer)
        if standing is not None:
            self._dispatcher.broadcast(standing, octets, now)
        for session in tuple(self._sessions.values()):
            if session.peer.client == peer.client and session.state is State.ASSOCIATED:
                self._dispatcher.answer_nobody(session, octets, now)

    def _stands(self, peer: Peer) -> Session | None:
        """Return the client's session if its association is pre-established."""
        device = self._devices.get(peer.server)
        association = None if device is None else device.associations.get(peer.client)
        security = association.security if association and association.preestablished else None
        if device is None or association is None or security is None:
            return None
        if self._kinds is not None and association.kind not in self._kinds:
            return None
        if peer not in self._standing:
            self._standing[peer] = Session.standing(peer, device, association, security)
        return self._standing[peer]
