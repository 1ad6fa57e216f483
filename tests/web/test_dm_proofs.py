"""What the account of a device accepts, in sessions over real TLS and over REST."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from tests.support.headend import dcu_client
from tests.support.management import Device, ListPlanner, give_account, planning

from openami.omadm.auth import AuthPolicy
from openami.omadm.session.events import End

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    import httpx

    from openami.headend.server import Running

WHERE = "/api/v1/dm/devices/D1/account"


@pytest.fixture
async def device(running: Running, tmp_path: Path) -> AsyncIterator[Device]:
    with planning(running, ListPlanner()):
        async with dcu_client(running, tmp_path, "D1") as http:
            yield Device("D1", give_account(running, "D1"), http)


def knows(device: Device, *labels: str) -> None:
    """Let a device know these proofs and no others."""
    device.account = replace(device.account, policy=AuthPolicy.of(labels))


def code(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


@pytest.mark.parametrize("label", ["mac-md5", "digest-md5", "basic"])
async def test_a_weak_proof_is_taken_only_where_somebody_has_said_so(
    running: Running, device: Device, label: str
) -> None:
    knows(device, label)
    assert (await device.run()).end is not End.DONE
    proofs = running.services.management.proofs
    proofs.allow("D1", [label], who="test")
    assert (await device.run()).end is End.DONE
    assert (await device.run()).end is End.DONE  # with the nonces of the last
    # No way up either: what knows better proves itself no more by what was allowed before.
    proofs.allow("D1", ["mac-sha256"], who="test")
    assert (await device.run()).end is not End.DONE
    knows(device, "mac-sha256")
    assert (await device.run()).end is End.DONE


async def test_of_those_that_are_accepted_the_device_has_the_choice(
    running: Running, device: Device
) -> None:
    proofs = running.services.management.proofs
    proofs.allow("D1", ["digest-md5", "mac-sha256"], who="test")
    for label in ("digest-md5", "mac-sha256"):
        knows(device, label)
        assert (await device.run()).end is End.DONE
    knows(device, "mac-md5")
    assert (await device.run()).end is not End.DONE


async def test_an_account_over_rest(
    running: Running,
    device: Device,
    viewer: httpx.AsyncClient,
    operator: httpx.AsyncClient,
    admin: httpx.AsyncClient,
) -> None:
    found = (await viewer.get(WHERE)).json()
    assert found == {
        "device": "D1",
        "accepts": ["mac-sha256", "digest-sha256"],
        "weak": False,
        "notified": True,
        "suspended": False,
        "last_session": None,
    }
    wish = {"accepts": ["basic"], "why": "a box of 2009"}
    assert code(await operator.put(WHERE, json=wish)) == (403, "security.role")
    changed = await admin.put(WHERE, json=wish)
    told = changed.json()
    assert (told["accepts"], told["weak"], told["notified"]) == (["basic"], True, False)
    assert (await viewer.get(WHERE)).json() == told
    entry = running.services.registry.audit(subject="dcu-D1").items[0]
    assert (entry.who, entry.what, entry.why) == ("admin", "account.accepts basic", wish["why"])
    assert code(await admin.put(WHERE, json={"accepts": ["rot13"]})) == (400, "request.proofs")
    assert (await admin.put(WHERE, json={"accepts": []})).status_code == 422
    assert code(await viewer.get(WHERE.replace("D1", "D9"))) == (404, "dm.no-account")
    assert code(await admin.put(WHERE.replace("D1", "D9"), json=wish)) == (404, "dm.no-account")
