"""One device's turn: what it is told in a session, and what comes of it.

A session with a device whose tree is not known begins with a look at it. Then come the tasks that
wait for it, then what separates its tree from what is wanted of it, object by object; what was
changed beyond single values is looked at again.
"""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Final

from openami.core.errors import NotFoundError, OpenAmiError
from openami.fleet.desired import (
    ABSENT,
    INTERIOR,
    Setting,
    StepKind,
    batches,
    difference,
    due,
    object_of,
)
from openami.fleet.dossiers import FACTS
from openami.fleet.known import succeeded
from openami.fleet.management import Outcome
from openami.fleet.tasks import Answered, Concluded, Lost, TaskKind, TaskState, Unsent
from openami.fleet.verdicts import judge
from openami.headend.bus import LiveEvent, Topic
from openami.headend.management.answers import (
    MAX_NODES,
    TREE_CHANGED,
    conclusion_of,
    facts_of,
    found_nodes,
    kinds_of,
    results_of_get,
    results_of_set,
    statuses,
    words_of,
)
from openami.headend.management.orders import ACCOUNTS, TOPS, as_they_come, look, push, work
from openami.headend.management.pending import Look, Pending, Push, Work
from openami.omadm.codes import AlertCode, Status
from openami.omadm.session.events import NO_ANSWER, Order

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

    from openami.fleet.desired import KnownNode, Step
    from openami.fleet.dossiers import Dossier
    from openami.fleet.tasks import ManagementJob, Task, TaskEvent
    from openami.headend.bus import Bus
    from openami.headend.management.moments import Moment
    from openami.headend.management.pending import Memory
    from openami.headend.management.troubles import Troubles
    from openami.omadm.messages.model import Alert
    from openami.omadm.session.events import OrderDone

MAX_ROUNDS: Final = 32
"""Packages of one session: a look, tasks by the dozen, pushes with what is refused left out."""
TASKS: Final = 16
"""Tasks in one package."""
LOOK_S: Final = 120.0
"""Between two looks at a whole tree that its device asks for, by saying that it has changed: each
may be thousands of rows, and a device may say so as often as it likes."""
MAX_ALERTS: Final = 64
"""Generic alerts of one message that are looked at: each may be a write, or a line of the log."""


class Turn:
    """Answers one question of a device, part by part.

    What it changes is in its own ``memory`` and in the dossiers of its moment, and what there is to
    tell of it in ``news``, until all of it is kept.

    Args:
        uid: of the device.
        memory: what is remembered of it; changed here.
        moment: has its dossier.
        number: gives the next order its number.
        bus: learns what has moved.
        troubles: learns what goes wrong.

    Attributes:
        now: UTC seconds.
    """

    def __init__(
        self,
        uid: str,
        memory: Memory,
        moment: Moment,
        *,
        number: Callable[[], int],
        bus: Bus,
        troubles: Troubles,
    ) -> None:
        self.uid = uid
        self.memory = memory
        self.news: list[Callable[[], None]] = []
        self.now = 0.0
        self._moment = moment
        self._number = number
        self._bus = bus
        self._troubles = troubles

    def plan(self) -> Sequence[Order]:
        """Return what a session begins with."""
        self.memory.session = Pending()
        return self._next(self.memory.session)

    def done(self, results: Sequence[OrderDone]) -> Sequence[Order]:
        """Take the ends of orders; return more."""
        session = self.memory.session
        mine = [] if session is None else [end for end in results if end.id in session.waiting]
        if session is None or not mine:
            return ()
        self._looked(session, mine)
        for end in mine:
            match session.waiting.pop(end.id):
                case Push(steps) if end.sent:
                    self._pushed(session, steps, end)
                case Work(job, plain):
                    self._worked(session, job, end, plain=plain)
        session.rounds += 1
        over = any(end.status == NO_ANSWER for end in mine) or session.rounds >= MAX_ROUNDS
        return () if over or session.waiting else self._next(session)

    def told(self, info: Mapping[str, str] | None, alerts: Sequence[Alert]) -> None:
        """Take what the device says of itself."""
        if info:
            self._facts(facts_of(info))
        generic = [alert for alert in alerts if alert.data == AlertCode.GENERIC][:MAX_ALERTS]
        others = [alert for alert in generic if TREE_CHANGED not in kinds_of(alert)]
        if len(others) < len(generic):
            self._told_to_change()
        for alert in others:
            if not (alert.correlator and self._concluded(alert.correlator, alert)):
                kinds = sorted(kinds_of(alert))
                told = partial(self._troubles.told, self.uid, kinds, conclusion_of(alert))
                self.news.append(partial(told, now=self.now))

    @property
    def _dossier(self) -> Dossier:
        return self._moment.dossier(self.uid, self.now)

    def _told_to_change(self) -> None:
        """Have a tree looked at again of which its device says that it has changed."""
        memory = self.memory
        self._dossier.doubt()
        again = memory.looked_at + LOOK_S
        if again > self.now:
            self._dossier.wake(again)
            memory.rests = again
        elif memory.session is not None:
            memory.session.known = False

    # What goes out.

    def _next(self, session: Pending) -> Sequence[Order]:
        dossier = self._dossier
        known = dossier.known_at is not None or self.memory.rests > self.now
        if not (known and session.known):
            session.known = True
            session.look.update((*TOPS, ACCOUNTS))
        if session.look:
            return tuple(self._looks(session))
        nodes = dossier.known
        there = {uri: node.format for uri, node in nodes.items() if node.format != ABSENT}
        if session.redo:
            jobs, session.redo = session.redo, []
            return self._tell(session, jobs, there)
        orders = self._work(session, there) if dossier.waiting else ()
        if orders or not session.pushes:
            return orders
        steps = as_they_come(due(difference(dossier.wanted, nodes).steps))
        # A client should know Atomic, and need not (DM 1.2 SCR): then it gets one by one.
        groups = batches(steps) if session.together else tuple((step,) for step in steps)
        return tuple(self._order(session, Push(group)) for group in groups)

    def _looks(self, session: Pending) -> Iterator[Order]:
        tops, session.look = sorted(session.look), set()
        for top in tops:
            yield self._order(session, Look(top))

    def _work(self, session: Pending, there: Mapping[str, str]) -> tuple[Order, ...]:
        moved = self._dossier.start(now=self.now, fresh=session.fresh, limit=TASKS)
        session.fresh = False
        for job, task in moved:
            self._moved(job.kind, task)
        sent = [job for job, task in moved if task.state is TaskState.SENT]
        return self._tell(session, sent, there)

    def _tell(
        self, session: Pending, jobs: Sequence[ManagementJob], there: Mapping[str, str]
    ) -> tuple[Order, ...]:
        return tuple(self._order(session, Work(job, _plain(job, there)), there) for job in jobs)

    def _order(
        self, session: Pending, what: Look | Push | Work, there: Collection[str] = ()
    ) -> Order:
        number = self._number()
        match what:
            case Look(top):
                order = Order(f"look-{number}", look(top))
            case Push(steps):
                order = Order(f"want-{number}", push(steps))
            case Work(job):
                order = Order(f"job-{number}", work(job, there))
        session.waiting[order.id] = what
        return order

    # What comes back.

    def _looked(self, session: Pending, ends: Sequence[OrderDone]) -> None:
        looks = [
            (what.top, end) for end in ends if isinstance(what := session.waiting[end.id], Look)
        ]
        nodes: list[KnownNode] = []
        seen: list[str] = []
        for top, end in looks:
            try:
                # An object that the device does not have is known to be not there.
                found = () if end.status == Status.NOT_FOUND else found_nodes(end, top)
            except OpenAmiError as error:
                told = partial(self._troubles.unreadable, self.uid, top, error.code)
                self.news.append(partial(told, now=self.now))
                continue
            if end.status in {Status.OK, Status.NOT_FOUND}:
                nodes += found
                seen.append(top)
        if not looks:
            return
        whole = ACCOUNTS in {top for top, _ in looks} and all(end.status for _, end in looks)
        self._dossier.saw(seen, nodes[:MAX_NODES], now=self.now, whole=whole)
        if whole:
            self.memory.looked_at, self.memory.rests = self.now, -math.inf
        self._changed()

    def _pushed(self, session: Pending, steps: tuple[Step, ...], end: OrderDone) -> None:
        if end.status == Status.OPTIONAL_NOT_SUPPORTED and len(steps) > 1:
            session.together = False
            return
        parts = {part.target: part.status for part in end.parts if part.target}
        top = object_of(steps[0].uri)
        verdict = judge(steps, end.status, parts, looked=top in session.looked)
        words = words_of(end, [step.uri for step in steps])
        outcomes = [_outcome(step, Status.OK) for step in verdict.done]
        bond = steps[0].uri if verdict.together else ""
        outcomes += [
            _outcome(refusal.step, refusal.status, words.get(refusal.step.uri, ""), bond)
            for refusal in verdict.refused
        ]
        if outcomes:
            self._dossier.settle(outcomes, now=self.now)
            self._changed()
        if verdict.refused:
            told = partial(self._troubles.refused, self.uid, verdict.refused)
            self.news.append(partial(told, now=self.now))
        if verdict.mistaken:
            session.looked.add(top)
            session.look.add(top)
        if verdict.unsure:
            session.pushes = False
            self._dossier.doubt()
        # Nodes may have come with others, and gone with others.
        if any(step.kind is not StepKind.REPLACE for step in verdict.done):
            session.look.add(top)

    def _worked(self, session: Pending, job: ManagementJob, end: OrderDone, *, plain: bool) -> None:
        if not end.sent:
            self._apply(job, Unsent(self.now))
            return
        if end.status == NO_ANSWER:
            self._apply(job, Lost(self.now))
            if job.kind is not TaskKind.GET:
                self._dossier.doubt()
            return
        if job.kind is TaskKind.SET and job.id not in session.looked and _mistaken(job, end):
            session.looked.add(job.id)
            session.look.update(_objects(job))
            session.redo.append(job)
            return
        results = results_of_get if job.kind is TaskKind.GET else results_of_set
        found = results(end, job.commands)
        if job.kind is TaskKind.SET:
            self._set(job, end)
        told = {end.status, *statuses(end, job.commands).values()}
        if job.kind is not TaskKind.GET and not (plain and told == {Status.OK}):
            session.look.update(_objects(job))  # more may have changed than it says
        self._apply(job, Answered(self.now, end.status, found))

    def _apply(self, job: ManagementJob, event: TaskEvent) -> None:
        self._moved(job.kind, self._dossier.apply(job.id, event))

    def _set(self, job: ManagementJob, end: OrderDone) -> None:
        told = statuses(end, job.commands)
        words = words_of(end, [command.uri for command in job.commands])
        done = succeeded(end.status)
        outcomes = [
            Outcome(
                Setting(command.uri, command.format, command.value),
                Status.OK if done else told.get(command.uri, end.status),
                f"job {job.id}",
                words="" if done else words.get(command.uri, ""),
            )
            for command in job.commands
        ]
        self._dossier.settle(outcomes, now=self.now)
        self._changed()

    def _facts(self, nodes: Sequence[KnownNode]) -> None:
        known = self._dossier.below([FACTS])
        if {node.uri: node.value for node in nodes} != {u: n.value for u, n in known.items()}:
            self._dossier.saw([FACTS], nodes, now=self.now, whole=False)

    def _concluded(self, job_id: str, alert: Alert) -> bool:
        """Note how ended what was accepted; return whether it was a job's."""
        try:
            task = self._dossier.apply(job_id[:64], Concluded(self.now, conclusion_of(alert)))
        except NotFoundError:
            return False
        if task.updated == self.now:  # else it was concluded before
            self._publish("exec", task)
            if task.state is TaskState.FAILED:
                self.news.append(partial(self._troubles.moved, "exec", task))
        return True

    # News for who watches.

    def _moved(self, kind: TaskKind, task: Task) -> None:
        self._publish(kind, task)
        self.news.append(partial(self._troubles.moved, kind, task))

    def _publish(self, kind: str, task: Task) -> None:
        data = {
            "dm": True,
            "id": task.job,
            "device": task.uid,
            "kind": kind,
            "state": task.state.value,
            "status": task.status,
        }
        event = LiveEvent(Topic.JOB, task.job, task.updated, data, dcu=task.uid)
        self.news.append(partial(self._bus.publish, event))

    def _changed(self) -> None:
        event = LiveEvent(Topic.TREE, self.uid, self.now, dcu=self.uid)
        self.news.append(partial(self._bus.publish, event))


def _outcome(step: Step, status: int, words: str = "", bond: str = "") -> Outcome:
    origin = str(step.wish.scope)
    return Outcome(step.wish.setting, status, origin, pushed=True, words=words, bond=bond)


def _objects(job: ManagementJob) -> frozenset[str]:
    return frozenset(object_of(command.uri) for command in job.commands).intersection(TOPS)


def _plain(job: ManagementJob, there: Mapping[str, str]) -> bool:
    """Say whether a task only gives new values to leaves that are there."""
    return job.kind is TaskKind.SET and all(
        command.format != ABSENT and there.get(command.uri, INTERIOR) != INTERIOR
        for command in job.commands
    )


def _mistaken(job: ManagementJob, end: OrderDone) -> bool:
    """Say whether a task failed since a node was there already, or was not there."""
    return not {Status.NOT_FOUND, Status.ALREADY_EXISTS}.isdisjoint(
        statuses(end, job.commands).values()
    )
