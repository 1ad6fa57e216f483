"""The end that is asked, on a line: C12.18 before the same device as C12.22.

        Identify           Logon
BASE ───────────► NAMED ──────────► SESSION
  ▲                │  ▲    Logoff      │
  └── Terminate, ──┴──┼────────────────┤
      silence         └────────────────┘

Requests in a state that they have no place in are answered ISSS (C12.18, 5).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum
from typing import TYPE_CHECKING, Any, ClassVar, Final

from openami.c1222.codes import ResponseCode, SecurityMode, Standard
from openami.c1222.node.device import Caller
from openami.c1222.psem.link import Link, LinkParameters, Received
from openami.c1222.psem.services import (
    Negotiate,
    Negotiated,
    PsemRequest,
    TimingSet,
    TimingSetup,
    decode,
)
from openami.c1222.repeats import Failures
from openami.c1222.services import (
    Disconnect,
    Done,
    Failure,
    Features,
    Identify,
    Logoff,
    Logon,
    Read,
    ReadDefault,
    ReadIndex,
    ReadOffset,
    Response,
    Security,
    Terminate,
    Wait,
    Write,
    WriteIndex,
    WriteOffset,
)
from openami.core.errors import DecodeError

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping

    from openami.c1222.node.device import Device

_UNKNOWN: Final = "c1222.service"
_CURRENT_BAUD: Final = 0
"""The code of a speed that is set otherwise (C12.18, Negotiate)."""
_TABLES: Final = (
    *(Read, ReadIndex, ReadDefault, ReadOffset, Write, WriteIndex, WriteOffset),
)  # fmt: skip


class State(Enum):
    """How far a caller has come."""

    BASE = 0
    NAMED = 1
    SESSION = 2


_PLACES: Final[Mapping[type, frozenset[State]]] = {
    Identify: frozenset({State.BASE}),
    Negotiate: frozenset({State.NAMED}),
    TimingSetup: frozenset({State.NAMED}),
    Logon: frozenset({State.NAMED}),
    Security: frozenset({State.SESSION}),
    Logoff: frozenset({State.SESSION}),
    Wait: frozenset({State.NAMED, State.SESSION}),
    Terminate: frozenset(State),
    Disconnect: frozenset(State),
    **dict.fromkeys(_TABLES, frozenset({State.SESSION})),
}


@dataclass(frozen=True, slots=True)
class ServerLimits:
    """The longest packets, and most of them, that a caller may negotiate."""

    packet: int = 1024
    packets: int = 64


class PsemServer:
    """Serves one device on one line; ``now`` is seconds of UTC.

    Wrong passwords are followed by pauses, as on a network: whoever has a probe has time.

    Args:
        device: what answers.
        source: the line, as the device knows its callers.
        parameters: of the line, at its beginning.
        limits: what may be negotiated.
        standard: what Identify says is spoken: C12.18, or C12.21 on a modem.
    """

    def __init__(
        self,
        device: Device,
        *,
        source: Hashable = "optical",
        parameters: LinkParameters | None = None,
        limits: ServerLimits | None = None,
        standard: Standard = Standard.C12_18,
    ) -> None:
        self._device = device
        self._source = source
        self._begin = parameters or LinkParameters()
        self._limits = limits or ServerLimits()
        self._standard = standard
        self._link = Link(self._begin)
        self._passwords = Failures()
        self._state = State.BASE
        self._next: LinkParameters | None = None
        self._silent_at: float | None = None
        self._caller = self._stranger()

    @property
    def state(self) -> State:
        """How far the caller has come."""
        return self._state

    def receive_data(self, data: bytes, *, now: float) -> None:
        """Take any slice of what came."""
        self._link.receive(data, now=now)
        self._settle(now)

    def receive_eof(self, *, now: float) -> None:  # noqa: ARG002 - as machines have it
        """Take note that the line is gone."""
        self._restart()

    def data_to_send(self) -> tuple[bytes, ...]:
        """Return the octets to send, once."""
        out = self._link.data_to_send()
        return (out,) if out else ()

    def next_event(self) -> None:
        """Return None: what happens is for the device."""

    def next_timer(self) -> float | None:
        """Return when ``handle_timer`` has something to do."""
        timers = (self._link.next_timer(), self._silent_at)
        return min((at for at in timers if at is not None), default=None)

    def handle_timer(self, *, now: float) -> None:
        """Send again what was not taken, and end what is silent."""
        self._link.handle_timer(now=now)
        self._settle(now)
        if self._silent_at is not None and now >= self._silent_at:
            self._restart()

    def _settle(self, now: float) -> None:
        while (event := self._link.next_event()) is not None:
            if isinstance(event, Received):
                self._answer(event.data, now)
            elif self._next is not None:  # the other end has the answer that says so, or is gone
                self._link.parameters, self._next = self._next, None

    def _answer(self, data: bytes, now: float) -> None:
        self._silent_at = now + self._link.parameters.silence_s
        try:
            request = decode(data)
        except DecodeError as error:
            code = ResponseCode.SNS if error.code == _UNKNOWN else ResponseCode.ERR
            response: Response = Failure(code)
        else:
            response = self._serve(request, now)
        octets = response.encode()
        if len(octets) > self._link.parameters.most:  # C12.18 has no code that says the size
            octets = Failure(ResponseCode.ONP).encode()
        if not self._link.sending:
            self._link.send(octets, now=now)

    def _serve(self, request: PsemRequest, now: float) -> Response:
        places = _PLACES.get(type(request))
        if places is None:  # of the network, which is not here
            return Failure(ResponseCode.SNS)
        if self._state not in places:
            return Failure(ResponseCode.ISSS)
        own = self._OWN.get(type(request))
        if own is not None:
            return own(self, request, now)
        assert not isinstance(request, Negotiate | TimingSetup)
        return self._device.serve(request, self._caller, now=now)

    def _identify(self, _: Identify, __: float) -> Response:
        self._state = State.NAMED
        found = self._device.identify()
        named = Features(identity=found.features.identity)
        return replace(found, standard=self._standard, features=named)

    def _negotiate(self, request: Negotiate, _: float) -> Response:
        packet = min(request.packet, self._limits.packet)
        packets = min(request.packets, self._limits.packets)
        agreed = self._link.parameters.limited(packet, packets)
        self._next = agreed
        return Negotiated(agreed.packet, agreed.packets, _CURRENT_BAUD)

    def _time(self, request: TimingSetup, _: float) -> Response:
        times = (request.silence, request.between, request.reply)
        if not all(times):
            return Failure(ResponseCode.IAR)
        self._next = replace(
            self._link.parameters,
            silence_s=float(request.silence),
            between_s=float(request.between),
            reply_s=float(request.reply),
            retries=request.retries,
        )
        return TimingSet(*times, request.retries)

    def _logon(self, request: Logon, _: float) -> Response:
        self._state = State.SESSION
        self._caller = replace(self._stranger(), user_id=request.user_id)
        return Done()

    def _security(self, request: Security, now: float) -> Response:
        user = self._caller.user_id
        if not self._passwords.allows(self._source, now=now):
            return Failure(ResponseCode.BSY)
        right = user is not None and self._device.authorizes(user, request.password)
        self._caller = replace(self._caller, authorized=right)
        if right:
            self._passwords.succeeded(self._source)
            return Done()
        self._passwords.failed(self._source, now=now)
        return Failure(ResponseCode.ISC)

    def _wait(self, request: Wait, now: float) -> Response:
        self._silent_at = now + max(request.seconds, self._link.parameters.silence_s)
        return Done()

    def _logoff(self, _: Logoff, __: float) -> Response:
        self._state = State.NAMED
        self._caller = self._stranger()
        return Done()

    def _end(self, _: Terminate | Disconnect, __: float) -> Response:
        self._state = State.BASE
        self._caller = self._stranger()
        self._silent_at = None
        self._next = self._begin
        return Done()

    def _stranger(self) -> Caller:
        return Caller(None, self._source, SecurityMode.CLEAR)

    def _restart(self) -> None:
        self._state = State.BASE
        self._caller = self._stranger()
        self._silent_at = None
        self._next = None
        self._link.reset()
        self._link.parameters = self._begin

    _OWN: ClassVar[Mapping[type, Callable[[Any, Any, float], Response]]] = {
        Identify: _identify,
        Negotiate: _negotiate,
        TimingSetup: _time,
        Logon: _logon,
        Security: _security,
        Wait: _wait,
        Logoff: _logoff,
        Terminate: _end,
        Disconnect: _end,
    }
