"""What devices are told in their sessions, and what comes of it.

A session with a device whose tree is not known begins with a look at it. Then come the tasks that
wait for it, then what separates its tree from what is wanted of it, object by object; what was
changed beyond single values is looked at again. What is in memory here dies with its session: all
that has to outlive it is in the stores, and begins anew in the next session.
"""

from __future__ import annotations

from itertools import count
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
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from openami.fleet.desired import KnownNode, Step
    from openami.fleet.management import TaskRecords, TreeRecords
    from openami.fleet.tasks import ManagementJob, Task, TaskEvent
    from openami.headend.bus import Bus
    from openami.headend.management.troubles import Troubles
    from openami.omadm.messages.model import Alert
    from openami.omadm.session.events import OrderDone, SessionEnded

MAX_ROUNDS: Final = 32
"""Packages of one session: a look, tasks by the dozen, pushes with what is refused left out."""
TASKS: Final = 16
"""Tasks in one package."""
LOOK_S: Final = 120.0
"""Between two looks at a whole tree that its device asks for, by saying that it has changed: each
may be thousands of rows, and a device may say so as often as it likes."""
MAX_ALERTS: Final = 64
"""Generic alerts of one message that are looked at: each may be a write, or a line of the log."""


class TreePlanner:
    """Implements ``Planner`` over the stores of trees and tasks.

    A call that fails at a store has changed nothing here, and is made again with the same: a
    session goes on as a copy, which takes its place when all is kept. What is sent is marked so
    last of all, for what could not be marked was not sent.
    """

    def __init__(
        self, trees: TreeRecords, tasks: TaskRecords, *, bus: Bus, troubles: Troubles
    ) -> None:
        self._trees = trees
        self._tasks = tasks
        self._bus = bus
        self._troubles = troubles
        self._sessions: dict[str, Pending] = {}
        # Of devices with an account, so that they are as many as those.
        self._looked_at: dict[str, float] = {}
        self._rests: dict[str, float] = {}
        self._numbers = count(1)

    def plan(self, uid: str, *, now: float) -> Sequence[Order]:
        session = Pending()
        orders = self._next(uid, session, now)
        self._keep(uid, session)
        return orders

    def done(
        self, uid: str, results: Sequence[OrderDone], *, session: int, now: float
    ) -> Sequence[Order]:
        del session  # the numbers of orders are never given twice
        before = self._sessions.get(uid)
        mine = [] if before is None else [end for end in results if end.id in before.waiting]
        if before is None or not mine:
            return ()
        state = before.copy()
        self._looked(uid, state, mine, now)
        for end in mine:
            match state.waiting.pop(end.id):
                case Push(steps) if end.sent:
                    self._pushed(uid, state, steps, end, now)
                case Work(job, plain):
                    self._worked(uid, state, job, end, now, plain=plain)
        state.rounds += 1
        over = any(end.status == NO_ANSWER for end in mine) or state.rounds >= MAX_ROUNDS
        more = () if over or state.waiting else self._next(uid, state, now)
        self._keep(uid, state)
        return more

    def told(
        self, uid: str, info: Mapping[str, str] | None, alerts: Sequence[Alert], *, now: float
    ) -> None:
        if info:
            self._facts(uid, facts_of(info), now)
        generic = [alert for alert in alerts if alert.data == AlertCode.GENERIC][:MAX_ALERTS]
        others = [alert for alert in generic if TREE_CHANGED not in kinds_of(alert)]
        if len(others) < len(generic):
            self._told_to_change(uid, now)
        for alert in others:
            if not (alert.correlator and self._concluded(uid, alert.correlator, alert, now)):
                kinds = sorted(kinds_of(alert))
                self._troubles.told(uid, kinds, conclusion_of(alert), now=now)

    def ended(self, uid: str, end: SessionEnded, *, session: int, now: float) -> None:
        del end, session, now
        self._sessions.pop(uid, None)

    def _told_to_change(self, uid: str, now: float) -> None:
        """Have a tree looked at again of which its device says that it has changed."""
        self._trees.doubt(uid)
        again = self._looked_at.get(uid, -LOOK_S) + LOOK_S
        if again > now:
            self._trees.wake([uid], now=again)
            self._rests[uid] = again
        elif uid in self._sessions:
            self._sessions[uid].known = False

    # What goes out.

    def _next(self, uid: str, session: Pending, now: float) -> Sequence[Order]:
        brief = self._trees.brief(uid)
        known = brief.known or self._rests.get(uid, now) > now
        if not (known and session.known):
            session.known = True
            session.look.update((*TOPS, ACCOUNTS))
        if session.look:
            return tuple(self._looks(session))
        there = {uri: node.format for uri, node in brief.nodes.items() if node.format != ABSENT}
        if session.redo:
            jobs, session.redo = session.redo, []
            return self._tell(session, jobs, there)
        orders = self._work(uid, session, there, now) if brief.open else ()
        if orders or not session.pushes:
            return orders
        steps = as_they_come(due(difference(brief.wanted, brief.nodes).steps))
        # A client should know Atomic, and need not (DM 1.2 SCR): then it gets one by one.
        groups = batches(steps) if session.together else tuple((step,) for step in steps)
        return tuple(self._order(session, Push(group)) for group in groups)

    def _looks(self, session: Pending) -> Iterator[Order]:
        tops, session.look = sorted(session.look), set()
        for top in tops:
            yield self._order(session, Look(top))

    def _work(
        self, uid: str, session: Pending, there: Mapping[str, str], now: float
    ) -> tuple[Order, ...]:
        # Nothing may fail from here on: these count as sent.
        moved = self._tasks.start(uid, now=now, fresh=session.fresh, limit=TASKS)
        session.fresh = False
        session.news += moved
        sent = [job for job, task in moved if task.state is TaskState.SENT]
        return self._tell(session, sent, there)

    def _tell(
        self, session: Pending, jobs: Sequence[ManagementJob], there: Mapping[str, str]
    ) -> tuple[Order, ...]:
        return tuple(self._order(session, Work(job, _plain(job, there)), there) for job in jobs)

    def _order(
        self, session: Pending, what: Look | Push | Work, there: Collection[str] = ()
    ) -> Order:
        number = next(self._numbers)
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

    def _looked(self, uid: str, session: Pending, ends: Sequence[OrderDone], now: float) -> None:
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
                self._troubles.unreadable(uid, top, error.code, now=now)
                continue
            if end.status in {Status.OK, Status.NOT_FOUND}:
                nodes += found
                seen.append(top)
        if not looks:
            return
        whole = ACCOUNTS in {top for top, _ in looks} and all(end.status for _, end in looks)
        self._trees.saw(uid, seen, nodes[:MAX_NODES], now=now, whole=whole)
        if whole:
            self._looked_at[uid] = now
            self._rests.pop(uid, None)
        self._changed(uid, now)

    def _pushed(
        self, uid: str, session: Pending, steps: tuple[Step, ...], end: OrderDone, now: float
    ) -> None:
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
            self._trees.settle(uid, outcomes, now=now)
            self._changed(uid, now)
        self._troubles.refused(uid, verdict.refused, now=now)
        if verdict.mistaken:
            session.looked.add(top)
            session.look.add(top)
        if verdict.unsure:
            session.pushes = False
            self._trees.doubt(uid)
        # Nodes may have come with others, and gone with others.
        if any(step.kind is not StepKind.REPLACE for step in verdict.done):
            session.look.add(top)

    def _worked(
        self,
        uid: str,
        session: Pending,
        job: ManagementJob,
        end: OrderDone,
        now: float,
        *,
        plain: bool,
    ) -> None:
        if not end.sent:
            self._apply(session, job, uid, Unsent(now))
            return
        if end.status == NO_ANSWER:
            self._apply(session, job, uid, Lost(now))
            if job.kind is not TaskKind.GET:
                self._trees.doubt(uid)
            return
        if job.kind is TaskKind.SET and job.id not in session.looked and _mistaken(job, end):
            session.looked.add(job.id)
            session.look.update(_objects(job))
            session.redo.append(job)
            return
        results = results_of_get if job.kind is TaskKind.GET else results_of_set
        found = results(end, job.commands)
        if job.kind is TaskKind.SET:
            self._set(uid, job, end, now)
        told = {end.status, *statuses(end, job.commands).values()}
        if job.kind is not TaskKind.GET and not (plain and told == {Status.OK}):
            session.look.update(_objects(job))  # more may have changed than it says
        self._apply(session, job, uid, Answered(now, end.status, found))

    def _apply(self, session: Pending, job: ManagementJob, uid: str, event: TaskEvent) -> None:
        session.news.append((job, self._tasks.apply(job.id, uid, event)))

    def _set(self, uid: str, job: ManagementJob, end: OrderDone, now: float) -> None:
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
        self._trees.settle(uid, outcomes, now=now)
        self._changed(uid, now)

    def _facts(self, uid: str, nodes: Sequence[KnownNode], now: float) -> None:
        known = self._trees.known(uid, below=nodes[0].uri)
        if {node.uri: node.value for node in nodes} != {u: n.value for u, n in known.items()}:
            self._trees.saw(uid, [nodes[0].uri], nodes, now=now, whole=False)

    def _concluded(self, uid: str, job_id: str, alert: Alert, now: float) -> bool:
        """Note how ended what was accepted; return whether it was a job's."""
        try:
            task = self._tasks.apply(job_id[:64], uid, Concluded(now, conclusion_of(alert)))
        except NotFoundError:
            return False
        if task.updated == now:  # else it was concluded before
            self._publish("exec", task)
            if task.state is TaskState.FAILED:
                self._troubles.moved("exec", task)
        return True

    # News for who watches.

    def _keep(self, uid: str, session: Pending) -> None:
        """Let a session go on like this; all that it says is in the stores."""
        self._sessions[uid] = session
        news, session.news = session.news, []
        for job, task in news:
            self._publish(job.kind, task)
            self._troubles.moved(job.kind, task)

    def _publish(self, kind: str, task: Task) -> None:
        data = {
            "dm": True,
            "id": task.job,
            "device": task.uid,
            "kind": kind,
            "state": task.state.value,
            "status": task.status,
        }
        self._bus.publish(LiveEvent(Topic.JOB, task.job, task.updated, data, dcu=task.uid))

    def _changed(self, uid: str, now: float) -> None:
        self._bus.publish(LiveEvent(Topic.TREE, uid, now, dcu=uid))


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
