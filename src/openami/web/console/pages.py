"""The pages, and the fragments that keep them fresh."""

from __future__ import annotations

import asyncio
import functools
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

import jinja2
import structlog
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from openami.core.errors import OpenAmiError, SecurityError
from openami.core.obis import Obis
from openami.fleet.devices import Contact, DeviceKind
from openami.fleet.jobs import Target
from openami.fleet.operators import Role
from openami.fleet.ports import DeviceFilter
from openami.web.auth import (
    CSRF_FIELD,
    CSRF_HEADER,
    SAFE_METHODS,
    Caller,
    address_of,
    check_csrf,
    check_origin,
    clear_cookie,
    find_caller,
    set_cookie,
)
from openami.web.console import filters, views
from openami.web.errors import status_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from starlette.requests import Request
    from starlette.routing import BaseRoute
    from starlette.types import Scope

    from openami.headend.services import Services

    Page = Callable[[Request, Caller], Awaitable[Response]]

log = structlog.get_logger(__name__)

HERE: Final = Path(__file__).resolve().parent.parent
RANGES: Final[Mapping[str, int]] = {"day": 86_400, "week": 7 * 86_400, "month": 31 * 86_400}
NAME_LENGTH: Final = 64  # as long as an operator's name may be
SERIAL_LENGTH: Final = 32
CURSOR_LENGTH: Final = 512
STATIC_SECONDS: Final = 3600

# What "read now" asks a meter for: what a person wants to see first.
READ_NOW: Final = tuple(
    Target(class_id, Obis.parse(obis), 2)
    for class_id, obis in (
        (8, "0.0.1.0.0.255"),
        (3, "1.0.1.8.0.255"),
        (3, "1.0.2.8.0.255"),
        (3, "1.0.3.8.0.255"),
        (3, "1.0.1.7.0.255"),
        (3, "1.0.32.7.0.255"),
        (3, "1.0.31.7.0.255"),
        (3, "1.0.14.7.0.255"),
    )
)


class CachedFiles(StaticFiles):
    """Static files that a browser keeps for a while."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        response.headers["Cache-Control"] = f"public, max-age={STATIC_SECONDS}"
        return response


def routes(services: Services) -> Sequence[BaseRoute]:
    """Return the routes of the console."""
    return Console(services).routes()


class Console:
    """Parses a request, asks one service, renders a template."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._zone = ZoneInfo(services.settings.timezone)
        self._templates = jinja2.Environment(
            loader=jinja2.FileSystemLoader(HERE / "templates"),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.filters.update(filters.for_clock(services.clock, self._zone))

    def routes(self) -> Sequence[BaseRoute]:
        pages: Sequence[tuple[str, Page, tuple[str, ...]]] = (
            ("/", self.overview, ("GET",)),
            ("/meters", self.meters, ("GET",)),
            ("/meters/{serial}", self.meter, ("GET",)),
            ("/meters/{serial}/read", self.read, ("POST",)),
            ("/dcus/{dcu}", self.dcu, ("GET",)),
            ("/events", self.events, ("GET",)),
            ("/logout", self.logout, ("POST",)),
            ("/fragments/figures", self.figures, ("GET",)),
            ("/fragments/events", self.latest_events, ("GET",)),
            ("/fragments/dcus/{dcu}", self.dcu_body, ("GET",)),
            ("/fragments/meters/{serial}/figures", self.meter_figures, ("GET",)),
            ("/fragments/jobs/{job}", self.job, ("GET",)),
            ("/console/profile", self.fleet_profile, ("GET",)),
            ("/console/meters/{serial}/profile", self.meter_profile, ("GET",)),
        )
        return [
            Mount("/static", CachedFiles(directory=HERE / "static"), name="static"),
            Route("/login", self.login_form, methods=["GET"]),
            Route("/login", self.login, methods=["POST"]),
            *(Route(path, self._signed_in(page), methods=list(how)) for path, page, how in pages),
        ]

    # Who is asking, and errors as pages.

    def _signed_in(self, page: Page) -> Callable[[Request], Awaitable[Response]]:
        @functools.wraps(page)
        async def endpoint(request: Request) -> Response:
            caller = await find_caller(request)
            if caller is None or not caller.by_cookie:
                return _to_login(request)
            try:
                if request.method not in SAFE_METHODS:
                    check_csrf(caller, await _csrf_of(request))
                return await page(request, caller)
            except OpenAmiError as error:
                return self._error(error)

        return endpoint

    def _error(self, error: OpenAmiError) -> Response:
        status = status_of(error)
        titles = {403: "Not allowed", 404: "Not found", 409: "Not possible now"}
        context = {
            "title": titles.get(status, "Something went wrong"),
            "message": error.message,
            "code": error.code,
        }
        if status >= 500:
            log.error("page failed", code=error.code, exc_info=error)
        return self._html("error", context, status=status)

    def _html(
        self,
        template: str,
        context: Mapping[str, Any],
        *,
        caller: Caller | None = None,
        status: int = 200,
    ) -> HTMLResponse:
        signed: dict[str, Any] = {"zone": self._zone.key}
        if caller is not None:
            signed |= {"operator": caller.session.operator, "csrf": caller.csrf}
        text = self._templates.get_template(f"console/{template}.html").render(
            {**signed, **context}
        )
        return HTMLResponse(text, status)

    # Signing in and out.

    async def login_form(self, request: Request) -> Response:
        if await find_caller(request) is not None:
            return RedirectResponse(_local(request.query_params.get("next")), 303)
        context = {"next": _local(request.query_params.get("next")), "name": "", "error": None}
        return self._html("login", context)

    async def login(self, request: Request) -> Response:
        form = await request.form(max_files=0, max_fields=8)
        name, password = str(form.get("name", ""))[:NAME_LENGTH], str(form.get("password", ""))
        target = _local(str(form.get("next", "")))
        try:
            check_origin(request)
            granted = await asyncio.to_thread(
                self._services.operators.login, name, password, address=address_of(request)
            )
        except SecurityError as error:
            context = {"next": target, "name": name, "error": error.message}
            return self._html("login", context, status=status_of(error))
        response = RedirectResponse(target, 303)
        set_cookie(response, granted, now=self._services.wall.now())
        return response

    async def logout(self, request: Request, caller: Caller) -> Response:
        del request
        await asyncio.to_thread(self._services.operators.logout, caller.session)
        response = RedirectResponse("/login", 303)
        clear_cookie(response)
        return response

    # Pages.

    async def overview(self, request: Request, caller: Caller) -> Response:
        del request
        context, latest = await asyncio.gather(
            asyncio.to_thread(views.overview, self._services), self._events(None)
        )
        shown = {**context, "latest_events": latest, "here": "overview"}
        return self._html("overview", shown, caller=caller)

    async def meters(self, request: Request, caller: Caller) -> Response:
        query = request.query_params
        search = query.get("q", "")[:SERIAL_LENGTH]
        state = query.get("state", "")
        contact = Contact(state) if state in set(Contact) else None
        which = DeviceFilter(kind=DeviceKind.METER, contact=contact, search=search or None)
        rows, following = await asyncio.to_thread(
            views.meter_rows, self._services, which, _after(request)
        )
        context = {
            "meters": rows,
            "next_url": _next("/meters", {"q": search, "state": state}, following),
            "states": [(contact.value, label) for contact, (label, _) in views.CONTACTS.items()],
            "q": search,
            "state": state,
            "here": "meters",
        }
        return self._html("meters", context, caller=caller)

    async def meter(self, request: Request, caller: Caller) -> Response:
        serial = request.path_params["serial"]
        facts, stored, latest, jobs = await asyncio.gather(
            asyncio.to_thread(views.meter_facts, self._services, serial),
            asyncio.to_thread(views.registers, self._services, serial),
            self._events(serial),
            self._services.jobs.list(meter=serial, limit=1),
        )
        context = {
            "meter": facts,
            "registers": stored,
            "latest_events": latest,
            "job": views.job_view(jobs.items[0]) if jobs.items else None,
            "can_read": caller.may(Role.OPERATOR),
            "here": "meters",
        }
        return self._html("meter", context, caller=caller)

    async def dcu(self, request: Request, caller: Caller) -> Response:
        context = await self._dcu(request)
        return self._html("dcu", {**context, "here": "overview"}, caller=caller)

    async def events(self, request: Request, caller: Caller) -> Response:
        page = await asyncio.to_thread(
            self._services.readings.events, after=_after(request), limit=views.PAGE
        )
        context = {
            "rows": views.event_rows(page),
            "next_url": _next("/events", {}, page.next),
            "here": "events",
        }
        return self._html("events", context, caller=caller)

    # Fragments and what charts ask for.

    async def figures(self, request: Request, caller: Caller) -> Response:
        del request
        context = await asyncio.to_thread(views.overview, self._services)
        return self._html("figures", context, caller=caller)

    async def latest_events(self, request: Request, caller: Caller) -> Response:
        del request
        context = {"latest_events": await self._events(None)}
        return self._html("latest_events", context, caller=caller)

    async def dcu_body(self, request: Request, caller: Caller) -> Response:
        return self._html("dcu_body", await self._dcu(request), caller=caller)

    async def meter_figures(self, request: Request, caller: Caller) -> Response:
        serial = request.path_params["serial"]
        facts = await asyncio.to_thread(views.meter_facts, self._services, serial)
        return self._html("meter_figures", {"meter": facts}, caller=caller)

    async def read(self, request: Request, caller: Caller) -> Response:
        if not caller.may(Role.OPERATOR):
            raise SecurityError("this takes the role operator", code="security.role")
        serial = request.path_params["serial"]
        job = await self._services.jobs.read(serial, READ_NOW, who=caller.name)
        context = {"job": views.job_view(job), "meter": {"serial": serial}, "can_read": True}
        return self._html("job", context, caller=caller)

    async def job(self, request: Request, caller: Caller) -> Response:
        job = await self._services.jobs.get(request.path_params["job"])
        context = {
            "job": views.job_view(job),
            "meter": {"serial": job.meter},
            "can_read": caller.may(Role.OPERATOR),
        }
        return self._html("job", context, caller=caller)

    async def meter_profile(self, request: Request, caller: Caller) -> Response:
        del caller
        start, end = self._range(request)
        columns = await asyncio.to_thread(
            views.load_profile,
            self._services,
            request.path_params["serial"],
            start=start,
            end=end,
        )
        return JSONResponse(columns)

    async def fleet_profile(self, request: Request, caller: Caller) -> Response:
        del caller
        start, end = self._range(request)
        columns = await asyncio.to_thread(views.fleet_profile, self._services, start=start, end=end)
        return JSONResponse(columns)

    # What several of them need.

    def _range(self, request: Request) -> tuple[int, int]:
        """Return the range that a chart asks for: it ends now."""
        length = RANGES.get(request.query_params.get("range", "day"), RANGES["day"])
        end = int(self._services.clock.now())
        return end - length, end

    async def _events(self, meter: str | None) -> list[views.EventRow]:
        page = await asyncio.to_thread(
            self._services.readings.events, meter=meter, limit=views.LATEST_EVENTS
        )
        return views.event_rows(page)

    async def _dcu(self, request: Request) -> dict[str, Any]:
        name = request.path_params["dcu"]

        def gather() -> dict[str, Any]:
            device = self._services.registry.dcu(name)
            which = DeviceFilter(kind=DeviceKind.METER, dcu=name)
            rows, following = views.meter_rows(self._services, which, _after(request))
            return {
                "dcu": views.dcu_facts(self._services, device),
                "meters": rows,
                "next_url": _next(f"/dcus/{name}", {}, following),
            }

        return await asyncio.to_thread(gather)


def _to_login(request: Request) -> Response:
    if request.headers.get("HX-Request"):
        return Response(status_code=401, headers={"HX-Redirect": "/login"})
    if request.method not in SAFE_METHODS:
        return RedirectResponse("/login", 303)
    target = request.url.path
    if request.url.query:
        target = f"{target}?{request.url.query}"
    return RedirectResponse(f"/login?{urlencode({'next': target})}", 303)


def _local(target: str | None) -> str:
    """Return a path of ours to go to: never another site's."""
    if not target or not target.startswith("/") or target.startswith(("//", "/\\")):
        return "/"
    return target


async def _csrf_of(request: Request) -> str | None:
    header = request.headers.get(CSRF_HEADER)
    if header is not None:
        return header
    form = await request.form(max_files=0, max_fields=8)
    value = form.get(CSRF_FIELD)
    return value if isinstance(value, str) else None


def _after(request: Request) -> str | None:
    return request.query_params.get("after", "")[:CURSOR_LENGTH] or None


def _next(path: str, query: Mapping[str, str], cursor: str | None) -> str | None:
    if cursor is None:
        return None
    kept = {name: value for name, value in query.items() if value}
    return f"{path}?{urlencode({**kept, 'after': cursor})}"
