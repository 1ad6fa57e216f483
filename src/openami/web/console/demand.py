"""The pages of demand response: what runs, one event as it goes, and the events of a meter."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from openami.core.errors import ConflictError
from openami.fleet.demand.machine import EventState
from openami.fleet.demand.standing import What
from openami.fleet.operators import Role
from openami.headend.demand.displays import why_waiting
from openami.headend.demand.events import takes_admin
from openami.mdm.baseline import NAME
from openami.web.console import demand_pictures as pictures
from openami.web.console import demand_views as views
from openami.web.console.forms import back, fields_of, sure, text_in
from openami.web.console.pages import cursor_of, next_url
from openami.web.console.views import PAGE
from openami.web.demand_roles import check_publisher, may_publish

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.requests import Request
    from starlette.responses import Response

    from openami.fleet.demand.records import EventRecord
    from openami.headend.demand.views import EventView
    from openami.headend.services import Services
    from openami.web.auth import Caller
    from openami.web.console.render import Renderer
    from openami.web.console.signing import Entry

HERE: Final = "demand"
NOW: Final = 6  # events under way with their bars; the list has all
EVENTS: Final = 20  # of a page
RECENT: Final = 100  # of those that are over, looked through for today's
RESULTS: Final = 50  # meters of a page of results: three queries of the lake
CHANGED: Final = frozenset({EventState.DRAFT, EventState.SCHEDULED})
LATE: Final = 12  # DCUs that are named


class DemandPages:
    """Shows events and lets operators publish and cancel them."""

    def __init__(self, services: Services, renderer: Renderer) -> None:
        self._demand = services.demand
        self._clock = services.clock
        self._registry = services.registry
        self._renderer = renderer

    def table(self) -> Sequence[Entry]:
        return (
            ("GET", "/demand", self.events),
            ("GET", "/demand/events/{event}", self.event),
            ("GET", "/demand/events/{event}/meters", self.meters),
            ("GET", "/demand/events/{event}/results", self.results),
            ("POST", "/demand/events/{event}/publish", self.publish),
            ("POST", "/demand/events/{event}/cancel", self.cancel),
            ("GET", "/meters/{serial}/demand", self.of_meter),
            ("POST", "/meters/{serial}/displays/done", self.displays_done),
        )

    async def events(self, request: Request, caller: Caller) -> Response:
        asked, after = request.query_params.get("state", ""), cursor_of(request)
        state = EventState(asked) if asked in set(EventState) else None
        query = {"state": state.value if state else ""}

        def gather() -> dict[str, Any]:
            desk, now = self._demand.events, self._clock.now()
            live = list(self._demand.book.events().values())
            active = [record for record in live if record.state is EventState.ACTIVE]
            active.sort(key=lambda record: (record.event.end, record.key))
            page = desk.list(state=state, after=after, limit=EVENTS)
            recent = {record.key: record for record in desk.list(limit=RECENT).items}
            recent.update((record.key, record) for record in live)
            return {
                "active": [self._with_bar(desk.get(one.event.id)) for one in active[:NOW]],
                "more_active": max(0, len(active) - NOW),
                "picture": pictures.two_days(recent.values(), now, self._renderer.zone),
                "rows": page.items,
                "programs": {one.id: one.name for one in desk.programs(limit=RECENT).items},
                "now": now,
                "next_url": next_url("/demand", query, page.next),
            }

        context = {
            **await asyncio.to_thread(gather),
            **_words(),
            "asked": query["state"],
            "page_url": next_url("/demand", query, after) or f"/demand?state={query['state']}",
        }
        return await self._renderer.page("demand", context, caller=caller)

    def _with_bar(self, view: EventView) -> tuple[EventView, Any]:
        return view, views.pieces(view.counts)

    async def event(self, request: Request, caller: Caller) -> Response:
        id_ = _id(request)

        def gather() -> dict[str, Any]:
            view = self._demand.events.get(id_)
            late = self._demand.events.late(id_)
            return {
                **self._known(view, caller),
                "late": late[:LATE],
                "lates": len(late),
                "shown": [views.display(view.record.event, tag) for tag in ("en", "ko")],
            }

        context = await asyncio.to_thread(gather)
        return await self._renderer.page("demand_event", context, caller=caller)

    async def meters(self, request: Request, caller: Caller) -> Response:
        id_, after = _id(request), cursor_of(request)
        asked = request.query_params.get("only", "")
        only = What(asked) if asked in set(views.FILTERS) else None
        silent = asked == views.SILENT
        query = {"only": views.SILENT if silent else only.value if only else ""}

        def gather() -> dict[str, Any]:
            desk = self._demand.events
            here = f"/demand/events/{quote(id_)}/meters"
            known = self._known(desk.get(id_), caller)
            if silent:
                lost = desk.unreached(id_, after=after, limit=PAGE)
                return {**known, "lost": lost.items, "next_url": next_url(here, query, lost.next)}
            page = desk.standings(id_, only=only, after=after, limit=PAGE)
            rows = [(one, *views.standing_words(one.standing)) for one in page.items]
            return {**known, "rows": rows, "next_url": next_url(here, query, page.next)}

        context = {
            "rows": (),
            "lost": (),
            **await asyncio.to_thread(gather),
            "asked": query["only"],
            "silent": views.SILENT,
            "why_lost": views.UNREACHED,
        }
        return await self._renderer.page("demand_meters", context, caller=caller)

    async def results(self, request: Request, caller: Caller) -> Response:
        """Answer with a page of results, or why there are none; also as a part of the event's."""
        id_, after = _id(request), cursor_of(request)

        def gather() -> dict[str, Any]:
            known = self._known(self._demand.events.get(id_), caller)
            path = f"/demand/events/{quote(id_)}/results"
            try:
                found = self._demand.measurement.results(id_, after=after, limit=RESULTS)
            except ConflictError as error:
                return {**known, "found": None, "why": error.message, "next_url": None}
            return {
                **known,
                "found": found,
                "sums": views.sums(found),
                "drawn": pictures.picture(found.course, found.start),
                "method": NAME,
                "after": after,
                "next_url": next_url(path, {}, found.next),
            }

        context = await asyncio.to_thread(gather)
        return await self._renderer.page("demand_results", context, caller=caller)

    async def publish(self, request: Request, caller: Caller) -> Response:
        form = await fields_of(request, caller, Role.OPERATOR)
        id_, why = _id(request), text_in(form, "why")

        def publish() -> None:
            check_publisher(caller, self._demand.events.get(id_).record.event)
            self._demand.events.publish(id_, who=caller.name, why=why)

        sure(form)
        await asyncio.to_thread(publish)
        return back(form, f"/demand/events/{id_}")

    async def cancel(self, request: Request, caller: Caller) -> Response:
        form = await fields_of(request, caller, Role.OPERATOR)
        id_, why = _id(request), text_in(form, "why")
        await asyncio.to_thread(self._demand.events.cancel, id_, who=caller.name, why=why)
        return back(form, f"/demand/events/{id_}")

    async def of_meter(self, request: Request, caller: Caller) -> Response:
        serial = request.path_params["serial"]

        def gather() -> dict[str, Any]:
            found = self._demand.for_meter(serial)
            rows = [(one, *views.standing_words(one.standing)) for one in found]
            waiting = self._demand.displays.waiting(meter=serial).items
            return {
                "rows": rows,
                "notices": self._demand.notices_for(serial),
                "order": waiting[-1] if waiting else None,
            }

        context = {
            **await asyncio.to_thread(gather),
            **_words(),
            "phases": views.PHASES,
            "why_waiting": why_waiting,
            "serial": serial,
            "here": "meters",
        }
        return await self._renderer.page("meter_demand", context, caller=caller)

    async def displays_done(self, request: Request, caller: Caller) -> Response:
        form = await fields_of(request, caller, Role.OPERATOR)
        serial, why = request.path_params["serial"], text_in(form, "why")
        await asyncio.to_thread(self._demand.displays.done, serial, who=caller.name, why=why)
        return back(form, f"/meters/{quote(serial)}/demand")

    def _known(self, view: EventView, caller: Caller) -> dict[str, Any]:
        """Return what every page of an event says of it."""
        record = view.record
        event = record.event
        return {
            **_words(),
            "view": view,
            "record": record,
            "it": event,
            "pieces": views.pieces(view.counts),
            "filters": views.FILTERS,
            "live": views.live(record),
            "asked_admin": takes_admin(event),
            "may_publish": may_publish(caller, event),
            "changes": record.state in CHANGED and may_publish(caller, event),
            "reach": self._reach(record),
            "now": self._clock.now(),
            "interval_words": views.interval_words,
        }

    def _reach(self, record: EventRecord) -> int:
        """Return how many meters it is for; of a draft, as of now."""
        if record.state is not EventState.DRAFT:
            return record.meters
        return self._demand.events.reach(record.event.targets).meters


def _words() -> dict[str, Any]:
    return {
        "states": views.STATES,
        "kinds": views.KINDS,
        "asks": views.asks,
        "whom": views.whom,
        "here": HERE,
    }


def _id(request: Request) -> str:
    id_: str = request.path_params["event"]
    return id_
