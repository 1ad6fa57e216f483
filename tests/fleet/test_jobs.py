"""The state machine of jobs."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openami.core.obis import Obis
from openami.fleet.jobs import (
    FINAL_STATES,
    LEGAL,
    MAX_ATTRIBUTES,
    Failed,
    Finished,
    Job,
    JobChanged,
    JobEvent,
    JobState,
    Offered,
    Started,
    Target,
    TargetResult,
    TimePassed,
    WakeDcu,
    created,
    next_state,
)

TARGET = Target(3, Obis.parse("1.0.1.8.0.255"), 2)
RESULT = TargetResult(TARGET, 1234, 0, 30)
JOB = Job("j1", "A1", "D1", "anna", created=0.0, expires=100.0, targets=(TARGET,))


def run(job: Job, *events: JobEvent) -> Job:
    for event in events:
        job, _ = next_state(job, event)
    return job


def test_a_job_goes_its_way() -> None:
    assert created(JOB) == (WakeDcu("D1"), JobChanged(JOB))
    offered, effects = next_state(JOB, Offered(1.0, 31.0))
    assert (offered.state, offered.offers, offered.lease_until) == (JobState.OFFERED, 1, 31.0)
    assert effects == (JobChanged(offered),)
    running = run(offered, Started(2.0, 32.0, 0.5, (RESULT,)))
    assert (running.state, running.progress, running.results) == (
        JobState.RUNNING, 0.5, (RESULT,),
    )  # fmt: skip
    done = run(running, Finished(3.0, (RESULT, RESULT)))
    assert (done.state, done.progress, done.lease_until, done.updated) == (
        JobState.DONE, 1.0, None, 3.0,
    )  # fmt: skip
    assert done.results == (RESULT, RESULT)
    assert done.final
    assert not running.final


def test_an_offer_that_nobody_took_up_is_made_again() -> None:
    offered = run(JOB, Offered(1.0, 31.0))
    same, nothing = next_state(offered, TimePassed(30.9))
    assert same is offered
    assert nothing == ()
    back, effects = next_state(offered, TimePassed(31.0))
    assert (back.state, back.lease_until) == (JobState.QUEUED, None)
    assert effects == (WakeDcu("D1"), JobChanged(back))
    assert run(back, Offered(40.0, 70.0)).offers == 2


def test_a_running_job_whose_dcu_restarted_is_offered_again_and_keeps_its_progress() -> None:
    running = run(JOB, Offered(1.0, 31.0), Started(2.0, 32.0, 0.5))
    again = run(running, TimePassed(32.0), Offered(33.0, 63.0), Started(34.0, 64.0, 0.1))
    assert (again.state, again.progress, again.offers) == (JobState.RUNNING, 0.5, 2)


def test_a_report_on_an_offer_that_was_taken_back_counts() -> None:
    queued = run(JOB, Offered(1.0, 31.0), TimePassed(31.0))
    assert run(queued, Finished(32.0, (RESULT,))).state is JobState.DONE


def test_a_failure_keeps_what_was_read() -> None:
    failed = run(JOB, Started(1.0, 31.0, 0.5, (RESULT,)), Failed(2.0, "line.timeout", "no answer"))
    assert failed.state is JobState.FAILED
    assert (failed.error_code, failed.error_message) == ("line.timeout", "no answer")
    assert failed.results == (RESULT,)


def test_a_job_expires_from_any_open_state() -> None:
    for job in (JOB, run(JOB, Offered(1.0, 31.0)), run(JOB, Started(1.0, 31.0))):
        expired = run(job, TimePassed(100.0))
        assert (expired.state, expired.error_code) == (JobState.EXPIRED, "job.expired")


def test_a_queued_job_waits() -> None:
    assert run(JOB, TimePassed(99.0)) is JOB


def test_progress_stays_between_nothing_and_all() -> None:
    assert run(JOB, Started(1.0, 31.0, 7.0)).progress == 1.0
    assert run(JOB, Started(1.0, 31.0, -7.0)).progress == 0.0


def test_bounds() -> None:
    with pytest.raises(ValueError, match="at most"):
        replace(JOB, targets=(TARGET,) * (MAX_ATTRIBUTES + 1))
    with pytest.raises(ValueError, match="serial"):
        replace(JOB, meter="")


EVENTS = st.one_of(
    st.builds(Offered, st.floats(0, 200), st.floats(0, 300)),
    st.builds(Started, st.floats(0, 200), st.floats(0, 300), st.floats(0, 1)),
    st.builds(Finished, st.floats(0, 200)),
    st.builds(Failed, st.floats(0, 200), st.just("x")),
    st.builds(TimePassed, st.floats(0, 200)),
)


@given(st.lists(EVENTS, max_size=12))
@settings(max_examples=200)
def test_any_events_in_any_order(events: list[JobEvent]) -> None:
    """Final states stay, progress never falls, repeats and late events change nothing."""
    job = JOB
    for event in events:
        after, effects = next_state(job, event)
        if job.state not in LEGAL[type(event)]:
            assert after is job
        if job.state in FINAL_STATES:
            assert after is job
        assert (after is job) == (effects == ())
        assert after.progress >= job.progress
        assert (WakeDcu("D1") in effects) == (after is not job and after.state is JobState.QUEUED)
        job = after
