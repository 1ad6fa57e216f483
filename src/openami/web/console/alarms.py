"""The page of alarms."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from openami.core.errors import NotFoundError
from openami.fleet.devices import DeviceKind, device_id
from openami.fleet.operators import Role
from openami.web.console.forms import back, fields_of, text_in
from openami.web.console.pages import cursor_of, next_url
from openami.web.console.views import PAGE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from starlette.requests import Request
    from starlette.responses import Response

    from openami.fleet.alarms import RaisedAlarm
    from openami.headend.services import Services
    from openami.web.auth import Caller
    from openami.web.console.render import Renderer
    from openami.web.console.signing import Entry

DCU: Final = device_id(DeviceKind.DCU, "")
METER: Final = device_id(DeviceKind.METER, "")
# where that is looked at which alarms name ``group:NAME``, ``job:ID``, ``campaign:ID``,
# ``releases:ROLE``, ``audit``
PAGES: Final[Mapping[str, str]] = {
    "group": "/groups/{}/refused",
    "job": "/jobs/{}?state=failed",
    "campaign": "/campaigns/{}",
    "releases": "/releases",
    "audit": "/audit",
}


class Alarms:
    """Shows what a person must look at, and lets people say that they have."""

    def __init__(self, services: Services, renderer: Renderer) -> None:
        self._alarms = services.alarms
        self._renderer = renderer

    def table(self) -> Sequence[Entry]:
        return (
            ("GET", "/alarms", self.alarms),
            ("POST", "/alarms/{alarm}/clear", self.clear),
        )

    async def alarms(self, request: Request, caller: Caller) -> Response:
        every, after = request.query_params.get("show") == "all", cursor_of(request)
        query = {"show": "all" if every else ""}
        page = await asyncio.to_thread(
            self._alarms.list, only_open=not every, after=after, limit=PAGE
        )
        context = {
            "rows": page.items,
            "every": every,
            "page_url": next_url("/alarms", query, after) or f"/alarms{'?show=all' * every}",
            "next_url": next_url("/alarms", query, page.next),
            "about": about,
            "here": "alarms",
        }
        return await self._renderer.page("alarms", context, caller=caller)

    async def clear(self, request: Request, caller: Caller) -> Response:
        form = await fields_of(request, caller, Role.OPERATOR)
        text = request.path_params["alarm"]
        # The data base counts in 64 bits.
        if not (text.isascii() and text.isdigit() and len(text) < 19):
            raise NotFoundError("there is no such alarm")
        await asyncio.to_thread(
            self._alarms.clear, int(text), who=caller.name, why=text_in(form, "why")
        )
        return back(form, "/alarms")


def about(alarm: RaisedAlarm) -> tuple[str, str | None]:
    """Return what an alarm is about, and the page where that is looked at; None: there is none."""
    if alarm.subject.startswith(DCU):
        uid = alarm.subject.removeprefix(DCU)
        if alarm.code.startswith("registration."):
            return uid, "/registrations?standing=blocked"
        return uid, f"/dcus/{quote(uid)}"
    if alarm.subject.startswith(METER):
        serial = alarm.subject.removeprefix(METER)
        return serial, f"/meters/{quote(serial)}"
    kind, _, name = alarm.subject.partition(":")
    page = PAGES.get(kind)
    return alarm.subject, page.format(quote(name)) if page else None
