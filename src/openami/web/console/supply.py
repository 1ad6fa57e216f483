"""Switching the supply of a meter from its page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from openami.fleet.demand.supply import Wanted
from openami.fleet.operators import Role
from openami.headend.errors import RequestError
from openami.web.console.forms import fields_of, onward, sure, text_in

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from starlette.requests import Request
    from starlette.responses import Response

    from openami.headend.services import Services
    from openami.web.auth import Caller
    from openami.web.console.render import Renderer
    from openami.web.console.signing import Entry

WANTED: Final[Mapping[str, Wanted]] = {
    "off": Wanted.DISCONNECTED,
    "on": Wanted.CONNECTED,
    "ready": Wanted.READY,
}


class SupplySwitch:
    """Takes the form of the meter's page."""

    def __init__(self, services: Services, renderer: Renderer) -> None:
        self._services = services
        self._renderer = renderer

    def table(self) -> Sequence[Entry]:
        return (("POST", "/meters/{serial}/supply", self.switch),)

    async def switch(self, request: Request, caller: Caller) -> Response:
        form = await fields_of(request, caller, Role.OPERATOR)
        serial: str = request.path_params["serial"]
        wanted = WANTED.get(text_in(form, "state"))
        if wanted is None:
            raise RequestError("choose on, off or ready", code="request.state")
        sure(form)
        why = text_in(form, "why")
        await self._services.supplies.switch(serial, wanted, who=caller.name, why=why)
        return onward(request, f"/meters/{serial}")
