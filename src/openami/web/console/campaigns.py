"""The pages of campaigns: what is planned, what it would do, how far it is, and why not further."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from openami.core.errors import NotFoundError
from openami.fleet.campaigns.machine import COMMANDS, CampaignState
from openami.fleet.campaigns.model import BY_WORD
from openami.fleet.campaigns.spoken import rule_words, share_words, window_words
from openami.fleet.operators import Role
from openami.headend.errors import RequestError
from openami.web.console import campaign_views as views
from openami.web.console.choosing import STATES
from openami.web.console.filters import counted
from openami.web.console.forms import back, fields_of, onward, sure, text_in
from openami.web.console.pages import cursor_of, next_url
from openami.web.console.shelf import HERE
from openami.web.console.views import PAGE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.requests import Request
    from starlette.responses import Response

    from openami.headend.campaigns.views import View
    from openami.headend.services import Services
    from openami.web.auth import Caller
    from openami.web.console.render import Renderer
    from openami.web.console.signing import Entry

CAMPAIGNS: Final = 20  # of a page: each has its bar
TEXT_LENGTH: Final = 200  # of a group's name, as long as it may be
ACTS: Final = {act.value: act for act in COMMANDS}


class Campaigns:
    """Shows campaigns and their devices, and lets operators command them."""

    def __init__(self, services: Services, renderer: Renderer) -> None:
        self._services = services
        self._desk = services.campaigns
        self._wall = services.wall
        self._renderer = renderer

    def table(self) -> Sequence[Entry]:
        return (
            ("GET", "/campaigns", self.campaigns),
            ("POST", "/campaigns/emergency-stop", self.emergency),
            ("GET", "/campaigns/{campaign}", self.campaign),
            ("GET", "/campaigns/{campaign}/devices", self.devices),
            ("GET", "/campaigns/{campaign}/devices/{serial}", self.timeline),
            ("POST", "/campaigns/{campaign}/{act}", self.command),
            ("GET", "/meters/{serial}/upgrades", self.of_meter),
            ("GET", "/dcus/{serial}/upgrades", self.of_dcu),
        )

    async def campaigns(self, request: Request, caller: Caller) -> Response:
        asked, after = request.query_params.get("state", ""), cursor_of(request)
        state = CampaignState(asked) if asked in set(CampaignState) else None
        query = {"state": state.value if state else ""}
        page = await asyncio.to_thread(self._desk.list, state=state, after=after, limit=CAMPAIGNS)
        context = {
            "rows": [(view, views.pieces(view.states)) for view in page.items],
            "states": views.STATES,
            "asked": query["state"],
            "page_url": next_url("/campaigns", query, after)
            or f"/campaigns?state={query['state']}",
            "next_url": next_url("/campaigns", query, page.next),
            "here": HERE,
        }
        return await self._renderer.page("campaigns", context, caller=caller)

    async def campaign(self, request: Request, caller: Caller) -> Response:
        view, now = await asyncio.to_thread(self._desk.get, _id(request)), self._wall.now()
        context = {
            **_known(view, caller, now),
            "groups": views.group_rows(view, now),
            "failures": views.failures(view, now),
            "group_states": views.GROUPS,
            "rule_words": rule_words,
            "share_words": share_words,
            "window_words": window_words,
            "budget_words": views.budget_words,
            "whom": views.whom_words,
        }
        return await self._renderer.page("campaign", context, caller=caller)

    async def devices(self, request: Request, caller: Caller) -> Response:
        asked = {
            name: request.query_params.get(name, "").strip()[:TEXT_LENGTH]
            for name in ("state", "group", "dcu")
        }
        id_, after = _id(request), cursor_of(request)

        def gather() -> dict[str, Any]:
            view = self._desk.get(id_)
            page = self._desk.devices(
                id_,
                state=BY_WORD.get(asked["state"]),
                group=asked["group"] or None,
                dcu=asked["dcu"] or None,
                after=after,
                limit=PAGE,
            )
            path = f"/campaigns/{quote(id_)}/devices"
            following = next_url(path, asked, page.next)
            return {
                **_known(view, caller, self._wall.now()),
                "rows": page.items,
                "next_url": following,
            }

        context = {**await asyncio.to_thread(gather), "asked": asked}
        return await self._renderer.page("campaign_devices", context, caller=caller)

    async def timeline(self, request: Request, caller: Caller) -> Response:
        id_, serial = _id(request), request.path_params["serial"]

        def gather() -> dict[str, Any]:
            now, found = self._wall.now(), self._desk.timeline(id_, serial)
            marks = views.passed(found.marks, now)
            return {**_known(self._desk.get(id_), caller, now), "found": found, "marks": marks}

        context = await asyncio.to_thread(gather)
        return await self._renderer.page("campaign_device", context, caller=caller)

    async def of_meter(self, request: Request, caller: Caller) -> Response:
        serial = request.path_params["serial"]
        await asyncio.to_thread(self._services.registry.meter, serial)
        return await self._of_device("meter_upgrades", serial, "meters", caller)

    async def of_dcu(self, request: Request, caller: Caller) -> Response:
        serial = request.path_params["serial"]
        await asyncio.to_thread(self._services.registry.dcu, serial)
        return await self._of_device("dcu_upgrades", serial, "dcus", caller)

    async def _of_device(self, template: str, serial: str, here: str, caller: Caller) -> Response:
        rows = await asyncio.to_thread(self._desk.of_device, serial)
        context = {"rows": rows, "labels": views.DEVICES, "serial": serial, "here": here}
        return await self._renderer.page(template, context, caller=caller)

    async def command(self, request: Request, caller: Caller) -> Response:
        form = await fields_of(request, caller, Role.OPERATOR)
        id_, act = _id(request), ACTS.get(request.path_params["act"])
        if act is None:
            raise NotFoundError("there is no such command", code="request.unknown-path")
        number, why = number_in(text_in(form, "number")), text_in(form, "why")
        await asyncio.to_thread(
            self._desk.command, id_, act, who=caller.name, number=number, why=why
        )
        return back(form, f"/campaigns/{id_}")

    async def emergency(self, request: Request, caller: Caller) -> Response:
        form = await fields_of(request, caller, Role.OPERATOR)
        sure(form)
        why = text_in(form, "why")
        if not why:
            raise RequestError("say why everything is stopped", code="request.why")
        await asyncio.to_thread(self._desk.emergency, who=caller.name, why=why)
        return onward(request, "/campaigns?state=emergency-stopped")


def number_in(text: str) -> int | None:
    """Return the number of a command; None: it has none.

    Raises:
        RequestError: ``request.number``.
    """
    if not text:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) <= 9):
        raise RequestError("the number of a command is a whole number", code="request.number")
    return int(text)


def _known(view: View, caller: Caller, now: float) -> dict[str, Any]:
    """Return what every page of a campaign says of it."""
    run, folded = view.run, {author.casefold() for author in view.run.authors}
    noun = "DCU" if run.campaign.kind == "dcu" else "meter"
    return {
        "view": view,
        "run": run,
        "states": views.STATES,
        "labels": views.DEVICES,
        "pieces": views.pieces(view.states),
        "cause": None if run.cause is None else views.words(run.cause, now),
        "may": views.may(view),
        "wrote_it": caller.name.casefold() in folded,
        "noun": noun,
        "counted": lambda count: counted(count, noun),
        "lifecycle": STATES,
        "here": HERE,
    }


def _id(request: Request) -> str:
    id_: str = request.path_params["campaign"]
    return id_
