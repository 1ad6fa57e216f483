"""What was measured: readings, registers, gaps, events."""

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Annotated, Any, Final
from urllib.parse import urlencode

import pyarrow as pa
from fastapi import APIRouter, Header, Query, Request, Response
from starlette.responses import JSONResponse

from openami.fleet.ports import ReadingFilter
from openami.headend.readings import PERIOD_S, PROFILE, as_arrow, as_csv, as_rows
from openami.mdm.readings import CONTENT_TYPE
from openami.web.api import API
from openami.web.api.dependencies import After, Head, Limit, Range, Viewer, errors
from openami.web.api.models.readings import (
    EventModel,
    EventPage,
    GapPage,
    ReadingPage,
    RegisterPage,
    StoreModel,
    SumPage,
)

router = APIRouter(prefix=API, tags=["readings"])

NEXT_HEADER: Final = "OpenAMI-Next"


class Version(StrEnum):
    """Which of several values for the same interval."""

    LATEST = "latest"
    ALL = "all"


class Form(StrEnum):
    """How readings are written down."""

    JSON = "json"
    CSV = "csv"
    ARROW = "arrow"


MEDIA_TYPES: Final[Mapping[Form, str]] = {
    Form.JSON: "application/json",
    Form.CSV: "text/csv; charset=utf-8",
    Form.ARROW: CONTENT_TYPE,
}
WRITERS: Final[Mapping[Form, Callable[[pa.Table], bytes]]] = {
    Form.CSV: as_csv,
    Form.ARROW: as_arrow,
}
FORMS: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "model": ReadingPage,
        "description": f"Readings; `{NEXT_HEADER}` and `Link` name the next page in every form.",
        "content": {"text/csv": {}, CONTENT_TYPE: {}},
    }
}
Channels = Annotated[list[str], Query(alias="channel", max_length=64, examples=["1.0.1.29.0.255"])]
Chosen = Annotated[Form | None, Query(alias="format", description="Else by `Accept`.")]


@router.get("/meters/{serial}/readings", responses={**FORMS, **errors(400, 404, 409)})
def readings(
    request: Request,
    head: Head,
    caller: Viewer,
    *,
    serial: str,
    span: Range,
    channels: Channels = [],  # noqa: B006 - FastAPI copies it, and needs the empty list
    profile: Annotated[str | None, Query(max_length=32)] = None,
    version: Version = Version.LATEST,
    chosen: Chosen = None,
    accept: Annotated[str, Header()] = "",
    after: After = None,
    limit: Annotated[int | None, Query(ge=1, le=1_000_000)] = None,
) -> Response:
    """Return readings of a meter by time and channel, as JSON, CSV or Arrow."""
    del caller
    which = ReadingFilter(
        meter=serial,
        channels=tuple(channels),
        profile=profile,
        start=span.start,
        end=span.end,
        all_versions=version is Version.ALL,
    )
    table, following = head.readings.page(which, after=after, limit=limit)
    return _written(request, table, following, chosen or _accepted(accept))


@router.get("/meters/{serial}/registers", responses=errors(404), response_model=RegisterPage)
def registers(head: Head, caller: Viewer, serial: str) -> Response:
    """Return the newest stored reading of each of a meter's channels."""
    del caller
    return JSONResponse({"items": as_rows(head.readings.latest(serial))})


@router.get("/store", responses=errors(400))
def store(head: Head, caller: Viewer, span: Range) -> StoreModel:
    """Return the figures of the store; it counts its duplicates row by row, in a time range."""
    del caller
    counts, duplicates = head.readings.counts(span)
    return StoreModel.of(counts, duplicates)


@router.get("/sums", responses=errors(), response_model=SumPage)
def sums(
    head: Head,
    caller: Viewer,
    *,
    meters: Annotated[list[str], Query(alias="meter", max_length=1000)],
) -> Response:
    """Return per meter, profile and channel: count, sum, first and last time."""
    del caller
    return JSONResponse({"items": as_rows(head.readings.sums(meters))})


@router.get("/gaps", responses=errors(400), response_model=GapPage)
def gaps(
    head: Head,
    caller: Viewer,
    *,
    span: Range,
    meters: Annotated[list[str], Query(alias="meter", max_length=1000)],
    period: Annotated[int, Query(ge=60, le=86_400, description="Seconds.")] = PERIOD_S,
    profile: Annotated[str, Query(max_length=32)] = PROFILE,
) -> Response:
    """Return the intervals of meters that should be there and are not."""
    del caller
    table = head.readings.gaps(meters, span, period=period, profile=profile)
    return JSONResponse({"items": as_rows(table)})


@router.get("/events", responses=errors(409))
def events(
    head: Head,
    caller: Viewer,
    *,
    meter: Annotated[str | None, Query(max_length=32)] = None,
    log: Annotated[str | None, Query(max_length=32)] = None,
    after: After = None,
    limit: Limit = 100,
) -> EventPage:
    """Return meters' events, newest first."""
    del caller
    page = head.readings.events(meter=meter, log=log, after=after, limit=limit)
    return EventPage(items=[EventModel.of(event) for event in page.items], next=page.next)


def _accepted(accept: str) -> Form:
    """Return the first form that an ``Accept`` header names; JSON if it names none of ours."""
    for item in accept.split(","):
        wanted = item.partition(";")[0].strip().lower()
        for form, media_type in MEDIA_TYPES.items():
            if wanted == media_type.partition(";")[0]:
                return form
    return Form.JSON


def _written(request: Request, table: pa.Table, following: str | None, form: Form) -> Response:
    headers = {"Vary": "Accept"}
    if following is not None:
        query = [(k, v) for k, v in request.query_params.multi_items() if k != "after"]
        url = f"{request.url.path}?{urlencode([*query, ('after', following)])}"
        headers |= {NEXT_HEADER: following, "Link": f'<{url}>; rel="next"'}
    if form is Form.JSON:
        return JSONResponse({"items": as_rows(table), "next": following}, headers=headers)
    serial = request.path_params["serial"]
    headers["Content-Disposition"] = f'attachment; filename="{serial}.{form.value}"'
    return Response(WRITERS[form](table), media_type=MEDIA_TYPES[form], headers=headers)
