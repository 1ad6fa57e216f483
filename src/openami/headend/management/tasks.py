"""Jobs: what many devices are to do once, and what came of it at each of them."""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from openami.fleet.devices import DeviceKind
from openami.fleet.tasks import MAX_COMMANDS, MAX_DEVICES, ManagementJob, TaskKind
from openami.headend.errors import RequestError
from openami.headend.management.device_groups import group_scope
from openami.headend.management.trees import device_scope
from openami.headend.tickets import check_ticket

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from openami.core.clock import Clock
    from openami.fleet.desired import Scope, Setting
    from openami.fleet.management import JobProgress, TaskRecords, TreeRecords
    from openami.fleet.ports import DeviceFilter, Page
    from openami.fleet.tasks import Command, Task, TaskState, Ticket
    from openami.headend.metrics import Metrics

ID_OCTETS: Final = 10
DAY_S: Final = 86_400.0
DEFAULT_EXPIRY_S: Final = DAY_S
LONGEST_S: Final = 90 * DAY_S
"""How long a job may wait for its devices: a season, for those that are seldom in reach."""
SLICE: Final = 1000
"""Tasks that are ended or forgotten in one transaction, of which there is one a second: other
writers wait a tenth of a second, and a job for every DCU of a country is gone in two minutes."""
KEPT: Final = 100
"""Devices of a job whose settings are kept for good: what more are to be like, a group says."""
WHY: Final = 500


@dataclass(frozen=True, slots=True)
class Whom:
    """The devices of a job: named one by one, those of a group, or all that a filter finds."""

    devices: tuple[str, ...] = ()
    group: str | None = None
    which: DeviceFilter | None = None

    def __post_init__(self) -> None:
        if bool(self.devices) + (self.group is not None) + (self.which is not None) != 1:
            raise RequestError("name devices, a group or a filter", code="request.devices")
        if len(self.devices) > MAX_DEVICES:
            raise RequestError(
                f"name at most {MAX_DEVICES} devices, or a filter", code="request.devices"
            )


class Tasks:
    """Makes and follows jobs. Calls block, but for the chores."""

    def __init__(
        self,
        tasks: TaskRecords,
        trees: TreeRecords,
        *,
        metrics: Metrics,
        wall: Clock,
        keep_days: float,
    ) -> None:
        self._metrics = metrics
        self._tasks = tasks
        self._trees = trees
        self._wall = wall
        self._keep_s = keep_days * DAY_S

    def create(
        self,
        kind: TaskKind,
        commands: Sequence[Command],
        whom: Whom,
        *,
        who: str,
        why: str = "",
        expires_s: float = DEFAULT_EXPIRY_S,
        repeatable: bool = False,
        keep: Sequence[Setting] = (),
        ticket: Ticket | None = None,
    ) -> JobProgress:
        """Have devices do something, in a session that begins soon.

        Args:
            kind: get, set or exec.
            commands: one to ``MAX_COMMANDS``; of exec, one.
            whom: the devices; those of a filter that have a live account.
            who: wants it.
            why: for the audit log.
            expires_s: seconds after which nobody wants it any more.
            repeatable: what is executed may be executed twice, if nobody knows whether it was.
            keep: what is also wanted of the devices or the group from now on.
            ticket: of the request; one that has been here gives the job of before.

        Raises:
            RequestError: ``request.job``, it can not be asked for; ``request.keep``, it can not be
                kept; ``request.key``, no key of a ticket.
            NotFoundError: there is no such group; ``dm.no-account``, a device can not be reached.
            ConflictError: ``dm.no-device``, nobody is found; ``dm.key``, the ticket's key was given
                to another request; ``dm.wanted``, more than one scope may want.
        """
        _check(commands, expires_s, ticket)
        job = self._job(kind, commands, whom, expires_s, who=who, why=why, repeatable=repeatable)
        wishes = _wishes(kind, whom, keep) if keep else None
        return self._tasks.add(job, wishes=wishes, ticket=ticket)

    def get(self, job_id: str) -> JobProgress:
        """Return a job; NotFoundError."""
        return self._tasks.get(job_id)

    def list(
        self, *, uid: str | None = None, after: str | None = None, limit: int = 100
    ) -> Page[JobProgress]:
        """Return jobs, newest first; those of one device."""
        return self._tasks.list(uid=uid, after=after, limit=limit)

    def tasks(
        self,
        job_id: str,
        *,
        state: TaskState | None = None,
        after: str | None = None,
        limit: int = 100,
    ) -> Page[Task]:
        """Return what came of a job at each device; NotFoundError."""
        self._tasks.get(job_id)
        return self._tasks.tasks(job_id, state=state, after=after, limit=limit)

    def cancel(self, job_id: str, *, who: str) -> JobProgress:
        """Take back what was not sent yet of a job; NotFoundError."""
        self._tasks.cancel(job_id, who=who, now=self._wall.now())
        return self._tasks.get(job_id)

    async def pass_time(self) -> None:
        """End some of what is overdue."""
        ended = await asyncio.to_thread(self._tasks.pass_time, now=self._wall.now(), limit=SLICE)
        for (kind, state), count in ended.items():
            self._metrics.dm_task(kind, state, count)

    async def forget(self) -> int:
        """Forget some of the jobs that were over longer ago than they are to be kept."""
        before = self._wall.now() - self._keep_s
        return await asyncio.to_thread(self._tasks.purge, before=before, limit=SLICE)

    def _job(
        self,
        kind: TaskKind,
        commands: Sequence[Command],
        whom: Whom,
        expires_s: float,
        *,
        who: str,
        why: str,
        repeatable: bool,
    ) -> ManagementJob:
        now = self._wall.now()
        try:
            return ManagementJob(
                id=secrets.token_hex(ID_OCTETS),
                kind=kind,
                commands=tuple(dict.fromkeys(commands)),
                who=who,
                created=now,
                expires=now + expires_s,
                which=self._which(whom),
                devices=tuple(dict.fromkeys(whom.devices)),
                why=" ".join(why.split())[:WHY],
                repeatable=repeatable,
            )
        except ValueError as error:
            raise RequestError(str(error), code="request.job") from error

    def _which(self, whom: Whom) -> DeviceFilter | None:
        which = whom.which
        if whom.group is not None:
            which = self._trees.group(group_scope(whom.group).name).which
        return None if which is None else replace(which, kind=DeviceKind.DCU)


def _check(commands: Sequence[Command], expires_s: float, ticket: Ticket | None) -> None:
    check_ticket(ticket)
    if not 0 < expires_s <= LONGEST_S:
        raise RequestError(f"a job expires in up to {LONGEST_S:.0f} s", code="request.job")
    if not 0 < len(commands) <= MAX_COMMANDS:
        raise RequestError(f"name 1 to {MAX_COMMANDS} nodes", code="request.job")


def _wishes(
    kind: TaskKind, whom: Whom, settings: Sequence[Setting]
) -> Mapping[Scope, Sequence[Setting]]:
    """Return what a job sets as wishes of those for whom it is."""
    if kind is not TaskKind.SET or whom.which is not None:
        raise RequestError("only what is set at devices or a group is kept", code="request.keep")
    if len(whom.devices) > KEPT:
        raise RequestError(
            f"what is set at more than {KEPT} devices is kept for a group of them",
            code="request.keep",
            hint="openami dm group set",
        )
    if whom.group is not None:
        return {group_scope(whom.group): settings}
    return {device_scope(uid): settings for uid in whom.devices}
