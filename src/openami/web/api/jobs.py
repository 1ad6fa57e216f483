"""On-demand reads."""

from typing import Annotated

from fastapi import APIRouter, Query, Response, status

from openami.core.obis import Obis
from openami.fleet.jobs import Target
from openami.headend.errors import RequestError
from openami.web.api import API
from openami.web.api.dependencies import After, Head, Limit, OperatorCaller, Viewer, errors
from openami.web.api.models.jobs import JobModel, JobPage, ReadRequest, TargetModel

router = APIRouter(prefix=API, tags=["on-demand reads"])


@router.post(
    "/meters/{serial}/reads",
    status_code=status.HTTP_202_ACCEPTED,
    responses=errors(400, 404, 409),
)
async def read(
    head: Head, caller: OperatorCaller, serial: str, wish: ReadRequest, response: Response
) -> JobModel:
    """Ask a meter for attributes, now; `Location` is where to follow it."""
    targets = [_target(attribute) for attribute in wish.attributes]
    job = await head.jobs.read(serial, targets, who=caller.name)
    response.headers["Location"] = f"/api/v1/jobs/{job.id}"
    return JobModel.of(job)


@router.get("/jobs/{job}", responses=errors(404))
async def job(head: Head, caller: Viewer, job: str) -> JobModel:
    """Return how far an on-demand read is, and what it gave."""
    del caller
    return JobModel.of(await head.jobs.get(job))


@router.get("/jobs", responses=errors(409))
async def jobs(
    head: Head,
    caller: Viewer,
    meter: Annotated[str | None, Query(max_length=32)] = None,
    after: After = None,
    limit: Limit = 100,
) -> JobPage:
    """Return on-demand reads, newest first."""
    del caller
    page = await head.jobs.list(meter=meter, after=after, limit=limit)
    return JobPage(items=[JobModel.of(item) for item in page.items], next=page.next)


def _target(wish: TargetModel) -> Target:
    try:
        return Target(wish.class_id, Obis.parse(wish.obis), wish.attribute)
    except ValueError as error:
        raise RequestError(str(error), code="request.obis") from error
