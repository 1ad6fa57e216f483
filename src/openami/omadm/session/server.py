"""A head-end's end of a session (OMA-TS-DM_Protocol 1.2, clause 8).

The server answers every message once. The same message again gets the same answer; an older one,
or one from the future, gets none. The states are those of ``states.SERVER``.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from openami.core.errors import LocalProtocolError, RemoteProtocolError, SecurityError
from openami.omadm.codes import AlertCode, Status
from openami.omadm.limits import DEFAULT_LIMITS
from openami.omadm.messages.codec import decode_message
from openami.omadm.messages.media import MediaType
from openami.omadm.messages.model import Alert, Header, Message, StatusReport
from openami.omadm.session.budget import Budget
from openami.omadm.session.events import (
    NO_ANSWER,
    Authenticated,
    AuthenticationFailed,
    End,
    Event,
    NonceChanged,
    Order,
    OrderDone,
    SessionEnded,
)
from openami.omadm.session.intake import Intake
from openami.omadm.session.numbering import answer_to, digest_of, refused
from openami.omadm.session.orders import Orders
from openami.omadm.session.replies import Replies
from openami.omadm.session.states import SERVER, ServerState, ServerStep
from openami.omadm.session.trust import Guard, Nonces, Prover, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from openami.omadm.session.account import Account
    from openami.omadm.session.events import Outgoing

MAX_MESSAGES: Final = 10_000
"""Messages of one session, as the client's: a device that never ends would hold its orders."""
_VERSIONS: Final = frozenset({Status.DTD_NOT_SUPPORTED, Status.PROTOCOL_NOT_SUPPORTED})


@dataclass(frozen=True, slots=True)
class ServerConfig:
    """How a server speaks.

    Attributes:
        uri: its address: the Source of its messages.
        resp_uri: where the session goes on (RespURI), if elsewhere.
        max_msg_size: octets of a message that it takes.
        max_obj_size: octets of an object that it takes in parts.
        idle_timeout: seconds after which a silent device's session is over.
    """

    uri: str
    resp_uri: str | None = None
    max_msg_size: int = 65_536
    max_obj_size: int = 2**20
    idle_timeout: float = 120.0


class ServerSession:
    """One session of a head-end with one device.

    Args:
        account: of the device.
        config: of the server.
        nonces: gives a fresh nonce.
        orders: what the device shall do.
        session_id: the one that was asked for in a notification; None: whatever the device says.
        budget: for what the device sends, shared with other sessions; None: one of its own. Every
            session has an end: what it holds of the budget is free then.
    """

    def __init__(
        self,
        account: Account,
        config: ServerConfig,
        *,
        nonces: Nonces,
        orders: Iterable[Order] = (),
        session_id: str | None = None,
        budget: Budget | None = None,
    ) -> None:
        self._account = account
        self._config = config
        self._prover = Prover(account.server, account.policy, account.server_nonce)
        self._guard = Guard(account.client, account.policy, account.client_nonce, nonces)
        budget = budget or Budget()
        self._orders = Orders(budget)
        self._replies = Replies(config, self._prover, self._orders)
        self._outbox = self._replies.outbox
        self._queue: deque[Order] = deque(orders)
        self._events: deque[Event] = deque()
        self._state = ServerState.OPENING
        self._session_id = session_id
        self._device: str | None = None
        self._intake = Intake(
            config.max_obj_size, budget, self._outbox, self._orders, self._events.append
        )
        self._known = False
        self._aborting = False
        self._aborted = False
        self._peer_msg_id = 0
        self._last_request = b""
        self._answer: Outgoing | None = None
        self._taken: tuple[Message, Verdict] | None = None
        self._deadline: float | None = None

    @property
    def closed(self) -> bool:
        """Only a repetition of the last message is answered any more."""
        return self._state is ServerState.CLOSED

    def next_event(self) -> Event | None:
        """Return what has happened; to be emptied before the answer is sent."""
        return self._events.popleft() if self._events else None

    def next_timer(self) -> float | None:
        """Return when ``handle_timer`` has to be called."""
        return self._deadline

    def handle_timer(self, now: float) -> None:
        """End a session whose device has gone silent."""
        if self._deadline is not None and now >= self._deadline:
            self._end(End.TIMEOUT, message="the device has gone silent")

    def order(self, order: Order) -> None:
        """Let a command go out with the next package.

        Raises:
            LocalProtocolError: the session is over.
        """
        if self.closed:
            raise LocalProtocolError("the session is over")
        self._queue.append(order)

    def abort(self) -> None:
        """End the session: the next answer says so (Alert 1223)."""
        self._aborting = True

    def receive(self, body: bytes, content_type: str, hmac: str | None, now: float) -> Outgoing:
        """Take a message of the device and return the answer to it; see both."""
        self.take(body, content_type, hmac, now)
        return self.answer()

    def take(
        self,
        body: bytes,
        content_type: str,
        hmac: str | None,
        now: float,
        *,
        message: Message | None = None,
        digest: bytes | None = None,
    ) -> bool:
        """Take a message of the device; tell whether it is not the last one again.

        What has happened can be read then, and what is ordered goes out with ``answer``. What is
        raised leaves the session as it was: whoever is not the device cannot end it so.

        Args:
            body: the octets.
            content_type: their media type.
            hmac: the header ``x-syncml-hmac``.
            now: UTC seconds.
            message: what ``body`` holds, if that is known already.
            digest: as ``digest_of`` has it, if that is.

        Raises:
            RemoteProtocolError: it is no message, none of this session, a replayed one
                (``omadm.session.replay``) or one out of order (``omadm.session.order``); or a
                proof weaker than asked for, which ends it (``omadm.auth.downgrade``).
        """
        digest = digest or digest_of(body, hmac)
        if digest == self._last_request:
            return False
        message = self._admitted(body, content_type, message)
        verdict = self._check_version(message.header)
        verdict = verdict or self._check_proof(message.header, body, hmac)
        self._adopt(message.header, content_type)
        self._last_request = digest
        self._deadline = now + self._config.idle_timeout
        self._answer = self._attempt(message, verdict, self._take)
        self._taken = None if self._answer else (message, verdict)
        return True

    def answer(self) -> Outgoing:
        """Return the answer to the message that was taken last.

        Raises:
            LocalProtocolError: none was.
        """
        if self._taken is not None:
            self._answer = self._attempt(*self._taken, self._reply)
            self._taken = None
        if self._answer is None:
            raise LocalProtocolError("no message was taken")
        return self._answer

    def _attempt(
        self,
        message: Message,
        verdict: Verdict,
        step: Callable[[Message, Verdict], Outgoing | None],
    ) -> Outgoing | None:
        """Do a step; a device that has broken the protocol with it is sent away."""
        try:
            return step(message, verdict)
        except (RemoteProtocolError, SecurityError) as error:
            refused = isinstance(error, SecurityError)
            self._end(End.REFUSED if refused else End.BROKEN, error.code, error.message)
            return self._goodbye(message, verdict)

    # What the device has sent.

    def _admitted(self, body: bytes, content_type: str, message: Message | None) -> Message:
        """Return a message that has its place in this session."""
        if self.closed:
            raise RemoteProtocolError("the session is over", code="omadm.session.closed")
        if len(body) > self._config.max_msg_size:
            raise RemoteProtocolError("over MaxMsgSize", code="omadm.too-large")
        if message is None:
            limits = replace(DEFAULT_LIMITS, octets=self._config.max_msg_size)
            message = decode_message(body, content_type, limits=limits)
        self._check_header(message.header)
        return message

    def _check_version(self, header: Header) -> Verdict | None:
        """Return the refusal of another version (RepPro 1.2, 10: 513, 505), at the beginning."""
        if header.ver_proto == "DM/1.2" and header.ver_dtd == "1.2":
            return None
        if self._peer_msg_id:
            raise RemoteProtocolError("not DM 1.2 any more", code="omadm.session.version")
        protocol = header.ver_proto != "DM/1.2"
        return Verdict(Status.PROTOCOL_NOT_SUPPORTED if protocol else Status.DTD_NOT_SUPPORTED)

    def _check_header(self, header: Header) -> None:
        if self._session_id not in {None, header.session_id}:
            raise RemoteProtocolError("another session", code="omadm.session.id")
        if self._device not in {None, header.source.uri}:
            raise RemoteProtocolError("another device", code="omadm.session.device")
        if header.msg_id <= self._peer_msg_id:
            raise RemoteProtocolError("a message again", code="omadm.session.replay")
        if header.msg_id != self._peer_msg_id + 1 or header.msg_id > MAX_MESSAGES:
            raise RemoteProtocolError(
                f"message {self._peer_msg_id + 1} wanted, {header.msg_id} found",
                code="omadm.session.order",
            )

    def _check_proof(self, header: Header, body: bytes, hmac: str | None) -> Verdict:
        try:
            return self._guard.check(header.cred, body, hmac)
        except RemoteProtocolError as error:
            self._end(End.REFUSED, error.code, error.message)
            raise

    def _adopt(self, header: Header, content_type: str) -> None:
        """Take over what the device says of itself and of its messages."""
        if self._device is None:
            self._outbox.media = MediaType.of(content_type)
        self._session_id, self._device = header.session_id, header.source.uri
        self._peer_msg_id = header.msg_id
        if header.meta and header.meta.max_msg_size:
            self._outbox.room = header.meta.max_msg_size
        if header.meta and header.meta.max_obj_size:
            self._replies.largest = header.meta.max_obj_size

    def _take(self, message: Message, verdict: Verdict) -> Outgoing | None:
        """Read a message; return the answer where nothing can be ordered in it."""
        if not verdict.trusted:
            wrong = verdict.status in _VERSIONS
            return (self._refuse if wrong else self._challenge)(message, verdict)
        if not self._known:
            self._known = True
            self._prover.follow(self._guard.scheme)
            self._events.append(Authenticated())
        self._move(ServerStep.TRUSTED)
        if self._prove(message, verdict) or not self._replies.sent:
            self._read(message)
            return None
        self._replies.take_back()
        return self._make(message.header, verdict, own=True)

    def _refuse(self, message: Message, verdict: Verdict) -> Outgoing:
        answer = self._answer_none(message, verdict)
        self._end(End.BROKEN, "omadm.session.version", "the device speaks another version")
        return answer

    def _challenge(self, message: Message, verdict: Verdict) -> Outgoing:
        self._events.append(AuthenticationFailed(verdict.status))
        self._prove(message, verdict)
        answer = self._answer_none(message, verdict)
        if verdict.last:
            self._end(End.REFUSED, "omadm.auth.failed", "the device proves nothing")
        return answer

    def _answer_none(self, message: Message, verdict: Verdict) -> Outgoing:
        """Answer a message with Status only, for every command the same."""
        for status in refused(message, verdict.status):
            self._outbox.answer(status)
        return self._make(message.header, verdict, own=False, alone=True)

    def _prove(self, message: Message, verdict: Verdict) -> bool:
        """Read the Status of one's own header; tell whether the device takes the proof."""
        if not self._replies.msg_id:
            return True
        status = answer_to(message, self._replies.msg_id)
        return self._prover.take(status, trusted=verdict.trusted)

    def _read(self, message: Message) -> None:
        self._aborted = False
        for command in message.commands:
            if isinstance(command, StatusReport):
                self._intake.status(command)
            else:
                self._intake.command(message.header.msg_id, command)
                abort = isinstance(command, Alert) and command.data == AlertCode.SESSION_ABORT
                self._aborted |= abort
        if message.final and not self._replies.middle:
            self._events.extend(self._orders.finish())

    # What goes to the device.

    def _reply(self, message: Message, verdict: Verdict) -> Outgoing:
        if self._aborted or self._aborting:
            return self._abort(message, verdict, by_device=self._aborted)
        own = message.final or self._replies.middle
        if not own:
            self._outbox.answer(Alert(0, AlertCode.NEXT_MESSAGE))
        elif not self._replies.middle:
            self._next_package()
        return self._make(message.header, verdict, own=own)

    def _next_package(self) -> None:
        """Let go out what was ordered, or what brings a nonce if that is due."""
        while self._queue:
            order = self._queue.popleft()
            if not self._replies.order(order):
                self._events.append(OrderDone(order.id, Status.ENTITY_TOO_LARGE))
        self._replies.ask_for_nonce()

    def _abort(self, message: Message, verdict: Verdict, *, by_device: bool) -> Outgoing:
        if not by_device:
            self._outbox.answer(Alert(0, AlertCode.SESSION_ABORT))
        answer = self._make(message.header, verdict, own=False, alone=True)
        who = "the device" if by_device else "this server"
        self._end(End.ABORTED, message=f"{who} has aborted the session")
        return answer

    def _goodbye(self, message: Message, verdict: Verdict) -> Outgoing:
        """Answer a device that has broken the protocol: its header's status, and the end."""
        self._outbox.answers.clear()
        self._outbox.room = None  # a device that leaves no room for this gets it all the same
        status = verdict if not verdict.trusted else Verdict(Status.COMMAND_FAILED)
        self._outbox.answer(Alert(0, AlertCode.SESSION_ABORT))
        return self._make(message.header, status, own=False, alone=True)

    def _make(
        self, answered: Header, verdict: Verdict, *, own: bool, alone: bool = False
    ) -> Outgoing:
        outgoing = self._replies.make(answered, verdict, own=own, alone=alone)
        self._keep_nonces()
        if self._replies.ended:
            self._end(End.DONE)
        return outgoing

    def _keep_nonces(self) -> None:
        account, client, server = self._account, self._guard.nonce, self._prover.nonce
        if (client, server) != (account.client_nonce, account.server_nonce):
            self._account = replace(account, client_nonce=client, server_nonce=server)
            self._events.append(NonceChanged(self._account))

    def _end(self, end: End, code: str | None = None, message: str = "") -> None:
        if self.closed:  # between a message and the answer to it, by the timer
            return
        self._move(ServerStep.ENDED)
        self._deadline = None
        waiting = dict.fromkeys(
            [entry.order for entry in self._outbox.commands if entry.order]
            + [order.id for order in self._queue]
        )
        begun = self._orders.finish(waiting)
        self._intake.close()
        known = {done.id for done in begun}
        never = [OrderDone(order, NO_ANSWER, sent=False) for order in waiting if order not in known]
        self._events.extend([*begun, *never])
        self._outbox.commands.clear()
        self._queue.clear()
        self._events.append(SessionEnded(end, code, message))

    def _move(self, step: ServerStep) -> None:
        self._state = SERVER.after(self._state, step)
