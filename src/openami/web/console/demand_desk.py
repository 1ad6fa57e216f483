"""The pages on which events are written and tried before they are sent, programs and notices."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from openami.core.errors import ConflictError, NotFoundError
from openami.fleet.demand.machine import Act, EventState, moved
from openami.fleet.operators import Role
from openami.headend.demand.events import new_id, takes_admin
from openami.headend.errors import RequestError
from openami.mdm.tariffs.catalog import tariff_names
from openami.web.console import demand_views as views
from openami.web.console.demand import HERE
from openami.web.console.demand_forms import (
    as_revised,
    empty_event,
    form_of,
    read_event,
    read_notice,
    read_program,
    typed,
)
from openami.web.console.forms import back, demand, fields_of, onward, sure, text_in
from openami.web.console.pages import cursor_of, next_url
from openami.web.demand_roles import check_publisher, check_reviser, may_publish

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.datastructures import FormData
    from starlette.requests import Request
    from starlette.responses import Response

    from openami.fleet.demand.model import Event
    from openami.fleet.demand.records import EventRecord
    from openami.headend.services import Services
    from openami.web.auth import Caller
    from openami.web.console.demand_forms import EventForm
    from openami.web.console.render import Renderer
    from openami.web.console.signing import Entry

NOTICES: Final = 25  # of a page
PROGRAMS: Final = 200  # to choose from: a utility has a few
NAMED: Final = 40  # groups that the form names
CURRENCY: Final = "KRW"


class DemandDesk:
    """Lets operators make events, programs and notices."""

    def __init__(self, services: Services, renderer: Renderer) -> None:
        self._events = services.demand.events
        self._groups = services.management.groups
        self._clock = services.clock
        self._renderer = renderer

    def table(self) -> Sequence[Entry]:
        return (
            ("GET", "/demand/new", self.new),
            ("POST", "/demand/new", self.check),
            ("POST", "/demand/events", self.make),
            ("GET", "/demand/events/{event}/revise", self.change),
            ("POST", "/demand/events/{event}/revise", self.try_change),
            ("POST", "/demand/events/{event}/revised", self.revise),
            ("GET", "/demand/programs", self.programs),
            ("POST", "/demand/programs", self.add_program),
            ("GET", "/demand/notices", self.notices),
            ("POST", "/demand/notices", self.send),
            ("POST", "/demand/notices/{notice}/withdraw", self.withdraw),
        )

    # --- events ---------------------------------------------------------------------------------

    async def new(self, request: Request, caller: Caller) -> Response:
        demand(caller, Role.OPERATOR)
        meter = request.query_params.get("meter", "")[:32]
        form = empty_event(new_id(), self._clock.now(), self._renderer.zone, meter=meter)
        return await self._page(form, caller)

    async def check(self, request: Request, caller: Caller) -> Response:
        form = read_event(await fields_of(request, caller, Role.OPERATOR))
        event = form.event(self._renderer.zone)
        return await self._page(form, caller, await asyncio.to_thread(self._tried, event, caller))

    def _tried(self, event: Event, caller: Caller) -> dict[str, Any]:
        event, reach = self._events.dry_run(event)
        return {
            "event": event,
            "program": self._events.program(event.program),
            "meters": reach.meters,
            "dcus": None if reach.dcus is None else len(reach.dcus),
            "grave": takes_admin(event),
            "may": may_publish(caller, event),
            "displays": [views.display(event, language) for language in ("en", "ko")],
        }

    async def make(self, request: Request, caller: Caller) -> Response:
        sent = await fields_of(request, caller, Role.OPERATOR)
        form, why, send = read_event(sent), text_in(sent, "why"), text_in(sent, "act") == "send"
        event = form.event(self._renderer.zone)
        if send:
            check_publisher(caller, event)
            _check_grave(event, sent, why)

        def make() -> None:
            if not self._is_there(event.id):  # a form that is sent twice makes one event
                self._make(event, caller.name, why, send=send)

        await asyncio.to_thread(make)
        return onward(request, f"/demand/events/{event.id}")

    def _is_there(self, id_: str) -> bool:
        try:
            self._events.get(id_)
        except NotFoundError:
            return False
        return True

    def _make(self, event: Event, who: str, why: str, *, send: bool) -> None:
        made = self._events.draft(event, who=who, why=why)
        if send:
            self._events.publish_new(made.record, who=who, why=why)

    async def change(self, request: Request, caller: Caller) -> Response:
        demand(caller, Role.OPERATOR)
        view = await asyncio.to_thread(self._events.get, request.path_params["event"])
        before = view.record
        moved(before.state, Act.REVISE)
        form = form_of(before.event, self._renderer.zone)
        if form is None:
            raise RequestError(
                "the form can not say all of this event: change it by the API, or make another",
                code="request.event",
            )
        return await self._page(form, caller, before=before)

    async def try_change(self, request: Request, caller: Caller) -> Response:
        sent = await fields_of(request, caller, Role.OPERATOR)
        form, before, event = await self._revision(request, sent)
        tried = await asyncio.to_thread(self._tried, event, caller)
        tried["may"] = tried["may"] and may_publish(caller, before.event)
        if before.state is EventState.DRAFT:  # nobody is told by keeping it
            tried["grave"] = False
        return await self._page(form, caller, tried, before=before)

    async def revise(self, request: Request, caller: Caller) -> Response:
        sent = await fields_of(request, caller, Role.OPERATOR)
        _, before, event = await self._revision(request, sent)
        check_reviser(caller, before.event, event)
        why = text_in(sent, "why")
        if before.state is not EventState.DRAFT:
            _check_grave(event, sent, why)
        version = _version(sent)

        def revise() -> None:
            self._events.revise(event, who=caller.name, why=why, version=version)

        await asyncio.to_thread(revise)
        return onward(request, f"/demand/events/{event.id}")

    async def _revision(
        self, request: Request, sent: FormData
    ) -> tuple[EventForm, EventRecord, Event]:
        """Return what was typed, the event as it is, and as it is to be."""
        view = await asyncio.to_thread(self._events.get, request.path_params["event"])
        before, form = view.record, read_event(sent)
        moved(before.state, Act.REVISE)
        if _version(sent) != before.event.version:
            raise ConflictError("somebody else was first: look again", code="demand.moved")
        return form, before, as_revised(form.event(self._renderer.zone), before.event)

    async def _page(
        self,
        form: EventForm,
        caller: Caller,
        checked: dict[str, Any] | None = None,
        *,
        before: EventRecord | None = None,
    ) -> Response:
        def gather() -> dict[str, Any]:
            groups = [one.group.name for one in self._groups.list()]
            return {
                "programs": self._events.programs(limit=PROGRAMS).items,
                "groups": groups[:NAMED],
                "tariffs": tariff_names(),
            }

        context = {
            **await asyncio.to_thread(gather),
            "form": form,
            "fields": form.fields,
            "typed": typed(form),
            "checked": checked,
            "before": before,
            "asks": views.asks,
            "kinds": views.KINDS,
            "whom": views.whom,
            "interval_words": views.interval_words,
            "here": HERE,
        }
        return await self._renderer.page("demand_new", context, caller=caller)

    # --- programs -------------------------------------------------------------------------------

    async def programs(self, request: Request, caller: Caller) -> Response:
        after = cursor_of(request)
        page = await asyncio.to_thread(self._events.programs, after=after)
        context = {
            "rows": page.items,
            "next_url": next_url("/demand/programs", {}, page.next),
            "whom": views.whom,
            "currency": CURRENCY,
            "here": HERE,
        }
        return await self._renderer.page("demand_programs", context, caller=caller)

    async def add_program(self, request: Request, caller: Caller) -> Response:
        form = await fields_of(request, caller, Role.OPERATOR)
        program = read_program(form, new_id())
        await asyncio.to_thread(self._events.add_program, program, who=caller.name)
        return back(form, "/demand/programs")

    # --- notices --------------------------------------------------------------------------------

    async def notices(self, request: Request, caller: Caller) -> Response:
        after = cursor_of(request)
        page = await asyncio.to_thread(self._events.notices, after=after, limit=NOTICES)
        context = {
            "rows": page.items,
            "next_url": next_url("/demand/notices", {}, page.next),
            "whom": views.whom,
            "now": self._clock.now(),
            "here": HERE,
        }
        return await self._renderer.page("demand_notices", context, caller=caller)

    async def send(self, request: Request, caller: Caller) -> Response:
        form = await fields_of(request, caller, Role.OPERATOR)
        sure(form)
        notice = read_notice(form, new_id(), self._clock.now())

        def send() -> None:
            if not self._events.reach(notice.targets).meters:
                raise RequestError("nobody is meant: no meter is named", code="request.notice")
            self._events.send(notice, who=caller.name)

        await asyncio.to_thread(send)
        return back(form, "/demand/notices")

    async def withdraw(self, request: Request, caller: Caller) -> Response:
        form = await fields_of(request, caller, Role.OPERATOR)
        id_, why = request.path_params["notice"], text_in(form, "why")
        await asyncio.to_thread(self._events.withdraw, id_, who=caller.name, why=why)
        return back(form, "/demand/notices")


def _check_grave(event: Event, sent: FormData, why: str) -> None:
    """Return if what can leave homes in the dark was ticked, with a reason."""
    if takes_admin(event):
        sure(sent)
        if not why:
            raise RequestError("say why, for the audit log", code="request.why")


def _version(sent: FormData) -> int:
    """Return which version of the event the form was filled from; 0: it does not say."""
    text = text_in(sent, "version")
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= 9 else 0
