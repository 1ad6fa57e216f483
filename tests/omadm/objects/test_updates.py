"""FUMO and SCOMO: each number and each name is the standard's."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from openami.omadm.objects.catalog import device_schema
from openami.omadm.objects.updates import (
    SCOMO_COMPLETE,
    FumoAlert,
    FumoResult,
    FumoState,
    ScomoDeliveredState,
    ScomoDeliveredStatus,
    ScomoDeployedStatus,
    ScomoResult,
    ScomoState,
    ScomoStatus,
)

if TYPE_CHECKING:
    from enum import IntEnum

NUMBERS: dict[type[IntEnum], dict[str, int]] = {
    FumoState: {
        "IDLE": 10, "DOWNLOAD_FAILED": 20, "DOWNLOADING": 30, "DOWNLOADED": 40, "READY": 50,
        "UPDATING": 60, "FAILED_WITH_DATA": 70, "FAILED": 80, "DONE_WITH_DATA": 90, "DONE": 100,
    },
    FumoResult: {
        "OK": 200, "CLIENT_ERROR": 400, "USER_CANCELLED": 401, "CORRUPT_PACKAGE": 402,
        "DEVICE_MISMATCH": 403, "SIGNATURE_FAILED": 404, "NOT_ACCEPTABLE": 405,
        "DOWNLOAD_AUTHENTICATION": 406, "TIMEOUT": 407, "NOT_IMPLEMENTED": 408, "UNDEFINED": 409,
        "UPDATE_FAILED": 410, "BAD_URL": 411, "SERVER_UNAVAILABLE": 412, "SERVER_ERROR": 500,
        "NO_MEMORY_FOR_DOWNLOAD": 501, "NO_MEMORY_FOR_UPDATE": 502, "NETWORK": 503,
    },
    ScomoStatus: {
        "IDLE": 10, "DOWNLOAD_FAILED": 20, "DOWNLOADING": 30, "DOWNLOADED": 40, "INSTALLING": 50,
        "FAILED_WITH_DATA": 60, "FAILED": 70,
    },
    ScomoDeliveredState: {"DELIVERED": 10, "INSTALLED": 20},
    ScomoDeliveredStatus: {
        "IDLE": 10, "REMOVE_FAILED": 20, "REMOVING": 30, "INSTALLING": 40, "FAILED_WITH_DATA": 50,
        "FAILED": 60,
    },
    ScomoState: {"INACTIVE": 10, "ACTIVE": 20},
    ScomoDeployedStatus: {
        "IDLE": 10, "REMOVE_FAILED": 20, "REMOVING": 30, "ACTIVATE_FAILED": 40, "ACTIVATING": 50,
        "DEACTIVATE_FAILED": 60, "DEACTIVATING": 70,
    },
    ScomoResult: {
        "OK": 1200, "CLIENT_ERROR": 1400, "USER_CANCELLED": 1401, "DOWNLOAD_FAILED": 1402,
        "DOWNLOAD_AUTHENTICATION": 1403, "NO_MEMORY_FOR_DOWNLOAD": 1404, "INSTALL_FAILED": 1405,
        "NO_MEMORY_FOR_INSTALL": 1406, "VALIDATION_FAILED": 1407, "REMOVE_FAILED": 1408,
        "ACTIVATE_FAILED": 1409, "DEACTIVATE_FAILED": 1410, "NOT_IMPLEMENTED": 1411,
        "UNDEFINED": 1412, "WRONG_ENVIRONMENT": 1413, "SERVER_ERROR": 1500,
        "SERVER_UNAVAILABLE": 1501,
    },
}  # fmt: skip


@pytest.mark.parametrize("kind", NUMBERS, ids=lambda kind: kind.__name__)
def test_states_and_results_are_the_standards(kind: type[IntEnum]) -> None:
    assert {name: member.value for name, member in kind.__members__.items()} == NUMBERS[kind]


def test_alerts_are_the_standards() -> None:
    assert {name: alert.value for name, alert in FumoAlert.__members__.items()} == {
        "DOWNLOAD": "org.openmobilealliance.dm.firmwareupdate.download",
        "UPDATE": "org.openmobilealliance.dm.firmwareupdate.update",
        "DOWNLOAD_AND_UPDATE": "org.openmobilealliance.dm.firmwareupdate.downloadandupdate",
    }
    assert SCOMO_COMPLETE == "urn:oma:at:scomo:1.0:OperationComplete"


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("FUMO/x/State", FumoState),
        ("SCOMO/Download/x/Status", ScomoStatus),
        ("SCOMO/Inventory/Delivered/x/State", ScomoDeliveredState),
        ("SCOMO/Inventory/Delivered/x/Status", ScomoDeliveredStatus),
        ("SCOMO/Inventory/Deployed/x/State", ScomoState),
        ("SCOMO/Inventory/Deployed/x/Status", ScomoDeployedStatus),
    ],
)
def test_a_description_tells_every_number(path: str, kind: type[IntEnum]) -> None:
    rule = device_schema().rule(tuple(path.split("/")))
    assert rule is not None
    assert [int(number) for number in re.findall(r"\d+", rule.description)] == list(kind)
