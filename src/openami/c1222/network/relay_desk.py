"""What a relay answers itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from openami.c1222.codes import ResponseCode, SecurityMode
from openami.c1222.limits import MAX_TITLES
from openami.c1222.network.places import same_place
from openami.c1222.network.reception import Handlers, Reception
from openami.c1222.network.relay_config import RouteLearned, RouteLost
from openami.c1222.services import (
    Deregister,
    Deregistered,
    Failure,
    Register,
    Registered,
    Resolve,
    Resolved,
    Trace,
    Traced,
)

if TYPE_CHECKING:
    from collections import deque

    from openami.c1222.network.registrations import Registrations
    from openami.c1222.network.relay_config import RelayConfig, RelayEvent
    from openami.c1222.node import Caller
    from openami.c1222.services import Request, Response
    from openami.c1222.titles import ApTitle


def vouches(
    request: Request, calling: ApTitle | None, mode: SecurityMode, least: SecurityMode
) -> bool:
    """Tell whether a relay asks above for a node.

    It does so under its own key, so it does not take away or give a title to whom it does not know
    as well as its registrar would.

    Args:
        request: what the node asks of the relay.
        calling: the node.
        mode: how it protected that.
        least: how the relay protects what it asks itself.
    """
    if isinstance(request, Resolve):
        return True
    if not isinstance(request, Register | Deregister) or mode < least:
        return False
    return calling is not None and calling.name == request.title.name


class RelayDesk(Reception):
    """Answers what is asked of a relay: a ``Device``. What is asked above does not come here.

    Args:
        config: of the relay.
        registrations: who is registered, here or further up.
        events: takes what happens.
    """

    def __init__(
        self, config: RelayConfig, registrations: Registrations, events: deque[RelayEvent]
    ) -> None:
        self._config = config
        self._registrations = registrations
        self._events = events

    def resolved(self, request: Resolve) -> Resolved | None:
        """Return where a node is, if that is known here."""
        known = self._registrations.find(request.title)
        if known is not None and known.native is not None:
            return Resolved(known.native.encode())
        return None

    def _register(self, request: Register, caller: Caller, now: float) -> Response:
        if not self._config.master:
            return self._not_above(request, caller)
        known = self._registrations.find(request.title)
        renewed = known is not None and same_place(known.source, caller.source)
        answer = self._registrations.register(
            request, caller.title, caller.source, now=now, mode=caller.mode, key_id=caller.key_id
        )
        if isinstance(answer, Registered):
            self._events.append(RouteLearned(answer.title, caller.source, renewed))
        return answer

    def _deregister(self, request: Deregister, caller: Caller, _: float) -> Response:
        if not self._config.master:
            return self._not_above(request, caller)
        known = self._registrations.find(request.title)
        if known is None:
            return Failure(ResponseCode.UAT)
        way = self._registrations.route(request.title)
        calling = None if caller.title is None else caller.title.name
        itself = calling == request.title.name
        on_way = same_place(way, caller.source)
        by_relay = on_way and self._registrations.is_relay(caller.title, caller.source)
        # In clear everybody can say to be anybody: then only the way tells.
        proven = on_way or caller.mode is not SecurityMode.CLEAR
        if not (itself or by_relay) or not proven or caller.mode < known.mode:
            return Failure(ResponseCode.ISC)
        self._registrations.deregister(request.title)
        self._events.append(RouteLost(request.title))
        return Deregistered(request.title)

    def _resolve(self, request: Resolve, _: Caller, __: float) -> Response:
        busy = self._config.above is not None
        return self.resolved(request) or Failure(ResponseCode.BSY if busy else ResponseCode.UAT)

    def _trace(self, request: Trace, _: Caller, __: float) -> Response:
        return Traced((*request.titles, self._config.title)[:MAX_TITLES])

    def _not_above(self, request: Request, caller: Caller) -> Failure:
        """Say why this was not asked above: nobody is there, it may not be, or too much is."""
        above = self._config.above
        if above is None:
            return Failure(ResponseCode.SNS)
        may = vouches(request, caller.title, caller.mode, above.registering.mode)
        return Failure(ResponseCode.BSY if may else ResponseCode.ISC)

    _HANDLERS: ClassVar[Handlers] = {
        Register: _register,
        Deregister: _deregister,
        Resolve: _resolve,
        Trace: _trace,
    }
