"""The DCU's end of device management: it asks its server what to do, when woken and now and then.

A session is one ``ClientSession`` over HTTP. What must outlive a power cut is durable before it
can matter: the tree before the Status that tells of it, nonces before the message that uses them.
All of a session but its HTTP happens on the thread of management.
"""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import structlog

from openami.core.errors import OpenAmiError, RemoteProtocolError, SecurityError, TransportError
from openami.dcu.device import origin_of
from openami.dcu.flow import Patience
from openami.dcu.polling import next_poll
from openami.omadm.auth import HMAC_HEADER
from openami.omadm.objects.device import device_info
from openami.omadm.session.client import ClientConfig, ClientSession
from openami.omadm.session.events import (
    Authenticated,
    AuthenticationFailed,
    CommandPerformed,
    End,
    NonceChanged,
    SessionEnded,
)
from openami.omadm.tree.visit import Visit
from openami.transport.clock import monotonic

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from openami.core.clock import Clock
    from openami.dcu.device import ServerAccount
    from openami.dcu.flow import Stop
    from openami.dcu.threads import WorkThread
    from openami.omadm.messages.model import Alert
    from openami.omadm.notification import Verified
    from openami.omadm.session.events import Event, Outgoing
    from openami.omadm.tree.tree import ManagementTree
    from openami.store.device_memory import DeviceMemory
    from openami.transport.http import HttpAnswer, HttpClient

RETRY_FIRST_S: Final = 2.0
"""After a session that failed: a server that restarts is back within a few of these."""
RETRY_MOST_S: Final = 3600.0
"""After many: a server that has been away for long hears of the DCU soon enough, or at its poll."""
RESEND_S: Final = 1.0
"""Before a message is sent again that could not be handed over."""
ANSWER_S: Final = 30.0
"""Seconds that the server may take over an answer before the message is sent again."""
ALERTS_MOST: Final = 64
"""Alerts that wait for a session; a server that is away for long hears of the latest."""
MAX_SESSION_ID: Final = 0xFFFF
MAX_ANSWER: Final = 1024 * 1024
"""Octets of an answer: what a message may have. The session keeps to its own MaxMsgSize."""

log = structlog.get_logger("dcu.management")


@dataclass(frozen=True, slots=True)
class Held:
    """How a session ended.

    Attributes:
        end: why it is over.
        performed: commands that the server gave.
        code: of what went wrong.
        message: for a person.
    """

    end: End
    performed: int = 0
    code: str | None = None
    message: str = ""

    def why(self) -> dict[str, str]:
        """Return code and message for a log, where something went wrong."""
        return {} if self.code is None else {"code": self.code, "error": self.message}


class _RefusedError(SecurityError):
    """The server does not hold a session with this DCU now."""

    code = "dm.refused"


async def _unheard(_held: Held) -> None:
    """Take no note of a session."""


class Manager:
    """Holds sessions with the server of a tree.

    Args:
        tree: the DCU's.
        memory: what outlives a restart besides the tree.
        server: returns the account as it is now; called on ``thread``.
        connect: makes a client of an origin.
        clock: the DCU's, for time stamps in the tree.
        poll_every: returns the seconds between two sessions where nothing wakes the DCU.
        chance: returns a number from 0 to 1.
        stop: ends the loop.
        thread: of all that changes the tree.
        held: is told how each session ended.
        told: is given, on ``thread``, the alerts that the server has heard.
    """

    def __init__(
        self,
        tree: ManagementTree,
        memory: DeviceMemory,
        *,
        server: Callable[[], ServerAccount | None],
        connect: Callable[[str], HttpClient],
        clock: Clock,
        poll_every: Callable[[], float],
        chance: Callable[[], float],
        stop: Stop,
        thread: WorkThread,
        held: Callable[[Held], Awaitable[None]] = _unheard,
        told: Callable[[tuple[Alert, ...]], None] = lambda _alerts: None,
    ) -> None:
        self._tree = tree
        self._memory = memory
        self._server = server
        self._connect = connect
        self._clock = clock
        self._poll_every = poll_every
        self._chance = chance
        self._stop = stop
        self._thread = thread
        self._held = held
        self._told = told
        self._woken: Verified | None = None
        self._alerts: list[Alert] = []
        self._nudge = asyncio.Event()
        self.holding = False
        """Whether a session is being held."""
        self.tried = asyncio.Event()
        """Set once a session has been held, or could not be."""

    def wake(self, verified: Verified) -> None:
        """Take the server's wish for a session; a later one takes its place."""
        self._woken = verified
        self._nudge.set()

    def nudge(self) -> None:
        """Let a session be held now."""
        self._nudge.set()

    def alert(self, alert: Alert) -> None:
        """Let the server hear of something in the next session."""
        self._alerts.append(alert)
        del self._alerts[:-ALERTS_MOST]

    async def run(self, first_in: float = 0.0) -> None:
        """Hold sessions until the DCU ends, when woken and by poll.

        Args:
            first_in: seconds until the first one, unless something wakes the DCU sooner.
        """
        await self._stop.sleep(first_in, self._nudge)
        patience = Patience(RETRY_FIRST_S, RETRY_MOST_S, self._chance)
        while not self._stop:
            self._nudge.clear()
            held = await self.session()
            await self._held(held)
            self.tried.set()
            wait = next_poll(self._poll_every(), self._chance())
            if held.end is End.DONE:
                patience.succeeded()
            else:
                wait = min(patience.failed(), wait)
            if not self._nudge.is_set():
                await self._stop.sleep(wait, self._nudge)

    async def session(self) -> Held:
        """Hold one session: the one that was asked for in a notification, if there was one."""
        self.holding = True
        try:
            return await self._session()
        finally:
            self.holding = False

    async def _session(self) -> Held:
        woken, self._woken = self._woken, None
        alerts = tuple(self._alerts)
        talk: _Talk | None = None
        try:
            talk = await self._thread.do(self._talk, woken, alerts)
            if talk is None:
                return Held(End.REFUSED, code="dm.no-account")
            log.debug("session begins", session=talk.name, server=talk.origin)
            async with self._connect(talk.origin) as client:
                held = await talk.run(client)
        except OpenAmiError as error:
            end = End.REFUSED if isinstance(error, SecurityError) else End.BROKEN
            held = Held(end, talk.performed if talk else 0, error.code, error.message)
        if held.end is End.DONE:
            told = set(map(id, alerts))  # some of them may have been pushed out meanwhile
            self._alerts = [alert for alert in self._alerts if id(alert) not in told]
            await self._thread.do(self._told, alerts)
        (log.info if held.end is End.DONE else log.warning)(
            "session", session=talk.name if talk else None, end=held.end.value,
            commands=held.performed, **held.why(),
        )  # fmt: skip
        return held

    def _talk(self, woken: Verified | None, alerts: tuple[Alert, ...]) -> _Talk | None:
        """Return a session to be held; None: there is no server."""
        server = self._server()
        if server is None:
            return None
        account = server.account
        if woken is not None and woken.resynchronise:
            account = account.resynchronised()
        config = ClientConfig(
            self._tree.text("./DevInfo/DevId"),
            server.address,
            device_info(self._tree),
            answer_timeout=ANSWER_S,
        )
        gate = Visit(self._tree, account.server_id, self._clock.now())
        number = self._number() if woken is None else woken.notification.session_id
        session = ClientSession(
            account,
            config,
            gate,
            session_id=number,
            nonces=_nonce,
            notified=woken is not None,
            alerts=alerts,
        )
        return _Talk(session, f"{number:X}", server.origin, self._keep(server), self._thread)

    def _number(self) -> int:
        """Return a session id that was not used lately."""
        seen = self._memory.seen()
        while (number := 1 + secrets.randbelow(MAX_SESSION_ID)) in seen:
            continue
        return number

    def _keep(self, server: ServerAccount) -> Callable[[bytes, bytes], None]:
        return lambda client, given: self._memory.keep_nonces(server.name, client, given)


class _Talk:
    """One session on one connection.

    Args:
        session: the protocol's.
        name: of the session.
        origin: of the server.
        keep: makes a client nonce and a server nonce durable.
        thread: where all happens but sending.
    """

    def __init__(
        self,
        session: ClientSession,
        name: str,
        origin: str,
        keep: Callable[[bytes, bytes], None],
        thread: WorkThread,
    ) -> None:
        self.name = name
        self.origin = origin
        self.performed = 0
        self._ended = SessionEnded(End.BROKEN)
        self._session = session
        self._keep = keep
        self._thread = thread

    async def run(self, client: HttpClient) -> Held:
        """Hold the session to its end."""
        outgoing = await self._thread.do(self._open)
        while outgoing is not None:
            answer = await self._send(client, outgoing)
            outgoing = await self._thread.do(self._follow, answer)
        ended = self._ended
        return Held(ended.end, self.performed, ended.code, ended.message)

    def _open(self) -> Outgoing | None:
        outgoing = self._session.start(monotonic())
        self._drain()
        return outgoing

    def _follow(self, answer: HttpAnswer | None) -> Outgoing | None:
        """Do what an answer asks for; return what is sent next."""
        session = self._session
        if answer is None:
            session.handle_timer(session.next_timer() or monotonic())
        else:
            hmac = answer.headers.get(HMAC_HEADER)
            kind = answer.headers.get("content-type", "")
            session.receive(answer.body, kind, hmac, monotonic())
        self._drain()
        return session.next_outgoing()

    async def _send(self, client: HttpClient, outgoing: Outgoing) -> HttpAnswer | None:
        """Return the server's answer; None: there was none, and the message may go out again."""
        parts = urlsplit(self._session.address)
        if origin_of(self._session.address) != self.origin:
            raise SecurityError("the session is sent to another host", code="dm.other-host")
        headers = {"Content-Type": outgoing.content_type}
        if outgoing.hmac is not None:
            headers[HMAC_HEADER] = outgoing.hmac
        path = parts.path + (f"?{parts.query}" if parts.query else "")
        try:
            answer = await client.post(
                path or "/",
                content=outgoing.body,
                headers=headers,
                timeout_s=ANSWER_S,
                max_octets=MAX_ANSWER,
            )
            return _checked(answer)
        except TransportError as error:
            log.info("no answer", session=self.name, code=error.code, error=error.message)
            await asyncio.sleep(RESEND_S)
            return None

    def _drain(self) -> None:
        """Act on what has happened; nonces are durable when this returns."""
        while (event := self._session.next_event()) is not None:
            self._take(event)

    def _take(self, event: Event) -> None:
        match event:
            case NonceChanged(account):
                self._keep(account.client_nonce, account.server_nonce)
            case CommandPerformed(command, target, status, detail):
                self.performed += 1
                done = log.debug if status < 300 else log.warning
                done("command", session=self.name, command=command, target=target,
                     status=int(status), **({"why": detail} if detail else {}))  # fmt: skip
            case AuthenticationFailed(status):
                log.warning("the server's proof does not hold", session=self.name, status=status)
            case Authenticated():
                log.debug("the server has proved itself", session=self.name)
            case SessionEnded():
                self._ended = event


def _checked(answer: HttpAnswer) -> HttpAnswer:
    if answer.ok:
        return answer
    if answer.status in _REFUSING:
        raise _RefusedError(f"HTTP {answer.status}", code=f"dm.http-{answer.status}")
    if answer.status in _PASSING:
        raise TransportError(f"HTTP {answer.status}", code="dm.away")
    raise RemoteProtocolError(f"HTTP {answer.status}", code="dm.http")


_REFUSING: Final = frozenset({401, 403, 404, 409, 410, 413})
_PASSING: Final = frozenset({429, 500, 502, 503, 504})


def _nonce() -> bytes:
    return secrets.token_bytes(16)
