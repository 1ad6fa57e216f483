"""When a node registers, renews and deregisters, as a function of time, answers and chance.

::

            register        Registered           the last part of the period
    IDLE ──────────▶ ASKING ──────────▶ TAKING PART ──────────▶ ASKING
                      │  ▲
      refused, silent ▼  │ backoff with jitter
                     WAITING

A node that was registered takes part until its period is over, also while it asks anew. After its
power failed it waits for a random part of the delay that its registrar gave it, so that a district
does not come back at once (C12.22, 5.3.2.4.12).
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field, replace
from enum import Enum, auto
from typing import TYPE_CHECKING, Final

from openami.c1222.client import Answered, Client, ClientConfig, ClientEvent, Unanswered
from openami.c1222.codes import Connection, NodeType, Qualifier, ResponseCode, SecurityMode
from openami.c1222.security import NO_KEYS, Keys
from openami.c1222.services import Deregister, Failure, Register, Registered
from openami.c1222.services.responses import NOTHING
from openami.core.backoff import backoff

if TYPE_CHECKING:
    from collections.abc import Callable

    from openami.c1222.services import Request, Response
    from openami.c1222.titles import ApTitle

RENEW_FROM: Final = 0.75
RENEW_TO: Final = 0.95
"""The part of the period in which a node renews, at a random moment: enough is left to try again,
and nodes that registered together do not come together again."""
LEAST_PAUSE: Final = 5.0
"""Seconds between two registrations: what a registrar gives for a period does not make a node
flood it."""
FIRST_BACKOFF: Final = 15.0
LONGEST_BACKOFF: Final = 3600.0
"""Seconds after a silence or a refusal: a registrar that is back has its nodes within the hour."""
MAX_EVENTS: Final = 64
"""What nobody fetches is forgotten, the oldest first."""


@dataclass(frozen=True, slots=True)
class RegisteringConfig:
    """What a node says of itself, and to whom. Times are in seconds.

    Attributes:
        title: what it wants to be called.
        registrar: the title of the master relay or host that it registers with.
        serial: its electronic serial number.
        node_type: what it is.
        connection: what it can do.
        device_class: four octets of its maker and model.
        native: where it can be reached; empty: where its message comes from.
        period: until it registers again, as it wishes.
        keys: its keys.
        key_id: the key that it uses.
        mode: how it protects what it sends; no answer that is protected less is taken.
        timeout: how long an answer may take until the request is sent again.
        retries: how often it is sent again.
    """

    title: ApTitle
    registrar: ApTitle
    serial: ApTitle
    node_type: NodeType = NodeType.END_DEVICE
    connection: Connection = Connection.CONNECTIONLESS | Connection.ACCEPTS_CONNECTIONLESS
    device_class: bytes = bytes(4)
    native: bytes = b""
    period: int = 86_400
    keys: Keys = field(default=NO_KEYS)
    key_id: int = 0
    mode: SecurityMode = SecurityMode.ENCRYPTED
    timeout: float = 10.0
    retries: int = 2


@dataclass(frozen=True, slots=True)
class Joined:
    """The node takes part.

    Attributes:
        title: what it is called now: perhaps not what it asked for.
        until: when that ends; None: never.
        delay: seconds within which it registers after its power failed.
        info: what it is told to do.
    """

    title: ApTitle
    until: float | None
    delay: int
    info: Connection = NOTHING


@dataclass(frozen=True, slots=True)
class NotJoined:
    """A registration came to nothing; ``code`` is the answer, None: there was none."""

    code: ResponseCode | None


@dataclass(frozen=True, slots=True)
class Parted:
    """The node does not take part any more: ``reason`` is ``expired`` or ``stopped``."""

    reason: str


@dataclass(frozen=True, slots=True)
class Told:
    """What became of a notification: ``taken`` by the registrar or not."""

    taken: bool


RegisteringEvent = Joined | NotJoined | Parted | Told


class _Asked(Enum):
    """What a message that waits for its answer is."""

    REGISTER = auto()
    DEREGISTER = auto()
    NOTIFICATION = auto()


_LASTING: Final = frozenset({_Asked.REGISTER, _Asked.DEREGISTER})
"""What still matters to who leaves."""


class Registering:
    """Registers one node.

    Args:
        config: what it says, and to whom.
        chance: returns a number by chance, from 0 to less than 1.
        ids: gives the invocation ids of what it sends, see ``Client``.

    Attributes:
        title: what the node is called.
        until: when its registration ends; None: it has none, or one without an end.
        joined: it takes part.
    """

    def __init__(
        self, config: RegisteringConfig, *, chance: Callable[[], float], ids: Callable[[], int]
    ) -> None:
        self.config = config
        self.title = config.title
        self.until: float | None = None
        self.joined = False
        self._chance = chance
        wanted = ClientConfig(
            config.title,
            config.registrar,
            config.keys,
            config.key_id,
            config.mode,
            config.timeout,
            config.retries,
        )
        self._client = Client(wanted, ids=ids)
        self._asked: dict[int, _Asked] = {}
        self._next: float | None = None
        self._now = float("-inf")
        self._stopped = False
        self._failures = 0
        self._events: deque[RegisteringEvent] = deque(maxlen=MAX_EVENTS)

    @property
    def busy(self) -> bool:
        """Whether an answer is waited for."""
        return bool(self._asked)

    def start(self, *, now: float, delay: float = 0.0, after: float = 0.0) -> None:
        """Register at a random moment within ``delay`` seconds: what the last registrar gave.

        ``after``: seconds until that begins.
        """
        self._stopped = False
        self._set_back(now)
        self._next = now + after + delay * self._chance()
        self.handle_timer(now=now)

    def stop(self, *, now: float) -> None:
        """Deregister, also after a registration that is under way, and rest until ``start``."""
        self._next, self._stopped = None, True
        self._asked = {number: what for number, what in self._asked.items() if what in _LASTING}
        if self.joined:
            self._deregister(now)
            self._part("stopped")

    def forget(self) -> None:
        """Rest until ``start`` without a word, as after a power cut."""
        self._next = None
        self._asked.clear()
        self.joined, self.until = False, None

    def notify(self, *requests: Request, now: float) -> bool:
        """Tell the registrar something of the node's own tables; ``Told`` says what became of it.

        Returns:
            False if the node does not take part: there is nobody to tell.

        Raises:
            LocalProtocolError: it does not fit, or too much waits for an answer.
        """
        if not self.joined:
            return False
        own, notice = self.config.device_class, Qualifier.NOTIFICATION
        number = self._client.ask(*requests, now=now, qualifier=notice, ed_class=own)
        self._asked[number] = _Asked.NOTIFICATION
        return True

    def data_to_send(self) -> tuple[bytes, ...]:
        """Return the messages to send to the registrar, once."""
        return self._client.data_to_send()

    def receive(self, data: bytes, *, now: float) -> None:
        """Take a message that answers one."""
        self._set_back(now)
        self._client.receive(data, now=now)
        self._settle(now)

    def next_event(self) -> RegisteringEvent | None:
        """Return what happened, or None."""
        return self._events.popleft() if self._events else None

    def next_timer(self) -> float | None:
        """Return when ``handle_timer`` has something to do."""
        timers = (self._next, self.until, self._client.next_timer())
        return min((timer for timer in timers if timer is not None), default=None)

    def handle_timer(self, *, now: float) -> None:
        """Register, renew, ask again, or give up what is over."""
        self._set_back(now)
        self._client.handle_timer(now=now)
        self._settle(now)
        if self.until is not None and now >= self.until:
            self._part("expired")
        if self._next is not None and now >= self._next:
            self._next = None
            self._register(now)

    def _set_back(self, now: float) -> None:
        """Let what is to come come as soon as it would have, if the clock was set back.

        Otherwise a node that began with a clock in the future would not renew before that.
        """
        back = max(self._now - now, 0.0)
        self._now = now
        if self._next is not None:
            self._next -= back
        if self.until is not None:
            self.until -= back

    def _register(self, now: float) -> None:
        config = self.config
        request = Register(
            config.node_type,
            config.connection,
            config.device_class,
            self.title,
            config.serial,
            config.native,
            config.period,
        )
        self._asked[self._client.ask(request, now=now)] = _Asked.REGISTER

    def _deregister(self, now: float) -> None:
        self._asked[self._client.ask(Deregister(self.title), now=now)] = _Asked.DEREGISTER

    def _settle(self, now: float) -> None:
        while (event := self._client.next_event()) is not None:
            self._take(event, now)

    def _take(self, event: ClientEvent, now: float) -> None:
        if not isinstance(event, Answered | Unanswered):  # nobody asks a registrar for more
            return
        asked = self._asked.pop(event.invocation_id, None)
        answer = event.responses[0] if isinstance(event, Answered) else None
        if asked is _Asked.REGISTER:
            self._registered(answer, now)
        elif asked is _Asked.NOTIFICATION:
            self._told(answer, now)

    def _registered(self, answer: Response | None, now: float) -> None:
        if self._stopped:
            if isinstance(answer, Registered):
                self._call(answer.title)
                self._deregister(now)
            return
        if not isinstance(answer, Registered):
            self._events.append(NotJoined(answer.code if isinstance(answer, Failure) else None))
            self._failures += 1
            self._next = now + self._pause()
            return
        self._failures, self.joined = 0, True
        self._call(answer.title)
        self.until = now + answer.period if answer.period else None
        if answer.period:  # C12.22, 5.3.2.4.12: without one a registration has no end
            part = RENEW_FROM + (RENEW_TO - RENEW_FROM) * self._chance()
            self._next = now + max(answer.period * part, LEAST_PAUSE)
        self._events.append(Joined(answer.title, self.until, answer.delay, answer.info))

    def _call(self, title: ApTitle) -> None:
        self.title = title
        self._client.config = replace(self._client.config, title=title)

    def _told(self, answer: Response | None, now: float) -> None:
        taken = answer is not None and not isinstance(answer, Failure)
        self._events.append(Told(taken))
        if isinstance(answer, Failure) and self._next is not None:
            # Perhaps it has lost its table: who is registered is told so.
            self._next = min(self._next, now + LEAST_PAUSE * (1 + self._chance()))

    def _pause(self) -> float:
        return backoff(
            self._failures, first=FIRST_BACKOFF, most=LONGEST_BACKOFF, jitter=self._chance()
        )

    def _part(self, reason: str) -> None:
        self.joined, self.until = False, None
        self._events.append(Parted(reason))
