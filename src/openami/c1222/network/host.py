"""A host: one station that nodes register with, and that asks them.

It is master relay, host, notification host and authentication host of its nodes in one: a ``Node``
answers what comes unasked, by the registrations, and for each node that is being asked there is a
``Client``, made when something is asked and dropped when all of it is answered. What is kept of a
node at rest is its registration.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from openami.c1222 import client as clients
from openami.c1222.codes import SecurityMode
from openami.c1222.network.desk import Desk
from openami.c1222.network.due import Due
from openami.c1222.network.host_events import (
    Answered,
    HostEvent,
    Left,
    Refused,
    Unanswered,
)
from openami.c1222.network.places import address_of
from openami.c1222.node import MessageRefused, Node, NodeConfig
from openami.c1222.repeats import ReplayCache
from openami.c1222.security import NO_KEYS, Keys
from openami.c1222.segments import Reassembler
from openami.c1222.station import Outgoing
from openami.core.errors import LocalProtocolError, RemoteProtocolError

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from openami.c1222.network.registrations import Registrations
    from openami.c1222.services import Request
    from openami.c1222.titles import ApTitle

MAX_ASKED: Final = 1024
"""Nodes that are being asked at once: each may hold a message of hundreds of kilobytes open."""
_MAX_REMEMBERED: Final = 65_536
"""Messages of nodes that are not taken twice, at about 200 octets each."""
_MAX_OF_NODE: Final = 1024
"""Of those, of one node: who has its key does not make the host forget the others', and then refuse
what is as old. One that tells something every second has fewer."""
_MAX_EVENTS: Final = 4096
"""What nobody fetches is forgotten, the oldest first: strangers cause events."""


@dataclass(frozen=True, slots=True)
class Partner:
    """What a host shares with one node, and how it asks it.

    Attributes:
        keys: by their ids.
        key_id: the one that requests are protected with.
        mode: how they are protected.
    """

    keys: Keys
    key_id: int = 0
    mode: SecurityMode = SecurityMode.ENCRYPTED


@dataclass(frozen=True, slots=True)
class HostConfig:
    """How a host behaves. Times are in seconds.

    Attributes:
        title: its ApTitle.
        timeout: how long an answer may take until a request is sent again.
        retries: how often a request is sent again.
        least: messages that are protected less are not looked at.
    """

    title: ApTitle
    timeout: float = 10.0
    retries: int = 2
    least: SecurityMode = SecurityMode.CLEAR


class Host:
    """One host; a ``Station``.

    Args:
        config: how it behaves.
        registrations: of its nodes.
        partner_of: returns what is shared with whoever has a title; None: nobody has it. It is
            asked for titles that strangers make up.
        chance: returns 32 bits by chance, for invocation ids that were never used before.
        heard: when the last message before a restart was made, or taken: none of before that is
            taken again, UTC.
    """

    def __init__(
        self,
        config: HostConfig,
        registrations: Registrations,
        partner_of: Callable[[ApTitle], Partner | None],
        *,
        chance: Callable[[], int],
        heard: float = float("-inf"),
    ) -> None:
        self.config = config
        self.registrations = registrations
        self._partner_of = partner_of
        self._chance = chance
        self._reassembler = Reassembler()
        self._clients: dict[bytes, clients.Client] = {}
        self._due = Due()
        self._now = float("-inf")
        self._events: deque[HostEvent] = deque(maxlen=_MAX_EVENTS)
        self._out: deque[Outgoing] = deque()
        node = NodeConfig(config.title, least=config.least, sessions=0)
        desk = Desk(config.title, registrations, self._events)
        replays = ReplayCache(most=_MAX_REMEMBERED, of_sender=_MAX_OF_NODE, floor=heard)
        self._node = Node(node, desk, first_id=chance(), replays=replays, keys_of=self._keys_of)

    # Asking

    def ask(self, title: ApTitle, *requests: Request, now: float) -> int:
        """Send requests to a registered node in one message; return its invocation id.

        ``Answered`` or ``Unanswered`` of that title and id will be an event.

        Raises:
            LocalProtocolError: ``c1222.unregistered``, nobody is registered under that title;
                ``c1222.busy``, too many nodes are being asked; or something does not fit.
            SecurityError: there is no such key.
        """
        if self.registrations.route(title) is None:
            raise LocalProtocolError(
                f"{title} is not registered",
                hint="it registers by itself: see that it has power and reaches this host",
                code="c1222.unregistered",
            )
        client = self._clients.get(title.name)
        if client is None:
            client = self._client(title)
        number = client.ask(*requests, now=now)
        self._clients[title.name] = client
        self._due.note(title.name, client.next_timer())
        self._now = max(self._now, now)
        self._collect(client, title)
        return number

    def _client(self, title: ApTitle) -> clients.Client:
        if len(self._clients) >= MAX_ASKED:
            raise LocalProtocolError(f"{MAX_ASKED} nodes are being asked", code="c1222.busy")
        partner = self._partner_of(title) or Partner(NO_KEYS)
        config = clients.ClientConfig(
            self.config.title,
            title,
            partner.keys,
            partner.key_id,
            partner.mode,
            self.config.timeout,
            self.config.retries,
        )
        return clients.Client(config, first_id=self._chance())

    # What a transport does

    def receive(
        self, data: bytes, *, source: Hashable, now: float, largest: int | None = None
    ) -> tuple[bytes, ...]:
        """Take one message or segment and return what to send back; see ``Station``."""
        self._expire(now)
        try:
            apdu = self._reassembler.receive(data, now=now, source=source)
        except RemoteProtocolError as error:
            self._events.append(Refused(None, source, error.code))
            return ()
        if apdu is None:
            return ()
        if apdu.answers is None:
            if apdu.key is not None and not self._knows(apdu.calling):
                # There is no key to guess: a stranger behind a relay stops nobody else there.
                self._events.append(Refused(apdu.calling, source, "security.key-id"))
                return ()
            out = self._node.receive(apdu.octets, source=source, now=now, largest=largest)
            self._hear_node(apdu.calling)
            return out
        calling = apdu.calling
        client = None if calling is None else self._clients.get(calling.name)
        if client is not None and calling is not None:
            client.receive(apdu.octets, now=now)
            self._hear(client, calling, source)
        return ()

    def outgoing(self) -> tuple[Outgoing, ...]:
        """Return what to send to nodes, once."""
        out = tuple(self._out)
        self._out.clear()
        return out

    def next_event(self) -> HostEvent | None:
        """Return what happened, or None."""
        return self._events.popleft() if self._events else None

    def next_timer(self) -> float | None:
        """Return when ``handle_timer`` has something to do."""
        timed = (self._node, self.registrations, self._reassembler, self._due)
        timers = (each.next_timer() for each in timed)
        return min((timer for timer in timers if timer is not None), default=None)

    def handle_timer(self, *, now: float) -> None:
        """Forget registrations that have ended; ask again, or give up, what was not answered."""
        self._reassembler.handle_timer(now=now)
        self._node.handle_timer(now=now)
        self._expire(now)
        # Where the clock was set back, all wait for what they began in its future.
        names = self._due.take(now) if now >= self._now else tuple(self._clients)
        self._now = now
        for name in names:
            client = self._clients[name]
            client.handle_timer(now=now)
            self._collect(client, client.config.node, again=True)
            self._hear(client, client.config.node, None)

    # What became of it

    def _expire(self, now: float) -> None:
        for ended in self.registrations.expire(now):
            self._events.append(Left(ended.title, expired=True))

    def _knows(self, title: ApTitle | None) -> bool:
        return title is not None and self._partner_of(title) is not None

    def _keys_of(self, title: ApTitle | None) -> Keys:
        partner = None if title is None else self._partner_of(title)
        return NO_KEYS if partner is None else partner.keys

    def _hear_node(self, calling: ApTitle | None) -> None:
        while (event := self._node.next_event()) is not None:
            assert isinstance(event, MessageRefused)  # without sessions there is nothing else
            self._events.append(Refused(calling, event.source, event.code, event.failures))

    def _hear(self, client: clients.Client, title: ApTitle, source: Hashable) -> None:
        """Take what a client tells; one that waits for nothing is dropped."""
        while (event := client.next_event()) is not None:
            match event:
                case clients.Answered(number, responses):
                    self._events.append(Answered(title, number, responses))
                case clients.Unanswered(number):
                    self._events.append(Unanswered(title, number))
                case clients.AnswerRefused(code):
                    self._events.append(Refused(title, source, code))
        self._collect(client, title)
        due = client.next_timer()
        self._due.note(title.name, due)
        if due is None:
            del self._clients[title.name]

    def _collect(self, client: clients.Client, title: ApTitle, *, again: bool = False) -> None:
        to = self._way(title, again=again)
        # Who has left meanwhile gets nothing more; what was asked of it is given up in time.
        self._out += [Outgoing(to, each) for each in client.data_to_send() if to is not None]

    def _way(self, title: ApTitle, *, again: bool) -> Hashable:
        """Return where to send what is for a node; None: nowhere.

        A node listens where it says that it does, and its connection may have ended long ago. What
        it says is of another host than it registered from where an address translator or a relay
        is between: then it is asked through that. Asked again, it is asked the other way.
        """
        found = self.registrations.find(title)
        if found is None or found.via is not None or found.native is None:
            return self.registrations.route(title)
        came = address_of(found.source)
        if found.native == came:
            return found.source
        between = came is not None and came.host != found.native.host
        return found.source if between is not again else found.native
