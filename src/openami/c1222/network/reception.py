"""What a host and a relay have in common as devices: the network's services, and no tables."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from openami.c1222.codes import ResponseCode, Standard
from openami.c1222.services import Failure, Features, Identified, Request, Response

if TYPE_CHECKING:
    from openami.c1222.node import Caller

Handlers = Mapping[type[Request], Callable[[Any, Any, "Caller", float], Response]]


class Reception:
    """A ``Device`` that answers by the kind of request; each one says which it takes."""

    _HANDLERS: ClassVar[Handlers]

    def identify(self) -> Identified:
        """Say what is spoken: without sessions, since there is nothing to do in one."""
        return Identified(Standard.C12_22, 1, 0, Features(sessions=0, sessionless=True))

    def authorizes(self, user_id: int, password: bytes) -> bool:
        """Say no: without tables there are no users."""
        del user_id, password
        return False

    def serve(self, request: Request, caller: Caller, *, now: float) -> Response:
        """Answer a request for the network."""
        handler = self._HANDLERS.get(type(request))
        return Failure(ResponseCode.SNS) if handler is None else handler(self, request, caller, now)
