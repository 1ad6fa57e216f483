"""The pages on which a campaign is written: a form, tried on the registry before it is kept."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from typing import TYPE_CHECKING, Any, Final

from openami.core.errors import NotFoundError
from openami.fleet.operators import Role
from openami.fleet.tasks import Ticket
from openami.headend.errors import RequestError
from openami.web.console import campaign_views as views
from openami.web.console.campaign_forms import empty_form, form_of, read_form
from openami.web.console.campaigns import number_in
from openami.web.console.choosing import STATES
from openami.web.console.forms import demand, fields_of, onward, text_in
from openami.web.console.shelf import HERE, released

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.requests import Request
    from starlette.responses import Response

    from openami.firmware.packages import PackageId
    from openami.fleet.campaigns.model import Campaign
    from openami.headend.campaigns.views import View
    from openami.headend.services import Services
    from openami.web.auth import Caller
    from openami.web.console.campaign_forms import CampaignForm
    from openami.web.console.render import Renderer
    from openami.web.console.signing import Entry

KEY_OCTETS: Final = 16


class Planner:
    """Lets operators write campaigns, and change those that are not started."""

    def __init__(self, services: Services, renderer: Renderer) -> None:
        self._desk = services.campaigns
        self._shelf = services.firmware.shelf
        self._wall = services.wall
        self._zone = services.settings.timezone
        self._renderer = renderer

    def table(self) -> Sequence[Entry]:
        return (
            ("GET", "/campaigns/new", self.new),
            ("POST", "/campaigns/new", self.check),
            ("POST", "/campaigns", self.keep),
            ("GET", "/campaigns/{campaign}/edit", self.edit),
            ("POST", "/campaigns/{campaign}/edit", self.check),
            ("POST", "/campaigns/{campaign}/revise", self.keep),
        )

    async def new(self, request: Request, caller: Caller) -> Response:
        demand(caller, Role.OPERATOR)
        release = request.query_params.get("release", "")[:9]
        return await self._page(empty_form(self._zone, release), None, caller)

    async def edit(self, request: Request, caller: Caller) -> Response:
        demand(caller, Role.OPERATOR)
        before = await self._before(request)
        assert before is not None  # the path names it
        return await self._page(form_of(before.campaign, before.number), before, caller)

    async def check(self, request: Request, caller: Caller) -> Response:
        sent = await fields_of(request, caller, Role.OPERATOR)
        form, before = read_form(sent), await self._before(request)
        first = number_in(text_in(sent, "first")) or 0

        def check() -> dict[str, Any]:
            campaign, now = self._meant(form, before), self._wall.now()
            found = self._desk.dry_run(campaign, after=first)
            return {
                "found": found,
                "first": first,
                # A form that is sent twice makes one campaign.
                "key": secrets.token_hex(KEY_OCTETS),
                "now": now,
                "ends": views.horizon(found, now),
                "forecasts": views.forecasts(found, now),
                "excluded": [(views.words(each.code, now), each) for each in found.excluded],
            }

        checked = await asyncio.to_thread(check)
        return await self._page(form, before, caller, {**checked, "why": text_in(sent, "why")})

    async def keep(self, request: Request, caller: Caller) -> Response:
        sent = await fields_of(request, caller, Role.OPERATOR)
        form, why, before = read_form(sent), text_in(sent, "why"), await self._before(request)
        number = number_in(text_in(sent, "number"))

        def keep() -> View:
            campaign = self._meant(form, before)
            if before is None:
                digest = hashlib.sha256(repr((form, why)).encode()).hexdigest()
                ticket = Ticket(text_in(sent, "key"), digest)
                return self._desk.draft(campaign, who=caller.name, why=why, ticket=ticket)
            if number is None:
                raise RequestError("the number of the command is missing", code="request.number")
            return self._desk.revise(before.id, campaign, who=caller.name, number=number, why=why)

        made = await asyncio.to_thread(keep)
        return onward(request, f"/campaigns/{made.id}")

    async def _before(self, request: Request) -> View | None:
        id_ = request.path_params.get("campaign")
        return None if id_ is None else await asyncio.to_thread(self._desk.get, id_)

    def _meant(self, form: CampaignForm, before: View | None) -> Campaign:
        package = self._package(form.fields["release"])
        return form.campaign(package, before.campaign if before else None)

    def _package(self, number: str) -> PackageId:
        if not (number.isascii() and number.isdecimal() and len(number) <= 9):
            raise NotFoundError("choose a release")
        return self._shelf.get(int(number)).release.id

    async def _page(
        self,
        form: CampaignForm,
        before: View | None,
        caller: Caller,
        checked: dict[str, Any] | None = None,
    ) -> Response:
        context = {
            "form": form,
            "before": before,
            "checked": checked,
            "releases": await asyncio.to_thread(released, self._shelf),
            "lifecycle": STATES,
            "here": HERE,
        }
        return await self._renderer.page("campaign_new", context, caller=caller)
