"""Devices' trees, groups and jobs over REST, with a device that answers."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from tests.support.headend import dcu_client
from tests.support.management import Device, change_account, give_account

from openami.omadm.objects.ami import AmiListener

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    import httpx

    from openami.headend.server import Running

WINDOW = "./AMI/Link/Window"
RETRIES = "./AMI/Link/Retries"
SERIAL = "./AMI/Meters/7/Serial"
SECRET = "./DMAcc/1/AppAuth/1/AAuthSecret"
DM = "/api/v1/dm"


@asynccontextmanager
async def managed(running: Running, folder: Path, uid: str) -> AsyncIterator[Device]:
    async with dcu_client(running, folder, uid) as http:
        device = Device(uid, give_account(running, uid), http)
        device.tree.watch("./AMI", AmiListener(lambda _: None))
        yield device


@pytest.fixture
async def device(running: Running, tmp_path: Path) -> AsyncIterator[Device]:
    async with managed(running, tmp_path, "D1") as device:
        yield device


def code(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


async def nodes(client: httpx.AsyncClient, **params: str) -> dict[str, dict[str, Any]]:
    answer = await client.get(f"{DM}/devices/D1/tree", params=params)
    assert answer.status_code == 200, answer.text
    return {node["uri"]: node for node in answer.json()["nodes"]}


async def want(client: httpx.AsyncClient, where: str, **settings: str | None) -> httpx.Response:
    named = {"window": WINDOW, "retries": RETRIES, "serial": SERIAL}
    body = {"settings": [{"uri": named[name], "value": v} for name, v in settings.items()]}
    return await client.put(f"{DM}/{where}/desired", json=body)


async def test_a_device_becomes_what_its_group_and_it_are_wanted_to_be(
    operator: httpx.AsyncClient, device: Device
) -> None:
    made = await operator.put(f"{DM}/groups/all", json={"priority": 5})
    assert made.status_code == 200, made.text
    assert (made.json()["devices"], made.json()["who"]) == (1, "operator-1")
    assert (await want(operator, "groups/all", window="3", retries="7")).json() == {"devices": 1}
    assert (await want(operator, "devices/D1", retries="9", serial="A7")).json() == {"devices": 1}
    before = (await operator.get(f"{DM}/devices/D1/tree")).json()
    assert (before["known_at"], before["pending"], before["groups"]) == (None, 3, ["all"])
    await device.run()
    assert [device.tree.text(uri) for uri in (WINDOW, RETRIES, SERIAL)] == ["3", "9", "A7"]
    after = (await operator.get(f"{DM}/devices/D1/tree")).json()
    assert after["known_at"] is not None
    assert (after["pending"], after["refused"]) == (0, 0)
    found = await nodes(operator, below="./AMI/Link")
    assert {uri.rpartition("/")[0] for uri in found} == {"./AMI", "./AMI/Link"}
    window = found[WINDOW]
    assert (window["value"], window["format"], window["present"]) == ("3", "int", True)
    assert (window["wanted"]["scope"], window["wanted"]["who"]) == ("group:all", "operator-1")
    assert found[RETRIES]["wanted"]["scope"] == "device:D1"
    assert found["./AMI/Link"]["value"] is None
    history = (await operator.get(f"{DM}/devices/D1/history", params={"below": WINDOW})).json()
    assert [(c["old"], c["new"], c["origin"]) for c in history["items"]] == [
        ("1", "3", "group:all")
    ]
    wishes = (await operator.get(f"{DM}/groups/all/desired")).json()["items"]
    assert [(wish["uri"], wish["value"]) for wish in wishes] == [(RETRIES, "7"), (WINDOW, "3")]
    gone = await operator.delete(f"{DM}/devices/D1/desired", params={"uri": [RETRIES, SERIAL]})
    assert gone.json() == {"devices": 1}
    await device.run()
    assert device.tree.text(RETRIES) == "7"
    assert (await operator.delete(f"{DM}/groups/all")).json() == {"devices": 1}
    assert (await operator.get(f"{DM}/groups")).json() == {"items": []}


async def test_a_refused_value_says_so_until_it_is_told_again(
    operator: httpx.AsyncClient, device: Device
) -> None:
    wish = {"settings": [{"uri": WINDOW, "value": "99", "unchecked": True}]}
    await operator.put(f"{DM}/devices/D1/desired", json=wish)
    await device.run()
    node = (await nodes(operator))[WINDOW]
    assert (node["value"], node["refused"], node["pending"]) == ("1", 500, None)
    await device.run()
    await operator.put(f"{DM}/groups/all", json={})
    for params in ({}, {"group": "all"}):
        [refused] = (await operator.get(f"{DM}/refused", params=params)).json()["items"]
        assert (refused["device"], refused["uri"], refused["wanted"]) == ("D1", WINDOW, "99")
        assert refused["words"] == "the value is 1 to 7"
    assert (await operator.post(f"{DM}/devices/D1/retry")).json() == {"nodes": 1}
    assert (await nodes(operator))[WINDOW]["pending"] == "replace"
    await want(operator, "groups/all", retries="3")
    [progress] = (await operator.get(f"{DM}/groups/all/progress")).json()["items"]
    assert (progress["devices"], progress["so"], progress["refused"]) == (1, 1, 0)
    assert (await operator.get(f"{DM}/groups/none/progress")).status_code == 404


async def test_the_members_of_a_group_that_differ_are_listed(
    running: Running, operator: httpx.AsyncClient, device: Device
) -> None:
    running.services.registry.enroll_dcu("D2", who="test")
    await operator.put(f"{DM}/groups/all", json={})
    await want(operator, "groups/all", window="3")
    await device.run()
    await want(operator, "devices/D1", window="4", retries="7")
    standing = (await operator.get(f"{DM}/groups/all/standing")).json()
    assert standing == {"devices": 2, "as_wanted": 0, "different": 1, "unseen": 1, "refused": 0}
    page = (await operator.get(f"{DM}/groups/all/differences", params={"limit": 1})).json()
    [one] = page["items"]
    assert (one["device"], one["more"], one["known_at"] is None) == ("D1", 0, False)
    told = [(node["uri"], node["value"], node["wanted"]["value"]) for node in one["nodes"]]
    assert told == [(RETRIES, "3", "7"), (WINDOW, "3", "4")]
    assert {node["wanted"]["scope"] for node in one["nodes"]} == {"device:D1"}
    rest = {"after": page["next"]}
    rest = (await operator.get(f"{DM}/groups/all/differences", params=rest)).json()
    [other] = rest["items"]
    assert (other["device"], other["known_at"], rest["next"]) == ("D2", None, None)
    assert [(node["uri"], node["value"]) for node in other["nodes"]] == [(WINDOW, None)]
    await device.run()
    running.services.management.standings.forget("all")  # kept, if the machine was slow
    standing = (await operator.get(f"{DM}/groups/all/standing")).json()
    assert (standing["different"], standing["as_wanted"]) == (0, 1)
    for part in ("standing", "differences"):
        assert (await operator.get(f"{DM}/groups/none/{part}")).status_code == 404
    wrong = await operator.get(f"{DM}/groups/all/differences", params={"after": "x"})
    assert code(wrong) == (400, "store.cursor")


async def test_values_that_are_refused_together_keep_no_later_wish_out(
    operator: httpx.AsyncClient, device: Device
) -> None:
    first, most = "./AMI/Segment/BackoffFirst", "./AMI/Segment/BackoffMost"
    pair = {"settings": [{"uri": first, "value": "500"}, {"uri": most, "value": "400"}]}
    assert (await operator.put(f"{DM}/devices/D1/desired", json=pair)).status_code == 200
    await device.run()
    found = await nodes(operator)
    assert [found[uri]["refused"] for uri in (first, most)] == [507, 507]
    await want(operator, "devices/D1", window="5")
    await device.run()
    assert device.tree.text(WINDOW) == "5"
    found = await nodes(operator)
    assert [found[uri]["refused"] for uri in (first, most, WINDOW)] == [507, 507, None]
    pair = {"settings": [{"uri": most, "value": "600"}]}
    await operator.put(f"{DM}/devices/D1/desired", json=pair)
    await device.run()
    assert (float(device.tree.text(first)), float(device.tree.text(most))) == (500, 600)


async def test_a_job_says_what_came_of_it_at_each_device(
    running: Running, operator: httpx.AsyncClient, device: Device, tmp_path: Path
) -> None:
    async with managed(running, tmp_path, "D2") as other:
        wish = {"kind": "get", "uris": [WINDOW, "./Nowhere"], "filter": {}, "why": "to see"}
        made = await operator.post(f"{DM}/jobs", json=wish)
        assert made.status_code == 202, made.text
        path = made.headers["Location"]
        job = made.json()
        assert (job["total"], job["open"], job["counts"]) == (2, 2, {"queued": 2})
        await device.run()
        await other.run()
    done = (await operator.get(path)).json()
    assert (done["open"], done["counts"], done["why"]) == (0, {"failed": 2}, "to see")
    page = (await operator.get(f"{path}/tasks", params={"limit": 1})).json()
    [task] = page["items"]
    assert (task["device"], task["state"], task["status"]) == ("D1", "failed", 404)
    assert {result["uri"]: (result["status"], result["value"]) for result in task["results"]} == {
        WINDOW: (200, "1"),
        "./Nowhere": (404, None),
    }
    rest = (await operator.get(f"{path}/tasks", params={"after": page["next"]})).json()
    assert [task["device"] for task in rest["items"]] == ["D2"]
    none = (await operator.get(f"{path}/tasks", params={"state": "done"})).json()
    assert none["items"] == []
    assert [j["id"] for j in (await operator.get(f"{DM}/jobs")).json()["items"]] == [job["id"]]


async def test_what_is_set_may_be_kept(operator: httpx.AsyncClient, device: Device) -> None:
    settings = [{"uri": WINDOW, "value": "4"}]
    kept = {"kind": "set", "settings": settings, "devices": ["D1"], "keep": True}
    job = (await operator.post(f"{DM}/jobs", json=kept)).json()
    await device.run()
    assert (await operator.get(f"{DM}/jobs/{job['id']}")).json()["counts"] == {"done": 1}
    wishes = (await operator.get(f"{DM}/devices/D1/desired")).json()["items"]
    assert [(wish["uri"], wish["value"]) for wish in wishes] == [(WINDOW, "4")]
    assert device.tree.text(WINDOW) == "4"
    refused = await operator.post(f"{DM}/jobs", json={**kept, "devices": [], "filter": {}})
    assert code(refused) == (400, "request.keep")


async def test_a_job_that_can_not_be_keeps_nothing(
    operator: httpx.AsyncClient, device: Device
) -> None:
    settings = [{"uri": WINDOW, "value": "4"}]
    kept = {"kind": "set", "settings": settings, "devices": ["D1", "D9"], "keep": True}
    answer = await operator.post(f"{DM}/jobs", json=kept)
    assert code(answer) == (404, "dm.no-account")
    assert (await operator.get(f"{DM}/devices/D1/desired")).json()["items"] == []
    many = [f"D{number}" for number in range(101)]
    for wrong in ({"kind": "get", "uris": [WINDOW], "settings": []}, {"devices": many}):
        answer = await operator.post(f"{DM}/jobs", json={**kept, **wrong})
        assert code(answer) == (400, "request.keep")
    assert (await operator.get(f"{DM}/jobs")).json()["items"] == []


async def test_a_request_that_is_made_again_is_the_same_job(
    operator: httpx.AsyncClient, device: Device
) -> None:
    key = {"Idempotency-Key": "8e03978e-40d5-43dd-bc93-6894a57f9324"}
    settings = [{"uri": WINDOW, "value": "4"}]
    wish = {"kind": "set", "settings": settings, "devices": ["D1"], "keep": True}
    first = await operator.post(f"{DM}/jobs", json=wish, headers=key)
    await device.run()
    again = await operator.post(f"{DM}/jobs", json={**wish, "why": ""}, headers=key)
    assert (first.status_code, again.status_code) == (202, 202)
    assert first.headers["Location"] == again.headers["Location"]
    assert (again.json()["counts"], again.json()["open"]) == ({"done": 1}, 0)
    other = await operator.post(f"{DM}/jobs", json={**wish, "why": "to see"}, headers=key)
    assert code(other) == (422, "dm.key")
    for wrong, expected in (("", (400, "request.key")), ("x" * 129, (422, "request.invalid"))):
        answer = await operator.post(f"{DM}/jobs", json=wish, headers={"Idempotency-Key": wrong})
        assert code(answer) == expected
    assert len((await operator.get(f"{DM}/jobs")).json()["items"]) == 1


async def test_a_job_is_taken_back(operator: httpx.AsyncClient, device: Device) -> None:
    wish = {"kind": "exec", "uris": ["./AMI/Operations/Collect"], "devices": ["D1"]}
    job = (await operator.post(f"{DM}/jobs", json=wish)).json()
    answer = await operator.post(f"{DM}/jobs/{job['id']}/cancel")
    assert answer.json()["counts"] == {"cancelled": 1}
    assert (await device.run()).end.value == "done"
    assert (await operator.get(f"{DM}/jobs/{job['id']}")).json()["counts"] == {"cancelled": 1}


async def test_a_device_is_woken_and_looked_at(
    running: Running, operator: httpx.AsyncClient, device: Device
) -> None:
    await device.run()
    assert (await operator.post(f"{DM}/devices/D1/refresh")).json() == {"woken": True}
    assert (await operator.get(f"{DM}/devices/D1/tree")).json()["known_at"] is None
    await device.run()
    assert (await operator.get(f"{DM}/devices/D1/tree")).json()["known_at"] is not None
    change_account(running, "D1", suspended=True)
    assert (await operator.post(f"{DM}/devices/D1/wake")).json() == {"woken": False}


@pytest.mark.parametrize(
    ("settings", "status", "error"),
    [
        ([{"uri": SECRET, "value": "x"}], 403, "dm.secret"),
        ([{"uri": "./DMAcc/1/Name", "value": "x"}], 400, "request.account"),
        ([{"uri": WINDOW, "value": "99"}], 400, "request.value"),
        ([{"uri": "./Other/Thing", "value": "1"}], 400, "request.uri"),
        ([], 422, "request.invalid"),
    ],
)
async def test_what_can_not_be_wanted_is_refused(
    operator: httpx.AsyncClient,
    device: Device,
    settings: list[dict[str, str]],
    status: int,
    error: str,
) -> None:
    answer = await operator.put(f"{DM}/devices/D1/desired", json={"settings": settings})
    assert code(answer) == (status, error)


async def test_what_is_not_there_is_not_found(operator: httpx.AsyncClient, device: Device) -> None:
    for path in (
        "devices/D9/tree",
        "devices/D9/history",
        "groups/none",
        "jobs/none",
        "jobs/none/tasks",
    ):
        assert (await operator.get(f"{DM}/{path}")).status_code == 404, path
    assert code(await want(operator, "devices/D9", window="3")) == (404, "store.not-found")
    for whom, expected in (
        ({"devices": ["D9"]}, (404, "dm.no-account")),
        ({"filter": {"region": "moon"}}, (409, "dm.no-device")),
        ({"group": "none"}, (404, "store.not-found")),
        ({}, (400, "request.devices")),
    ):
        answer = await operator.post(f"{DM}/jobs", json={"kind": "get", "uris": [WINDOW], **whom})
        assert code(answer) == expected


async def test_who_only_looks_changes_nothing(viewer: httpx.AsyncClient, device: Device) -> None:
    assert (await viewer.get(f"{DM}/devices/D1/tree")).status_code == 200
    job = {"kind": "get", "uris": [WINDOW], "devices": ["D1"]}
    for answer in (
        await viewer.post(f"{DM}/jobs", json=job),
        await viewer.put(f"{DM}/groups/all", json={}),
        await want(viewer, "devices/D1", window="3"),
        await viewer.delete(f"{DM}/devices/D1/desired", params={"uri": WINDOW}),
        await viewer.post(f"{DM}/devices/D1/wake"),
        await viewer.post(f"{DM}/devices/D1/refresh"),
        await viewer.post(f"{DM}/devices/D1/retry"),
        await viewer.post(f"{DM}/jobs/j/cancel"),
        await viewer.delete(f"{DM}/groups/all"),
    ):
        assert answer.status_code == 403
