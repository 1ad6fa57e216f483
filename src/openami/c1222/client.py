"""The end that asks: requests out, answers in.

Every message is answered or fails. It is sent again, octet for octet, until it is answered: the
node does not do it twice. An answer is one if its titles are those of the request, changed over,
if it names the request's invocation id, keeps its key and is protected no less; anything else is
refused and does not end the wait, since everybody can send it.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from openami.c1222.apdu import Apdu, KeyUse
from openami.c1222.codes import Qualifier, ResponseControl, SecurityMode
from openami.c1222.epsem import Epsem
from openami.c1222.repeats import ReplayCache, counted
from openami.c1222.security import NO_KEYS, Keys, Opened, protect, unprotect_apdu
from openami.c1222.segments import Reassembler, split
from openami.c1222.services import Response, decode_responses
from openami.core.errors import LocalProtocolError, RemoteProtocolError, SecurityError

if TYPE_CHECKING:
    from collections.abc import Callable

    from openami.c1222.services import Request
    from openami.c1222.titles import ApTitle

_MAX_EVENTS: Final = 256
"""What nobody fetches is forgotten, the oldest first: strangers cause events."""
_MAX_WAITING: Final = 64
"""Requests of one client that wait for their answers."""


@dataclass(frozen=True, slots=True)
class ClientConfig:
    """How a client asks one node. Times are in seconds.

    Attributes:
        title: its own ApTitle.
        node: that of the node.
        keys: its keys.
        key_id: the key that it uses.
        mode: how it protects its requests.
        timeout: how long an answer may take until the request is sent again.
        retries: how often a request is sent again.
        largest: octets of the longest message to send; None: they may be of any length.
    """

    title: ApTitle
    node: ApTitle
    keys: Keys = field(default=NO_KEYS)
    key_id: int = 0
    mode: SecurityMode = SecurityMode.CLEAR
    timeout: float = 10.0
    retries: int = 2
    largest: int | None = None


@dataclass(frozen=True, slots=True)
class Answered:
    """A message was answered: one response for each request, in their order."""

    invocation_id: int
    responses: tuple[Response, ...]


@dataclass(frozen=True, slots=True)
class Unanswered:
    """No answer came in time, however often the message was sent."""

    invocation_id: int


@dataclass(frozen=True, slots=True)
class Notified:
    """The node sent something unasked; its requests are in the EPSEM."""

    opened: Opened


@dataclass(frozen=True, slots=True)
class AnswerRefused:
    """Something came that is no answer to what was asked; ``code`` says why not.

    ``protocol.decode``, ``c1222.segment``, ``security.…`` where its protection does not hold,
    ``c1222.answer``: of other titles, to no request that waits, of another key, protected less.
    """

    code: str


ClientEvent = Answered | Unanswered | Notified | AnswerRefused


@dataclass(slots=True)
class _Waiting:
    """A message that was sent and not answered."""

    requests: tuple[Request, ...]
    messages: tuple[bytes, ...] = field(repr=False)
    deadline: float
    retries: int


class Client:
    """Asks one node.

    Args:
        config: whom, and how.
        first_id: its first invocation id; from chance, so that none is used again after a restart.
        ids: gives its invocation ids instead, where somebody keeps count over restarts.
    """

    def __init__(
        self, config: ClientConfig, *, first_id: int = 0, ids: Callable[[], int] | None = None
    ) -> None:
        self.config = config
        self._ids = ids or counted(first_id)
        self._waiting: dict[int, _Waiting] = {}
        self._out: deque[bytes] = deque()
        self._events: deque[ClientEvent] = deque(maxlen=_MAX_EVENTS)
        self._reassembler = Reassembler()
        self._replays = ReplayCache()

    def ask(
        self,
        *requests: Request,
        now: float,
        respond: ResponseControl = ResponseControl.ALWAYS,
        qualifier: Qualifier = Qualifier(0),  # noqa: B008 - it is frozen
        ed_class: bytes | None = None,
        proxy: bool = False,
    ) -> int:
        """Send requests in one message and return its invocation id.

        Without an answer wanted there comes none, and nothing is sent again; where one is wanted
        only if something fails, none in time is good news. ``ed_class``: four octets of the class
        of the device whose own tables these are. ``proxy``: it is for another node, whose title the
        requests name.

        Raises:
            LocalProtocolError: something does not fit, or too much waits.
            SecurityError: there is no such key.
        """
        if len(self._waiting) >= _MAX_WAITING or not requests:
            raise LocalProtocolError(f"1 request or more, and {_MAX_WAITING} messages at most")
        config, number = self.config, self._ids()
        key = KeyUse.at(config.key_id, now) if config.mode else None
        apdu = Apdu(number, config.node, config.title, qualifier=qualifier, key=key)
        services = tuple(request.encode() for request in requests)
        epsem = Epsem(services, config.mode, respond, ed_class, proxy=proxy)
        message = protect(apdu, epsem, config.keys)
        messages = (message,) if config.largest is None else split(message, config.largest)
        if respond is not ResponseControl.NEVER:
            retries = config.retries if respond is ResponseControl.ALWAYS else 0
            self._waiting[number] = _Waiting(requests, messages, now + config.timeout, retries)
        self._out += messages
        return number

    def data_to_send(self) -> tuple[bytes, ...]:
        """Return the messages to send, once."""
        out = tuple(self._out)
        self._out.clear()
        return out

    def receive(self, data: bytes, *, now: float) -> None:
        """Take one message or segment; ``now`` in seconds of UTC."""
        try:
            apdu = self._reassembler.receive(data, now=now)
            if apdu is not None:
                self._take(unprotect_apdu(apdu, self.config.keys), now)
        except (RemoteProtocolError, SecurityError) as error:
            self._events.append(AnswerRefused(error.code))

    def next_event(self) -> ClientEvent | None:
        """Return what happened, or None."""
        return self._events.popleft() if self._events else None

    def next_timer(self) -> float | None:
        """Return when ``handle_timer`` has something to do."""
        timers = [waiting.deadline for waiting in self._waiting.values()]
        segments = self._reassembler.next_timer()
        return min(timers if segments is None else [*timers, segments], default=None)

    def handle_timer(self, *, now: float) -> None:
        """Send again what was not answered, or give it up."""
        self._reassembler.handle_timer(now=now)
        for number, waiting in tuple(self._waiting.items()):
            # What waits for longer began before the clock was set back.
            waiting.deadline = min(waiting.deadline, now + self.config.timeout)
            if now < waiting.deadline:
                continue
            if waiting.retries:
                waiting.retries -= 1
                waiting.deadline = now + self.config.timeout
                self._out += waiting.messages
            else:
                del self._waiting[number]
                self._events.append(Unanswered(number))

    def hurry(self, *, now: float) -> None:
        """Send again now what was not answered: the connection that it went over was lost."""
        for waiting in self._waiting.values():
            waiting.deadline = now
        self.handle_timer(now=now)

    def _take(self, opened: Opened, now: float) -> None:
        apdu, config = opened.apdu, self.config
        mode_kept = opened.epsem.mode >= config.mode
        key_kept = opened.key is None or opened.key.key_id == config.key_id
        titles = (apdu.called, apdu.calling) == (config.title, config.node)
        number = apdu.answers
        if not (mode_kept and key_kept and titles) or (
            number is not None and number not in self._waiting
        ):
            raise RemoteProtocolError("no answer to what was asked", code="c1222.answer")
        if opened.key is not None:
            self._replays.accept(apdu, opened.key, now=now)
        if number is None:
            self._events.append(Notified(opened))
            return
        responses = decode_responses(opened.epsem.services, self._waiting[number].requests)
        del self._waiting[number]
        self._events.append(Answered(number, responses))
