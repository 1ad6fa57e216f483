"""The pages of customers: who they are, which meters are theirs, their invitations."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from openami.fleet.operators import Role
from openami.headend.customers import LANGUAGES, Details
from openami.headend.errors import RequestError
from openami.mdm.tariffs.catalog import tariff_names
from openami.web.console.forms import back, demand, fields_of, onward, sure, text_in
from openami.web.console.pages import cursor_of, next_url
from openami.web.console.views import PAGE
from openami.web.portal.door import WELCOME

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.datastructures import FormData
    from starlette.requests import Request
    from starlette.responses import Response

    from openami.fleet.customers import Customer
    from openami.headend.customers import Invitation
    from openami.headend.services import Services
    from openami.web.auth import Caller
    from openami.web.console.render import Renderer
    from openami.web.console.signing import Entry

HERE: Final = "customers"
PATH: Final = "/customers"


class CustomerPages:
    """Lets operators see and look after customers. Who may not act sees nothing of them."""

    def __init__(self, services: Services, renderer: Renderer) -> None:
        self._customers = services.customers
        self._settings = services.settings
        self._renderer = renderer

    def table(self) -> Sequence[Entry]:
        return (
            ("GET", PATH, self.customers),
            ("POST", PATH, self.add),
            ("GET", "/customers/{login}", self.customer),
            ("POST", "/customers/{login}", self.change),
            ("POST", "/customers/{login}/invite", self.invite),
            ("POST", "/customers/{login}/meters", self.assign),
            ("POST", "/customers/{login}/end", self.end),
            ("POST", "/customers/{login}/door", self.door),
        )

    async def customers(self, request: Request, caller: Caller) -> Response:
        demand(caller, Role.OPERATOR)
        after = cursor_of(request)
        page = await asyncio.to_thread(self._customers.list, after=after, limit=PAGE)
        context = {
            "rows": [(one, standing(one)) for one in page.items],
            "next_url": next_url(PATH, {}, page.next),
            "tariffs": tariff_names(),
            "tariff": self._settings.customer_tariff,
            "languages": LANGUAGES,
            "here": HERE,
        }
        return await self._renderer.page("customers", context, caller=caller)

    async def add(self, request: Request, caller: Caller) -> Response:
        form = await fields_of(request, caller, Role.OPERATOR)
        login, details = text_in(form, "login"), _details(form)
        made = await asyncio.to_thread(self._customers.add, login, details, who=caller.name)
        return onward(request, path_of(made.login))

    async def customer(self, request: Request, caller: Caller) -> Response:
        demand(caller, Role.OPERATOR)
        return await self._page(_login(request), caller)

    async def change(self, request: Request, caller: Caller) -> Response:
        form = await fields_of(request, caller, Role.OPERATOR)
        login, details = _login(request), _details(form)
        await asyncio.to_thread(self._customers.change, login, details, who=caller.name)
        return back(form, path_of(login))

    async def invite(self, request: Request, caller: Caller) -> Response:
        """Answer with the page that shows the code, which no other ever does."""
        await fields_of(request, caller, Role.OPERATOR)
        login = _login(request)
        made = await asyncio.to_thread(self._customers.invite, login, who=caller.name)
        # What is behind the # is sent to no server.
        link = f"{request.url.scheme}://{request.url.netloc}{WELCOME}#{made.code}"
        answer = await self._page(login, caller, made, link)
        answer.headers["Cache-Control"] = "no-store"
        return answer

    async def assign(self, request: Request, caller: Caller) -> Response:
        form = await fields_of(request, caller, Role.OPERATOR)
        login, meter, starts = _login(request), text_in(form, "meter"), self._moment(form, "starts")
        if not meter:
            raise RequestError("say which meter", code="request.meter")
        await asyncio.to_thread(
            self._customers.assign, login, meter, who=caller.name, starts=starts
        )
        return back(form, path_of(login))

    async def end(self, request: Request, caller: Caller) -> Response:
        form = await fields_of(request, caller, Role.OPERATOR)
        sure(form)
        login, meter, ends = _login(request), text_in(form, "meter"), self._moment(form, "ends")
        await asyncio.to_thread(self._customers.end, login, meter, who=caller.name, ends=ends)
        return back(form, path_of(login))

    async def door(self, request: Request, caller: Caller) -> Response:
        """Shut a customer out, or let them in again."""
        form = await fields_of(request, caller, Role.OPERATOR)
        login, shut = _login(request), text_in(form, "to") == "shut"
        await asyncio.to_thread(self._customers.set_disabled, login, shut, who=caller.name)
        return back(form, path_of(login))

    async def _page(
        self, login: str, caller: Caller, made: Invitation | None = None, link: str = ""
    ) -> Response:
        def gather() -> dict[str, Any]:
            found = self._customers.get(login)
            return {
                "it": found,
                "standing": standing(found),
                "tenancies": self._customers.tenancies(login),
                "sessions": len(self._customers.sessions(login)),
            }

        context = {
            **await asyncio.to_thread(gather),
            "made": made,
            "link": link,
            "path": path_of(login),
            "days": self._settings.invitation_days,
            "tariffs": tariff_names(),
            "languages": LANGUAGES,
            "here": HERE,
        }
        return await self._renderer.page("customer", context, caller=caller)

    def _moment(self, form: FormData, name: str) -> float | None:
        text = text_in(form, name)
        if not text:
            return None
        try:
            return datetime.fromisoformat(text).replace(tzinfo=self._renderer.zone).timestamp()
        except (ValueError, OverflowError) as error:
            raise RequestError(f"{text!r} is no time", code="request.time") from error


def standing(customer: Customer) -> tuple[str, str]:
    """Return label and tone of whether a customer can come in."""
    if customer.disabled:
        return "shut out", "bad"
    if customer.accepted:
        return "can come in", "good"
    return ("invited", "accent") if customer.invited_until else ("not invited", "idle")


def path_of(login: str) -> str:
    """Return the address of a customer's page."""
    return f"{PATH}/{quote(login)}"


def _details(form: FormData) -> Details:
    discounts = tuple(part for part in text_in(form, "discounts").split(",") if part.strip())
    return Details(
        tariff=text_in(form, "tariff") or None,
        discounts=tuple(part.strip() for part in discounts),
        language=text_in(form, "language") or None,
    )


def _login(request: Request) -> str:
    login: str = request.path_params["login"]
    return login
