"""The display's application: the local API below ``/api/v1``, and the page that uses it.

``docs/reference/display-api.md`` describes the API.
"""

from __future__ import annotations

import csv
import io
import secrets
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.applications import Starlette
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route

from openami.core.clock import parse_utc
from openami.core.errors import ConfigError
from openami.dlms.cosem.response import Answer  # noqa: TC001 - pydantic looks it up
from openami.store.whole import read_whole, replace_whole
from openami.transport.clock import SystemClock
from openami.web.ihd import errors, page
from openami.web.ihd.appliances_api import appliance_routes, household_routes
from openami.web.ihd.guard import API, COOKIE, COOKIE_S, Guard, Household
from openami.web.ihd.stream import stream

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from starlette.requests import Request
    from starlette.routing import BaseRoute
    from starlette.types import ASGIApp

    from openami.ihd.display import Display

BODY_OCTETS: Final = 4096
"""Of a request of the page: a code, an answer, a choice."""
DAY_S: Final = 86_400
POINTS_S: Final = 3 * DAY_S
"""How far one request for points may reach: as long as they are kept."""
COOKIES: Final = "cookies.key"
_SECRET_OCTETS: Final = 32

M = TypeVar("M", bound=BaseModel)


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Pair(_Model):
    code: Annotated[str, Field(min_length=1, max_length=32)]
    meter: Annotated[str, Field(max_length=300)] | None = None


class _Unpair(_Model):
    history: Literal["keep", "forget"] = "keep"


class _Answer(_Model):
    answer: Answer


class _Pin(_Model):
    pin: Annotated[str, Field(min_length=1, max_length=64)]


class _Choices(_Model):
    language: Annotated[str, Field(max_length=8)] | None = None
    theme: Annotated[str, Field(max_length=8)] = "auto"
    tariff: Annotated[str, Field(max_length=64)] | None = None


def create_app(display: Display, token: str) -> ASGIApp:
    """Return the application of a display; ``token`` is for commands on this machine."""
    settings = display.settings
    household = Household(settings.pin, _secret(settings.state), token, SystemClock())
    api = Mount(API, routes=_routes(display, household))
    app = Starlette(routes=[api, *page.routes()])
    errors.install(app)
    return Guard(
        app,
        hosts=settings.hosts,
        household=household,
        tls=settings.certificate is not None,
    )


def _secret(folder: Path) -> bytes:
    """Return what cookies are sealed with, made at the first start."""
    path = folder / COOKIES
    found = read_whole(path, most=_SECRET_OCTETS)
    if len(found) < _SECRET_OCTETS:
        found = secrets.token_bytes(_SECRET_OCTETS)
        replace_whole(path, found, mode=0o600)
    return found


def _routes(display: Display, household: Household) -> Sequence[BaseRoute]:
    api = _Api(display, household)
    return [
        Route("/state", api.state),
        Route("/stream", stream(display)),
        Route("/points", api.points),
        Route("/energy", api.energy),
        Route("/energy.csv", api.export),
        Route("/pair", api.pair, methods=["POST"]),
        Route("/pair", api.unpair, methods=["DELETE"]),
        Route("/events/{event}/answer", api.answer, methods=["POST"]),
        Route("/notices/{notice}/read", api.read, methods=["POST"]),
        Route("/settings", api.choose, methods=["PATCH"]),
        Route("/reconnect", api.reconnect, methods=["POST"]),
        Route("/unlock", api.unlock, methods=["POST"]),
        *appliance_routes(display.appliances),
        *household_routes(display.appliances),
    ]


class _Api:
    def __init__(self, display: Display, household: Household) -> None:
        self._display = display
        self._household = household

    async def state(self, request: Request) -> Response:
        del request
        return JSONResponse(await self._display.state())

    async def points(self, request: Request) -> Response:
        start, end = self._span(request, DAY_S, POINTS_S)
        return JSONResponse(await self._display.points(start, end))

    async def energy(self, request: Request) -> Response:
        by = request.query_params.get("by", "hour")
        start, end = self._span(request, DAY_S)
        return JSONResponse(await self._display.energy(by, start, end))

    async def export(self, request: Request) -> Response:
        by = request.query_params.get("by", "hour")
        start, end = self._span(request, DAY_S)
        columns = await self._display.energy(by, start, end)
        headers = {"Content-Disposition": f'attachment; filename="energy-{by}.csv"'}
        text = _csv(columns, self._display)
        return Response(text, media_type="text/csv; charset=utf-8", headers=headers)

    async def pair(self, request: Request) -> Response:
        asked = await _body(request, _Pair)
        await self._display.pair(asked.code, asked.meter)
        return Response(status_code=204)

    async def unpair(self, request: Request) -> Response:
        asked = await _body(request, _Unpair)
        await self._display.unpair(forget=asked.history == "forget")
        return Response(status_code=204)

    async def answer(self, request: Request) -> Response:
        asked = await _body(request, _Answer)
        await self._display.answer(request.path_params["event"], asked.answer)
        return Response(status_code=204)

    async def read(self, request: Request) -> Response:
        await self._display.read(request.path_params["notice"])
        return Response(status_code=204)

    async def choose(self, request: Request) -> Response:
        asked = await _body(request, _Choices)
        await self._display.choose(asked.model_dump(include=asked.model_fields_set))
        return JSONResponse((await self._display.state())["settings"])

    async def reconnect(self, request: Request) -> Response:
        del request
        await self._display.reconnect()
        return Response(status_code=204)

    async def unlock(self, request: Request) -> Response:
        asked = await _body(request, _Pin)
        value = self._household.unlock(asked.pin)
        answer = Response(status_code=204)
        answer.set_cookie(
            COOKIE,
            value,
            max_age=COOKIE_S,
            httponly=True,
            samesite="strict",
            secure=self._display.settings.certificate is not None,
        )
        return answer

    def _span(self, request: Request, usual: int, most: int | None = None) -> tuple[int, int]:
        """Return the span that a request names; ConfigError ``request.invalid``: it is none."""
        texts = request.query_params.get("from"), request.query_params.get("to")
        try:
            end = int(self._display.clock.now()) if texts[1] is None else int(parse_utc(texts[1]))
            start = end - usual if texts[0] is None else int(parse_utc(texts[0]))
        except (ValueError, OverflowError) as error:
            raise ConfigError(
                "from and to are times, as 2026-01-31T00:00:00Z", code="request.invalid"
            ) from error
        if not 0 <= start <= end or (most is not None and end - start > most):
            raise ConfigError("from is before to, and not too far", code="request.invalid")
        return start, end


async def _body(request: Request, model: type[M]) -> M:
    """Return a request's body; ConfigError: it has another form."""
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > BODY_OCTETS:
            raise ConfigError("the body is too large", code="request.too-large")
    try:
        return model.model_validate_json(bytes(body) or b"{}")
    except ValidationError as error:
        # Without what was sent: it may be a code or a PIN.
        found = error.errors(include_input=False, include_url=False)
        problems = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in found)
        raise ConfigError(problems, code="request.invalid") from None


def _csv(columns: dict[str, Any], display: Display) -> str:
    zone = display.screen.zone(display.tariff)
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(["start", "end", "wh", "exported_wh", f"cost_{display.tariff.currency}"])
    bounds = [*columns["start"], columns["end"]]
    texts = [datetime.fromtimestamp(at, UTC).astimezone(zone).isoformat() for at in bounds]
    names = ("wh", "exported_wh", "cost")
    writer.writerows(zip(texts[:-1], texts[1:], *(columns[name] for name in names), strict=True))
    return out.getvalue()
