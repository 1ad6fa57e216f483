"""A campaign's life: every command in every state, again, late and by the wrong person."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.fleet.campaigns.builders import campaign, step

from openami.core.errors import ConflictError
from openami.fleet.campaigns.groups import GroupCount, GroupState
from openami.fleet.campaigns.machine import (
    ENGINE,
    MAX_REASON,
    OVER,
    TRANSITIONS,
    UNNUMBERED,
    Act,
    ActivateGroup,
    CampaignState,
    Command,
    Counted,
    DownloadGroup,
    Effect,
    Recall,
    Record,
    Run,
    drafted,
    next_state,
    void,
)

A, S = Act, CampaignState
NOTHING = (GroupCount(), GroupCount())
TO: dict[CampaignState, tuple[Act, ...]] = {
    S.DRAFT: (),
    S.PLANNED: (A.PLAN,),
    S.APPROVED: (A.PLAN, A.APPROVE),
    S.RUNNING: (A.PLAN, A.APPROVE, A.START),
    S.PAUSED: (A.PLAN, A.APPROVE, A.START, A.PAUSE),
    S.STOPPED: (A.STOP,),
    S.EMERGENCY: (A.PLAN, A.APPROVE, A.START, A.EMERGENCY),
}


def do(run: Run, act: Act, **changes: object) -> tuple[Run, tuple[Effect, ...]]:
    extra = {"campaign": run.campaign} if act is A.REVISE else {}
    command = step(run, act, counts=NOTHING, **extra)
    return next_state(run, replace(command, **changes))  # type: ignore[arg-type]  # by the caller


def at(state: CampaignState) -> Run:
    run = drafted(campaign(), who="ann", now=0.0)
    if state is S.FINISHED:
        return next_state(at(S.RUNNING), Counted(1.0, NOTHING))[0]
    for act in TO[state]:
        run, _ = do(run, act)
    return run


@pytest.mark.parametrize("state", S)
@pytest.mark.parametrize("act", A)
def test_the_table_is_whole(state: CampaignState, act: Act) -> None:
    run = at(state)
    assert run.state is state
    after, effects = do(run, act)
    to = TRANSITIONS.get((state, act))
    if to is None or act in {A.FAIL, A.FINISH}:
        assert after is run
        assert effects == ()
        return
    assert after.state is to
    assert after.commands == run.commands + 1
    assert (Recall() in effects) is (to in OVER)
    assert isinstance(effects[-1], Record)
    assert effects[-1].entry.what == f"campaign.state {state} to {to}"
    assert (after.cause is None) is (act not in {A.PAUSE, A.STOP, A.WITHDRAW, A.EMERGENCY})


@pytest.mark.parametrize("state", S)
@pytest.mark.parametrize("act", A)
def test_a_command_that_comes_again_changes_nothing(state: CampaignState, act: Act) -> None:
    run = at(state)
    command = step(run, act, counts=NOTHING, campaign=run.campaign)
    once, _ = next_state(run, command)
    again, effects = next_state(once, command)
    assert again is once
    assert effects == ()


def test_a_repeated_pause_does_not_pause_what_was_resumed() -> None:
    run = at(S.RUNNING)
    pause = step(run, A.PAUSE)
    paused, _ = next_state(run, pause)
    resumed, _ = do(paused, A.RESUME)
    assert next_state(resumed, pause) == (resumed, ())


@pytest.mark.parametrize("act", sorted(UNNUMBERED))
def test_what_is_final_needs_no_number(act: Act) -> None:
    stopped, effects = do(at(S.RUNNING), act, number=0)
    assert stopped.state in OVER
    assert Recall() in effects


@pytest.mark.parametrize("state", sorted(OVER))
def test_what_is_over_stays_so(state: CampaignState) -> None:
    run = at(state)
    for act in A:
        assert do(run, act)[0] is run
    assert next_state(run, Counted(5.0, NOTHING))[0] is run


@pytest.mark.parametrize("who", ["ann", "ANN", "cid"])
def test_an_author_does_not_approve(who: str) -> None:
    run = drafted(campaign(), who="ann", now=0.0)
    run, _ = do(run, A.PLAN, who="cid")
    assert run.authors == ("ann", "cid")
    with pytest.raises(ConflictError) as caught:
        do(run, A.APPROVE, who=who)
    assert caught.value.code == "campaign.four-eyes"


def test_approval_is_of_what_was_seen() -> None:
    approved = at(S.APPROVED)
    assert approved.approver == "bob"
    revised, _ = do(approved, A.REVISE, who="bob", campaign=campaign(name="Other"))
    assert (revised.state, revised.approver, revised.campaign.name) == (S.DRAFT, None, "Other")
    planned, _ = do(revised, A.PLAN)
    with pytest.raises(ConflictError):
        do(planned, A.APPROVE, who="bob")
    assert do(planned, A.APPROVE, who="cid")[0].state is S.APPROVED


@pytest.mark.parametrize(
    ("state", "act", "changes"),
    [
        (S.DRAFT, A.PLAN, {"why": "x" * (MAX_REASON + 1)}),
        (S.DRAFT, A.PLAN, {"who": ""}),
        (S.DRAFT, A.REVISE, {"campaign": None}),
        (S.DRAFT, A.REVISE, {"campaign": campaign(id="c2")}),
        (S.PAUSED, A.RESUME, {"counts": ()}),
    ],
)
def test_a_command_has_what_it_needs(
    state: CampaignState, act: Act, changes: dict[str, object]
) -> None:
    with pytest.raises(ConflictError) as caught:
        do(at(state), act, **changes)
    assert caught.value.code == "campaign.malformed"


def test_jobs_of_before_an_emergency_are_void() -> None:
    run, _ = do(at(S.APPROVED), A.START, epoch=4)
    assert run.epoch == 4
    assert not void(run.epoch, 4)
    stopped, _ = do(run, A.EMERGENCY, epoch=5)
    assert stopped.epoch == 5
    assert void(run.epoch, 5)


def test_an_emergency_leaves_drafts_alone() -> None:
    for state in (S.DRAFT, S.PLANNED):
        assert do(at(state), A.EMERGENCY)[1] == ()


def counted(run: Run, *counts: GroupCount, now: float = 1.0) -> tuple[Run, tuple[Effect, ...]]:
    return next_state(run, Counted(now, counts))


TEN = GroupCount(total=10)
READY = GroupCount(10, ready=10)
DONE = GroupCount(10, ready=10, confirmed=10)


def test_groups_go_one_after_the_other() -> None:
    run, effects = counted(at(S.RUNNING), TEN, TEN)
    assert DownloadGroup(0) in effects
    assert [group.state for group in run.groups] == [GroupState.DOWNLOADING, GroupState.WAITING]
    assert counted(run, TEN, TEN) == (run, ())
    run, effects = counted(run, READY, TEN)
    assert ActivateGroup(0) in effects
    run, effects = counted(run, DONE, TEN)
    assert DownloadGroup(1) in effects
    run, effects = counted(run, DONE, DONE)
    assert run.state is S.FINISHED
    assert run.cause == "campaign.done"
    assert Recall() in effects
    records = [effect.entry for effect in effects if isinstance(effect, Record)]
    assert all(entry.who == ENGINE and entry.subject == "campaign-c1" for entry in records)
    assert records[0].what == "campaign.group others: downloading to downloaded"
    assert records[-1].what == "campaign.state running to finished"


def test_errors_are_looked_at_first() -> None:
    run, _ = counted(at(S.RUNNING), TEN, TEN)
    both = GroupCount(100, ready=97, confirmed=97, errors=3)
    paused, effects = counted(run, both, TEN)
    assert (paused.state, paused.cause) == (S.PAUSED, "campaign.errors")
    assert paused.groups[0].state is GroupState.FAILED
    assert paused.groups[0].was is GroupState.DOWNLOADING
    assert Recall() not in effects
    assert counted(paused, both, TEN) == (paused, ())  # a pause holds
    resumed, _ = next_state(paused, step(paused, A.RESUME, counts=(both, TEN)))
    assert resumed.groups[0].excused == 3
    on, effects = counted(resumed, both, TEN)
    assert ActivateGroup(0) in effects
    again, _ = counted(on, GroupCount(100, ready=94, confirmed=94, errors=5), TEN)
    assert again.state is S.PAUSED


def test_what_was_said_before_a_campaign_paused_itself_does_not_hold() -> None:
    run = at(S.RUNNING)
    resume = step(run, A.RESUME, counts=NOTHING)
    assert next_state(run, resume) == (run, ())
    paused, _ = counted(counted(run, TEN, TEN)[0], GroupCount(10, errors=9), TEN)
    assert paused.state is S.PAUSED
    assert next_state(paused, resume) == (paused, ())


def test_a_campaign_ends_at_its_time_and_a_dynamic_one_not_before() -> None:
    late = Run(campaign(until=100.0), at(S.RUNNING).groups, ("ann",), S.RUNNING)
    assert counted(late, TEN, TEN, now=99.0)[0].state is S.RUNNING
    over, _ = counted(late, TEN, TEN, now=100.0)
    assert (over.state, over.cause) == (S.FINISHED, "campaign.overdue")
    open_ = replace(late, campaign=campaign(until=100.0, dynamic=True))
    waits, _ = counted(open_, DONE, DONE, now=50.0)
    assert waits.state is S.RUNNING
    assert all(group.state is GroupState.SUCCEEDED for group in waits.groups)
    assert (
        counted(replace(late, campaign=campaign(dynamic=True)), DONE, DONE)[0].state is S.FINISHED
    )


def test_devices_left_over_keep_a_campaign_running() -> None:
    almost = GroupCount(100, ready=96, confirmed=96)
    run, _ = counted(at(S.RUNNING), almost, TEN)
    run, _ = counted(run, almost, DONE)
    assert run.state is S.RUNNING
    assert all(group.state is GroupState.SUCCEEDED for group in run.groups)
    failed, _ = counted(run, GroupCount(100, ready=96, confirmed=96, errors=4), DONE)
    assert (failed.state, failed.cause) == (S.PAUSED, "campaign.errors")


def test_nobody_commands_what_the_engine_does() -> None:
    run = at(S.RUNNING)
    assert next_state(run, Command(A.FINISH, "ann", 0.0, run.commands + 1)) == (run, ())
