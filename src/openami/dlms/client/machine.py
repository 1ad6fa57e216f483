"""The client: link, association and requests, one after another."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from openami.core.errors import (
    DecodeError,
    LocalProtocolError,
    ProtocolError,
    SecurityError,
    StoreError,
)
from openami.dlms.apdu import decode_apdu
from openami.dlms.apdu.common import Tag, invoke_octet
from openami.dlms.apdu.exception import ExceptionResponse, ServiceError
from openami.dlms.apdu.notification import DataNotification, EventNotification
from openami.dlms.association import MAX_APDU
from openami.dlms.client.blocks import Terms, TooLongError
from openami.dlms.client.events import (
    Agreement,
    Answered,
    Closed,
    Failed,
    Notified,
    Opened,
    Progress,
)
from openami.dlms.client.exchange import exchange
from openami.dlms.client.opening import Opening, RefusedError, exception_text
from openami.dlms.client.state import TRANSITIONS, State, Step
from openami.dlms.link import ApduReceived, LinkDown, LinkUp

if TYPE_CHECKING:
    from collections.abc import Callable

    from openami.dlms.client.blocks import Exchange
    from openami.dlms.client.config import ClientConfig
    from openami.dlms.client.events import ClientEvent
    from openami.dlms.client.requests import Request
    from openami.dlms.cosem.security import InvocationCounters
    from openami.dlms.link import ClientLink, LinkEvent


_AWAITING: Final = frozenset({State.ASSOCIATING, State.PROVING, State.REQUESTING, State.RELEASING})
_OPEN: Final = frozenset({State.READY, State.REQUESTING})
_NOTIFICATIONS: Final = frozenset({Tag.DATA_NOTIFICATION, Tag.EVENT_NOTIFICATION})
_ERRORS: Final = tuple(
    bytes((tag,)) for tag in (Tag.EXCEPTION_RESPONSE, Tag.CONFIRMED_SERVICE_ERROR)
)
# After these the meter and we no longer agree on keys or counters.
_FATAL: Final = frozenset({ServiceError.DECIPHERING_ERROR, ServiceError.INVOCATION_COUNTER_ERROR})


class DlmsClient:
    """One client of one logical device.

    A ``Machine[ClientEvent]``: see ``openami.dlms.link`` for the caller's loop. ``open`` is
    followed by ``Opened`` or ``Closed``, ``request`` by ``Answered``, ``Failed`` or ``Closed`` (and
    by ``Progress`` before, for every block), ``close`` by ``Closed``. Whatever the meter sends, it
    never raises.

    Args:
        link: an ``HdlcClientLink``, a ``WrapperClientLink`` or any other ``ClientLink``.
        config: how to associate.
        random_octets: returns that many octets from a cryptographic source: challenges and
            dedicated keys.
        counters: keeps invocation counters over runs; by default they begin as ``config`` says.
        notify: is told at once of what the meter sends of its own accord; without it that is an
            event among the others.
    """

    def __init__(
        self,
        link: ClientLink,
        config: ClientConfig,
        *,
        random_octets: Callable[[int], bytes],
        counters: InvocationCounters | None = None,
        notify: Callable[[Notified], None] | None = None,
    ) -> None:
        self.config = config
        self._link = link
        self._opening = Opening(config, random_octets, counters)
        self._state = State.IDLE
        self._events: deque[ClientEvent] = deque()
        self._notify = notify or self._events.append
        self._agreement: Agreement | None = None
        self._request: Request | None = None
        self._exchange: Exchange | None = None
        self._invoke_id = 0
        self._deadline: float | None = None
        self._reason = Closed("closed")
        self._link_limit = 0

    # -- commands --------------------------------------------------------------------------

    @property
    def state(self) -> State:
        return self._state

    @property
    def ready(self) -> bool:
        """Whether ``request`` may be called."""
        return self._state is State.READY

    @property
    def agreement(self) -> Agreement | None:
        """What the meter agreed to, once opened."""
        return self._agreement

    @property
    def invocation_counter(self) -> int:
        """The next of our own counters: to begin with the next time."""
        return self._opening.next_counter

    def open(self, *, now: float) -> None:
        """Set link and association up.

        Raises:
            LocalProtocolError: it was opened before.
        """
        self._step(Step.OPEN)
        self._await(now)
        self._link.connect(now=now)
        self._pump(now)

    def request(self, request: Request, *, now: float) -> None:
        """Ask for something.

        Raises:
            LocalProtocolError: the association does not stand, another request is under way, or a
                value to be written is none of its type.
        """
        if self._state is not State.READY or self._agreement is None:
            raise LocalProtocolError(f"cannot request while {self._state.name.lower()}")
        terms = Terms(
            self._agreement.conformance,
            self._room(),
            self.config.max_answer,
            self._next_invoke_id,
            lambda octets: self._events.append(Progress(octets)),
        )
        self._request, self._exchange = request, exchange(request, terms)
        try:
            first = next(self._exchange)
        except TooLongError as error:
            self._events.append(Failed(request, error.code, error.message))
            return
        except StopIteration as done:  # a list of nothing
            self._events.append(Answered(request, done.value))
            return
        self._step(Step.REQUEST)
        self._guarded(lambda: self._send(first, now), now)
        self._pump(now)

    def close(self, *, now: float) -> None:
        """End the association and the link; does nothing if that is under way or done."""
        if self._state is State.READY and self.config.release:
            self._step(Step.RELEASE)
            self._transmit(self._opening.release(), now)
            self._pump(now)
        elif self._state is State.IDLE:
            self._finish()
        else:
            self._disconnect(Closed("closed"), now)

    # -- the machine -----------------------------------------------------------------------

    def receive_data(self, data: bytes, *, now: float) -> None:
        self._link.receive_data(data, now=now)
        self._pump(now)

    def receive_eof(self, *, now: float) -> None:
        self._link.receive_eof(now=now)
        self._pump(now)

    def data_to_send(self) -> tuple[bytes, ...]:
        return self._link.data_to_send()

    def next_event(self) -> ClientEvent | None:
        return self._events.popleft() if self._events else None

    def next_timer(self) -> float | None:
        timers = [t for t in (self._link.next_timer(), self._deadline) if t is not None]
        return min(timers, default=None)

    def handle_timer(self, *, now: float) -> None:
        self._link.handle_timer(now=now)
        self._pump(now)
        if self._deadline is not None and now >= self._deadline:
            self._timed_out(now)

    def _timed_out(self, now: float) -> None:
        released = self._state is State.RELEASING  # a meter need not answer that
        reason = Closed("closed") if released else Closed("timeout", "the meter did not answer")
        self._disconnect(reason, now)

    def _pump(self, now: float) -> None:
        while self._state is not State.CLOSED and (event := self._link.next_event()) is not None:
            self._link_event(event, now)

    def _link_event(self, event: LinkEvent, now: float) -> None:
        match event:
            case LinkUp(limit) if self._state is State.CONNECTING:
                self._link_limit = limit
                self._step(Step.LINK)
                self._guarded(lambda: self._transmit(self._opening.aarq(limit), now), now)
            case ApduReceived(apdu):
                self._received(apdu, now)
            case LinkDown(code, message):
                if self._state not in (State.DISCONNECTING, State.RELEASING):
                    self._reason = Closed(f"link.{code}", message)
                self._finish()
            case _:
                self._disconnect(Closed("protocol", "the link came up twice"), now)

    # -- one APDU --------------------------------------------------------------------------

    def _received(self, octets: bytes, now: float) -> None:
        if octets[:1] and octets[0] in _NOTIFICATIONS:
            self._notified(octets)
            return
        if self.config.pushes and octets[:1] and octets[0] == Tag.GENERAL_GLO_CIPHERING:
            if self._state in _OPEN:  # before, the meter has not shown that it is the meter
                self._notified(octets)
            return
        if self._state not in _AWAITING:
            return  # late, after the disconnection was asked for
        self._guarded(lambda: self._answered(octets, now), now)

    def _guarded(self, action: Callable[[], None], now: float) -> None:
        """Do ``action``; what goes wrong in it ends the association."""
        try:
            action()
        except (RefusedError, SecurityError) as error:
            self._disconnect(Closed(error.code, error.message), now)
        except ProtocolError as error:
            self._disconnect(Closed("protocol", error.message), now)
        except StoreError as error:
            self._disconnect(Closed("store", error.message), now)

    def _notified(self, octets: bytes) -> None:
        try:
            plain, control = self._opening.unasked(octets)
            apdu = decode_apdu(plain)
        except (DecodeError, SecurityError, StoreError):
            return  # nobody waits for it
        if isinstance(apdu, DataNotification | EventNotification):
            self._notify(Notified(apdu, control))

    def _answered(self, octets: bytes, now: float) -> None:
        match self._state:
            case State.ASSOCIATING:
                self._associated(octets, now)
            case State.PROVING:
                self._opening.prove(self._plain(octets))
                self._opened()
            case State.REQUESTING:
                self._progressed(octets, now)
            case _:  # whatever answers a release, it is over
                self._disconnect(Closed("closed"), now)

    def _associated(self, octets: bytes, now: float) -> None:
        self._agreement, proof = self._opening.aare(octets)
        if proof is None:
            self._opened()
        else:
            self._step(Step.CHALLENGE)
            self._send(proof, now)

    def _opened(self) -> None:
        if self._agreement is None:
            raise LocalProtocolError("opened without an agreement")
        self._step(Step.ACCEPT)
        self._deadline = None
        self._events.append(Opened(self._agreement))

    def _plain(self, octets: bytes) -> bytes:
        """Return the plain octets of an answer.

        Raises:
            DecodeError: it is no APDU.
            SecurityError: it is not protected as it must be.
        """
        return octets if octets[:1] in _ERRORS else self._opening.decipher(octets)

    def _progressed(self, octets: bytes, now: float) -> None:
        plain = self._plain(octets)
        exchange_, request = self._exchange, self._request
        if exchange_ is None or request is None:
            raise LocalProtocolError("an answer without a request")
        if plain[:1] in _ERRORS:
            self._excepted(plain, request)
            return
        try:
            following = exchange_.send(plain)
        except StopIteration as done:
            self._answer_with(Answered(request, done.value))
        except TooLongError as error:
            self._answer_with(Failed(request, error.code, error.message))
        else:
            self._send(following, now)

    def _excepted(self, octets: bytes, request: Request) -> None:
        """Take an error in place of an answer: it has no invoke-id, and is for what was asked."""
        found = decode_apdu(octets)
        code, message = exception_text(found)
        if isinstance(found, ExceptionResponse) and found.service in _FATAL:
            raise RefusedError(code, message)
        self._answer_with(Failed(request, code, message))

    def _answer_with(self, event: Answered | Failed) -> None:
        self._step(Step.ANSWER)
        self._request = self._exchange = None
        self._deadline = None
        self._events.append(event)

    # -- helpers ---------------------------------------------------------------------------

    def _room(self) -> int:
        """Return the octets that a plain APDU of ours may have."""
        limits = [n for n in (self._agreement and self._agreement.max_pdu, self._link_limit) if n]
        return min(limits, default=MAX_APDU) - self._opening.overhead

    def _next_invoke_id(self) -> int:
        self._invoke_id += 1
        return invoke_octet(self._invoke_id)

    def _send(self, plain: bytes, now: float) -> None:
        self._transmit(self._opening.protect(plain), now)

    def _transmit(self, apdu: bytes, now: float) -> None:
        self._await(now)
        self._link.send(apdu, now=now)

    def _await(self, now: float) -> None:
        self._deadline = now + self.config.timeout

    def _disconnect(self, reason: Closed, now: float) -> None:
        if (self._state, Step.DISCONNECT) not in TRANSITIONS:
            return  # that is under way
        self._reason = reason
        self._step(Step.DISCONNECT)
        self._deadline = None
        self._link.disconnect(now=now)
        self._pump(now)

    def _finish(self) -> None:
        self._step(Step.END)
        self._deadline = None
        self._request = self._exchange = None
        self._events.append(self._reason)

    def _step(self, step: Step) -> None:
        following = TRANSITIONS.get((self._state, step))
        if following is None:
            raise LocalProtocolError(f"cannot {step.name.lower()} while {self._state.name.lower()}")
        self._state = following
