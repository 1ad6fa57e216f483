"""Tasks of devices, event by event."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import pytest

from openami.fleet.ports import DeviceFilter
from openami.fleet.tasks import (
    MAX_ATTEMPTS,
    MAX_COMMANDS,
    MAX_DEVICES,
    TRANSITIONS,
    Answered,
    Cancelled,
    Command,
    Concluded,
    Lost,
    ManagementJob,
    Overdue,
    Result,
    Sent,
    Task,
    TaskEvent,
    TaskKind,
    TaskState,
    Unsent,
    next_task,
)

URI = "./AMI/Operations/Collect"
TASK = Task("j1", "D1", expires=100.0)
EVENTS: tuple[TaskEvent, ...] = (
    Sent(5.0),
    Answered(5.0, 200),
    Lost(5.0),
    Unsent(5.0),
    Overdue(5.0),
    Cancelled(5.0),
    Concluded(5.0, Result(URI, 200)),
)
S = TaskState


def job(**changes: object) -> ManagementJob:
    given = {"kind": TaskKind.EXEC, "commands": (Command(URI),), "devices": ("D1",), **changes}
    return ManagementJob("j1", who="anna", created=1.0, expires=100.0, **given)  # type: ignore[arg-type]  # the test's own


def test_a_task_is_sent_and_answered() -> None:
    sent = next_task(TASK, Sent(2.0))
    assert (sent.state, sent.attempts, sent.updated, sent.open) == (S.SENT, 1, 2.0, True)
    found = (Result(URI, 200, "int", "5"),)
    done = next_task(sent, Answered(3.0, 200, found))
    assert (done.state, done.status, done.results, done.open) == (S.DONE, 200, found, False)
    for spared in (215, 216):  # numbers of successes that are none
        assert next_task(sent, Answered(3.0, spared)).state is S.FAILED
    failed = next_task(sent, Answered(3.0, 404))
    assert (failed.state, failed.status) == (S.FAILED, 404)


def test_what_is_lost_is_sent_again_but_not_for_ever() -> None:
    task = TASK
    for attempt in range(1, MAX_ATTEMPTS + 1):
        task = next_task(task, Sent(float(attempt)))
        assert (task.state, task.attempts) == (S.SENT, attempt)
        task = next_task(task, Lost(float(attempt)))
    assert task.state is S.FAILED


def test_what_may_be_done_but_once_is_unknown_when_lost() -> None:
    once = replace(TASK, once=True)
    lost = next_task(next_task(once, Sent(2.0)), Lost(3.0))
    assert lost.state is S.UNKNOWN
    assert next_task(lost, Answered(4.0, 200)).state is S.DONE


@pytest.mark.parametrize("once", [False, True])
def test_what_did_not_go_out_waits_as_before(*, once: bool) -> None:
    task = replace(TASK, once=once)
    for attempt in range(MAX_ATTEMPTS + 2):
        task = next_task(next_task(task, Sent(2.0)), Unsent(3.0 + attempt))
        assert (task.state, task.attempts) == (S.QUEUED, 0)


@pytest.mark.parametrize(
    ("state", "once", "after"),
    [
        (S.QUEUED, False, S.EXPIRED),
        (S.QUEUED, True, S.EXPIRED),
        (S.SENT, False, S.EXPIRED),
        (S.SENT, True, S.UNKNOWN),
    ],
)
def test_nobody_waits_for_ever(state: TaskState, *, once: bool, after: TaskState) -> None:
    task = next_task(replace(TASK, state=state, once=once), Overdue(101.0))
    assert (task.state, task.updated) == (after, 101.0)


def test_only_what_was_not_sent_is_cancelled() -> None:
    assert next_task(TASK, Cancelled(2.0)).state is S.CANCELLED
    sent = next_task(TASK, Sent(2.0))
    assert next_task(sent, Cancelled(3.0)) is sent


def test_what_was_accepted_is_done_when_the_device_says_so() -> None:
    begun = (Result(URI, 202),)
    accepted = next_task(next_task(TASK, Sent(2.0)), Answered(3.0, 202, begun))
    assert (accepted.state, accepted.open, accepted.results) == (S.ACCEPTED, True, begun)
    word = Result(URI, 200, "chr", "200 3 meters read")
    good = next_task(accepted, Concluded(9.0, word))
    assert (good.state, good.status, good.results) == (S.DONE, 200, (word,))
    assert next_task(good, Concluded(9.5, Result(URI, 500))) is good
    bad = next_task(accepted, Concluded(9.0, Result(URI, 410)))
    assert (bad.state, bad.status, bad.open) == (S.FAILED, 410, False)


@pytest.mark.parametrize("once", [False, True])
def test_what_was_accepted_and_never_concluded_is_unknown(*, once: bool) -> None:
    sent = next_task(replace(TASK, once=once), Sent(2.0))
    accepted = next_task(sent, Answered(3.0, 202))
    assert next_task(accepted, Lost(4.0)) is accepted  # not sent again
    unknown = next_task(accepted, Overdue(101.0))
    assert unknown.state is S.UNKNOWN
    assert next_task(unknown, Concluded(102.0, Result(URI, 200))).state is S.DONE


def test_a_conclusion_counts_though_the_acceptance_was_lost() -> None:
    sent = next_task(replace(TASK, once=True), Sent(2.0))
    lost = next_task(sent, Lost(3.0))
    done = next_task(lost, Concluded(9.0, Result(URI, 200)))
    assert (lost.state, done.state) == (S.UNKNOWN, S.DONE)
    assert next_task(done, Answered(9.5, 202)) is done


@pytest.mark.parametrize(("state", "event", "once"), list(product(S, EVENTS, (False, True))))
def test_what_is_not_in_the_table_changes_nothing(
    state: TaskState, event: TaskEvent, *, once: bool
) -> None:
    task = replace(TASK, state=state, once=once)
    moved = next_task(task, event)
    to = TRANSITIONS.get((state, type(event), once))
    assert moved is task if to is None else moved.state is to
    assert to is None or moved.updated == 5.0


def test_what_may_be_executed_twice_is_the_jobs_to_say() -> None:
    assert job().once
    assert not job(repeatable=True).once
    assert not job(kind=TaskKind.SET).once


@pytest.mark.parametrize(
    "changes",
    [
        {"commands": ()},
        {"kind": TaskKind.GET, "commands": (Command(URI),) * (MAX_COMMANDS + 1)},
        {"commands": (Command(URI), Command(URI))},
        {"devices": ()},
        {"which": DeviceFilter()},
        {"devices": tuple(f"D{n}" for n in range(MAX_DEVICES + 1))},
    ],
)
def test_what_is_no_job_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="a job"):
        job(**changes)
