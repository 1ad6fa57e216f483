"""Why a device is not upgraded: every cause has words and a next step."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import pytest

from openami.fleet.campaigns.allowance import Full
from openami.fleet.campaigns.dispatch import Place
from openami.fleet.campaigns.groups import ERRORS_REACHED, OUT_OF_REACH, GroupState
from openami.fleet.campaigns.machine import CampaignState
from openami.fleet.campaigns.model import ERRORS, DeviceState
from openami.fleet.campaigns.why import SILENT_S, WORDS, Situation, of_group, why

D, G, S = DeviceState, GroupState, CampaignState
NOW = 1_800_000_000.0
BASE = Situation(S.RUNNING, NOW, group=G.DOWNLOADING, place=Place.QUEUED, heard=NOW - 60)


def test_who_is_upgraded_needs_no_words() -> None:
    assert why(replace(BASE, device=D.CONFIRMED, state=S.STOPPED)) is None


@pytest.mark.parametrize(
    ("changes", "code", "words"),
    [
        ({"excluded": "firmware.fit.same"}, "firmware.fit.same", "has this version"),
        ({"state": S.DRAFT}, "campaign.draft", "plan it"),
        ({"state": S.PLANNED}, "campaign.planned", "waiting for approval"),
        ({"state": S.APPROVED}, "campaign.approved", "start it"),
        ({"state": S.PAUSED}, "campaign.paused", "resume it"),
        ({"state": S.PAUSED, "cause": "campaign.errors"}, "campaign.errors", "too many"),
        ({"state": S.FINISHED}, "campaign.done", "is over"),
        ({"state": S.FINISHED, "cause": "campaign.overdue"}, "campaign.overdue", "time was over"),
        ({"state": S.STOPPED}, "campaign.stopped", "stopped"),
        ({"state": S.EMERGENCY}, "campaign.emergency", "emergency"),
        ({"group": None}, "campaign.no-group", "no group"),
        ({"group": G.WAITING}, "campaign.group-waiting", "an earlier one"),
        ({"opens": NOW}, "campaign.window", "closed until 2027-01-15T08:00:00Z"),
        ({"full": Full.SEGMENT}, "campaign.budget.segment", "segment"),
        ({"full": Full.HEAD_END}, "campaign.budget.head-end", "head-end"),
        ({}, "campaign.queued", "next"),
        ({"place": Place.GIVEN}, "campaign.under-way", "waiting"),
        ({"place": Place.GIVEN, "heard": 0.0}, "campaign.under-way", "waiting"),
        (
            {"place": Place.DONE, "device": D.TRANSFERRED, "heard": NOW - SILENT_S - 1},
            "campaign.not-reporting",
            "not reported since 2027-01-15T06:59:59Z",
        ),
        ({"place": Place.DONE, "device": D.DOWNLOADED}, "campaign.under-way", "downloaded"),
        ({"place": Place.GIVEN, "device": D.SELF_TESTED}, "campaign.under-way", "self-tested"),
        ({"place": Place.RESTING, "due": NOW + 60}, "campaign.silent", "again at 2027-01-15T08:01"),
        ({"place": Place.RESTING, "heard": 0.0}, "campaign.silent", "since it was asked"),
        (
            {"place": Place.RESTING, "due": NOW + 60, "failure": "transport.tls"},
            "campaign.retry",
            "tries again at 2027-01-15T08:01:00Z",
        ),
        ({"place": Place.SPENT, "failure": "transport.tls"}, "transport.tls", "TLS"),
        ({"place": Place.SPENT}, "campaign.gave-up", "too often"),
        ({"device": D.VERIFIED}, "campaign.group-downloaded", "time of activation"),
        (
            {"device": D.VERIFIED, "group": G.ACTIVATING, "opens": NOW},
            "campaign.window",
            "closed until",
        ),
        ({"device": D.FAILED, "code": "firmware.hash"}, "firmware.hash", "damaged"),
        ({"device": D.REVERTED, "code": "firmware.self-test"}, "firmware.self-test", "taken back"),
        # what stands in the way of the device stands before a pause
        ({"device": D.FAILED, "code": "firmware.key", "state": S.PAUSED}, "firmware.key", "key"),
        # the longest beginning that is known
        (
            {"device": D.FAILED, "code": "firmware.transfer.block"},
            "firmware.transfer.block",
            "tran",
        ),
        ({"device": D.FAILED, "code": "firmware.new-one"}, "firmware.new-one", "refused the image"),
        (
            {"device": D.FAILED, "code": "strange.thing"},
            "strange.thing",
            "failed with strange.thing",
        ),
        ({"device": D.FAILED}, "firmware", "refused"),
    ],
)
def test_every_cause_has_a_line(changes: dict[str, Any], code: str, words: str) -> None:
    found = why(replace(BASE, **changes))
    assert found is not None
    assert found.code == code
    assert words in str(found)
    assert found.step
    assert "\n" not in str(found)
    assert "{" not in str(found)


@pytest.mark.parametrize("code", sorted(WORDS))
def test_every_code_of_the_table_reads_as_one_line(code: str) -> None:
    found = why(replace(BASE, device=D.FAILED, code=str(code)))
    assert found is not None
    assert found.cause
    assert found.step
    assert "{" not in str(found)


def test_a_dcu_that_could_not_fetch_an_image_is_said_so() -> None:
    spent = replace(BASE, place=Place.SPENT, failure="download.network")
    assert "the DCU's link fails" in str(why(spent))
    other = replace(spent, failure="download.server")
    assert "could not fetch the image" in str(why(other))


@pytest.mark.parametrize(
    ("code", "words"),
    [(ERRORS_REACHED, "too many"), (OUT_OF_REACH, "threshold"), ("campaign.new", "it has failed")],
)
def test_a_group_says_why_it_failed_and_nothing_of_its_campaign(code: str, words: str) -> None:
    found = of_group(code)
    assert found.code == code
    assert words in found.cause
    assert "campaign" not in str(found)
    assert found.step


def test_there_is_always_an_answer() -> None:
    unfinished = [device for device in D if device is not D.CONFIRMED]
    for state, group, device, place in itertools.product(S, [None, *G], unfinished, Place):
        code = "firmware.hash" if device in ERRORS else None
        found = Situation(state, NOW, group=group, device=device, place=place, code=code)
        assert why(found) is not None
