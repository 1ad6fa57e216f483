"""What a relay learns from the registrations that pass through it.

It has no key of the nodes, so it believes nothing that they say: a way changes only when the
registrar, who has, answers through the neighbour that the registration was given to. What shows of
registration and answer is read. Where both are enciphered, an answer at all proves that the sender
is who it says; then its way lasts for a time of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from openami.c1222.codes import Connection, NodeType, SecurityMode
from openami.c1222.network.glance import glance
from openami.c1222.network.places import same_place
from openami.c1222.network.relay_config import RouteLearned, RouteLost
from openami.c1222.services import (
    Deregister,
    Deregistered,
    Register,
    Registered,
    decode_response,
)
from openami.core.errors import DecodeError
from openami.core.recent import Recent

if TYPE_CHECKING:
    from collections.abc import Hashable

    from openami.c1222.apdu import Apdu
    from openami.c1222.network.flights import Flight
    from openami.c1222.network.registrations import Registrations
    from openami.c1222.services import Request, Response
    from openami.c1222.titles import ApTitle

SEALED_PERIOD: Final = 86_400
"""Seconds that a way lasts whose registration was enciphered: nodes speak every day."""
MAX_ANSWERED: Final = 65_536
"""Messages that were answered: who sends one of them again is not who made it, but is answered,
too, for a minute. These are those of a thousand a second.
"""

Learned = RouteLearned | RouteLost


class Learning:
    """Learns the ways to nodes.

    Args:
        registrations: takes them.
        registrar: whose answers count.
    """

    def __init__(self, registrations: Registrations, registrar: ApTitle) -> None:
        self._registrations = registrations
        self._registrar = registrar.name
        self._used: Recent[int, None] = Recent(MAX_ANSWERED)

    def answered(self, flight: Flight, answer: Apdu, *, now: float) -> Learned | None:
        """Learn from the answer to a message, which came from where the message went."""
        if flight.called.name != self._registrar or len(flight.sources) != 1:
            return None  # of several neighbours nobody knows which one was answered
        if not flight.message or flight.message in self._used:
            return None
        shown, (source,) = glance(answer), flight.sources
        if (shown.mode, shown.key_id) != (flight.glance.mode, flight.glance.key_id):
            return None  # an error that a relay wrote, for one
        self._used[flight.message] = None
        if shown.mode is SecurityMode.ENCRYPTED:
            return self._sealed(flight.calling, source, now)
        return self._open(flight, shown.services, source, now)

    def take(
        self, request: Request | None, response: Response, source: Hashable, *, now: float
    ) -> Learned | None:
        """Learn from one answer of the registrar, which is to be believed."""
        if isinstance(request, Register) and isinstance(response, Registered):
            return self._learn(request, response.title, source, response.period, now)
        if isinstance(request, Deregister) and isinstance(response, Deregistered):
            return self._unlearn(request.title, source)
        return None

    def _open(
        self, flight: Flight, services: tuple[bytes, ...], source: Hashable, now: float
    ) -> Learned | None:
        requests = flight.glance.requests()
        if len(services) != len(requests):
            return None
        found = None
        for request, octets in zip(requests, services, strict=True):
            if not isinstance(request, Register | Deregister):
                continue
            try:
                response = decode_response(octets, request.code)
            except DecodeError:
                continue
            found = self.take(request, response, source, now=now) or found
        return found

    def _sealed(self, title: ApTitle, source: Hashable, now: float) -> Learned | None:
        known = self._registrations.find(title)
        stays = known is not None and same_place(known.source, source)
        if known is not None and stays and known.expires_at - now > SEALED_PERIOD / 2:
            return None  # nothing new
        request = Register(
            NodeType(0), Connection(0), bytes(4), title, title, b"", period=SEALED_PERIOD
        )
        return self._learn(request, title, source, SEALED_PERIOD, now)

    def _learn(
        self, request: Register, title: ApTitle, source: Hashable, period: int, now: float
    ) -> RouteLearned | None:
        known = self._registrations.find(title)
        renewed = known is not None and same_place(known.source, source)
        lasts = period or SEALED_PERIOD  # without one it has no end, but a way shall have
        if self._registrations.learn(request, source, title=title, period=lasts, now=now):
            return RouteLearned(title, source, renewed)
        return None

    def _unlearn(self, title: ApTitle, source: Hashable) -> RouteLost | None:
        known = self._registrations.find(title)
        if known is None or not same_place(known.source, source):
            return None
        self._registrations.deregister(title)
        return RouteLost(title)
