"""The pages."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

from openami.fleet.devices import Contact, DeviceKind
from openami.fleet.operators import Role
from openami.fleet.ports import DeviceFilter
from openami.web.console import values, views
from openami.web.console.choosing import STATES, fields_in, filter_of
from openami.web.console.waking import wake_state

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from starlette.requests import Request
    from starlette.responses import Response

    from openami.headend.services import Services
    from openami.web.auth import Caller
    from openami.web.console.render import Renderer
    from openami.web.console.signing import Entry

SERIAL_LENGTH: Final = 32
SEARCH_LENGTH: Final = 64
CURSOR_LENGTH: Final = 512
LATEST_EVENTS: Final = 6  # beside a chart, as high as it
ORDERS: Final = 3  # to its supply, on the page of a meter
METER_EVENTS: Final = 12


class Pages:
    """Parses a request, asks one service, renders a template."""

    def __init__(self, services: Services, renderer: Renderer) -> None:
        self._services = services
        self._renderer = renderer

    def table(self) -> Sequence[Entry]:
        return (
            ("GET", "/", self.overview),
            ("GET", "/meters", self.meters),
            ("GET", "/meters/{serial}", self.meter),
            ("GET", "/dcus", self.dcus),
            ("GET", "/dcus/{dcu}", self.dcu),
            ("GET", "/events", self.events),
        )

    async def overview(self, request: Request, caller: Caller) -> Response:
        del request
        figures, latest = await asyncio.gather(
            asyncio.to_thread(views.overview, self._services), latest_events(self._services)
        )
        context = {**figures, "latest_events": latest, "here": "overview"}
        return await self._renderer.page("overview", context, caller=caller)

    async def meters(self, request: Request, caller: Caller) -> Response:
        search = request.query_params.get("q", "").strip()[:SEARCH_LENGTH]
        state = request.query_params.get("state", "")
        contact = Contact(state) if state in set(Contact) else None
        which = DeviceFilter(kind=DeviceKind.METER, contact=contact, search=search or None)
        rows, following = await asyncio.to_thread(
            views.meter_rows, self._services, which, cursor_of(request)
        )
        context = {
            "meters": rows,
            "next_url": next_url("/meters", {"q": search, "state": state}, following),
            "states": [(contact.value, label) for contact, (label, _) in views.CONTACTS.items()],
            "q": search,
            "state": state,
            "here": "meters",
        }
        return await self._renderer.page("meters", context, caller=caller)

    async def meter(self, request: Request, caller: Caller) -> Response:
        serial = request.path_params["serial"]
        facts, stored, latest, jobs, orders = await asyncio.gather(
            asyncio.to_thread(views.meter_facts, self._services, serial),
            asyncio.to_thread(values.registers, self._services, serial),
            latest_events(self._services, serial, METER_EVENTS),
            self._services.jobs.list(meter=serial, limit=1),
            asyncio.to_thread(self._services.demand.orders.of_meter, serial),
        )
        context = {
            "meter": facts,
            "serial": serial,
            "registers": stored,
            "latest_events": latest,
            "job": values.job_view(jobs.items[0]) if jobs.items else None,
            "can_read": caller.may(Role.OPERATOR),
            "supply_orders": orders[:ORDERS],
            "here": "meters",
        }
        return await self._renderer.page("meter", context, caller=caller)

    async def dcus(self, request: Request, caller: Caller) -> Response:
        which = filter_of({name: value.strip() for name, value in request.query_params.items()})
        fields = fields_in(which)
        rows, following = await asyncio.to_thread(
            views.dcu_rows, self._services, cursor_of(request), which
        )
        context = {
            "dcus": rows,
            "next_url": next_url("/dcus", fields, following),
            "fields": fields,
            "sought": any(fields.values()),
            "states": STATES,
            "here": "dcus",
        }
        return await self._renderer.page("dcus", context, caller=caller)

    async def dcu(self, request: Request, caller: Caller) -> Response:
        context = await dcu_context(self._services, request)
        uid = context["dcu"]["id"]
        waking = {"uid": uid, "wake": await wake_state(self._services, uid)}
        return await self._renderer.page(
            "dcu", {**context, **waking, "here": "dcus"}, caller=caller
        )

    async def events(self, request: Request, caller: Caller) -> Response:
        meter = request.query_params.get("meter", "").strip()[:SERIAL_LENGTH]
        page = await asyncio.to_thread(
            self._services.readings.events,
            meter=meter or None,
            after=cursor_of(request),
            limit=views.PAGE,
        )
        context = {
            "rows": values.event_rows(page),
            "next_url": next_url("/events", {"meter": meter}, page.next),
            "meter": meter,
            "here": "events",
        }
        return await self._renderer.page("events", context, caller=caller)


async def latest_events(
    services: Services, meter: str | None = None, count: int = LATEST_EVENTS
) -> list[values.EventRow]:
    """Return the newest events of one meter or of all."""
    page = await asyncio.to_thread(services.readings.events, meter=meter, limit=count)
    return values.event_rows(page)


async def dcu_context(services: Services, request: Request) -> dict[str, Any]:
    """Return what the page of a DCU shows, and what keeps it fresh."""
    name, after = request.path_params["dcu"], cursor_of(request)

    def gather() -> dict[str, Any]:
        which = DeviceFilter(kind=DeviceKind.METER, dcu=name)
        facts = views.dcu_facts(services, name)
        rows, following = views.meter_rows(services, which, after)
        return {
            "dcu": facts,
            "meters": rows,
            "next_url": next_url(f"/dcus/{name}", {}, following),
            "fragment_url": next_url(f"/fragments/dcus/{name}", {}, after)
            or f"/fragments/dcus/{name}",
        }

    return await asyncio.to_thread(gather)


def cursor_of(request: Request) -> str | None:
    """Return where the page that is asked for begins."""
    return request.query_params.get("after", "")[:CURSOR_LENGTH] or None


def next_url(path: str, query: Mapping[str, str], cursor: str | None) -> str | None:
    """Return the address of the page that begins at ``cursor``; None if there is none."""
    if cursor is None:
        return None
    kept = {name: value for name, value in query.items() if value}
    return f"{path}?{urlencode({**kept, 'after': cursor})}"
