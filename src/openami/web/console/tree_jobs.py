"""The pages of jobs for devices' trees: what they do, how far they are, and new ones."""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from openami.fleet.operators import Role
from openami.fleet.tasks import OPEN_STATES, TaskState
from openami.web.console.choosing import STATES, filter_words
from openami.web.console.filters import counted
from openami.web.console.forms import back, demand, fields_of, onward, text_in, texts_in
from openami.web.console.job_forms import EXPIRIES, FIELDS, KINDS, read_form
from openami.web.console.pages import cursor_of, next_url
from openami.web.console.views import PAGE, StateCount, state_counts

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from starlette.requests import Request
    from starlette.responses import Response

    from openami.fleet.management import JobProgress
    from openami.headend.services import Services
    from openami.web.auth import Caller
    from openami.web.console.render import Renderer
    from openami.web.console.signing import Entry

KEY_OCTETS: Final = 16
JOBS: Final = 20  # of a page: the tasks of each are counted, up to one for every DCU
FIRST_COMMANDS: Final = 3  # of a line
FIRST_RESULTS: Final = 12  # of a device in the table; the rest opens
# label and tone of a task's state, in the order of the bar
TASKS: Final[Mapping[TaskState, tuple[str, str]]] = {
    TaskState.DONE: ("done", "good"),
    TaskState.FAILED: ("failed", "bad"),
    TaskState.UNKNOWN: ("unknown", "bad"),
    TaskState.EXPIRED: ("expired", "warn"),
    TaskState.CANCELLED: ("cancelled", "idle"),
    TaskState.ACCEPTED: ("accepted", "accent"),
    TaskState.SENT: ("sent", "accent"),
    TaskState.QUEUED: ("waiting", "idle"),
}


@dataclass(frozen=True, slots=True)
class JobRow:
    """A job in a table, or on its page."""

    progress: JobProgress
    parts: tuple[StateCount, ...]
    total: int
    open: int
    tone: str
    label: str
    whom: str

    @property
    def what(self) -> str:
        """What it does, in a few words."""
        uris = [command.uri for command in self.progress.job.commands]
        more = len(uris) - FIRST_COMMANDS
        return ", ".join(uris[:FIRST_COMMANDS]) + (f" and {more} more" if more > 0 else "")


class TreeJobs:
    """Shows jobs, and lets operators make and cancel them."""

    def __init__(self, services: Services, renderer: Renderer) -> None:
        self._services = services
        self._tasks = services.management.tasks
        self._renderer = renderer

    def table(self) -> Sequence[Entry]:
        return (
            ("GET", "/jobs", self.jobs),
            ("POST", "/jobs", self.create),
            ("GET", "/jobs/new", self.new),
            ("POST", "/jobs/new", self.check),
            ("GET", "/jobs/{job}", self.job),
            ("POST", "/jobs/{job}/cancel", self.cancel),
            ("GET", "/dcus/{dcu}/jobs", self.of_dcu),
        )

    async def jobs(self, request: Request, caller: Caller) -> Response:
        context = await asyncio.to_thread(self._listed, None, "/jobs", cursor_of(request))
        return await self._renderer.page("jobs", context, caller=caller)

    async def of_dcu(self, request: Request, caller: Caller) -> Response:
        uid, after = request.path_params["dcu"], cursor_of(request)

        def gather() -> dict[str, Any]:
            known = self._services.registry.dcu(uid).serial
            return self._listed(known, f"/dcus/{known}/jobs", after)

        context = {**await asyncio.to_thread(gather), "uid": uid}
        return await self._renderer.page("dcu_jobs", context, caller=caller)

    def _listed(self, uid: str | None, path: str, after: str | None) -> dict[str, Any]:
        page = self._tasks.list(uid=uid, after=after, limit=JOBS)
        rows = [job_row(found) for found in page.items]
        return {
            "rows": rows,
            "page_url": next_url(path, {}, after) or path,
            "next_url": next_url(path, {}, page.next),
            "here": "dcus",
        }

    async def job(self, request: Request, caller: Caller) -> Response:
        number, after = request.path_params["job"], cursor_of(request)
        asked = request.query_params.get("state", "")
        state = TaskState(asked) if asked in set(TaskState) else None
        path, query = f"/jobs/{number}", {"state": state.value if state else ""}

        def gather() -> dict[str, Any]:
            row = job_row(self._tasks.get(number))
            page = self._tasks.tasks(number, state=state, after=after, limit=PAGE)
            return {
                "row": row,
                "tasks": page.items,
                "next_url": next_url(path, query, page.next),
            }

        context = {
            **await asyncio.to_thread(gather),
            "state": state,
            "labels": TASKS,
            "first": FIRST_RESULTS,
            "page_url": next_url(path, query, after) or f"{path}?state={query['state']}",
            "here": "dcus",
        }
        return await self._renderer.page("tree_job", context, caller=caller)

    async def new(self, request: Request, caller: Caller) -> Response:
        demand(caller, Role.OPERATOR)
        asked = {name: request.query_params.get(name, "")[:1024] for name in FIELDS}
        return await self._form(asked, None, caller)

    async def check(self, request: Request, caller: Caller) -> Response:
        form = await fields_of(request, caller, Role.OPERATOR)
        fields = texts_in(form, FIELDS)
        wish = read_form(fields)
        count = await asyncio.to_thread(wish.count, self._services)
        # A form that is sent twice makes one job.
        asked = {"wish": wish, "count": count, "key": secrets.token_hex(KEY_OCTETS)}
        return await self._form(fields, asked, caller)

    async def create(self, request: Request, caller: Caller) -> Response:
        form = await fields_of(request, caller, Role.OPERATOR)
        wish = read_form(texts_in(form, FIELDS))
        key = text_in(form, "key")
        made = await asyncio.to_thread(wish.create, self._services, caller.name, key)
        return onward(request, f"/jobs/{made.job.id}")

    async def cancel(self, request: Request, caller: Caller) -> Response:
        form = await fields_of(request, caller, Role.OPERATOR)
        number = request.path_params["job"]
        await asyncio.to_thread(self._tasks.cancel, number, who=caller.name)
        return back(form, f"/jobs/{number}")

    async def _form(
        self, fields: Mapping[str, str], checked: dict[str, Any] | None, caller: Caller
    ) -> Response:
        groups = await asyncio.to_thread(self._services.management.groups.list)
        context = {
            "fields": {**fields, "kind": fields["kind"] if fields["kind"] in KINDS else "get"},
            "kinds": KINDS,
            "expiries": EXPIRIES,
            "states": STATES,
            "groups": [view.group.name for view in groups],
            "checked": checked,
            "here": "dcus",
        }
        return await self._renderer.page("job_new", context, caller=caller)


def job_row(found: JobProgress) -> JobRow:
    """Return a job for a table."""
    counts, job = found.counts, found.job
    total = sum(counts.values())
    still = sum(counts.get(state, 0) for state in OPEN_STATES)
    tone, label = _ending(counts, total, still)
    whom = counted(len(job.devices), "DCU") if job.which is None else filter_words(job.which)
    return JobRow(found, state_counts(TASKS, counts), total, still, tone, label, whom)


def _ending(counts: Mapping[TaskState, int], total: int, still: int) -> tuple[str, str]:
    done = counts.get(TaskState.DONE, 0)
    if still:
        return "accent", "under way"
    if done == total:
        return "good", "done"
    if counts.get(TaskState.CANCELLED, 0) + done == total:
        return "idle", "cancelled"
    return "bad", f"{counted(total - done, 'DCU')} without success"
