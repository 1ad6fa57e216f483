"""What DCUs ask of demand response, over mutual TLS: ``POST /device/v1/demand``.

A DCU reports what became of events and orders at its meters, and is told all that holds for them:
the answer is whole, and what is not in it any more does not hold. A report may come twice.
``taken`` is the highest number of the request, as all of it is durable then.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from starlette.responses import JSONResponse
from starlette.routing import Route

from openami.web.auth import services_of
from openami.web.demand_models import DemandReport, demand_answer
from openami.web.device_api import JSON_S, admitted, body_of

if TYPE_CHECKING:
    from starlette.requests import Request

OCTETS: Final = 2**20
"""Of a request: a thousand reports of under 1 KiB."""


async def _demand(request: Request) -> JSONResponse:
    services = services_of(request)
    dcu = await admitted(request)
    said = DemandReport.model_validate_json(await body_of(request, OCTETS, JSON_S))
    told = await services.demand.uplink.exchange(said.asked(dcu))
    return JSONResponse(demand_answer(told))


ROUTES: Final = (Route("/device/v1/demand", _demand, methods=["POST"]),)
