"""Campaigns over the REST API."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from tests.support.headend import PASSWORD, START
from tests.support.planned import offer, street, tell

from openami.fleet.operators import Role

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    import httpx

    from openami.headend.server import Running

API = "/api/v1/campaigns"
SPEC: dict[str, Any] = {
    "name": "Autumn",
    "release": 1,
    "groups": [
        {"name": "canary", "share": 1, "canary": True, "soak_s": 60, "error": 50, "success": 50},
        {"name": "rest"},
    ],
}


def code(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


@pytest.fixture
async def dcu(running: Running, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    """A release, and a DCU with ten meters."""
    offer(running, tmp_path)
    async with street(running, tmp_path) as client:
        yield client


@pytest.fixture
def boris(running: Running) -> dict[str, str]:
    """Return the headers of a second operator."""
    running.services.operators.add("boris", PASSWORD, Role.OPERATOR, who="test")
    secret = running.services.operators.make_token("boris", label="test", days=1).secret
    return {"Authorization": f"Bearer {secret}"}


async def draft(client: httpx.AsyncClient, **others: Any) -> dict[str, Any]:
    answer = await client.post(API, json={"campaign": {**SPEC, **others}, "why": "ticket"})
    assert answer.status_code == 201, answer.text
    assert answer.headers["Location"] == f"{API}/{answer.json()['progress']['id']}"
    made: dict[str, Any] = answer.json()
    return made


async def act(client: httpx.AsyncClient, id_: str, name: str, **others: Any) -> httpx.Response:
    """Command what the campaign's page would."""
    number = (await client.get(f"{API}/{id_}")).json()["progress"]["next_number"]
    wish = {"number": number, "why": "so"}
    return await client.post(f"{API}/{id_}/{name}", json=wish, **others)


async def test_a_campaign_goes_its_way(
    running: Running, operator: httpx.AsyncClient, boris: dict[str, str], dcu: httpx.AsyncClient
) -> None:
    made = await draft(operator)
    id_ = made["progress"]["id"]
    assert (made["progress"]["state"], made["progress"]["next"]) == ("draft", ["plan", "stop"])
    assert made["progress"]["package"] == "meter-image/meter/1.4.0"
    planned = (await act(operator, id_, "plan")).json()["progress"]
    assert (planned["state"], planned["devices"], planned["dcus"]) == ("planned", 9, 1)
    assert code(await act(operator, id_, "approve")) == (409, "campaign.four-eyes")
    assert code(await act(operator, id_, "start")) == (409, "campaign.transition")
    approved = (await act(operator, id_, "approve", headers=boris)).json()["progress"]
    assert (approved["state"], approved["approver"]) == ("approved", "boris")
    again = await operator.post(f"{API}/{id_}/start", json={"number": 1})
    assert code(again) == (409, "campaign.number")
    started = (await act(operator, id_, "start")).json()["progress"]
    assert (started["state"], started["next"]) == ("running", ["pause", "stop"])
    await running.services.upgrades.rounds.round()
    orders = (await dcu.post("/device/v1/upgrade", json={"epoch": 0, "reports": []})).json()
    assert [order["campaign"] for order in orders["orders"]] == [id_]
    failed = {"meter": "M03", "state": "failed", "at": START + 1.0, "attempt": 1, "reason": "x"}
    marks = [
        {"meter": "M02", "state": "verified", "at": START + 5.0, "attempt": 1, "code": None},
        {**failed, "code": "upgrade.verification"},
    ]
    counts = {"offered": 7, "verified": 1, "failed": 1}
    codes = {"upgrade.verification": 1}
    answer = await tell(dcu, id_, 1, counts=counts, codes=codes, marks=marks)
    assert answer["taken"] == {id_: 1}
    shown = (await operator.get(f"{API}/{id_}")).json()["progress"]
    assert shown["states"]["verified"] == 1
    [canary, rest] = shown["groups"]
    assert (canary["state"], rest["devices"]) == ("downloading", 0)
    assert canary["failures"] == [
        {
            "code": "upgrade.verification",
            "cause": "the meter refused the image at its verification",
            "step": "look at the meter's log; check that the release fits its model",
            "devices": 1,
        }
    ]
    page = (await operator.get(f"{API}/{id_}/devices?state=failed")).json()
    assert [(one["serial"], one["code"]) for one in page["items"]] == [
        ("M03", "upgrade.verification")
    ]
    told = (await operator.get(f"{API}/{id_}/devices/M02")).json()
    assert [mark["state"] for mark in told["marks"]][-1:] == ["verified"]
    of_device = (await operator.get(f"{API}/of-device/M03")).json()
    assert [one["campaign"] for one in of_device] == [id_]
    assert code(await operator.get(f"{API}/{id_}/devices?state=lost")) == (400, "request.state")
    assert code(await operator.get(f"{API}/{id_}/devices/none")) == (404, "store.not-found")
    stopped = await operator.post(f"{API}/{id_}/stop", json={"why": "enough"})
    assert stopped.json()["progress"]["state"] == "stopped"
    assert stopped.json()["progress"]["cause"]["code"] == "campaign.stopped"


async def test_what_is_shown_may_be_written_again(
    operator: httpx.AsyncClient, viewer: httpx.AsyncClient, dcu: httpx.AsyncClient
) -> None:
    whole: dict[str, Any] = {
        "filter": {"region": None, "dcu": "D1", "search": "M", "model": "M", "state": None, "contact": None},
        "groups": [
            {"name": "a", "areas": ["north"]}, {"name": "b", "cells": ["north/c1"]},
            {"name": "c", "share": 12.5, "success": 99.5, "least": 3}, {"name": "d"},
        ],
        "zone": "Asia/Seoul",
        "download": {"not_before": "2026-12-01T00:00:00Z", "windows": []},
        "activation": {
            "windows": [{"opens": "22:30", "closes": "04:00", "days": ["sat", "sun"]}]
        },
        "budget": {"rate": 1000, "jobs": 3, "link_rate": 500},
        "retry": {"attempts": 5},
        "activations": 7,
        "jitter_s": 0,
        "dynamic": True,
        "ahead": True,
        "until": "2027-01-01T00:00:00Z",
    }  # fmt: skip
    made = await draft(operator, **whole)
    id_, spec = made["progress"]["id"], made["campaign"]
    assert spec["groups"][2]["share"] == 12.5
    assert spec["activation"]["windows"] == whole["activation"]["windows"]
    assert spec["download"]["not_before"] == "2026-12-01T00:00:00Z"
    again = await draft(operator, **spec)
    assert again["campaign"] == spec
    wish = {"campaign": {**spec, "name": "Winter"}, "number": 1}
    changed = await operator.put(f"{API}/{id_}", json=wish)
    assert changed.json()["campaign"]["name"] == "Winter"
    assert code(await operator.put(f"{API}/{id_}", json=wish)) == (409, "campaign.number")
    listed = (await viewer.get(API, params={"state": "draft"})).json()
    assert [one["name"] for one in listed["items"]] == ["Autumn", "Winter"]
    assert (await viewer.get(API, params={"state": "running"})).json()["items"] == []


async def test_a_draft_that_is_sent_again_makes_one(
    operator: httpx.AsyncClient, dcu: httpx.AsyncClient, boris: dict[str, str]
) -> None:
    wish = {"campaign": SPEC, "why": "ticket"}
    key = {"Idempotency-Key": "k1"}
    made = await operator.post(API, json=wish, headers=key)
    id_ = made.json()["progress"]["id"]
    await act(operator, id_, "plan")
    again = await operator.post(API, json=wish, headers=key)
    assert (again.status_code, again.json()["progress"]["state"]) == (201, "planned")
    assert again.headers["Location"] == f"{API}/{id_}"
    other = await operator.post(API, json={**wish, "why": "more"}, headers=key)
    assert code(other) == (422, "campaign.key")
    assert code(await operator.post(API, json=wish, headers={"Idempotency-Key": "a b"})) == (
        400, "request.key",
    )  # fmt: skip
    assert len((await operator.get(API)).json()["items"]) == 1
    await operator.post(API, json=wish, headers={**boris, **key})
    assert len((await operator.get(API)).json()["items"]) == 2


async def test_a_dry_run_counts_and_keeps_nothing(
    viewer: httpx.AsyncClient, dcu: httpx.AsyncClient
) -> None:
    found = (await viewer.post(f"{API}/dry-run", json=SPEC)).json()
    assert (found["devices"], found["dcus"], found["in_time"]) == (9, 1, True)
    assert [group["name"] for group in found["groups"]] == ["canary", "rest"]
    assert {one["code"]: one["devices"] for one in found["excluded"]} == {"firmware.fit.same": 1}
    assert found["excluded"][0]["cause"] == "it has this version already"
    turn = {"place": 1, "dcu": "D1", "group": "canary", "area": "", "cell": "", "devices": 9}
    assert found["order"] == [turn]
    rest = await viewer.post(f"{API}/dry-run?after=1", json=SPEC)
    assert rest.json()["order"] == []
    for model, devices in (("M", 9), ("m", 0), ("none", 0)):
        spec = {**SPEC, "filter": {"model": model}}
        assert (await viewer.post(f"{API}/dry-run", json=spec)).json()["devices"] == devices
    late = {**SPEC, "until": "2026-01-01T00:00:00Z"}
    assert not (await viewer.post(f"{API}/dry-run", json=late)).json()["in_time"]
    assert (await viewer.get(API)).json()["items"] == []


@pytest.mark.parametrize(
    ("wrong", "answer"),
    [
        ({"release": 99}, (404, "store.not-found")),
        ({"zone": "Mars/Olympus"}, (400, "request.zone")),
        ({"groups": []}, (422, "request.invalid")),
        ({"groups": [{"name": "a", "share": 0.001}]}, (400, "request.campaign")),
        ({"groups": [{"name": "a", "share": 5, "areas": ["x"]}]}, (400, "request.campaign")),
        ({"groups": [{"name": "a"}, {"name": "b"}]}, (400, "request.campaign")),
        ({"jitter_s": 1e300}, (422, "request.invalid")),
        ({"activation": {"windows": [{"opens": "1:00", "closes": "99:00"}]}},
         (400, "request.campaign")),
        ({"budget": {"rate": 0}}, (422, "request.invalid")),
        ({"colour": "red"}, (422, "request.invalid")),
    ],
)  # fmt: skip
async def test_what_can_not_be_meant_is_refused(
    operator: httpx.AsyncClient,
    dcu: httpx.AsyncClient,
    wrong: dict[str, Any],
    answer: tuple[int, str],
) -> None:
    refused = await operator.post(API, json={"campaign": {**SPEC, **wrong}})
    assert code(refused) == answer
    assert code(await operator.post(f"{API}/dry-run", json={**SPEC, **wrong})) == answer


async def test_an_emergency_stops_all(
    operator: httpx.AsyncClient, viewer: httpx.AsyncClient, boris: dict[str, str],
    dcu: httpx.AsyncClient,
) -> None:  # fmt: skip
    id_ = (await draft(operator))["progress"]["id"]
    for name, headers in (("plan", {}), ("approve", boris), ("start", {})):
        assert (await act(operator, id_, name, headers=headers)).status_code == 200
    before = (await operator.post(f"{API}/emergency-stop", json={"why": ""})).status_code
    assert before == 422
    path = f"{API}/emergency-stop"
    assert code(await viewer.post(path, json={"why": "x"})) == (403, "security.role")
    stopped = (await operator.post(path, json={"why": "clocks run back"})).json()
    assert stopped["campaigns"] == 1
    shown = (await viewer.get(f"{API}/{id_}")).json()["progress"]
    assert (shown["state"], shown["next"]) == ("emergency-stopped", [])
    answer = (await dcu.post("/device/v1/upgrade", json={"epoch": 0, "reports": []})).json()
    assert (answer["orders"], answer["epoch"]) == ([], stopped["epoch"])


async def test_who_looks_commands_nothing(
    viewer: httpx.AsyncClient, operator: httpx.AsyncClient, dcu: httpx.AsyncClient
) -> None:
    id_ = (await draft(operator))["progress"]["id"]
    assert code(await viewer.post(API, json={"campaign": SPEC})) == (403, "security.role")
    wish = {"campaign": SPEC, "number": 1}
    assert code(await viewer.put(f"{API}/{id_}", json=wish)) == (403, "security.role")
    for name in ("plan", "approve", "start", "pause", "resume", "stop"):
        refused = await viewer.post(f"{API}/{id_}/{name}", json={})
        assert code(refused) == (403, "security.role")
    assert (await operator.post(f"{API}/{id_}/withdraw", json={})).status_code == 422
    assert code(await viewer.get(f"{API}/none")) == (404, "store.not-found")
