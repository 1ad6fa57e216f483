"""An alarm before what keepers elsewhere signed ends, which goes when they signed anew."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from tests.support.repositories import ROOT, TARGETS, publics, sign

from openami.firmware.repository import RoleKeys
from openami.headend.firmware.publisher import ROOT_LIFE_S, TARGETS_LIFE_S
from openami.headend.services import build

if TYPE_CHECKING:
    from openami.core.clock import ManualClock
    from openami.headend.firmware.facade import Firmware
    from openami.headend.services import Context, Services, Stores

DAY = 86_400.0


@pytest.fixture
def offline(context: Context, stores: Stores) -> Services:
    """Return services whose root and targets keepers sign."""
    update = {"release_keys": "offline", "release_warn_days": 20.0}
    return build(replace(context, settings=context.settings.model_copy(update=update)), stores)


def sign_root(firmware: Firmware) -> bytes:
    roles = RoleKeys(publics(ROOT), 2), RoleKeys(publics(TARGETS), 2)
    return sign(firmware.publisher.draft_root(*roles), ROOT[:2])


def sign_targets(firmware: Firmware) -> bytes:
    return sign(firmware.publisher.draft(()), TARGETS)


def looked(services: Services) -> dict[str, str]:
    """Return what alarms are open after a look, by their subjects."""
    services.firmware.endings.look()
    found = services.alarms.list(only_open=True).items
    assert {alarm.code for alarm in found} <= {"release.ending"}
    return {alarm.subject: alarm.message for alarm in found}


def test_keepers_are_called_while_there_is_time(offline: Services, wall: ManualClock) -> None:
    firmware = offline.firmware
    assert looked(offline) == {}  # nothing is published yet
    firmware.publisher.take(root=sign_root(firmware), targets=sign_targets(firmware), who="root")
    wall.advance(TARGETS_LIFE_S - 21 * DAY)
    assert looked(offline) == {}
    wall.advance(2 * DAY)
    told = looked(offline)
    assert list(told) == ["releases:targets"]
    assert "openami release draft" in told["releases:targets"]
    wall.advance(40 * DAY)  # and when it has ended
    assert looked(offline) == told
    firmware.publisher.take(root=None, targets=sign_targets(firmware), who="root")
    assert looked(offline) == {}
    (cleared,) = offline.alarms.list().items
    assert cleared.cleared_by == "head-end"


def test_a_root_is_told_apart_from_the_list(offline: Services, wall: ManualClock) -> None:
    firmware = offline.firmware
    firmware.publisher.take(root=sign_root(firmware), targets=sign_targets(firmware), who="root")
    wall.advance(ROOT_LIFE_S - 10 * DAY)
    assert set(looked(offline)) == {"releases:root", "releases:targets"}
    firmware.publisher.take(root=sign_root(firmware), targets=sign_targets(firmware), who="root")
    assert looked(offline) == {}
    wall.advance(TARGETS_LIFE_S)
    assert set(looked(offline)) == {"releases:targets"}  # it is raised again


def test_what_the_vault_signs_raises_none(services: Services, wall: ManualClock) -> None:
    assert looked(services) == {}
    assert services.firmware.publisher._store.repository() is None  # nor does a look begin one
    services.firmware.publisher.present()
    wall.advance(TARGETS_LIFE_S)
    assert looked(services) == {}


def test_an_alarm_of_before_goes_with_the_setting(
    offline: Services, context: Context, stores: Stores, wall: ManualClock
) -> None:
    firmware = offline.firmware
    firmware.publisher.take(root=sign_root(firmware), targets=sign_targets(firmware), who="root")
    wall.advance(TARGETS_LIFE_S)
    assert looked(offline)
    assert looked(build(context, stores)) == {}
