"""The node: messages in, messages out.

A message goes through: reassembly, the address, kept answers, pauses after failures, protection,
the least mode, the replay cache. Only then does a service of it run, and only then is anything
changed. What does not come through gets no answer: to answer strangers tells them who is there.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from openami.c1222.apdu import Apdu, KeyUse
from openami.c1222.codes import ResponseCode, ResponseControl, SecurityMode
from openami.c1222.epsem import Epsem
from openami.c1222.node.events import MessageRefused, NodeEvent, SessionBegan, SessionEnded
from openami.c1222.node.services import Message, Served, serve_all
from openami.c1222.node.sessions import Sessions
from openami.c1222.repeats import MAX_TIMES, Answers, Failures, ReplayCache, counted, sender_of
from openami.c1222.security import Opened, protect, unprotect_apdu
from openami.c1222.segments import Reassembler, split
from openami.c1222.services import Failure
from openami.c1222.station import blamed
from openami.core.errors import LocalProtocolError, RemoteProtocolError, SecurityError

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from openami.c1222.node.config import NodeConfig
    from openami.c1222.node.device import Device
    from openami.c1222.security import Keys
    from openami.c1222.services import Response
    from openami.c1222.titles import ApTitle

_MAX_EVENTS: Final = 256
"""What nobody fetches is forgotten, the oldest first: strangers cause events."""
_GUESSES: Final = frozenset({"security.tag", "security.key-id", "security.nonce"})
"""Refusals of what may be a guess at a key."""


class Node:
    """One node.

    Args:
        config: how it behaves.
        device: what answers.
        first_id: its first invocation id; from chance, so that none is used again after a restart.
        ids: gives its invocation ids instead, where somebody keeps count over restarts.
        replays: takes each protected message once; one of its own if not given.
        keys_of: returns the keys that it shares with whoever calls, where each has its own; those
            of ``config`` if not given.
        defer: called with each message that is to be believed; True: its services do not run, and
            ``answer`` answers it later.
    """

    def __init__(
        self,
        config: NodeConfig,
        device: Device,
        *,
        first_id: int = 0,
        ids: Callable[[], int] | None = None,
        replays: ReplayCache | None = None,
        keys_of: Callable[[ApTitle | None], Keys] | None = None,
        defer: Callable[[Opened, Hashable, float], bool] | None = None,
    ) -> None:
        self.config = config
        self._shared = keys_of is None
        self._keys_of = keys_of or (lambda _: config.keys)
        self._defer = defer or (lambda *_: False)
        self.sessions = Sessions(config.sessions)
        self._device = device
        self._ids = ids or counted(first_id)
        self._reassembler = Reassembler()
        self._answers = Answers()
        self._replays = replays or ReplayCache()
        self._failures = Failures()
        self._passwords = Failures()
        self._events: deque[NodeEvent] = deque(maxlen=_MAX_EVENTS)

    def receive(
        self, data: bytes, *, source: Hashable, now: float, largest: int | None = None
    ) -> tuple[bytes, ...]:
        """Take one message or segment and return what to send back, on the same transport.

        Args:
            data: as it came.
            source: where from; failures are counted for each host, and where each caller has keys
                of its own, for its title.
            now: seconds of UTC.
            largest: octets of the longest message to send; None: they may be of any length.
        """
        self.handle_timer(now=now)
        apdu = None
        try:
            apdu = self._reassembler.receive(data, now=now, source=source)
            if apdu is None or not self._allows(apdu, source, now):
                return ()
            return self._answered(apdu, source, now, largest)
        except (RemoteProtocolError, SecurityError) as error:
            count = 0
            if apdu is not None and error.code in _GUESSES:
                count = self._failures.failed(self._blamed(apdu, source), now=now)
            self._events.append(MessageRefused(source, error.code, count))
            return ()

    def answer(
        self, opened: Opened, *responses: Response, now: float, largest: int | None = None
    ) -> tuple[bytes, ...]:
        """Return the answer to a message that was deferred, one response for each service."""
        out = self._response(opened, Served(list(responses)), largest, now)
        self._keep(opened, out, now)
        return out

    def next_event(self) -> NodeEvent | None:
        """Return what happened, or None."""
        return self._events.popleft() if self._events else None

    def next_timer(self) -> float | None:
        """Return when ``handle_timer`` has something to do."""
        timers = (self.sessions.next_timer(), self._reassembler.next_timer())
        return min((timer for timer in timers if timer is not None), default=None)

    def handle_timer(self, *, now: float) -> None:
        """End silent sessions and give up messages whose segments do not come."""
        self._reassembler.handle_timer(now=now)
        for session in self.sessions.expire(now):
            self._events.append(SessionEnded(session.caller, session.user_id, "timeout"))

    def _answered(
        self, apdu: Apdu, source: Hashable, now: float, largest: int | None
    ) -> tuple[bytes, ...]:
        if not self._is_ours(apdu):
            return ()
        kept = self._answers.find(apdu.octets, now=now)
        if kept is not None:
            return kept
        opened = self._opened(apdu, now)
        if opened.key is not None:
            self._failures.succeeded(self._blamed(apdu, source))
        if self._defer(opened, source, now):
            self._keep(opened, (), now)  # a repetition waits as the first one does
            return ()
        turn = Message(opened, source, self.config.timeout, now)
        served = serve_all(turn, self._device, self.sessions)
        self._tell(served, turn, now)
        out = self._response(opened, served, largest, now)
        self._keep(opened, out, now)
        return out

    def _keep(self, opened: Opened, out: tuple[bytes, ...], now: float) -> None:
        times = None if opened.key is None else MAX_TIMES
        self._answers.keep(opened.apdu.octets, out, now=now, times=times)

    def _allows(self, apdu: Apdu, source: Hashable, now: float) -> bool:
        who = self._blamed(apdu, source)
        return self._failures.allows(who, now=now) and self._passwords.allows(who, now=now)

    def _blamed(self, apdu: Apdu, source: Hashable) -> Hashable:
        """Return who answers for failures.

        Where each caller has keys of its own, a guess is at those of the title that it names, and
        makes nobody pause who comes the same way, as through a relay.
        """
        host = blamed(source)
        return host if self._shared else (host, sender_of(apdu))

    def _is_ours(self, apdu: Apdu) -> bool:
        """Whether a message is a request for this node; answers are for those who asked."""
        called = apdu.called
        return apdu.answers is None and (called is None or called.name == self.config.title.name)

    def _opened(self, apdu: Apdu, now: float) -> Opened:
        session = self.sessions.get(sender_of(apdu))
        remembered = None if session is None else session.key
        opened = unprotect_apdu(apdu, self._keys_of(apdu.calling), remembered=remembered)
        least = max(self.config.least, SecurityMode.CLEAR if session is None else session.mode)
        if opened.epsem.mode < least:
            raise SecurityError("a message that is protected too little", code="security.mode")
        if opened.key is None:
            return opened
        if apdu.calling is None:
            raise SecurityError("a protected message says who sent it", code="security.title")
        owner = opened.key if session is None or session.key is None else session.key
        if owner.key_id != opened.key.key_id:
            raise SecurityError("the session of another key", code="security.key-id")
        self._replays.accept(apdu, opened.key, now=now)
        if session is not None:
            session.key = opened.key
        return opened

    def _tell(self, served: Served, turn: Message, now: float) -> None:
        for began in served.began:
            self._events.append(SessionBegan(began.caller, began.user_id))
        for ended, reason in served.ended:
            self._events.append(SessionEnded(ended.caller, ended.user_id, reason))
        who = self._blamed(turn.opened.apdu, turn.source)
        if served.wrong_password:
            count = self._passwords.failed(who, now=now)
            self._events.append(MessageRefused(turn.source, "security.password", count))
        elif served.right_password:
            self._passwords.succeeded(who)

    def _response(
        self, opened: Opened, served: Served, largest: int | None, now: float
    ) -> tuple[bytes, ...]:
        respond = opened.epsem.respond
        failed = any(isinstance(each, Failure) for each in served.responses)
        # C12.22, 5.3.3: one that failed makes an answer of all, so that their order tells which.
        if respond is ResponseControl.NEVER or (
            respond is ResponseControl.ON_EXCEPTION and not failed
        ):
            return ()
        services = tuple(response.encode() for response in served.responses)
        try:
            return self._sent(opened, services, largest, now)
        except LocalProtocolError as error:
            code = ResponseCode.SGNP if error.code == "c1222.mtu" else ResponseCode.RSTL
            return self._sent(opened, (Failure(code).encode(),), None, now)

    def _sent(
        self, opened: Opened, services: tuple[bytes, ...], largest: int | None, now: float
    ) -> tuple[bytes, ...]:
        request = opened.apdu
        # The titles change places octet for octet; key and mode stay those of the request.
        apdu = Apdu(
            self._ids(),
            called=request.calling,
            calling=request.called or self.config.title,
            answers=request.invocation_id,
            key=None if opened.key is None else KeyUse.at(opened.key.key_id, now),
        )
        keys = self._keys_of(request.calling)
        message = protect(apdu, Epsem(services, opened.epsem.mode), keys)
        return (message,) if largest is None else split(message, largest)
