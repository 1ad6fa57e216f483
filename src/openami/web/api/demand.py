"""Demand response: programs, events, reports and notices, in OpenADR 3's terms."""

from typing import Annotated, Final

from fastapi import APIRouter, Path, Query, Response, status

from openami.core.clock import utc
from openami.core.errors import ConflictError
from openami.fleet.demand.machine import EventState
from openami.headend.demand.events import new_id
from openami.headend.demand.prices import price_intervals
from openami.headend.demand.results import PAGE
from openami.headend.demand.views import EventView
from openami.headend.services import Services
from openami.mdm.baseline import NAME
from openami.mdm.tariffs.catalog import tariff_named
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
from openami.web.api.models.demand import (
    ClockModel,
    EventModel,
    EventPage,
    EventRevision,
    EventSpec,
    IntervalList,
    PriceSpec,
    ProgramModel,
    ProgramPage,
    ProgramSpec,
    WhyWish,
    intervals_of,
)
from openami.web.api.models.demand_displays import DisplayOrderModel, DisplayOrderPage
from openami.web.api.models.demand_notices import NoticeModel, NoticePage, NoticeSpec
from openami.web.api.models.demand_results import (
    MeterEventList,
    MeterEventModel,
    MeterStandingModel,
    MeterStandingPage,
    ReportModel,
    ResultModel,
    ResultPage,
    UnreachedModel,
    UnreachedPage,
)
from openami.web.auth import Caller
from openami.web.demand_roles import check_publisher, check_reviser

BASE: Final = "/demand"
"""OpenADR 3's paths stand below it: of `/events` alone the API has meters' events already."""

router = APIRouter(prefix=API + BASE, tags=["demand response"])
of_meters = APIRouter(prefix=API, tags=["demand response"])

Id = Annotated[str, Path(max_length=36)]
Serial = Annotated[str, Path(max_length=32)]
Meters = Annotated[int, Query(ge=1, le=PAGE, description="Most meters in the page.")]


@router.post("/programs", status_code=status.HTTP_201_CREATED, responses=errors(400, 409))
def add_program(
    head: Head, caller: OperatorCaller, wish: ProgramSpec, response: Response
) -> ProgramModel:
    """Add a program: under which terms customers are asked."""
    made = head.demand.events.add_program(wish.program(new_id()), who=caller.name)
    response.headers["Location"] = f"{API}{BASE}/programs/{made.id}"
    return ProgramModel.of(made)


@router.get("/programs", responses=errors(409))
def programs(head: Head, caller: Viewer, after: After = None, limit: Limit = 100) -> ProgramPage:
    """Return programs by name."""
    del caller
    page = head.demand.events.programs(after=after, limit=limit)
    return ProgramPage(items=[ProgramModel.of(one) for one in page.items], next=page.next)


@router.get("/programs/{id}", responses=errors(404))
def program(head: Head, caller: Viewer, id: Id) -> ProgramModel:  # noqa: A002 - the path's name
    """Return a program."""
    del caller
    return ProgramModel.of(head.demand.events.program(id))


@router.post("/events", status_code=status.HTTP_201_CREATED, responses=errors(400, 404, 409))
def make_event(
    head: Head,
    caller: OperatorCaller,
    wish: EventSpec,
    response: Response,
    *,
    draft: Annotated[bool, Query(description="Keep it only; nobody is told yet.")] = False,
    idempotency_key: IdempotencyKey = None,
) -> EventModel:
    """Make an event, and have it carried to its meters.

    An emergency, and a limit that nobody can opt out of, takes the role admin. A request that is
    made again with its `Idempotency-Key`, since no answer came, is answered with the event that it
    has made, as it is by then.
    """
    events = head.demand.events
    event = wish.event(new_id(), events.program(wish.program_id))
    if not draft:
        check_publisher(caller, event)
    ticket = ticket_of(idempotency_key, wish, "draft" if draft else "event")
    made = events.draft(event, who=caller.name, ticket=ticket)
    if not draft:
        made = _published(head, made, caller)
    response.headers["Location"] = f"{API}{BASE}/events/{made.record.event.id}"
    return _model(made)


@router.get("/events", responses=errors(409))
def events(
    head: Head,
    caller: Viewer,
    *,
    state: EventState | None = None,
    program_id: Annotated[str | None, Query(alias="programID", max_length=36)] = None,
    after: After = None,
    limit: Limit = 100,
) -> EventPage:
    """Return events, the newest first; one of them alone has counts."""
    del caller
    page = head.demand.events.list(state=state, program=program_id, after=after, limit=limit)
    return EventPage(items=[EventModel.of(one) for one in page.items], next=page.next)


@router.get("/events/{id}", responses=errors(404))
def event(head: Head, caller: Viewer, id: Id) -> EventModel:  # noqa: A002 - the path's name
    """Return an event, and at how many meters it is how far."""
    del caller
    return _model(head.demand.events.get(id))


@router.put("/events/{id}", responses=errors(400, 404, 409))
def revise_event(
    head: Head,
    caller: OperatorCaller,
    id: Id,  # noqa: A002 - the path's name
    wish: EventRevision,
) -> EventModel:
    """Replace what an event is, before it begins; its meters are told again."""
    events = head.demand.events
    revised = wish.event.event(id, events.program(wish.event.program_id))
    check_reviser(caller, events.get(id).record.event, revised)
    return _model(events.revise(revised, who=caller.name, why=wish.why))


@router.post("/events/{id}/publish", responses=errors(404, 409))
def publish_event(
    head: Head,
    caller: OperatorCaller,
    id: Id,  # noqa: A002 - the path's name
    wish: WhyWish,
) -> EventModel:
    """Have a draft carried to its meters."""
    check_publisher(caller, head.demand.events.get(id).record.event)
    return _model(head.demand.events.publish(id, who=caller.name, why=wish.why))


@router.post("/events/{id}/cancel", responses=errors(400, 404, 409))
def cancel_event(
    head: Head,
    caller: OperatorCaller,
    id: Id,  # noqa: A002 - the path's name
    wish: WhyWish,
) -> EventModel:
    """End an event at once: it is taken out of its meters. Any operator may."""
    return _model(head.demand.events.cancel(id, who=caller.name, why=wish.why))


@router.get("/events/{id}/meters", responses=errors(404, 409))
def event_meters(
    head: Head,
    caller: Viewer,
    id: Id,  # noqa: A002 - the path's name
    after: After = None,
    limit: Limit = 100,
) -> MeterStandingPage:
    """Return how an event stands at meters of which anything is known."""
    del caller
    page = head.demand.events.standings(id, after=after, limit=limit)
    items = [MeterStandingModel.of(one) for one in page.items]
    return MeterStandingPage(items=items, next=page.next)


@router.get("/events/{id}/unreached", responses=errors(404, 409))
def unreached_meters(
    head: Head,
    caller: Viewer,
    id: Id,  # noqa: A002 - the path's name
    after: After = None,
    limit: Limit = 100,
) -> UnreachedPage:
    """Return the meters that an event is for and of which nothing was heard, and why.

    `head-end`: the head-end reads it itself, such are told nothing. `no-dcu`: no DCU looks after
    it. `not-asked`: its DCU has not asked since the event was sent. `not-told`: its DCU has the
    event, the meter not yet. `early`: DCUs are told eight days ahead. `over`: the event is over.
    """
    del caller
    page = head.demand.events.unreached(id, after=after, limit=limit)
    return UnreachedPage(items=[UnreachedModel.of(one) for one in page.items], next=page.next)


@router.get("/events/{id}/results", responses=errors(404, 409))
def event_results(
    head: Head,
    caller: Viewer,
    id: Id,  # noqa: A002 - the path's name
    after: After = None,
    limit: Meters = PAGE,
) -> ResultPage:
    """Return what an event has brought at meters, against their baselines."""
    del caller
    found = head.demand.measurement.results(id, after=after, limit=limit)
    items = [ResultModel.of(one) for one in found.meters]
    return ResultPage.model_validate(
        {"method": NAME, "start": found.start, "end": found.end, "items": items,
         "next": found.next}
    )  # fmt: skip


@router.get("/reports", responses=errors(404, 409))
def reports(
    head: Head,
    caller: Viewer,
    *,
    event_id: Annotated[str, Query(alias="eventID", max_length=36)],
    after: After = None,
    limit: Meters = PAGE,
) -> ReportModel:
    """Return a report of an event: usage, baseline and state of meters, page after page."""
    view = head.demand.events.get(event_id)
    found = head.demand.measurement.results(event_id, after=after, limit=limit)
    return ReportModel.of(view, found, client=caller.name)


@router.get("/clock", responses=errors())
def clock(head: Head, caller: Viewer) -> ClockModel:
    """Return the time that events go by: that of the meters."""
    del caller
    return ClockModel(now=utc(head.clock.now()))


@router.post("/prices", responses=errors(400, 404))
def prices(head: Head, caller: Viewer, wish: PriceSpec) -> IntervalList:
    """Return the prices of a tariff as intervals of an event."""
    del head, caller
    period = wish.interval_period
    begin, length = int(period.start.timestamp()), int(period.duration.total_seconds())
    found = price_intervals(tariff_named(wish.tariff), begin, length, kwh=wish.kwh)
    return IntervalList(intervals=intervals_of(found))


@router.post("/notices", status_code=status.HTTP_201_CREATED, responses=errors(400))
def send_notice(
    head: Head, caller: OperatorCaller, wish: NoticeSpec, idempotency_key: IdempotencyKey = None
) -> NoticeModel:
    """Show a notice on displays and in the portal, from now on.

    A request that is made again with its `Idempotency-Key` shows nothing again.
    """
    notice, ticket = wish.notice(new_id(), head.clock.now()), ticket_of(idempotency_key, wish)
    return NoticeModel.of(head.demand.events.send(notice, who=caller.name, ticket=ticket))


@router.get("/notices", responses=errors(409))
def notices(head: Head, caller: Viewer, after: After = None, limit: Limit = 100) -> NoticePage:
    """Return notices, the newest first."""
    del caller
    page = head.demand.events.notices(after=after, limit=limit)
    return NoticePage(items=[NoticeModel.of(one) for one in page.items], next=page.next)


@router.post("/notices/{id}/withdraw", responses=errors(400, 404, 409))
def withdraw_notice(
    head: Head,
    caller: OperatorCaller,
    id: Id,  # noqa: A002 - the path's name
    wish: WhyWish,
) -> NoticeModel:
    """Take back a notice."""
    return NoticeModel.of(head.demand.events.withdraw(id, who=caller.name, why=wish.why))


@router.get("/displays", responses=errors(409))
def displays_to_forget(
    head: Head,
    caller: Viewer,
    *,
    meter: Annotated[str | None, Query(max_length=32)] = None,
    after: After = None,
    limit: Limit = 100,
) -> DisplayOrderPage:
    """Return the meters that have not forgotten the displays of who moved out, and why.

    The longest overdue come first. They are tried on until they are done.
    """
    del caller
    page = head.demand.displays.waiting(meter=meter, after=after, limit=limit)
    items = [DisplayOrderModel.of(one) for one in page.items]
    return DisplayOrderPage(items=items, next=page.next)


@of_meters.post("/meters/{serial}/displays/done", responses=errors(400, 404))
def displays_done(
    head: Head, caller: OperatorCaller, serial: Serial, wish: WhyWish
) -> DisplayOrderModel:
    """Have it that a person saw to the displays of who moved out; the meter is not asked again."""
    order = head.demand.displays.done(serial, who=caller.name, why=wish.why)
    return DisplayOrderModel.of(order)


@of_meters.get("/meters/{serial}/demand", responses=errors(404))
def meter_demand(head: Head, caller: Viewer, serial: Serial) -> MeterEventList:
    """Return a meter's events of demand response, as they are for it, the latest first."""
    del caller
    found = head.demand.for_meter(serial)
    return MeterEventList(items=[MeterEventModel.of(one) for one in found])


def _published(head: Services, made: EventView, caller: Caller) -> EventView:
    """Publish what was drafted, now or by the same request before.

    A draft that can not be published is cancelled.
    """
    events, record = head.demand.events, made.record
    if record.published is not None:
        return made
    if record.state is not EventState.DRAFT:
        raise ConflictError("this request was refused before", code="demand.transition")
    check_publisher(caller, record.event)  # somebody may have changed it since
    try:
        return events.publish_new(record, who=caller.name)
    except ConflictError:
        found = events.get(record.event.id)
        if found.record.published is None:
            raise
        return found  # by the same request at the same time


def _model(view: EventView) -> EventModel:
    return EventModel.of(view.record, view)
