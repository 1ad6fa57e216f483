"""A relay: a station that passes messages on by ApTitle (C12.22, 5.2.3).

What is for the relay itself is put together and served, as a node does. Everything else goes on
as it came, to the next neighbour on the way: a relay has no key of others, and needs none. It
keeps of each request who waits for the answer, and takes one only from where the request went.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from openami.c1222.apdu import Apdu
from openami.c1222.codes import ResponseCode, ResponseControl, SecurityMode
from openami.c1222.network.flights import Flight, Flights, Passes
from openami.c1222.network.glance import Glance, glance
from openami.c1222.network.learning import Learning
from openami.c1222.network.policy import KeyPolicy, Nobody
from openami.c1222.network.refusals import is_circling, refusal, traced
from openami.c1222.network.registrations import MAX_CLEAR, MAX_NODES, Registrations
from openami.c1222.network.relay_config import (
    MessageDropped,
    RelayConfig,
    RelayEvent,
    RouteLost,
)
from openami.c1222.network.relay_desk import RelayDesk, vouches
from openami.c1222.network.routes import Routes
from openami.c1222.network.upward import Deferred, Upward
from openami.c1222.node import Node, NodeConfig
from openami.c1222.repeats import ReplayCache
from openami.c1222.segments import Reassembler
from openami.c1222.services import Resolve, decode_request
from openami.c1222.station import Outgoing
from openami.core.errors import DecodeError, RemoteProtocolError

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from openami.c1222.network.registrations import Policy
    from openami.c1222.security import Opened

_MAX_EVENTS: Final = 256
"""What nobody fetches is forgotten, the oldest first: strangers cause events."""


class Relay:
    """One relay; a ``Station``.

    Args:
        config: how it behaves.
        chance: returns a number by chance, from 0 to less than 1.
        ids: gives its invocation ids; none is given again after a restart.
        policy: of a master relay: who may register; not given: whoever has one of its keys.
        alive: tells whether there is still a way to a source; not given: there always is.
        heard: when the last registration before a restart was taken: no message to the relay that
            was made before that is taken again, UTC.

    Attributes:
        registrations: the ways to who is registered, here or, through here, further up.
    """

    def __init__(
        self,
        config: RelayConfig,
        *,
        chance: Callable[[], float],
        ids: Callable[[], int],
        policy: Policy | None = None,
        alive: Callable[[Hashable], bool] = lambda _: True,
        heard: float = float("-inf"),
    ) -> None:
        self.config = config
        admits = policy or (KeyPolicy(config.title) if config.master else Nobody())
        keyless = config.master and config.least is SecurityMode.CLEAR
        of_host = MAX_CLEAR if keyless else MAX_NODES
        self.registrations = Registrations(admits, of_host=of_host)
        above = config.above
        self._ids = ids
        self._events: deque[RelayEvent] = deque(maxlen=_MAX_EVENTS)
        self._out: deque[Outgoing] = deque()
        self._desk = RelayDesk(config, self.registrations, self._events)
        node = NodeConfig(config.title, config.keys, config.least, sessions=0)
        replays = ReplayCache(floor=heard)
        self._node = Node(node, self._desk, ids=ids, replays=replays, defer=self._defer)
        self._reassembler = Reassembler()
        self._parent = None if above is None else above.parent
        self._routes = Routes(self.registrations, config.routes, self._parent, alive)
        self._flights = Flights(config.limits)
        self._passes = Passes(config.limits.seconds)
        self._upward = None if above is None else Upward(above, chance=chance, ids=ids)
        self._learning = (
            None if above is None else Learning(self.registrations, above.registering.registrar)
        )

    def start(self, *, now: float, native: bytes = b"") -> None:
        """Register with the registrar above, if there is one; ``native``: where others reach us."""
        if self._upward is not None:
            self._upward.start(now=now, native=native)
            self._collect(now)

    def receive(
        self, data: bytes, *, source: Hashable, now: float, largest: int | None = None
    ) -> tuple[bytes, ...]:
        """Take one message or segment and return what to send back; see ``Station``."""
        self.handle_timer(now=now)
        replies: tuple[bytes, ...] = ()
        try:
            apdu = Apdu.decode(data)
            if apdu.called is None or apdu.called.name == self.config.title.name:
                replies = self._own(data, source, now, largest)
            elif not self._passes.allows(apdu, source, now=now):
                self._drop(source, "c1222.circle")
            elif apdu.answers is not None:
                self._answer(apdu, source, now)
            else:
                self._pass_on(apdu, source, now)
        except RemoteProtocolError as error:
            self._drop(source, error.code)
        self._collect(now)
        return replies

    def outgoing(self) -> tuple[Outgoing, ...]:
        """Return the messages for others than who has just spoken, once."""
        out = tuple(self._out)
        self._out.clear()
        return out

    def next_event(self) -> RelayEvent | None:
        """Return what happened, or None."""
        return self._events.popleft() if self._events else None

    def next_timer(self) -> float | None:
        """Return when ``handle_timer`` has something to do."""
        timed = (self._flights, self._node, self._reassembler, self.registrations, self._upward)
        timers = (None if each is None else each.next_timer() for each in timed)
        return min((timer for timer in timers if timer is not None), default=None)

    def handle_timer(self, *, now: float) -> None:
        """Tell who waited too long, forget what has ended, and register again."""
        self._reassembler.handle_timer(now=now)
        self._node.handle_timer(now=now)
        for flight in self._flights.expire(now):
            if flight.glance.respond is ResponseControl.ALWAYS and not flight.answering:
                asked = Apdu(flight.number, flight.called, flight.calling)
                for source in flight.sources:
                    self._refuse(asked, flight.glance, ResponseCode.NETT, source)
        for ended in self.registrations.expire(now):
            self._events.append(RouteLost(ended.title, expired=True))
        if self._upward is not None:
            self._upward.handle_timer(now=now)
            self._collect(now)

    # What is for the relay itself

    def _own(
        self, data: bytes, source: Hashable, now: float, largest: int | None
    ) -> tuple[bytes, ...]:
        apdu = self._reassembler.receive(data, now=now, source=source)
        if apdu is None:
            return ()
        if apdu.answers is None:
            return self._node.receive(apdu.octets, source=source, now=now, largest=largest)
        if self._upward is None:
            self._drop(source, "c1222.answer")
        else:
            self._upward.receive(apdu.octets, now=now)
        return ()

    def _defer(self, opened: Opened, source: Hashable, now: float) -> bool:
        """Ask above what a node asks; False: it is answered here."""
        services, above = opened.epsem.services, self.config.above
        if above is None or self._upward is None or len(services) != 1:
            return False
        try:
            request = decode_request(services[0])
        except DecodeError:
            return False
        if isinstance(request, Resolve) and self._desk.resolved(request) is not None:
            return False
        mode = opened.epsem.mode
        if not vouches(request, opened.apdu.calling, mode, above.registering.mode):
            return False
        return self._upward.ask(Deferred(opened, source, request), now=now)

    def _collect(self, now: float) -> None:
        """Take what node and registrar say, and send what is to be sent up."""
        while (event := self._node.next_event()) is not None:
            self._events.append(event)
        if self._upward is None or self._learning is None:
            return
        while (own := self._upward.next_event()) is not None:
            self._events.append(own)
        for deferred, response in self._upward.settled():
            source = deferred.source
            learned = self._learning.take(deferred.request, response, source, now=now)
            if learned is not None:
                self._events.append(learned)
            for each in self._node.answer(deferred.opened, response, now=now):
                self._send(source, each)
        for message in self._upward.data_to_send():
            self._send(self._parent, message)

    # What is for others

    def _answer(self, apdu: Apdu, source: Hashable, now: float) -> None:
        flight = self._flights.answered(apdu, source)
        if flight is None:
            self._drop(source, "c1222.answer")
            return
        if self._learning is not None and apdu.total is None:
            learned = self._learning.answered(flight, apdu, now=now)
            if learned is not None:
                self._events.append(learned)
        for waiting in flight.sources:
            self._send(waiting, apdu.octets)

    def _pass_on(self, apdu: Apdu, source: Hashable, now: float) -> None:
        waiting = () if apdu.total is None else self._flights.answering(apdu, source)
        for each in waiting:
            self._send(each, apdu.octets)
        if not waiting:
            self._request(apdu, glance(apdu), source, now)

    def _request(self, apdu: Apdu, seen: Glance, source: Hashable, now: float) -> None:
        assert apdu.called is not None  # what is for nobody is for the relay itself
        hop = self._routes.next_hop(apdu.called, source)
        if is_circling(seen, self.config.title):
            hop = ResponseCode.NETR
        if isinstance(hop, ResponseCode):
            self._refuse(apdu, seen, hop, source)
        elif self._begins(apdu, seen, hop, source, now):
            self._send(hop, traced(apdu, seen, self.config.title))
        else:
            self._refuse(apdu, seen, ResponseCode.BSY, source)

    def _begins(
        self, apdu: Apdu, seen: Glance, hop: Hashable, source: Hashable, now: float
    ) -> bool:
        """Take note of who waits for an answer; False: there is no room for it."""
        if seen.respond is ResponseControl.NEVER or apdu.calling is None or apdu.called is None:
            return True
        whole = apdu.total is None
        flight = Flight(
            *(apdu.calling, apdu.called, apdu.invocation_id, hop, seen, len(apdu.octets)),
            hash(apdu.octets) if whole else 0,
            now + self.config.limits.seconds,
        )
        return self._flights.begin(flight, source)

    def _refuse(self, asked: Apdu, seen: Glance, code: ResponseCode, source: Hashable) -> None:
        self._drop(source, f"c1222.{code.name.lower()}")
        answer = refusal(asked, seen, code, own=self.config.title, number=self._ids())
        if answer is not None:
            self._send(source, answer)

    def _send(self, to: Hashable, message: bytes) -> None:
        self._out.append(Outgoing(to, message))

    def _drop(self, source: Hashable, code: str) -> None:
        self._events.append(MessageDropped(source, code))
