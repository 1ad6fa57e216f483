"""The parts of pages that are asked for again, what charts draw, and "read now"."""

from __future__ import annotations

import asyncio
import functools
from typing import TYPE_CHECKING, Final

from starlette.responses import JSONResponse, RedirectResponse, Response

from openami.core.obis import Obis
from openami.fleet.jobs import Target
from openami.fleet.operators import Role
from openami.headend.statistics import Fresh
from openami.web.console import charts, values, views
from openami.web.console.forms import demand
from openami.web.console.pages import dcu_context, latest_events
from openami.web.console.render import is_fragment

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from starlette.requests import Request

    from openami.fleet.jobs import Job
    from openami.headend.services import Services
    from openami.web.auth import Caller
    from openami.web.console.render import Renderer
    from openami.web.console.signing import Entry

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
# Many screens ask for the chart of all meters, and the longer its range, the dearer it is.
FLEET_FRESH_S: Final[Mapping[str, float]] = {"day": 4.0, "week": 15.0, "month": 60.0}
KILO: Final = 0.001


class Fragments:
    """Answers the scripts of open pages."""

    def __init__(self, services: Services, renderer: Renderer) -> None:
        self._services = services
        self._renderer = renderer
        self._fleet = {
            name: Fresh(
                functools.partial(charts.fleet_chart, services, length),
                services.wall,
                for_s=FLEET_FRESH_S[name],
            )
            for name, length in charts.RANGES.items()
        }

    def table(self) -> Sequence[Entry]:
        return (
            ("GET", "/fragments/figures", self.figures),
            ("GET", "/fragments/events", self.events),
            ("GET", "/fragments/dcus/{dcu}", self.dcu),
            ("GET", "/fragments/meters/{serial}/figures", self.meter_figures),
            ("GET", "/fragments/jobs/{job}", self.job),
            ("POST", "/meters/{serial}/read", self.read),
            ("GET", "/charts/fleet", self.fleet_chart),
            ("GET", "/charts/meters/{serial}", self.meter_chart),
        )

    async def figures(self, request: Request, caller: Caller) -> Response:
        del request
        context = await asyncio.to_thread(views.overview, self._services)
        return self._renderer.html("figures", context, caller=caller)

    async def events(self, request: Request, caller: Caller) -> Response:
        del request
        context = {"latest_events": await latest_events(self._services)}
        return self._renderer.html("latest_events", context, caller=caller)

    async def dcu(self, request: Request, caller: Caller) -> Response:
        # The card of its wake-up loads itself: the page keeps the one that it has.
        context = {**await dcu_context(self._services, request), "wake": None}
        return self._renderer.html("dcu_body", context, caller=caller)

    async def meter_figures(self, request: Request, caller: Caller) -> Response:
        serial = request.path_params["serial"]
        facts = await asyncio.to_thread(views.meter_facts, self._services, serial)
        return self._renderer.html("meter_figures", {"meter": facts}, caller=caller)

    async def job(self, request: Request, caller: Caller) -> Response:
        return self._job(await self._services.jobs.get(request.path_params["job"]), caller)

    async def read(self, request: Request, caller: Caller) -> Response:
        demand(caller, Role.OPERATOR)
        serial = request.path_params["serial"]
        job = await self._open_read(serial)
        if job is None:
            job = await self._services.jobs.read(serial, READ_NOW, who=caller.name)
        if not is_fragment(request):
            return RedirectResponse(f"/meters/{serial}#job", 303)
        return self._job(job, caller)

    async def fleet_chart(self, request: Request, caller: Caller) -> Response:
        del caller
        chart = await asyncio.to_thread(self._fleet[_range(request)].get)
        return JSONResponse(chart.jsonable(self._renderer.zone, KILO))

    async def meter_chart(self, request: Request, caller: Caller) -> Response:
        del caller
        serial, length = request.path_params["serial"], charts.RANGES[_range(request)]
        chart = await asyncio.to_thread(charts.meter_chart, self._services, serial, length)
        return JSONResponse(chart.jsonable(self._renderer.zone))

    async def _open_read(self, serial: str) -> Job | None:
        """Return the reading of the same that is under way: a second push is no second reading."""
        newest = await self._services.jobs.list(meter=serial, limit=1)
        for job in newest.items:
            if not job.final and job.targets == READ_NOW:
                return job
        return None

    def _job(self, job: Job, caller: Caller) -> Response:
        context = {
            "job": values.job_view(job),
            "serial": job.meter,
            "can_read": caller.may(Role.OPERATOR),
        }
        return self._renderer.html("job", context, caller=caller)


def _range(request: Request) -> str:
    name = request.query_params.get("range", "")
    return name if name in charts.RANGES else "day"
