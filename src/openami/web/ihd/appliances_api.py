"""Routes of the display for appliances: ``docs/reference/appliance-api.md``.

They are mounted below ``/api/v1``. An appliance shows its token in the header ``Authorization:
Bearer``; what the household does is let in by whoever mounts them.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated, Final, Literal, TypeVar

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, model_validator
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from openami.core.errors import ConfigError, SecurityError
from openami.ihd.appliance_rules import Can, Kind, Mode  # noqa: TC001 - pydantic looks them up
from openami.ihd.appliances import WAIT_S, Registration

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, Self

    from starlette.requests import Request

    from openami.ihd.appliances import Appliances

STATUSES: Final[Mapping[str, int]] = {
    "appliance.invalid": 422,
    "appliance.too-large": 413,
    "appliance.token": 401,
    "appliance.throttled": 429,
    "appliance.full": 409,
    "appliance.unknown": 404,
}
"""HTTP statuses of this API's own errors, by code."""

BODY_OCTETS: Final = 4096
"""A registration has some hundred."""

POWER_W: Final = 100_000
"""More than any home's fuse lets through."""

_TOKEN: Final = 128  # characters; ours have 43
_ONE: Final = "/appliances/{appliance}"

M = TypeVar("M", bound=BaseModel)

Text = Annotated[str, Field(min_length=1, max_length=64)]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class _Registration(_Model):
    name: Text
    kind: Kind
    rated_w: int = Field(ge=1, le=POWER_W)
    least_w: int = Field(default=0, ge=0, le=POWER_W)
    can: frozenset[Can] = frozenset()

    def asked(self) -> Registration:
        return Registration(self.name, self.kind, self.rated_w, self.least_w, self.can)


class _Report(_Model):
    power_w: float = Field(ge=-POWER_W, le=POWER_W)
    state: str = Field(default="", max_length=64)


class _Change(_Model):
    allow: bool | None = None
    override: Mode | Literal[""] | None = ""
    override_until: AwareDatetime | None = None

    @model_validator(mode="after")
    def _something(self) -> Self:
        if self.allow is None and self.override == "":
            raise ValueError("allow or override wanted")
        return self


def appliance_routes(appliances: Appliances) -> list[Route]:
    """Return what appliances call: to register needs nothing, the rest the appliance's token."""
    api = _Api(appliances)
    return [
        Route("/appliances", api.register, methods=["POST"]),
        Route(f"{_ONE}/work", api.work, methods=["GET"]),
        Route(f"{_ONE}/report", api.report, methods=["POST"]),
    ]


def household_routes(appliances: Appliances) -> list[Route]:
    """Return what the household's page calls; nothing is checked here."""
    api = _Api(appliances)
    return [
        Route("/appliances", api.all, methods=["GET"]),
        Route(_ONE, api.change, methods=["PATCH"]),
        Route(_ONE, api.remove, methods=["DELETE"]),
    ]


class _Api:
    def __init__(self, appliances: Appliances) -> None:
        self._appliances = appliances

    async def all(self, request: Request) -> JSONResponse:
        del request
        return JSONResponse({"appliances": self._appliances.states()})

    async def register(self, request: Request) -> JSONResponse:
        asked = await _body(request, _Registration)
        appliance, token = self._appliances.register(asked.asked())
        answer = {"id": appliance, "token": token}
        return JSONResponse(answer, 201, {"Cache-Control": "no-store"})

    async def work(self, request: Request) -> Response:
        appliance = self._known(request)
        wait = _wait(request.query_params.get("wait", "0"))
        revision = request.query_params.get("revision")
        asking = self._appliances.work(appliance, revision=revision, wait_s=wait)
        work = asyncio.ensure_future(asking)
        gone = asyncio.ensure_future(_disconnected(request))
        try:
            await asyncio.wait([work, gone], return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                raise ClientDisconnect
            return JSONResponse(work.result(), headers={"Cache-Control": "no-store"})
        finally:
            work.cancel()
            gone.cancel()

    async def report(self, request: Request) -> Response:
        appliance = self._known(request)
        said = await _body(request, _Report)
        self._appliances.report(appliance, said.power_w, said.state)
        return Response(status_code=204)

    async def change(self, request: Request) -> JSONResponse:
        asked = await _body(request, _Change)
        appliance = request.path_params["appliance"]
        until = None if asked.override_until is None else int(asked.override_until.timestamp())
        self._appliances.change(appliance, allow=asked.allow, override=asked.override, until=until)
        found = [one for one in self._appliances.states() if one["id"] == appliance]
        return JSONResponse(found[0])

    async def remove(self, request: Request) -> Response:
        self._appliances.remove(request.path_params["appliance"])
        return Response(status_code=204)

    def _known(self, request: Request) -> str:
        """Return the appliance that is asking; ``SecurityError``: it cannot show that it is."""
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not 0 < len(token) <= _TOKEN:
            raise SecurityError("the appliance's token is wanted", code="appliance.token")
        appliance: str = request.path_params["appliance"]
        self._appliances.authenticate(appliance, token)
        return appliance


def _wait(text: str) -> float:
    if not text.isdecimal() or len(text) > 3:
        raise ConfigError(f"wait is 0 to {WAIT_S:g} seconds", code="appliance.invalid")
    return float(text)


async def _disconnected(request: Request) -> None:
    """Return when who asked has gone."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _body(request: Request, model: type[M]) -> M:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise ConfigError("a body is application/json", code="appliance.invalid")
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > BODY_OCTETS:
            raise ConfigError("the body is too large", code="appliance.too-large")
    try:
        return model.model_validate_json(bytes(body))
    except ValidationError as error:
        raise ConfigError(_problems(error), code="appliance.invalid") from error


def _problems(error: ValidationError) -> str:
    found: list[Any] = list(error.errors(include_input=False, include_url=False))
    return "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in found[:5])
