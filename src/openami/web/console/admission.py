"""The pages of registrations: who asks to be let in, who is let in, who is expected."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from openami.core.errors import NotFoundError
from openami.fleet.operators import Role
from openami.fleet.registration import Standing
from openami.headend.errors import RequestError
from openami.headend.security.registrations import Registrations
from openami.web.console.forms import back, fields_of, file_in, text_in
from openami.web.console.pages import cursor_of, next_url
from openami.web.console.views import PAGE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from starlette.requests import Request
    from starlette.responses import Response

    from openami.headend.security.registrations import Known
    from openami.headend.services import Services
    from openami.web.auth import Caller
    from openami.web.console.render import Renderer
    from openami.web.console.signing import Entry

# label and tone of where a registration stands; the order is that of the page
STANDINGS: Final[Mapping[str, tuple[str, str]]] = {
    Standing.PENDING: ("waiting", "warn"),
    Standing.BLOCKED: ("blocked", "bad"),
    Standing.LIVE: ("live", "good"),
    Standing.APPROVED: ("approved", "good"),
    Standing.OFFERED: ("offered", "good"),
    Standing.REFUSED: ("refused", "bad"),
    Standing.RETIRED: ("retired", "idle"),
}
ASKING: Final = "anew"
# the tabs of the page: what devices ask for that are live is not where they stand
TABS: Final[Mapping[str, tuple[str, str]]] = {**STANDINGS, ASKING: ("asking anew", "warn")}
DECIDE: Final[Mapping[str, Callable[..., Known]]] = {
    "approve": Registrations.approve,
    "refuse": Registrations.refuse,
    "suspend": Registrations.suspend,
    "resume": Registrations.resume,
    "retire": Registrations.retire,
    "reopen": Registrations.reopen,
    "keep": Registrations.keep,
    "take-rival": Registrations.take_rival,
}


class Admission:
    """Shows registrations, and lets people decide on them."""

    def __init__(self, services: Services, renderer: Renderer) -> None:
        self._services = services
        self._renderer = renderer

    def table(self) -> Sequence[Entry]:
        return (
            ("GET", "/registrations", self.registrations),
            ("POST", "/registrations/{uid}/{decision}", self.decide),
            ("GET", "/expected", self.expected),
            ("POST", "/expected", self.import_expected),
            ("POST", "/expected/{uid}/remove", self.expect_no_more),
        )

    async def registrations(self, request: Request, caller: Caller) -> Response:
        asked = request.query_params.get("standing", "")
        tab = asked if asked in TABS else Standing.PENDING
        context = await asyncio.to_thread(self._listed, tab, cursor_of(request))
        return await self._renderer.page("registrations", context, caller=caller)

    def _listed(self, tab: str, after: str | None) -> dict[str, Any]:
        asking = tab == ASKING
        standing = None if asking else Standing(tab)
        page = self._services.registrations.list(standing, asking=asking, after=after, limit=PAGE)
        path, query = "/registrations", {"standing": tab}
        return {
            **self._tabs(tab),
            "rows": page.items,
            "now": self._services.wall.now(),
            "page_url": next_url(path, query, after) or f"{path}?standing={tab}",
            "next_url": next_url(path, query, page.next),
        }

    def _tabs(self, tab: str | None) -> dict[str, Any]:
        registrations = self._services.registrations
        return {
            "standing": tab,
            "standings": TABS,
            "counts": {**registrations.counts(), ASKING: registrations.asking()},
            "here": "registrations",
        }

    async def decide(self, request: Request, caller: Caller) -> Response:
        form = await fields_of(request, caller, Role.OPERATOR)
        uid, decision = request.path_params["uid"], DECIDE.get(request.path_params["decision"])
        if decision is None:
            raise NotFoundError("there is no such decision", code="request.unknown-path")
        await asyncio.to_thread(
            decision, self._services.registrations, uid, who=caller.name, why=text_in(form, "why")
        )
        return back(form, "/registrations")

    async def expected(self, request: Request, caller: Caller) -> Response:
        page = await asyncio.to_thread(
            self._services.registrations.expected, after=cursor_of(request), limit=PAGE
        )
        context = {
            **await asyncio.to_thread(self._tabs, None),
            "rows": page.items,
            "next_url": next_url("/expected", {}, page.next),
        }
        return await self._renderer.page("expected", context, caller=caller)

    async def import_expected(self, request: Request, caller: Caller) -> Response:
        form = await fields_of(request, caller, Role.OPERATOR)
        try:
            text = (await file_in(form, "list")).decode("utf-8")
        except UnicodeDecodeError as error:
            raise RequestError("a list is text in UTF-8", code="request.expected") from error
        await asyncio.to_thread(self._services.registrations.import_expected, text, who=caller.name)
        return back(form, "/expected")

    async def expect_no_more(self, request: Request, caller: Caller) -> Response:
        form = await fields_of(request, caller, Role.OPERATOR)
        uid = request.path_params["uid"]
        await asyncio.to_thread(self._services.registrations.expect_no_more, uid, who=caller.name)
        return back(form, "/expected")
