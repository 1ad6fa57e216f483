"""The customers' pages: each takes its meter from the customer's own."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from starlette.responses import PlainTextResponse, RedirectResponse

from openami.core.errors import ConfigError, ConflictError, NotFoundError, SecurityError
from openami.headend.errors import RequestError
from openami.headend.homes import tariff_of
from openami.mdm.carbon import factor_of
from openami.mdm.spans import day_of, midnight
from openami.web.auth import address_of
from openami.web.forms import text_in
from openami.web.portal import bills, energy, exports, news
from openami.web.portal.door import form_of
from openami.web.portal.few import Few
from openami.web.portal.visitors import let_in

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import date

    from starlette.requests import Request
    from starlette.responses import Response

    from openami.dlms.cosem.said import Comparison
    from openami.fleet.customers import Tenancy
    from openami.headend.services import Services
    from openami.mdm.carbon import Factor
    from openami.web.portal.door import Entry
    from openami.web.portal.render import Renderer
    from openami.web.portal.visitors import Visitor
    from openami.web.portal.words import Words

UTILITY: Final = "the utility"  # who gives a factor that is not the country's
HOME: Final = "/my/homes/{home}"
_WIDE: Final = 1000  # a bar of the comparison
NEWS_SHOWN: Final = 3  # beside the figures; the rest is a page further


class Pages:
    """Parses a request, asks the services, renders a template."""

    def __init__(self, services: Services, renderer: Renderer) -> None:
        self._services = services
        self._renderer = renderer
        self._few = Few()

    def table(self) -> Sequence[Entry]:
        return (
            ("GET", "/my", self.first),
            ("GET", HOME, self.home),
            ("GET", f"{HOME}/bill", self.bill),
            ("GET", f"{HOME}/news", self.news),
            ("POST", f"{HOME}/events/{{event}}", self.answer),
            ("GET", f"{HOME}/{{file}}.csv", self.export),
            ("GET", "/my/account", self.account),
            ("POST", "/my/account", self.password),
        )

    async def first(self, request: Request, visitor: Visitor) -> Response:
        now = self._services.clock.now()
        mine = [one for one in visitor.tenancies if one.starts <= now]
        current = [one for one in mine if one.covers(now)]
        for tenancy in (*current, *mine):
            return RedirectResponse(f"/my/homes/{tenancy.id}", 303)
        return self._renderer.page(request, "none", {"here": "energy"}, visitor=visitor)

    async def home(self, request: Request, visitor: Visitor) -> Response:
        tenancy, words = visitor.home(request.path_params["home"]), self._words(request, visitor)
        who = visitor.customer.login
        context = await self._few.make(who, self._home, request, visitor, tenancy, words)
        return self._page(request, "home", {**context, "here": "energy"}, visitor, tenancy)

    def _home(
        self, request: Request, visitor: Visitor, tenancy: Tenancy, words: Words
    ) -> dict[str, Any]:
        services = self._services
        homes = services.homes
        span = energy.asked(request.query_params, tenancy, words, homes.now())
        seen = energy.look(homes, tenancy, span)
        return {
            **energy.view(seen, tenancy, words, self._factor(visitor, span.last)),
            "now": self._now(visitor, tenancy, words),
            "similar": self._similar(tenancy, words),
            "news": news.news(
                services, tenancy, words, who=visitor.customer.login, shown=NEWS_SHOWN
            ),
            "shown": NEWS_SHOWN,
            "owned": words.range(tenancy.starts, tenancy.ends),
            "days": self._days(span, tenancy, homes.now()),
        }

    def _factor(self, visitor: Visitor, day: date) -> Factor | None:
        given = self._services.settings.carbon_g_per_kwh
        exact = None if given is None else Decimal(str(given))
        return factor_of(tariff_of(visitor.customer).country, exact, UTILITY, day)

    def _days(self, span: Any, tenancy: Tenancy, now: int) -> dict[str, str]:
        """Return the days that can be gone to and fetched."""
        begin, end = tenancy.clip(span.start, min(span.end, now))
        least, most = tenancy.clip(0, now)
        days = {"since": begin, "until": end - 1, "min": least, "max": most - 1}
        return {name: day_of(at, span.zone).isoformat() for name, at in days.items()}

    def _now(self, visitor: Visitor, tenancy: Tenancy, words: Words) -> dict[str, Any] | None:
        """Return today, the running month and the price; None of a home that is left."""
        homes, customer = self._services.homes, visitor.customer
        now = homes.now()
        if not tenancy.covers(now):
            return None
        today = midnight(day_of(now, words.zone), words.zone)
        yesterday = midnight(day_of(today - 1, words.zone), words.zone)
        lately = homes.measured(tenancy, yesterday, now)
        newest = lately.newest or 0
        month = bills.month_of(None, tenancy, words, now)
        found = bills.summary(homes, customer, tenancy, month)
        price = news.price_of(self._services.demand, tenancy, words, now)
        if price is None and found["price"] is not None:
            price = bills.price_words(found["price"], tariff_of(customer), words)
        then = lately.imported.within(yesterday, yesterday + max(newest - today, 0))
        return {
            "today": words.kwh(lately.imported.within(today, now).total),
            "yesterday": words.kwh(then.total) if len(then.ends) else None,
            "bill": bills.shown(found["bill"], tenancy, words) if found["bill"] else None,
            "price": price,
            "newest": words.moment(newest) if newest else None,
            "late": now - newest > energy.LATE_S,
        }

    def _similar(self, tenancy: Tenancy, words: Words) -> dict[str, Any] | None:
        if not tenancy.covers(self._services.clock.now()):
            return None
        found = self._services.similar.of(tenancy.meter)
        if found is None:
            return None
        # A moment ago it may have been somebody else's home.
        own = found.own_wh if tenancy.starts <= found.start else None
        return _bars(replace(found, own_wh=own), words)

    async def bill(self, request: Request, visitor: Visitor) -> Response:
        tenancy, words = visitor.home(request.path_params["home"]), self._words(request, visitor)
        homes, tariff = self._services.homes, tariff_of(visitor.customer)
        now = homes.now()
        try:
            month = bills.month_of(request.query_params.get("month"), tenancy, words, now)
        except ConfigError as error:
            raise NotFoundError(error.message, code="request.unknown-path") from error
        start, end = month.span(tariff.zone)
        begin, stop = tenancy.clip(start, min(end, now))
        if begin >= stop:
            raise NotFoundError("this is not theirs", code="request.unknown-path")
        found = await self._few.make(
            visitor.customer.login, bills.summary, homes, visitor.customer, tenancy, month
        )
        earlier, later = bills.months_around(month, tenancy, tariff, now)
        context = {
            "title": words.month(month.first),
            "problem": found["problem"],
            "bill": bills.shown(found["bill"], tenancy, words) if found["bill"] else None,
            "earlier": earlier,
            "later": later,
            "partial": begin > start or (tenancy.ends is not None and tenancy.ends < end),
            "here": "bill",
        }
        return self._page(request, "bill", context, visitor, tenancy)

    async def news(self, request: Request, visitor: Visitor) -> Response:
        tenancy = visitor.home(request.path_params["home"])
        return await self._news(request, visitor, tenancy)

    async def _news(
        self, request: Request, visitor: Visitor, tenancy: Tenancy, *, failed: bool = False
    ) -> Response:
        words = self._words(request, visitor)
        found = await asyncio.to_thread(
            news.news, self._services, tenancy, words, who=visitor.customer.login
        )
        context = {"news": found, "failed": failed, "here": "news", "shown": news.EVENTS}
        status = 409 if failed else 200
        return self._page(request, "news", context, visitor, tenancy, status=status)

    async def answer(self, request: Request, visitor: Visitor) -> Response:
        tenancy, event = visitor.home(request.path_params["home"]), request.path_params["event"]
        said = text_in(await form_of(request), "answer")
        try:
            await asyncio.to_thread(
                news.answer, self._services, tenancy, event, said, who=visitor.customer.login
            )
        except ConflictError:
            return await self._news(request, visitor, tenancy, failed=True)
        return RedirectResponse(f"/my/homes/{tenancy.id}/news", 303)

    async def export(self, request: Request, visitor: Visitor) -> Response:
        tenancy, words = visitor.home(request.path_params["home"]), self._words(request, visitor)
        name = request.path_params["file"]
        made = exports.FILES.get(name)
        if made is None:
            raise NotFoundError("there is no such file", code="request.unknown-path")
        homes = self._services.homes
        start, end = exports.asked(request.query_params, tenancy, words, homes.now())
        who = visitor.customer.login
        body = await self._few.make(who, made, homes, tenancy, start, end, words)
        first, last = (day_of(at, words.zone) for at in (start, end - 1))
        file = f"{tenancy.meter}-{name}-{first}-{last}.csv"  # a serial has no quotes in it
        headers = {"Content-Disposition": f'attachment; filename="{file}"'}
        return PlainTextResponse(body, headers=headers, media_type="text/csv")

    async def account(self, request: Request, visitor: Visitor) -> Response:
        return await self._account(request, visitor, {})

    async def _account(
        self, request: Request, visitor: Visitor, said: Mapping[str, str], status: int = 200
    ) -> Response:
        words, login = self._words(request, visitor), visitor.customer.login
        sessions = await asyncio.to_thread(self._services.customers.sessions, login)
        context = {
            "problem": said.get("problem"),
            "done": said.get("done"),
            "tariff": tariff_of(visitor.customer).title_in(words.texts.language),
            "sessions": [
                (words.texts("account.session", when=words.moment(one.created), address=one.label),
                 one.id == visitor.session.id)
                for one in sessions
            ],
            "here": "account",
        }  # fmt: skip
        return self._page(request, "account", context, visitor, None, status=status)

    async def password(self, request: Request, visitor: Visitor) -> Response:
        form, texts = await form_of(request), self._words(request, visitor).texts
        new = text_in(form, "password")
        if new != text_in(form, "again"):
            return await self._account(request, visitor, {"problem": texts("welcome.differ")}, 400)
        try:
            granted = await asyncio.to_thread(
                self._services.customers.change_password,
                visitor.customer.login, text_in(form, "old"), new, address=address_of(request),
            )  # fmt: skip
        except RequestError:
            return await self._account(request, visitor, {"problem": texts("welcome.weak")}, 400)
        except SecurityError:
            return await self._account(request, visitor, {"problem": texts("account.wrong")}, 403)
        signed = type(visitor)(granted.session, granted.secret, visitor.tenancies)
        answer = await self._account(request, signed, {"done": texts("account.changed")})
        return let_in(answer, granted, now=self._services.wall.now())

    def _words(self, request: Request, visitor: Visitor) -> Words:
        return self._renderer.words(request, visitor)

    def _page(
        self,
        request: Request,
        template: str,
        context: Mapping[str, Any],
        visitor: Visitor,
        tenancy: Tenancy | None,
        *,
        status: int = 200,
    ) -> Response:
        shown = {**context, "home": tenancy or next(iter(visitor.tenancies), None)}
        return self._renderer.page(request, template, shown, visitor=visitor, status=status)


def _bars(found: Comparison, words: Words) -> dict[str, Any]:
    """Return a comparison as bars of one scale."""
    values = {"you": found.own_wh, "mean": found.mean_wh, "best": found.best_wh}
    most = max(value for value in values.values() if value is not None) or 1
    return {
        "homes": found.homes,
        "span": words.range(found.start, found.end - 1),
        "bars": [
            (name, words.kwh(value), value * _WIDE // most)
            for name, value in values.items()
            if value is not None
        ],
        "own": found.own_wh is not None,
    }
