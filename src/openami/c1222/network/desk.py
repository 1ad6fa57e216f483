"""What a host answers to its nodes."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from openami.c1222.codes import ResponseCode, SecurityMode
from openami.c1222.network.host_events import Denied, HostEvent, Joined, Left, Notified
from openami.c1222.network.reception import Handlers, Reception
from openami.c1222.services import (
    Deregister,
    Deregistered,
    Done,
    Failure,
    Register,
    Registered,
    Resolve,
    Resolved,
    Trace,
    Traced,
    Write,
    WriteIndex,
    WriteOffset,
)

if TYPE_CHECKING:
    from collections import deque

    from openami.c1222.network.registrations import Registrations
    from openami.c1222.node import Caller
    from openami.c1222.services import Request, Response
    from openami.c1222.titles import ApTitle


class Desk(Reception):
    """Answers what nodes ask of their host: a ``Device``.

    Args:
        title: of the host.
        registrations: of its nodes.
        events: takes what happens.
    """

    def __init__(
        self, title: ApTitle, registrations: Registrations, events: deque[HostEvent]
    ) -> None:
        self._title = title
        self._registrations = registrations
        self._events = events

    def _register(self, request: Register, caller: Caller, now: float) -> Response:
        answer = self._registrations.register(
            request, caller.title, caller.source, now=now, mode=caller.mode, key_id=caller.key_id
        )
        if isinstance(answer, Registered):
            found = self._registrations.find(answer.title)
            assert found is not None
            self._events.append(Joined(found))
        else:
            self._events.append(Denied(request.title, caller.source, answer.code, caller.mode))
        return answer

    def _deregister(self, request: Deregister, caller: Caller, _: float) -> Response:
        if not self._is_itself(caller, request.title):
            return Failure(ResponseCode.ISC)
        self._registrations.deregister(request.title)
        self._events.append(Left(request.title))
        return Deregistered(request.title)

    def _resolve(self, request: Resolve, caller: Caller, _: float) -> Response:
        if not self._is_known(caller):
            return Failure(ResponseCode.ISC)
        found = self._registrations.find(request.title)
        if found is None or found.native is None:
            return Failure(ResponseCode.UAT)
        return Resolved(found.native.encode())

    def _trace(self, request: Trace, caller: Caller, _: float) -> Response:
        if not self._is_known(caller):
            return Failure(ResponseCode.ISC)
        return Traced((*request.titles, self._title))

    def _notify(self, request: Request, caller: Caller, _: float) -> Response:
        """Take a notification: a node writes to its host what it has to tell."""
        if caller.title is None or not self._is_known(caller):
            return Failure(ResponseCode.ISC)
        self._events.append(Notified(caller.title, request))
        return Done()

    def _is_known(self, caller: Caller) -> bool:
        title = caller.title
        if title is None or caller.mode is SecurityMode.CLEAR:
            return False
        return self._registrations.find(title) is not None

    def _is_itself(self, caller: Caller, title: ApTitle) -> bool:
        return (
            self._is_known(caller) and caller.title is not None and caller.title.name == title.name
        )

    _HANDLERS: ClassVar[Handlers] = {
        Register: _register,
        Deregister: _deregister,
        Resolve: _resolve,
        Trace: _trace,
        Write: _notify,
        WriteIndex: _notify,
        WriteOffset: _notify,
    }
