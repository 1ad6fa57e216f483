"""Campaigns: which devices get which release, in which groups, when, and how far that is."""

from typing import Annotated, Final, Literal

from fastapi import APIRouter, Path, Query, Response, status

from openami.firmware.manifest import ReleaseKind
from openami.fleet.campaigns.machine import Act, CampaignState
from openami.fleet.campaigns.model import BY_WORD, MAX_TEXT, Campaign, DeviceState
from openami.fleet.devices import DeviceKind
from openami.fleet.ports import MAX_PAGE
from openami.headend.errors import RequestError
from openami.headend.services import Services
from openami.web.api import API
from openami.web.api.dependencies import (
    After,
    Head,
    IdempotencyKey,
    Limit,
    OperatorCaller,
    Viewer,
    errors,
    ticket_of,
)
from openami.web.api.models.campaign_plans import CampaignSpec, DryRunModel
from openami.web.api.models.campaigns import (
    CampaignCommand,
    CampaignDetail,
    CampaignDevice,
    CampaignDevicePage,
    CampaignModel,
    CampaignPage,
    CampaignRequest,
    CampaignRevision,
    EmergencyStop,
    Stopped,
    TimelineModel,
)

router = APIRouter(prefix=API, tags=["campaigns"])

PATH: Final = "/campaigns"

Id = Annotated[str, Path(max_length=64)]
Serial = Annotated[str, Path(max_length=32)]
Text = Annotated[str | None, Query(max_length=MAX_TEXT)]
StateName = Annotated[
    str | None,
    Query(description="Only devices that are so far.", json_schema_extra={"enum": list(BY_WORD)}),
]
Command = Literal[Act.PLAN, Act.APPROVE, Act.START, Act.PAUSE, Act.RESUME, Act.STOP]


@router.post(PATH, status_code=status.HTTP_201_CREATED, responses=errors(400, 404, 409))
def draft_campaign(
    head: Head,
    caller: OperatorCaller,
    wish: CampaignRequest,
    response: Response,
    idempotency_key: IdempotencyKey = None,
) -> CampaignDetail:
    """Keep a new campaign as a draft.

    A request that is made again with its `Idempotency-Key`, since no answer came, is answered with
    the campaign that it has made, as it is by then.
    """
    made = head.campaigns.draft(
        meant(head, wish.campaign),
        who=caller.name,
        why=wish.why,
        ticket=ticket_of(idempotency_key, wish),
    )
    response.headers["Location"] = f"/api/v1{PATH}/{made.id}"
    return CampaignDetail.of(made, head.wall.now())


@router.get(PATH, responses=errors(400))
def campaigns(
    head: Head,
    caller: Viewer,
    *,
    state: CampaignState | None = None,
    after: After = None,
    limit: Limit = 100,
) -> CampaignPage:
    """Return campaigns, the newest first."""
    del caller
    page, now = head.campaigns.list(state=state, after=after, limit=limit), head.wall.now()
    return CampaignPage(items=[CampaignModel.of(view, now) for view in page.items], next=page.next)


@router.post(PATH + "/dry-run", responses=errors(400, 404, 409))
def dry_run(
    head: Head,
    caller: Viewer,
    campaign: CampaignSpec,
    *,
    after: Annotated[int, Query(ge=0, le=2**31, description="DCUs to pass over.")] = 0,
    limit: Annotated[int, Query(ge=0, le=MAX_PAGE, description="Most DCUs in `order`.")] = 50,
) -> DryRunModel:
    """Return what a campaign would do if it were started now; nothing is kept."""
    del caller
    found = head.campaigns.dry_run(meant(head, campaign), after=after, limit=limit)
    return DryRunModel.of(found, head.wall.now())


@router.post(PATH + "/emergency-stop", responses=errors(400))
def emergency_stop(head: Head, caller: OperatorCaller, wish: EmergencyStop) -> Stopped:
    """Stop every campaign that is approved or at work, at each DCU with its next poll."""
    stopped = head.campaigns.emergency(who=caller.name, why=wish.why)
    return Stopped(campaigns=stopped, epoch=head.campaigns.epoch())


@router.get(PATH + "/of-device/{serial}", responses=errors(404))
def campaigns_of_device(head: Head, caller: Viewer, serial: Serial) -> list[TimelineModel]:
    """Return what happened to a meter or a DCU in each campaign, the newest first."""
    del caller
    return [TimelineModel.of(view) for view in head.campaigns.of_device(serial)]


@router.get(PATH + "/{id}", responses=errors(404))
def campaign(head: Head, caller: Viewer, id: Id) -> CampaignDetail:  # noqa: A002 - the path's name
    """Return what a campaign is, and how far."""
    del caller
    return CampaignDetail.of(head.campaigns.get(id), head.wall.now())


@router.put(PATH + "/{id}", responses=errors(400, 404, 409))
def revise_campaign(
    head: Head,
    caller: OperatorCaller,
    id: Id,  # noqa: A002 - the path's name
    wish: CampaignRevision,
) -> CampaignDetail:
    """Replace what a campaign is, before it is started; it is a draft again."""
    made = head.campaigns.revise(
        id, meant(head, wish.campaign), who=caller.name, number=wish.number, why=wish.why
    )
    return CampaignDetail.of(made, head.wall.now())


@router.post(PATH + "/{id}/{act}", responses=errors(404, 409))
def command_campaign(
    head: Head,
    caller: OperatorCaller,
    id: Id,  # noqa: A002 - the path's name
    act: Command,
    wish: CampaignCommand,
) -> CampaignDetail:
    """Plan, approve, start, pause, resume or stop a campaign.

    Who wrote or planned it may not approve it. To resume accepts the failures so far.
    """
    made = head.campaigns.command(id, act, who=caller.name, number=wish.number, why=wish.why)
    return CampaignDetail.of(made, head.wall.now())


@router.get(PATH + "/{id}/devices", responses=errors(400, 404))
def campaign_devices(
    head: Head,
    caller: Viewer,
    id: Id,  # noqa: A002 - the path's name
    *,
    state: StateName = None,
    group: Text = None,
    dcu: Text = None,
    after: After = None,
    limit: Limit = 100,
) -> CampaignDevicePage:
    """Return a campaign's devices; a page may have fewer than `limit` and still a next one."""
    del caller
    page = head.campaigns.devices(
        id, state=_state(state), group=group, dcu=dcu, after=after, limit=limit
    )
    return CampaignDevicePage(
        items=[CampaignDevice.of(device) for device in page.items], next=page.next
    )


@router.get(PATH + "/{id}/devices/{serial}", responses=errors(404))
def campaign_timeline(
    head: Head,
    caller: Viewer,
    id: Id,  # noqa: A002 - the path's name
    serial: Serial,
) -> TimelineModel:
    """Return what happened to a device in a campaign, and why it is not further."""
    del caller
    return TimelineModel.of(head.campaigns.timeline(id, serial))


def meant(head: Services, spec: CampaignSpec) -> Campaign:
    """Return the campaign that a description is.

    Raises:
        NotFoundError: there is no such release.
        RequestError: ``request.campaign``, it can not be meant.
    """
    package = head.firmware.shelf.get(spec.release).release.id
    kind = DeviceKind.METER if package.kind is ReleaseKind.METER_IMAGE else DeviceKind.DCU
    return spec.campaign(str(package), kind, head.settings.timezone)


def _state(name: str | None) -> DeviceState | None:
    if name is not None and name not in BY_WORD:
        raise RequestError(f"no device is ever {name!r}", code="request.state")
    return None if name is None else BY_WORD[name]
