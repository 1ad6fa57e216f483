"""What a relay asks above: to be registered, and what nodes have asked it to ask."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from openami.c1222.client import Answered, Client, ClientConfig, Unanswered
from openami.c1222.codes import ResponseCode
from openami.c1222.node.registering import Registering
from openami.c1222.services import Failure
from openami.core.errors import LocalProtocolError

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from openami.c1222.network.relay_config import Above
    from openami.c1222.node.registering import RegisteringEvent
    from openami.c1222.security import Opened
    from openami.c1222.services import Request, Response


@dataclass(frozen=True, slots=True)
class Deferred:
    """A message whose one request is asked above.

    Attributes:
        opened: the message.
        source: where it came from.
        request: what it asks.
    """

    opened: Opened
    source: Hashable
    request: Request


class Upward:
    """Asks the registrar.

    Args:
        above: the way to it.
        chance: returns a number by chance, from 0 to less than 1.
        ids: gives the invocation ids.
    """

    def __init__(
        self, above: Above, *, chance: Callable[[], float], ids: Callable[[], int]
    ) -> None:
        own = above.registering
        self._registering = Registering(own, chance=chance, ids=ids)
        self._client = Client(
            ClientConfig(
                *(own.title, own.registrar, own.keys, own.key_id, own.mode),
                *(own.timeout, own.retries),
            ),
            ids=ids,
        )
        self._deferred: dict[int, Deferred] = {}

    def start(self, *, now: float, native: bytes = b"") -> None:
        """Register; ``native``: where others reach the relay."""
        self._registering.config = replace(self._registering.config, native=native)
        self._registering.start(now=now)

    def ask(self, deferred: Deferred, *, now: float) -> bool:
        """Ask for a node; False: too much waits already."""
        try:
            number = self._client.ask(deferred.request, now=now, proxy=True)
        except LocalProtocolError:
            return False
        self._deferred[number] = deferred
        return True

    def receive(self, octets: bytes, *, now: float) -> None:
        """Take a whole message to the relay that answers something."""
        # Each of both knows by the invocation id what is not for it.
        self._registering.receive(octets, now=now)
        self._client.receive(octets, now=now)

    def settled(self) -> list[tuple[Deferred, Response]]:
        """Return what was asked for nodes and is answered, or given up, once."""
        found: list[tuple[Deferred, Response]] = []
        while (event := self._client.next_event()) is not None:
            if isinstance(event, Answered):
                found.append((self._deferred.pop(event.invocation_id), event.responses[0]))
            elif isinstance(event, Unanswered):
                late = Failure(ResponseCode.NETT)
                found.append((self._deferred.pop(event.invocation_id), late))
        return found

    def data_to_send(self) -> tuple[bytes, ...]:
        """Return the messages for the parent, once."""
        return self._registering.data_to_send() + self._client.data_to_send()

    def next_event(self) -> RegisteringEvent | None:
        """Return what happened to the relay's own registration, or None."""
        return self._registering.next_event()

    def next_timer(self) -> float | None:
        """Return when ``handle_timer`` has something to do."""
        timers = (self._registering.next_timer(), self._client.next_timer())
        return min((timer for timer in timers if timer is not None), default=None)

    def handle_timer(self, *, now: float) -> None:
        """Renew the registration, ask again, or give up."""
        self._registering.handle_timer(now=now)
        self._client.handle_timer(now=now)
