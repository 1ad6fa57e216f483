"""A device's end of a session (OMA-TS-DM_Protocol 1.2, clause 8).

The client asks, the server answers: package 1 opens, and every answer is read before the next
message is made. A client that would have nothing to send but the Status of the header sends
nothing, and the session is over. The states are those of ``states.CLIENT``.
"""

from __future__ import annotations

import hashlib
from collections import deque
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Final

from openami.core.errors import LocalProtocolError, RemoteProtocolError, SecurityError
from openami.omadm.codes import AlertCode, Status
from openami.omadm.limits import DEFAULT_LIMITS
from openami.omadm.messages.codec import decode_message
from openami.omadm.messages.media import MediaType
from openami.omadm.messages.model import (
    Alert,
    Command,
    Header,
    Item,
    Location,
    Message,
    Meta,
    Replace,
    StatusReport,
)
from openami.omadm.session.events import (
    Authenticated,
    AuthenticationFailed,
    End,
    Event,
    NonceChanged,
    Outgoing,
    SessionEnded,
)
from openami.omadm.session.numbering import (
    answer_to,
    header_status,
    items_of,
    name_of,
    refused,
    status_of,
)
from openami.omadm.session.objects import Assembly
from openami.omadm.session.outbox import Outbox, Sent
from openami.omadm.session.perform import Gate, Performer, unattended
from openami.omadm.session.states import CLIENT, ClientState, ClientStep
from openami.omadm.session.trust import Guard, Nonces, Prover, Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from openami.omadm.session.account import Account
    from openami.omadm.session.perform import User

MAX_MESSAGES: Final = 10_000
"""Messages of one session: a dozen of the largest objects (1 MiB) in chunks of 2 KiB, and room. A
server that never comes to an end would keep a device from everything else."""
ATTEMPTS: Final = 3
"""How often a message is sent before the server counts as gone."""


@dataclass(frozen=True, slots=True)
class ClientConfig:
    """What a device says of itself, and how it speaks.

    Attributes:
        device: its DevId, a URN: the Source of its messages.
        server_uri: the server's address: their Target.
        dev_info: every node of DevInfo, as ``objects.device.device_info`` gives them: in package 1
            its address is the Source, and Meta says what the value is (OMA-TS-DM_Protocol 1.2,
            the example of package 1).
        content_type: the encoding.
        max_msg_size: octets of a message that it takes.
        max_obj_size: octets of an object that it takes in parts.
        answer_timeout: seconds until a message is sent again.
    """

    device: str
    server_uri: str
    dev_info: tuple[Item, ...]
    content_type: str = MediaType.WBXML
    max_msg_size: int = 65_536
    max_obj_size: int = 2**20
    answer_timeout: float = 30.0


class ClientSession:
    """One session of a device with one server.

    Args:
        account: of the server.
        config: of the device.
        gate: the management tree as this server may use it.
        session_id: the notification's; else one that the device has not used lately.
        nonces: gives a fresh nonce.
        notified: the server has asked for this session (Alert 1200), or else not (1201).
        alerts: what the device has to say, generic alerts as a rule.
        user: answers the alerts 1100 to 1104.
    """

    def __init__(
        self,
        account: Account,
        config: ClientConfig,
        gate: Gate,
        *,
        session_id: int,
        nonces: Nonces,
        notified: bool = False,
        alerts: tuple[Alert, ...] = (),
        user: User = unattended,
    ) -> None:
        self._account = account
        self._config = config
        self._media = MediaType.of(config.content_type)
        self._limits = replace(DEFAULT_LIMITS, octets=config.max_msg_size)
        self._session_id = f"{session_id:X}"
        self._prover = Prover(account.client, account.policy, account.client_nonce)
        self._guard = Guard(account.server, account.policy, account.server_nonce, nonces)
        self._assembly = Assembly(config.max_obj_size)
        self._events: deque[Event] = deque()
        self._performer = Performer(gate, user, self._assembly, self._events.append)
        self._outbox = Outbox(self._media)
        opening = AlertCode.SERVER_INITIATED if notified else AlertCode.CLIENT_INITIATED
        package: tuple[Command, ...] = (Alert(0, opening), *alerts, Replace(0, config.dev_info))
        for command in package:
            self._outbox.add(command)
        self._state = ClientState.IDLE
        self._opened = False
        self._known = False
        self._own = True
        self._middle = False
        self._aborting = False
        self._aborted = False
        self._largest: int | None = None
        self._last_sent: tuple[Sent, ...] = ()
        self._msg_id = 0
        self._peer_msg_id = 0
        self._peer_digest = b""
        self._outgoing: Outgoing | None = None
        self._attempts = 0
        self._deadline: float | None = None
        self.address = config.server_uri

    @property
    def closed(self) -> bool:
        """Nothing more will be sent."""
        return self._state is ClientState.CLOSED

    def next_event(self) -> Event | None:
        """Return what has happened; to be asked before every ``next_outgoing``."""
        return self._events.popleft() if self._events else None

    def next_timer(self) -> float | None:
        """Return when ``handle_timer`` has to be called."""
        return self._deadline

    def start(self, now: float) -> Outgoing:
        """Return the first message: package 1.

        Raises:
            LocalProtocolError: the session has started.
        """
        if self._state is not ClientState.IDLE:
            raise LocalProtocolError("a session starts once")
        outgoing = self._make(None, now)
        self._move(ClientStep.SENT)
        return outgoing

    def next_outgoing(self) -> Outgoing | None:
        """Return the message to be sent to ``address``; None: there is none (now, or any more)."""
        if self._state is not ClientState.READY:
            return None
        self._move(ClientStep.SENT)
        return self._outgoing

    def say(self, alert: Alert) -> None:
        """Let an alert go out with the next package of this session."""
        self._outbox.add(alert)

    def abort(self) -> None:
        """End the session: the next message says so (Alert 1223), and nothing else."""
        self._aborting = True

    def handle_timer(self, now: float) -> None:
        """Send again what was not answered; after ``ATTEMPTS``, give up."""
        if self._deadline is None or now < self._deadline:
            return
        if self._attempts >= ATTEMPTS:
            self._end(End.TIMEOUT, message="the server does not answer")
            return
        self._attempts += 1
        self._deadline = now + self._config.answer_timeout
        if self._state is ClientState.AWAITING:
            self._move(ClientStep.MADE)

    def receive(self, body: bytes, content_type: str, hmac: str | None, now: float) -> None:
        """Take the server's answer.

        Nothing is raised for what the server has done: the session ends, and an event says why.
        An answer that was taken already changes nothing.
        """
        if self._state is ClientState.READY and self._attempts > 1:
            self._move(ClientStep.SENT)  # a late answer, while the message waits to go out again
        if self._state is not ClientState.AWAITING:
            if hashlib.sha256(body).digest() == self._peer_digest or self.closed:
                return
            raise LocalProtocolError("an answer to a message that was not sent")
        try:
            self._take(decode_message(body, content_type, limits=self._limits), body, hmac, now)
        except SecurityError as error:
            self._end(End.REFUSED, error.code, error.message)
        except RemoteProtocolError as error:
            self._end(End.BROKEN, error.code, error.message)

    # What the server has sent.

    def _take(self, message: Message, body: bytes, hmac: str | None, now: float) -> None:
        digest = hashlib.sha256(body).digest()
        if digest == self._peer_digest and self._peer_msg_id:
            return  # a copy of the last answer, on the way twice
        self._check_header(message.header)
        self._peer_digest = digest
        verdict = self._guard.check(message.header.cred, body, hmac)
        answer = answer_to(message, self._msg_id)
        if not self._prover.take(answer, trusted=verdict.trusted):
            self._open_again(message, verdict, now)
            return
        if not verdict.trusted:
            self._challenge(message, verdict, now)
            return
        if not self._known:
            self._known = True
            self._events.append(Authenticated())
        if message.header.resp_uri:
            self.address = message.header.resp_uri
        self._read(message, verdict, now)

    def _check_header(self, header: Header) -> None:
        if header.ver_proto != "DM/1.2" or header.ver_dtd != "1.2":
            raise RemoteProtocolError("not DM 1.2", code="omadm.session.version")
        if header.session_id != self._session_id:
            raise RemoteProtocolError("another session", code="omadm.session.id")
        if header.msg_id != self._peer_msg_id + 1:
            raise RemoteProtocolError(
                f"message {self._peer_msg_id + 1} wanted, {header.msg_id} found",
                code="omadm.session.order",
            )
        if header.msg_id > MAX_MESSAGES:
            raise RemoteProtocolError("the session does not end", code="omadm.session.endless")
        self._peer_msg_id = header.msg_id
        if header.meta and header.meta.max_msg_size:
            self._outbox.room = header.meta.max_msg_size
        if header.meta and header.meta.max_obj_size:
            self._largest = header.meta.max_obj_size

    def _open_again(self, message: Message, verdict: Verdict, now: float) -> None:
        """Send package 1 again, with what the server has asked for."""
        if self._opened:
            raise SecurityError("refused in the middle of a session", code="omadm.auth.refused")
        if not verdict.trusted:
            self._distrust(verdict)
        self._outbox.put_back(self._last_sent)
        self._make((message.header, verdict), now)

    def _distrust(self, verdict: Verdict) -> None:
        self._events.append(AuthenticationFailed(verdict.status))
        # A server that was trusted once has all that it needs for the next proof.
        if verdict.last or self._known:
            raise SecurityError("the server proves nothing", code="omadm.auth.failed")

    def _challenge(self, message: Message, verdict: Verdict, now: float) -> None:
        """Ask the server for a proof: its commands are not looked at."""
        self._opened = True
        self._distrust(verdict)
        answers = list(refused(message, verdict.status))
        if not answers:
            raise SecurityError("the server proves nothing", code="omadm.auth.failed")
        for answer in answers:
            self._outbox.answer(answer)
        self._own = False
        self._make((message.header, verdict), now, alone=True)

    def _read(self, message: Message, verdict: Verdict, now: float) -> None:
        self._opened = True
        if self._aborting:
            self._abort((message.header, verdict), now)
            return
        for command in message.commands:
            if isinstance(command, StatusReport):
                self._read_status(command)
            elif isinstance(command, Alert) and command.data == AlertCode.SESSION_ABORT:
                self._end(End.ABORTED, message="the server has aborted the session")
                return
            else:
                self._read_command(message.header, verdict, command)
        self._own = message.final or self._middle
        if not self._own:
            self._outbox.answer(Alert(0, AlertCode.NEXT_MESSAGE))
        if not self._outbox.answers and not self._outbox.commands:
            self._keep_nonces(self._account.server_nonce)  # the server never hears of a newer one
            self._end(End.DONE)
            return
        self._make((message.header, verdict), now)

    def _abort(self, answered: tuple[Header, Verdict], now: float) -> None:
        if self._aborted:
            self._end(End.ABORTED, message="aborted by this device")
            return
        self._aborted = True
        self._outbox.commands.clear()
        self._outbox.answer(Alert(0, AlertCode.SESSION_ABORT))
        self._make(answered, now, alone=True)

    def _read_status(self, status: StatusReport) -> None:
        if status.cmd == "Results" and status.data >= Status.BAD_REQUEST:
            self._outbox.drop_rest()

    def _read_command(self, header: Header, verdict: Verdict, command: Command) -> None:
        msg_id, answer = header.msg_id, self._outbox.answer
        if isinstance(command, Alert) and command.data in _LINK_ALERTS:
            if command.data == AlertCode.NO_END_OF_DATA:
                self._outbox.drop_rest()
            answer(status_of(msg_id, command, Status.OK))
            return
        items = items_of(command)
        broken = self._assembly.interrupted_by(name_of(command), items[0] if items else None)
        if broken is not None:
            answer(Alert(0, AlertCode.NO_END_OF_DATA, (broken,)))
        fits = partial(self._fits, header, verdict)
        runs, results = self._performer.run(msg_id, command, self._largest, fits)
        for run in runs:
            answer(*run)
        for result in results:
            self._outbox.add(result)

    def _fits(self, header: Header, verdict: Verdict, answers: Sequence[StatusReport]) -> bool:
        first = header_status(header, verdict.status, verdict.chal)
        return self._outbox.fits(self._header(), first, answers)

    # What goes to the server.

    def _make(
        self, answered: tuple[Header, Verdict] | None, now: float, *, alone: bool = False
    ) -> Outgoing:
        self._msg_id += 1
        first = None
        if answered is not None:
            header, verdict = answered
            first = header_status(header, verdict.status, verdict.chal)
        packed = self._outbox.pack(self._header(), first, own=self._own, alone=alone)
        if packed.dropped:
            raise RemoteProtocolError(
                "MaxMsgSize has no room for a command", code="omadm.session.max-msg-size"
            )
        self._last_sent = packed.sent
        self._middle = self._own and not packed.final
        hmac = self._prover.hmac(packed.body)
        self._outgoing = outgoing = Outgoing(packed.body, self._media, hmac)
        self._keep_nonces(self._guard.nonce)
        self._attempts = 1
        self._deadline = now + self._config.answer_timeout
        self._move(ClientStep.MADE)
        return outgoing

    def _header(self) -> Header:
        config = self._config
        return Header(
            self._session_id,
            self._msg_id,
            Location(self.address),
            Location(config.device, self._prover.name),
            cred=self._prover.cred(),
            meta=Meta(max_msg_size=config.max_msg_size, max_obj_size=config.max_obj_size),
        )

    def _keep_nonces(self, server_nonce: bytes) -> None:
        account = replace(self._account, client_nonce=self._prover.nonce, server_nonce=server_nonce)
        if account != self._account:
            self._account = account
            self._events.append(NonceChanged(account))

    def _end(self, end: End, code: str | None = None, message: str = "") -> None:
        self._move(ClientStep.ENDED)
        self._deadline = None
        self._events.append(SessionEnded(end, code, message))

    def _move(self, step: ClientStep) -> None:
        self._state = CLIENT.after(self._state, step)


_LINK_ALERTS: Final = frozenset({AlertCode.NEXT_MESSAGE, AlertCode.NO_END_OF_DATA})
