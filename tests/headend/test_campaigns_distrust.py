"""Operators are called to a DCU that does not believe what it fetches for its meters."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.support.campaigns import OTHERS, RETRY, D, Office, offer, register

from openami.fleet.campaigns.model import StepKind
from openami.fleet.campaigns.progress import StepFailed
from openami.headend.campaigns.distrust import ALARM
from openami.headend.campaigns.uplink import Said, SaidMark

if TYPE_CHECKING:
    from pathlib import Path

    from openami.core.clock import ManualClock
    from openami.headend.services import Services, Stores

MIXED = StepFailed(StepKind.DOWNLOAD, 1, "firmware.trust.mixed")


@pytest.fixture
def office(services: Services, wall: ManualClock) -> Office:
    return Office(services, wall)


@pytest.fixture
def id_(
    office: Office, services: Services, stores: Stores, clock: ManualClock, tmp_path: Path
) -> str:
    register(stores, {"A": 2, "B": 2}, now=clock.now())
    return office.started(offer(services, tmp_path), groups=(OTHERS,), retry=RETRY)


def called(office: Office) -> list[str]:
    found = office.services.alarms.list(only_open=True).items
    return [one.subject for one in found if one.code == ALARM]


def fetched(office: Office, dcu: str) -> SaidMark:
    return SaidMark(f"{dcu}-1", D.DOWNLOADED, office.wall.now(), 1)


def test_until_its_next_download_goes_well(office: Office, id_: str) -> None:
    office.say("A", id_, {D.OFFERED: 2}, failed=MIXED)
    assert called(office) == ["dcu-A"]
    office.say("B", id_, {D.DOWNLOADED: 2}, marks=[fetched(office, "B")])
    assert called(office) == ["dcu-A"]
    office.round(60.0)
    office.round()
    # The DCU says how its last attempt has failed for as long as it knows of no later failure.
    office.say("A", id_, {D.DOWNLOADED: 2}, failed=MIXED, marks=[fetched(office, "A")])
    assert called(office) == []
    office.say("A", id_, {D.TRANSFERRED: 2}, failed=MIXED)
    assert called(office) == []


def test_who_was_called_once_is_called_again_by_the_next_failure(office: Office, id_: str) -> None:
    office.say("A", id_, {D.OFFERED: 2}, failed=MIXED)
    (alarm,) = office.services.alarms.list(only_open=True).items
    office.services.alarms.clear(alarm.id, who="ann")
    office.round(60.0)
    office.round()
    failed = StepFailed(StepKind.DOWNLOAD, 2, "firmware.package.manifest")
    office.say("A", id_, {D.OFFERED: 2}, failed=failed)
    assert "dcu-A" in called(office)


def test_nobody_is_called_to_what_is_no_distrust(office: Office, id_: str) -> None:
    failed = StepFailed(StepKind.DOWNLOAD, 1, "download.network")
    office.say("A", id_, {D.OFFERED: 2}, failed=failed)
    office.ask("B", Said("elsewhere", 1, {D.OFFERED: 2}, {}, MIXED))
    assert called(office) == []
