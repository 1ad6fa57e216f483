"""Registrations of devices, the devices that are expected, and alarms."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Annotated, Final

from fastapi import APIRouter, Path, Query, Request, Response, status

from openami.fleet.registration import Standing
from openami.headend.errors import RequestError
from openami.headend.security.registrations import Known, Registrations
from openami.web.api import API
from openami.web.api.dependencies import After, Head, Limit, OperatorCaller, Viewer, errors
from openami.web.api.models.registrations import (
    AlarmModel,
    AlarmPage,
    Decision,
    ExpectedModel,
    ExpectedPage,
    ExpectedResult,
    KnownModel,
    Reasoned,
    RegistrationModel,
    RegistrationPage,
)

router = APIRouter(prefix=API, tags=["registration"])

Uid = Annotated[str, Path(max_length=32, examples=["OAMDCU0001"])]

DECIDE: Final[Mapping[Decision, Callable[..., Known]]] = {
    Decision.APPROVE: Registrations.approve,
    Decision.REFUSE: Registrations.refuse,
    Decision.SUSPEND: Registrations.suspend,
    Decision.RESUME: Registrations.resume,
    Decision.RETIRE: Registrations.retire,
    Decision.REOPEN: Registrations.reopen,
    Decision.KEEP: Registrations.keep,
    Decision.TAKE_RIVAL: Registrations.take_rival,
}


@router.get("/registrations", responses=errors(400))
def registrations(
    head: Head,
    caller: Viewer,
    *,
    standing: Standing | None = None,
    asking: Annotated[
        bool, Query(description="Only of live devices that ask to register anew.")
    ] = False,
    after: After = None,
    limit: Limit = 100,
) -> RegistrationPage:
    """Return the registrations of devices, by uid."""
    del caller
    page = head.registrations.list(standing, asking=asking, after=after, limit=limit)
    now = head.wall.now()
    return RegistrationPage(
        items=[RegistrationModel.of(item, now) for item in page.items], next=page.next
    )


@router.get("/registrations/{uid}", responses=errors(404))
def registration(head: Head, caller: Viewer, uid: Uid) -> KnownModel:
    """Return all that is known of a device's registration."""
    del caller
    return KnownModel.known(head.registrations.get(uid), head.wall.now())


@router.post("/registrations/{uid}/{decision}", responses=errors(400, 404, 409))
def decide(
    head: Head, caller: OperatorCaller, uid: Uid, decision: Decision, reasoned: Reasoned
) -> KnownModel:
    """Decide on a registration; every decision but an approval wants a reason.

    `approve` lets in a device that is held or was refused, `refuse` keeps it out, `suspend` and
    `resume` shut it out for a while, `retire` takes it out for good, `reopen` lets it or the one
    that replaces it register anew. Of two that claim to be one device, `keep` keeps the first and
    `take-rival` takes the second.
    """
    made = DECIDE[decision](head.registrations, uid, who=caller.name, why=reasoned.why)
    return KnownModel.known(made, head.wall.now())


@router.get("/expected", responses=errors(400))
def expected(head: Head, caller: Viewer, after: After = None, limit: Limit = 100) -> ExpectedPage:
    """Return the devices that are expected, by uid."""
    del caller
    page = head.registrations.expected(after=after, limit=limit)
    return ExpectedPage(items=[ExpectedModel.of(item) for item in page.items], next=page.next)


@router.post(
    "/expected",
    responses=errors(400),
    openapi_extra={"requestBody": {"required": True, "content": {"text/csv": {}}}},
)
async def import_expected(request: Request, head: Head, caller: OperatorCaller) -> ExpectedResult:
    """Expect the devices of a list (CSV) as well: all of them or, if a line is wrong, none."""
    try:
        text = (await request.body()).decode("utf-8")
    except UnicodeDecodeError as error:
        raise RequestError("a list is text in UTF-8", code="request.expected") from error
    count = await asyncio.to_thread(head.registrations.import_expected, text, who=caller.name)
    return ExpectedResult(devices=count)


@router.put("/expected/{uid}", responses=errors(400))
def expect(head: Head, caller: OperatorCaller, uid: Uid, wish: ExpectedModel) -> ExpectedModel:
    """Expect a device, or expect it otherwise than before."""
    if wish.uid != uid:
        raise RequestError("the uid in the body is another", code="request.expected")
    head.registrations.expect([wish.device()], who=caller.name)
    return wish


@router.delete("/expected/{uid}", status_code=status.HTTP_204_NO_CONTENT, responses=errors(404))
def expect_no_more(head: Head, caller: OperatorCaller, uid: Uid) -> Response:
    """Expect a device no more; one that is registered stays."""
    head.registrations.expect_no_more(uid, who=caller.name)
    return Response(status_code=status.HTTP_204_NO_CONTENT)


@router.get("/alarms", responses=errors(400))
def alarms(
    head: Head,
    caller: Viewer,
    *,
    subject: Annotated[str | None, Query(max_length=48, examples=["dcu-D1"])] = None,
    only_open: Annotated[bool, Query(alias="open", description="Only those not cleared.")] = False,
    after: After = None,
    limit: Limit = 100,
) -> AlarmPage:
    """Return alarms, newest first."""
    del caller
    page = head.alarms.list(subject=subject, only_open=only_open, after=after, limit=limit)
    return AlarmPage(items=[AlarmModel.of(item) for item in page.items], next=page.next)


@router.post("/alarms/{alarm}/clear", responses=errors(404))
def clear_alarm(
    head: Head,
    caller: OperatorCaller,
    alarm: Annotated[int, Path(ge=1, lt=2**63)],
    reasoned: Reasoned,
) -> AlarmModel:
    """Say that an alarm has been looked at."""
    return AlarmModel.of(head.alarms.clear(alarm, who=caller.name, why=reasoned.why))
