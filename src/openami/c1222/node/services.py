"""The services of one message, one after another."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar, Final

from openami.c1222.codes import ResponseCode
from openami.c1222.node.device import Caller
from openami.c1222.node.sessions import Session, Sessions, is_out_of_sequence
from openami.c1222.repeats import sender_of
from openami.c1222.services import (
    Done,
    Failure,
    Identify,
    LoggedOn,
    Logoff,
    Logon,
    Request,
    Response,
    Security,
    Terminate,
    Wait,
    decode_request,
)
from openami.core.errors import DecodeError

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping

    from openami.c1222.node.device import Device
    from openami.c1222.security import Opened

_UNKNOWN: Final = "c1222.service"


@dataclass(frozen=True, slots=True)
class Message:
    """A message that is to be believed; ``timeout`` is the longest that a session may have."""

    opened: Opened
    source: Hashable
    timeout: int
    now: float


@dataclass(slots=True)
class Served:
    """What came of a message: an answer for each service, and what happened to sessions."""

    responses: list[Response] = field(default_factory=list)
    began: list[Session] = field(default_factory=list)
    ended: list[tuple[Session, str]] = field(default_factory=list)
    right_password: bool = False
    wrong_password: bool = False


def serve_all(message: Message, device: Device, sessions: Sessions) -> Served:
    """Answer the services of a message that is to be believed."""
    turn = _Turn(message, device, sessions)
    for service in message.opened.epsem.services:
        try:
            request = decode_request(service)
        except DecodeError as error:
            code = ResponseCode.SNS if error.code == _UNKNOWN else ResponseCode.ERR
            turn.served.responses.append(Failure(code))
            continue
        turn.served.responses.append(turn.serve(request))
    turn.touch()
    return turn.served


class _Turn:
    """One message being served."""

    def __init__(self, message: Message, device: Device, sessions: Sessions) -> None:
        opened = message.opened
        self.served = Served()
        self._message = message
        self._device = device
        self._sessions = sessions
        self._name = sender_of(opened.apdu)
        self._wait = 0
        self._session = sessions.get(self._name)
        key_id = None if opened.key is None else opened.key.key_id
        self._caller = Caller(opened.apdu.calling, message.source, opened.epsem.mode, key_id)
        if self._session is not None:
            user, shown = self._session.user_id, self._session.authorized
            self._caller = replace(self._caller, user_id=user, authorized=shown)

    def serve(self, request: Request) -> Response:
        self._displace(request)
        if is_out_of_sequence(request, self._session):
            return Failure(ResponseCode.ISSS)
        own = self._OWN.get(type(request))
        if own is not None:
            return own(self, request)
        return self._device.serve(request, self._caller, now=self._message.now)

    def _displace(self, request: Request) -> None:
        """End a session that anybody may have begun, where who calls shows more than it did."""
        session = self._session
        begins = isinstance(request, Logon | Security) and request.user_id is not None
        if begins and session is not None and session.mode < self._caller.mode:
            self._end("displaced")

    def touch(self) -> None:
        """Begin the session's silence anew."""
        if self._session is not None:
            silence = max(self._wait, self._session.timeout)
            self._session.deadline = self._message.now + silence

    def _identify(self, _: Identify) -> Response:
        return self._device.identify()

    def _logon(self, request: Logon) -> Response:
        title = self._caller.title
        if title is None:  # nobody could tell whose session it is
            return Failure(ResponseCode.ONP)
        if self._sessions.full:
            weaker = self._sessions.end_below(self._caller.mode)
            if weaker is None:
                return Failure(ResponseCode.BSY)
            self.served.ended.append((weaker, "displaced"))
        granted = min(request.timeout or self._message.timeout, self._message.timeout)
        self._session = Session(
            str(title.absolute()),
            request.user_id,
            granted,
            self._caller.mode,
            self._message.now,
            self._message.opened.key,
        )
        self._sessions.begin(self._name, self._session)
        self._caller = replace(self._caller, user_id=request.user_id, authorized=False)
        self.served.began.append(self._session)
        return LoggedOn(granted)

    def _security(self, request: Security) -> Response:
        session = self._session
        user = request.user_id if session is None else session.user_id
        if user is None or request.user_id not in (None, user):
            return Failure(ResponseCode.ISSS)  # only where there is no session it says whose it is
        # One guess for a message: many in one would be tried before the first pause.
        right = not self.served.wrong_password and self._device.authorizes(user, request.password)
        self._caller = replace(self._caller, user_id=user, authorized=right)
        if session is not None:
            session.authorized = right
            if right:  # from now on nobody is believed who shows less than that message did
                session.mode = max(session.mode, self._caller.mode)
        if right:
            self.served.right_password = True
            return Done()
        self.served.wrong_password = True
        return Failure(ResponseCode.ISC)

    def _logoff(self, _: Logoff) -> Response:
        return self._end("logoff")

    def _terminate(self, _: Terminate) -> Response:
        return self._end("terminate")

    def _end(self, reason: str) -> Response:
        ended = self._sessions.end(self._name)
        if ended is not None:
            self.served.ended.append((ended, reason))
        self._session = None
        self._caller = replace(self._caller, user_id=None, authorized=False)
        return Done()

    def _keep(self, request: Wait) -> Response:
        self._wait = request.seconds
        return Done()

    _OWN: ClassVar[Mapping[type[Request], Callable[[Any, Any], Response]]] = {
        Identify: _identify,
        Logon: _logon,
        Security: _security,
        Logoff: _logoff,
        Terminate: _terminate,
        Wait: _keep,
    }
