"""A meter on one link: the DLMS server, and what the meter writes down of its clients."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Final, Protocol

from openami.core.errors import StoreError
from openami.dlms.link import ServerLink
from openami.dlms.server import (
    AssociationFailed,
    AssociationOpened,
    DecipheringFailed,
    DlmsServer,
    ReplayRefused,
    ServerEvent,
)
from openami.meter.objects.clients import PUBLIC_CLIENT
from openami.metrology.events import Event

if TYPE_CHECKING:
    from collections.abc import Callable, Container

    from openami.dlms.cosem import ClientKind
    from openami.meter.device import Meter

_FRAUD: Final = {
    "password": Event.AUTHENTICATION_FAILED,
    "hls": Event.AUTHENTICATION_FAILED,
    "deciphering": Event.DECIPHERING_FAILED,
    "replay": Event.REPLAY_DETECTED,
}


PATIENCE_S: Final = 60.0
"""Seconds that a connection may stand without an association: a meter has room for a few, and
strangers must not sit on them. The slowest line associates in ten."""


class MeterLink(ServerLink, Protocol):
    """A link that can be restarted."""

    def forget(self) -> None:
        """Lose every client and all that is under way, without a word."""


class MeterServer:
    """A ``Machine[ServerEvent]`` that serves one meter over one link.

    The device commits what a request changes before it is answered. An association is only
    answered once its invocation counter is kept: without that the answer is dropped, and the
    client asks again. The public client has no counter, and wears out no memory.

    Args:
        meter: the meter, which may be served over several links at once.
        link: an ``HdlcServerLink`` or a ``WrapperServerLink``.
        random_octets: returns octets from a cryptographic source.
        opened_at: when the connection was opened, if it is its client's alone: it is of no use
            after ``PATIENCE_S`` without an association. A line that others share has none.
        kinds: of the clients that may associate on this link; None: all.
    """

    def __init__(
        self,
        meter: Meter,
        link: MeterLink,
        *,
        random_octets: Callable[[int], bytes],
        opened_at: float | None = None,
        kinds: Container[ClientKind] | None = None,
    ) -> None:
        self.meter = meter
        self.link = link
        self._kinds = kinds
        self._random = random_octets
        self._server = self._serve()
        self._restarts = meter.management.restarts
        self._alone = opened_at is not None
        self._idle_since = opened_at
        self._given_up = self._alone and meter.management.away
        self._events: list[ServerEvent] = []
        self._out: list[bytes] = []

    @property
    def finished(self) -> bool:
        """Whether the link is of no use any more."""
        lost = self._alone and self._restarts != self.meter.management.restarts
        return lost or self._given_up or bool(getattr(self.link, "finished", False))

    def _serve(self) -> DlmsServer:
        meter = self.meter
        return DlmsServer(
            meter.device,
            self.link,
            random_octets=self._random,
            throttle=meter.throttle,
            kinds=self._kinds,
        )

    @property
    def known(self) -> bool:
        """Whether there is somebody for whom the link is kept."""
        return bool(self._server.associated)

    def _deaf(self) -> bool:
        """Tell whether nobody hears; after a restart, begin with nothing of what was before."""
        management = self.meter.management
        if self._restarts != management.restarts:
            self._given_up |= self._alone
            self._restarts = management.restarts
            self.link.forget()
            self._out.clear()
            self._server = self._serve()
        if management.away:
            self.link.forget()
        return management.away

    def receive_data(self, data: bytes, *, now: float) -> None:
        if self._deaf():
            return
        self._server.receive_data(data, now=now)
        self._settle(now)

    def receive_eof(self, *, now: float) -> None:
        self._server.receive_eof(now=now)
        self._settle(now)

    def data_to_send(self) -> tuple[bytes, ...]:
        out, self._out = tuple(self._out), []
        return out

    def next_event(self) -> ServerEvent | None:
        return self._events.pop(0) if self._events else None

    def next_timer(self) -> float | None:
        if self._deaf():
            return None
        idle = None if self._idle_since is None else self._idle_since + PATIENCE_S
        timers = [timer for timer in (self._server.next_timer(), idle) if timer is not None]
        return min(timers, default=None)

    def handle_timer(self, *, now: float) -> None:
        if self._deaf():
            return
        self._server.handle_timer(now=now)
        self._settle(now)
        if self._idle_since is not None and now >= self._idle_since + PATIENCE_S:
            self._given_up, self._idle_since = True, None

    def _watch(self, now: float) -> None:
        """Count the time without an association."""
        if self.known:
            self._idle_since = None
        elif self._idle_since is None and self._alone and not self._given_up:
            self._idle_since = now

    def _settle(self, now: float) -> None:
        """Write down what happened, commit it, and only then let the answers go."""
        while (event := self._server.next_event()) is not None:
            self._note(event)
            self._events.append(event)
        self._watch(now)
        out = self._server.data_to_send()
        with suppress(StoreError):  # what must be kept first is not answered, and tried again
            if self.meter.due:
                self.meter.commit()
        if not self.meter.urgent:
            self._out += out

    def _note(self, event: ServerEvent) -> None:
        match event:
            case AssociationOpened(peer) if peer.client != PUBLIC_CLIENT:
                self.meter.opened()
                self.meter.note(Event.ASSOCIATION_OPENED)
            case AssociationFailed(code=code):
                self.meter.note(_FRAUD.get(code, Event.ASSOCIATION_REFUSED))
            case DecipheringFailed():
                self.meter.note(Event.DECIPHERING_FAILED)
            case ReplayRefused():
                self.meter.note(Event.REPLAY_DETECTED)
