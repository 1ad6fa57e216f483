"""The device's side of SSMP 1: from a factory identity to live accounts, and renewal.

Every request is made from a state that is on disk: whoever runs the machine commits the state of
each ``Moved`` before the next request goes out. A device that loses power therefore repeats its
last request octet for octet, or has already the answer, and never opens a second exchange.
"""

from __future__ import annotations

import hashlib
from collections import deque
from dataclasses import dataclass, field, replace
from enum import IntEnum
from typing import TYPE_CHECKING, Final, Self

from openami.core.backoff import backoff
from openami.core.errors import LocalProtocolError, RemoteProtocolError, SecurityError
from openami.crypto.certificates import load_certificate, uid_of
from openami.crypto.requests import read_request
from openami.crypto.succession import following
from openami.ssmp.messages import (
    EXCHANGE,
    MAX_CERTIFICATE,
    MAX_CHAIN,
    MAX_MESSAGE,
    MAX_REQUEST,
    Acknowledge,
    Approved,
    Bootstrap,
    Confirmed,
    Fetch,
    Pending,
    Reason,
    Refused,
    Register,
    Renew,
    Renewed,
    decode,
    encode,
)
from openami.wire.reader import Reader
from openami.wire.writer import Writer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from openami.ssmp.bootstrap import BootstrapBlock
    from openami.ssmp.messages import Answer, DeviceInfo, Request

FIRST_RETRY_S: Final = 30.0  # after a failure: a router that restarts is back by then
LAST_RETRY_S: Final = 3600.0  # a device that failed for hours still asks every hour

_VERSION: Final = 1


class Step(IntEnum):
    """What a device asks next; nothing when live."""

    REGISTERING = 1
    FETCHING = 2
    ACKNOWLEDGING = 3
    LIVE = 4
    RENEWING = 5


_S = Step

# A step is left only by the answer that it waits for. A refusal sends the device back to where
# asking again can help; it keeps its exchange, so that the server knows it for the same one. Where
# a device acknowledged already, the server may have made the account live: only the answer that
# there is no such offer any more lets it throw its block away.
TRANSITIONS: Final[Mapping[tuple[Step, type[Answer]], Step]] = {
    (_S.REGISTERING, Approved): _S.FETCHING,
    (_S.REGISTERING, Pending): _S.REGISTERING,
    (_S.REGISTERING, Refused): _S.REGISTERING,
    (_S.FETCHING, Bootstrap): _S.ACKNOWLEDGING,
    (_S.FETCHING, Refused): _S.REGISTERING,
    (_S.ACKNOWLEDGING, Confirmed): _S.LIVE,
    (_S.ACKNOWLEDGING, Refused): _S.ACKNOWLEDGING,
    (_S.RENEWING, Renewed): _S.LIVE,
    (_S.RENEWING, Refused): _S.RENEWING,
}

_REGISTERED: Final = frozenset({Step.LIVE, Step.RENEWING})
_NO_SUCH_OFFER: Final = frozenset({Reason.EXPIRED, Reason.UNKNOWN, Reason.STALE, Reason.SPENT})


@dataclass(frozen=True, slots=True)
class ClientState:
    """All that a device must keep of a registration.

    Args:
        step: what comes next.
        exchange: names this registration, or this renewal.
        request: the certificate request; its private key stays with the security module.
        grant: what was granted; a device that registers anew proves by it who it was.
        bootstrap: the whole message that was fetched, with its passwords.
        chain: the operational certificate and its authorities (DER), once the device is live.
    """

    step: Step
    exchange: bytes
    request: bytes = field(repr=False)
    grant: bytes = field(default=b"", repr=False)
    bootstrap: bytes = field(default=b"", repr=False)
    chain: tuple[bytes, ...] = field(default=(), repr=False)

    @property
    def block(self) -> BootstrapBlock | None:
        """The accounts that were fetched, until ``forget``; not to be used before LIVE."""
        message = decode(self.bootstrap) if self.bootstrap else None
        return message.block if isinstance(message, Bootstrap) else None

    @property
    def anew(self) -> bool:
        """Whether this is a registration after one that was live, whose accounts still stand."""
        return bool(self.chain) and self.step not in _REGISTERED

    @property
    def may_stay(self) -> bool:
        """Whether it has only asked to register anew, and was granted nothing yet."""
        asked = self.anew and self.step is Step.REGISTERING
        return asked and self.exchange == following(self.grant)

    @property
    def digest(self) -> bytes:
        """The SHA-256 of what was fetched."""
        return hashlib.sha256(self.bootstrap).digest()

    def encode(self) -> bytes:
        """Return the octets to keep; they hold passwords."""
        writer = Writer().u8(_VERSION).u8(self.step).raw(self.exchange)
        for octets in (self.request, self.grant, self.bootstrap):
            writer.octets(octets)
        writer.u8(len(self.chain))
        for der in self.chain:
            writer.octets(der)
        return writer.bytes()

    @classmethod
    def decode(cls, octets: bytes) -> Self:
        """Read what ``encode`` returned.

        Raises:
            DecodeError: it is something else.
        """
        reader = Reader(octets)
        reader.expect(_VERSION, "version of the kept state")
        step = reader.u8()
        if step not in Step.__members__.values():
            raise reader.error("a step wanted")
        exchange = reader.take(EXCHANGE)
        kept = [_octets(reader, most) for most in (MAX_REQUEST, EXCHANGE, MAX_MESSAGE)]
        count = reader.u8()
        if count > MAX_CHAIN:
            raise reader.error(f"at most {MAX_CHAIN} certificates wanted")
        chain = tuple(_octets(reader, MAX_CERTIFICATE) for _ in range(count))
        reader.finish()
        return cls(Step(step), exchange, kept[0], kept[1], kept[2], chain)


def begin(exchange: bytes, request: bytes) -> ClientState:
    """Return where a registration starts.

    Args:
        exchange: 16 octets of chance.
        request: the certificate request of a key made for this registration.

    The caller commits the state before the first request goes out.

    Raises:
        LocalProtocolError: the exchange has another size.
    """
    return ClientState(Step.REGISTERING, _sized(exchange), request)


@dataclass(frozen=True, slots=True)
class Moved:
    """The state is another: commit it before the next request."""

    state: ClientState


@dataclass(frozen=True, slots=True)
class Waiting:
    """Nothing to do until ``until``; ``reason`` is None where a person decides."""

    until: float
    reason: Reason | None


Event = Moved | Waiting


class Client:
    """Asks, and takes answers.

    Args:
        state: as it is on disk.
        uid: the device, as its factory certificate names it.
        info: what the device says of itself.
        wake_at: not to ask before; devices that all had a power cut start at different times.
    """

    def __init__(
        self, state: ClientState, *, uid: str, info: DeviceInfo, wake_at: float = 0.0
    ) -> None:
        self._state = state
        self.uid = uid
        self.info = info
        self._wake_at = wake_at
        self._failures = 0
        self._events: deque[Event] = deque()

    @property
    def state(self) -> ClientState:
        return self._state

    def next_event(self) -> Event | None:
        return self._events.popleft() if self._events else None

    def next_timer(self) -> float | None:
        """Return when the next request is due; None when live."""
        return None if self._state.step is Step.LIVE else self._wake_at

    def next_request(self, now: float) -> bytes | None:
        """Return what to send; None when it is too early or nothing is to be asked.

        Raises:
            LocalProtocolError: an event has not been taken: its state may not be on disk.
        """
        if self._events:
            raise LocalProtocolError("take and commit every event before the next request")
        make = _REQUESTS.get(self._state.step)
        if make is None or now < self._wake_at:
            return None
        return encode(make(self, self._state))

    def receive(self, octets: bytes, *, now: float) -> None:
        """Take the answer to the last request.

        Raises:
            DecodeError: it is no message.
            RemoteProtocolError: it is an answer to something else (``ssmp.unexpected``).
            SecurityError: the certificate is not for our key (``ssmp.certificate``).
                After each of them the state is as it was; call ``failed``.
        """
        answer = decode(octets)
        if not isinstance(answer, _ANSWERS) or answer.exchange != self._state.exchange:
            raise RemoteProtocolError("not an answer to this exchange", code="ssmp.unexpected")
        step = TRANSITIONS.get((self._state.step, type(answer)))
        if step is None:
            raise RemoteProtocolError("an answer out of turn", code="ssmp.unexpected")
        state = self._take(answer, replace(self._state, step=step), octets)
        self._failures, self._wake_at = 0, now
        if isinstance(answer, Pending | Refused):
            self._wake_at = now + answer.retry
            reason = answer.reason if isinstance(answer, Refused) else None
            self._events.append(Waiting(self._wake_at, reason))
        self._move(state)

    def failed(self, *, now: float, jitter: float) -> None:
        """Take that a request failed: it is repeated later, and later each time.

        Args:
            now: UTC seconds.
            jitter: chance between 0 and 1, so that devices do not ask in step.
        """
        self._failures += 1
        self._wake_at = now + backoff(
            self._failures, first=FIRST_RETRY_S, most=LAST_RETRY_S, jitter=jitter
        )

    def renew(self, exchange: bytes, request: bytes) -> None:
        """Begin to renew the certificate, with the request of a new key.

        Raises:
            LocalProtocolError: the device is not live.
        """
        if self._state.step is not Step.LIVE:
            raise LocalProtocolError("only a live device renews its certificate")
        self._wake_at = 0.0
        self._move(
            replace(self._state, step=Step.RENEWING, exchange=_sized(exchange), request=request)
        )

    def anew(self, request: bytes) -> None:
        """Begin to register anew, with the request of a new key.

        The certificate that there was stays what it is until the new one is live.

        Raises:
            LocalProtocolError: the device is not registered, or cannot show that it was.
        """
        state = self._state
        if state.step not in _REGISTERED or not state.grant or not state.chain:
            raise LocalProtocolError("only a device that was registered registers anew")
        self._wake_at = 0.0
        exchange = following(state.grant)
        self._move(
            replace(state, step=Step.REGISTERING, exchange=exchange, request=request, bootstrap=b"")
        )

    def stay(self) -> None:
        """Give up registering anew: what there was is good.

        Raises:
            LocalProtocolError: it was granted something in the new exchange, or there is none.
        """
        if not self._state.may_stay:
            raise LocalProtocolError("only a device that was not let in again stays what it was")
        self._move(replace(self._state, step=Step.LIVE))

    def forget(self) -> None:
        """Forget the block, once its accounts are where they belong."""
        if self._state.step not in _REGISTERED:
            raise LocalProtocolError("the block is still needed")
        self._move(replace(self._state, bootstrap=b""))

    def _move(self, state: ClientState) -> None:
        if state != self._state:
            self._state = state
            self._events.append(Moved(state))

    def _take(self, answer: Answer, state: ClientState, octets: bytes) -> ClientState:
        if isinstance(answer, Approved):
            return replace(state, grant=answer.grant)
        if isinstance(answer, Bootstrap):
            self._check_grant(answer.grant)
            self._check_chain(answer.chain)
            return replace(state, bootstrap=octets)
        if isinstance(answer, Confirmed):
            return self._confirmed(answer, state)
        if isinstance(answer, Renewed):
            self._check_chain(answer.chain)
            return replace(state, chain=answer.chain)
        if isinstance(answer, Refused):
            return _refused(answer, state)
        return state

    def _confirmed(self, answer: Confirmed, state: ClientState) -> ClientState:
        message = decode(state.bootstrap)
        if answer.digest != state.digest or not isinstance(message, Bootstrap):
            raise RemoteProtocolError("another block is live", code="ssmp.unexpected")
        return replace(state, chain=message.chain)

    def _check_grant(self, grant: bytes) -> None:
        if grant != self._state.grant:
            raise RemoteProtocolError("not what was granted", code="ssmp.unexpected")

    def _check_chain(self, chain: tuple[bytes, ...]) -> None:
        """Refuse a certificate that is not ours: the device could never connect with it."""
        leaf = load_certificate(chain[0])
        _, key = read_request(self._state.request)
        if leaf.public_key() != key or uid_of(leaf.subject) != self.uid:
            raise SecurityError("a certificate for another", code="ssmp.certificate")


_ANSWERS: Final = (Approved, Pending, Refused, Bootstrap, Confirmed, Renewed)

_REQUESTS: Final[Mapping[Step, Callable[[Client, ClientState], Request]]] = {
    Step.REGISTERING: lambda client, state: Register(
        state.exchange, client.uid, client.info, state.request
    ),
    Step.FETCHING: lambda _, state: Fetch(state.exchange, state.grant),
    Step.ACKNOWLEDGING: lambda _, state: Acknowledge(state.exchange, state.grant, state.digest),
    Step.RENEWING: lambda _, state: Renew(state.exchange, state.request),
}


def _refused(answer: Refused, state: ClientState) -> ClientState:
    if state.step is Step.ACKNOWLEDGING and answer.reason in _NO_SUCH_OFFER:
        state = replace(state, step=Step.REGISTERING)
    if state.step is Step.REGISTERING:
        # Who registers anew keeps the grant of before: it may have to prove that once more.
        return replace(state, grant=state.grant if state.anew else b"", bootstrap=b"")
    return state


def _octets(reader: Reader, most: int) -> bytes:
    size = reader.length()
    if size > most:
        raise reader.error(f"at most {most} octets wanted")
    return reader.take(size)


def _sized(exchange: bytes) -> bytes:
    if len(exchange) != EXCHANGE:
        raise LocalProtocolError("an exchange has 16 octets")
    return exchange
