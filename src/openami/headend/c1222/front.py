"""The head-end's station: a host whose registrations are kept before they are answered.

``Front`` stands between a transport and the host. It tells the stores of registrations, people of
what is refused, the collector of who came and who has something to tell; and it lets tasks wait
for the answers of nodes.
"""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Any, ClassVar, Final

import structlog

from openami.c1222.network.host_events import (
    Answered,
    Denied,
    HostEvent,
    Joined,
    Left,
    Notified,
    Refused,
    Unanswered,
)
from openami.c1222.network.registrations import row_of
from openami.c1222.station import Outgoing, blamed
from openami.core.errors import OpenAmiError, StoreError, TransportTimeoutError
from openami.core.recent import Recent
from openami.fleet.devices import DeviceKind, device_id
from openami.headend.c1222.directory import standing_of
from openami.headend.groups import Grouped
from openami.headend.seldom import Seldom

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping, Sequence

    from openami.c1222.network.host import Host
    from openami.c1222.services import Request, Response
    from openami.c1222.titles import ApTitle
    from openami.core.clock import Clock
    from openami.fleet.nodes import NodeStanding, NodeStore
    from openami.headend.c1222.directory import Directory
    from openami.headend.metrics import Metrics
    from openami.headend.security.alarms import Alarms

log = structlog.get_logger(__name__)

STRANGERS: Final = "c1222"
"""What alarms are about that no known node is to blame for: one of each kind is enough."""
UNKEPT: Final = 1024
"""Answers to registrations that could not be kept: a repetition does not get them either."""
TOLD: Final = 256
"""Alarms that wait for the database; who sends rubbish fills no memory."""

# What is wrong with a message, by the code of its refusal, in the name of a node that is known.
_WRONG: Final = {
    "security.tag": "messages in its name have a wrong tag: its key is another, or somebody forges",
    "security.key-id": "it uses a key that the shipment has not named",
    "security.mode": "its messages are in clear: it has no key, or somebody takes its name",
    "security.time": "its messages are out of time: its clock is off, or somebody repeats them",
}
_Change = tuple[str, "NodeStanding | None"]


class Front:
    """A ``Station``.

    Args:
        host: what it stands before.
        directory: of nodes.
        nodes: where registrations are kept.
        alarms: takes what people must look at.
        metrics: counts.
        wall: UTC.
    """

    def __init__(
        self,
        host: Host,
        directory: Directory,
        nodes: NodeStore,
        *,
        alarms: Alarms,
        metrics: Metrics,
        wall: Clock,
    ) -> None:
        self.host = host
        self.wake: Callable[[], None] = lambda: None
        self.on_joined: Callable[[str], None] = lambda _: None
        self.on_notified: Callable[[str, Request], None] = lambda _meter, _request: None
        self._directory = directory
        self._alarms = alarms
        self._metrics = metrics
        self._wall = wall
        self._seldom = Seldom()
        self._asked: dict[tuple[bytes, int], asyncio.Future[tuple[Response, ...]]] = {}
        self._out: deque[Outgoing] = deque()
        self._held: set[bytes] = set()
        self._unkept: Recent[bytes, bool] = Recent(UNKEPT)
        self._tasks: set[asyncio.Task[None]] = set()
        self._keeping: Grouped[_Change, None] = Grouped(_keeper(nodes), "c1222 registrations")
        self._told: asyncio.Queue[tuple[str, str, str]] = asyncio.Queue(TOLD)
        self._telling = asyncio.create_task(self._tell(), name="c1222 alarms")

    async def stop(self) -> None:
        """Keep what came, and let nobody wait any more."""
        for future in self._asked.values():
            future.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._keeping.stop()
        self._telling.cancel()
        with suppress(asyncio.CancelledError):
            await self._telling

    # A station

    def receive(
        self, data: bytes, *, source: Hashable, now: float, largest: int | None = None
    ) -> tuple[bytes, ...]:
        """Take a message; the answer to a registration waits until that is kept."""
        try:
            replies = self.host.receive(data, source=source, now=now, largest=largest)
            changes = self._drain()
        except StoreError as error:  # nobody is answered who can not be looked up: all ask again
            if self._seldom.due(error.code, self._wall.now()):
                log.warning("message not looked at", code=error.code, message=error.message)
            return ()
        if not changes:
            return tuple(
                each for each in replies if each not in self._held and each not in self._unkept
            )
        self._held.update(replies)
        task = asyncio.create_task(self._keep(changes, source, replies))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return ()

    def outgoing(self) -> tuple[Outgoing, ...]:
        out = (*self._out, *self.host.outgoing())
        self._out.clear()
        return out

    def next_timer(self) -> float | None:
        return self.host.next_timer()

    def handle_timer(self, *, now: float) -> None:
        self.host.handle_timer(now=now)
        self._drain()

    # Asking

    async def ask(self, title: ApTitle, *requests: Request) -> tuple[Response, ...]:
        """Return a node's answers, one for each request.

        Raises:
            TransportTimeoutError: ``c1222.unanswered``.
            LocalProtocolError: ``c1222.unregistered``, ``c1222.busy``.
        """
        number = self.host.ask(title, *requests, now=self._wall.now())
        key = (title.name, number)
        loop = asyncio.get_running_loop()
        future: asyncio.Future[tuple[Response, ...]] = loop.create_future()
        self._asked[key] = future
        self.wake()
        try:
            return await future
        finally:
            self._asked.pop(key, None)

    # What happens

    def _drain(self) -> list[_Change]:
        """Take what the host tells; return what is to be kept of it."""
        changes: list[_Change] = []
        while (event := self.host.next_event()) is not None:
            self._take(event, changes)
        return changes

    def _take(self, event: HostEvent, changes: list[_Change]) -> None:
        change = self._HANDLERS[type(event)](self, event)
        if change is not None:
            changes.append(change)

    def _joined(self, event: Joined) -> _Change | None:
        self._metrics.c1222_registration("joined")
        node = self._directory.of_title(event.registration.title)
        if node is None:
            return None
        return node.meter, standing_of(row_of(event.registration))

    def _left(self, event: Left) -> _Change | None:
        self._metrics.c1222_registration("expired" if event.expired else "left")
        node = self._directory.of_title(event.title)
        # One that has ended by itself says so where it is kept.
        return None if node is None or event.expired else (node.meter, None)

    def _notified(self, event: Notified) -> None:
        self._metrics.c1222_notified()
        node = self._directory.of_title(event.title)
        if node is not None:
            self.on_notified(node.meter, event.request)

    def _answered(self, event: Answered) -> None:
        self._settle(event.title, event.invocation_id, event.responses)

    def _unanswered(self, event: Unanswered) -> None:
        self._settle(event.title, event.invocation_id, None)

    def _denied(self, event: Denied) -> None:
        self._metrics.c1222_registration("denied")
        self._refused(event.title, event.source, f"registration.{event.code.name.lower()}")

    def _dropped(self, event: Refused) -> None:
        self._metrics.c1222_refused(event.code)
        self._refused(event.title, event.source, event.code)

    _HANDLERS: ClassVar[Mapping[type[HostEvent], Callable[[Any, Any], _Change | None]]] = {
        Joined: _joined,
        Left: _left,
        Notified: _notified,
        Answered: _answered,
        Unanswered: _unanswered,
        Denied: _denied,
        Refused: _dropped,
    }

    def _settle(self, title: ApTitle, number: int, responses: tuple[Response, ...] | None) -> None:
        future = self._asked.get((title.name, number))
        if future is None or future.done():
            return
        if responses is None:
            error = TransportTimeoutError(f"{title} does not answer", code="c1222.unanswered")
            future.set_exception(error)
        else:
            future.set_result(responses)

    def _refused(self, title: ApTitle | None, source: Hashable, code: str) -> None:
        """Tell people, once an hour at most of the same."""
        node = None if title is None else self._directory.of_title(title)
        whom = blamed(source)
        if not self._seldom.due((None if node is None else node.meter, code), self._wall.now()):
            return
        said = None if title is None else str(title)
        log.warning("C12.22 message refused", title=said, peer=str(whom), code=code)
        if node is not None and code in _WRONG:
            words = f"{_WRONG[code]} (from {whom})"
            self._alarm(device_id(DeviceKind.METER, node.meter), f"c1222.{code[9:]}", words)
        elif node is not None and code.startswith("registration."):
            words = f"it asked to be registered from {whom} and may not: {code[13:]}"
            self._alarm(device_id(DeviceKind.METER, node.meter), "c1222.denied", words)
        elif node is None and title is not None:
            words = f"nobody knows the node {title}, which asked from {whom}"
            self._alarm(STRANGERS, "c1222.unknown", words)

    def _alarm(self, subject: str, code: str, words: str) -> None:
        with suppress(asyncio.QueueFull):  # the log has it
            self._told.put_nowait((subject, code, words))

    async def _tell(self) -> None:
        while True:
            told = await self._told.get()
            try:
                await asyncio.to_thread(self._alarms.about, *told)
            except OpenAmiError as error:
                log.warning("alarm lost", code=error.code, subject=told[0])

    async def _keep(
        self, changes: Sequence[_Change], source: Hashable, replies: tuple[bytes, ...]
    ) -> None:
        try:
            await asyncio.gather(*(self._keeping.do(change) for change in changes))
        except OpenAmiError as error:  # no answer: the node asks again
            log.warning("registration not kept", code=error.code, message=error.message)
            for reply in replies:
                self._unkept[reply] = True
            return
        finally:
            self._held.difference_update(replies)
        self._out += [Outgoing(source, reply) for reply in replies]
        # Nobody asks it before it has its answer: relays learn from that where it is.
        for meter, standing in changes:
            if standing is not None:
                self.on_joined(meter)
        self.wake()


def _keeper(nodes: NodeStore) -> Callable[[Sequence[_Change]], Sequence[None]]:
    def keep(changes: Sequence[_Change]) -> Sequence[None]:
        nodes.register(dict(changes))
        return [None] * len(changes)

    return keep
