"""Registrations, expected devices and alarms over the REST API."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from tests.support.factory import FactoryDevice, Maker

from openami.fleet.devices import LifecycleState
from openami.ssmp import messages as m
from openami.ssmp.client import Step
from openami.store.relational.engine import Transactions
from openami.store.relational.registrations import RegistrationRepository
from openami.transport.clock import SystemClock

if TYPE_CHECKING:
    import httpx

    from openami.headend.server import Running

LIST = """uid,manufacturer,model,approval,region,label
D1,Maker,OA-DCU,auto,Seoul,Pole 17
D2,,,manual,,
"""


@pytest.fixture
def maker(running: Running) -> Maker:
    maker = Maker(SystemClock().now())
    maker.trusted_by(running)
    return maker


async def decide(
    client: httpx.AsyncClient, decision: str, uid: str = "D1", why: str = "so"
) -> dict[str, Any]:
    answer = await client.post(f"/api/v1/registrations/{uid}/{decision}", json={"why": why})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def code_of(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


async def test_a_list_lets_devices_in(
    operator: httpx.AsyncClient, running: Running, maker: Maker
) -> None:
    answer = await operator.post("/api/v1/expected", content=LIST)
    assert answer.json() == {"devices": 2}
    page = (await operator.get("/api/v1/expected", params={"limit": 1})).json()
    assert [item["uid"] for item in page["items"]] == ["D1"]
    rest = (await operator.get("/api/v1/expected", params={"after": page["next"]})).json()
    assert rest["items"] == [
        {"uid": "D2", "manufacturer": "", "model": "", "fingerprint": None,
         "approval": "manual", "region": "", "label": ""}
    ]  # fmt: skip
    await FactoryDevice(running, maker).register()
    known = (await operator.get("/api/v1/registrations/D1")).json()
    assert (known["standing"], known["device_state"], known["reason"]) == (
        "live", "commissioned", None,
    )  # fmt: skip
    assert known["expected"]["label"] == "Pole 17"
    assert known["claim"]["manufacturer"] == "Maker"
    assert known["certificate"]["subject"] == "D1"
    assert "password" not in str(known)


async def test_what_is_wrong_with_a_list_is_said(
    operator: httpx.AsyncClient, viewer: httpx.AsyncClient
) -> None:
    bad = await operator.post("/api/v1/expected", content=LIST + "D1,,,,,\n")
    assert code_of(bad) == (400, "request.expected")
    assert "line 4" in bad.json()["error"]["message"]
    assert (await operator.get("/api/v1/expected")).json()["items"] == []
    assert code_of(await operator.post("/api/v1/expected", content=b"\xff")) == (
        400, "request.expected",
    )  # fmt: skip
    assert code_of(await viewer.post("/api/v1/expected", content=LIST)) == (403, "security.role")


async def test_one_device_is_expected_and_no_more(operator: httpx.AsyncClient) -> None:
    wish = {"uid": "D9", "fingerprint": "ab" * 32, "approval": "manual"}
    answer = await operator.put("/api/v1/expected/D9", json=wish)
    assert answer.json()["fingerprint"] == "ab" * 32
    other = await operator.put("/api/v1/expected/D8", json=wish)
    assert code_of(other) == (400, "request.expected")
    assert (await operator.delete("/api/v1/expected/D9")).status_code == 204
    gone = await operator.delete("/api/v1/expected/D9")
    assert code_of(gone) == (404, "store.not-found")


async def test_a_person_decides(
    operator: httpx.AsyncClient, viewer: httpx.AsyncClient, running: Running, maker: Maker
) -> None:
    device = FactoryDevice(running, maker)
    await device.ask()
    page = (await viewer.get("/api/v1/registrations", params={"standing": "pending"})).json()
    assert [item["uid"] for item in page["items"]] == ["D1"]
    no = await viewer.post("/api/v1/registrations/D1/approve", json={})
    assert code_of(no) == (403, "security.role")
    for why, decision in (("", "refuse"), ("x" * 501, "refuse")):
        bad = await operator.post(f"/api/v1/registrations/D1/{decision}", json={"why": why})
        assert bad.status_code in {400, 422}
    refused = await decide(operator, "refuse", why="stolen")
    assert (refused["standing"], refused["reason"]) == ("refused", "refused by an operator")
    approved = await decide(operator, "approve", why="")
    assert approved["standing"] == "approved"
    again = await operator.post("/api/v1/registrations/D1/approve", json={})
    assert code_of(again) == (409, "registration.transition")
    assert again.json()["error"]["message"] == "D1 is approved: it cannot be approved"
    await device.register()
    said = (await viewer.get("/api/v1/devices/dcu-D1/audit")).json()["items"]
    reasons = {entry["what"]: entry["why"] for entry in said}
    assert reasons["registration pending to refused"] == "stolen"


async def test_who_never_asked_is_not_decided_on(operator: httpx.AsyncClient) -> None:
    for path in ("D1/approve", "D1/retire"):
        answer = await operator.post(f"/api/v1/registrations/{path}", json={"why": "so"})
        assert code_of(answer) == (404, "registration.unknown")
    assert code_of(await operator.get("/api/v1/registrations/D1")) == (404, "registration.unknown")
    unknown = await operator.post("/api/v1/registrations/D1/forget", json={})
    assert unknown.status_code == 422


async def test_a_device_is_suspended_and_resumed(
    operator: httpx.AsyncClient, running: Running, maker: Maker
) -> None:
    await operator.post("/api/v1/expected", content=LIST)
    device = FactoryDevice(running, maker)
    await device.register()
    assert (await decide(operator, "suspend"))["device_state"] == "suspended"
    [listed] = (await operator.get("/api/v1/registrations")).json()["items"]
    assert (listed["standing"], listed["device_state"]) == ("live", "suspended")
    twice = await operator.post("/api/v1/registrations/D1/suspend", json={"why": "so"})
    assert code_of(twice) == (409, "registration.transition")
    device.renew()
    answer = m.decode((await device.ask()).content)
    assert isinstance(answer, m.Refused)
    assert answer.reason is m.Reason.OPERATOR
    assert (await decide(operator, "resume"))["device_state"] == "commissioned"
    await device.ask()
    assert device.step is Step.LIVE
    running_already = await operator.post("/api/v1/registrations/D1/resume", json={"why": "so"})
    assert code_of(running_already) == (409, "registration.transition")


async def test_of_two_the_second_is_taken(
    operator: httpx.AsyncClient, running: Running, maker: Maker
) -> None:
    await operator.post("/api/v1/expected", content=LIST)
    first = FactoryDevice(running, maker)
    await first.register()
    second = FactoryDevice(running, maker, factory=first.factory)
    await second.ask()
    known = (await operator.get("/api/v1/registrations/D1")).json()
    assert (known["standing"], known["before"], known["device_state"]) == (
        "blocked", "live", "suspended",
    )  # fmt: skip
    assert known["rival"]["exchange"] == second.client.state.exchange.hex()
    (alarm,) = (await operator.get("/api/v1/alarms", params={"open": True})).json()["items"]
    assert (alarm["code"], alarm["subject"]) == ("registration.twice", "dcu-D1")
    resume = await operator.post(
        "/api/v1/devices/dcu-D1/state", json={"to": "in service", "why": "x"}
    )
    assert code_of(resume) == (409, "registration.transition")
    assert resume.json()["error"]["message"] == "D1 is blocked: it cannot work again"
    taken = await decide(operator, "take-rival")
    assert (taken["standing"], taken["rival"], taken["certificate"]) == ("approved", None, None)
    await second.register()
    cleared = await operator.post(f"/api/v1/alarms/{alarm['id']}/clear", json={"why": "replaced"})
    assert cleared.json()["cleared_by"] == "operator-1"
    assert (await operator.get("/api/v1/alarms", params={"open": True})).json()["items"] == []
    found = (await operator.get("/api/v1/alarms", params={"subject": "dcu-D1"})).json()["items"]
    assert [one["id"] for one in found] == [alarm["id"]]
    none = await operator.post("/api/v1/alarms/999/clear", json={})
    assert code_of(none) == (404, "store.not-found")


async def test_a_device_that_is_opened_registers_anew(
    operator: httpx.AsyncClient, running: Running, maker: Maker
) -> None:
    await operator.post("/api/v1/expected", content=LIST)
    first = FactoryDevice(running, maker)
    await first.register()
    assert (await decide(operator, "reopen"))["open"] is True
    second = FactoryDevice(running, maker, factory=first.factory)
    await second.register()
    known = (await operator.get("/api/v1/registrations/D1")).json()
    assert known["claim"]["exchange"] == second.client.state.exchange.hex()
    assert known["open"] is False
    page = (await operator.get("/api/v1/pki/certificates", params={"revoked": True})).json()
    assert [item["reason"] for item in page["items"]] == ["superseded"]


async def test_who_asks_to_register_anew_is_shown_until_it_may(
    operator: httpx.AsyncClient, running: Running, maker: Maker
) -> None:
    await operator.post("/api/v1/expected", content=LIST.replace("manual", "auto"))
    first, second = FactoryDevice(running, maker), FactoryDevice(running, maker, "D2")
    await first.register()
    await second.register()

    async def asking() -> list[str]:
        page = await operator.get("/api/v1/registrations", params={"asking": True})
        return [item["uid"] for item in page.json()["items"]]

    assert await asking() == []
    await second.ask_anew()
    assert await asking() == ["D2"]
    items = (await operator.get("/api/v1/registrations")).json()["items"]
    assert [item["asks_anew"] is not None for item in items] == [False, True]
    assert [item["standing"] for item in items] == ["live", "live"]
    known = (await operator.get("/api/v1/registrations/D2")).json()
    assert known["asks_anew"] == items[1]["asks_anew"]
    assert (await decide(operator, "reopen", "D2"))["open"] is True
    await second.ask_anew()
    await second.ask()
    await second.ask()
    assert second.step is Step.LIVE
    assert await asking() == []


async def test_a_list_of_registrations_is_one_query(
    operator: httpx.AsyncClient, running: Running, maker: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    for uid in ("D1", "D2", "D3"):
        await FactoryDevice(running, maker, uid).ask()
    store, transactions = RegistrationRepository, Transactions.reading
    read: list[int] = []

    def reading(self: Transactions) -> Any:
        read.append(1)
        return transactions(self)

    def listed(self: RegistrationRepository, *arguments: Any, **options: Any) -> Any:
        read.clear()
        return store_list(self, *arguments, **options)

    store_list = store.list
    monkeypatch.setattr(store, "list", listed)
    monkeypatch.setattr(Transactions, "reading", reading)
    page = (await operator.get("/api/v1/registrations")).json()
    assert (len(page["items"]), len(read)) == (3, 1)


async def test_the_life_of_a_device_and_its_registration_go_together(
    operator: httpx.AsyncClient, running: Running, maker: Maker
) -> None:
    await operator.post("/api/v1/expected", content=LIST)
    await FactoryDevice(running, maker).register()

    async def move(to: str) -> dict[str, Any]:
        answer = await operator.post(
            "/api/v1/devices/dcu-D1/state", json={"to": to, "why": "moved"}
        )
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    assert (await move("in service"))["state"] == "in service"
    assert (await move("suspended"))["state"] == "suspended"
    assert (await move("commissioned"))["state"] == "commissioned"
    assert (await move("retired"))["state"] == "retired"
    known = (await operator.get("/api/v1/registrations/D1")).json()
    assert (known["standing"], known["certificate"]) == ("retired", None)
    page = (await operator.get("/api/v1/pki/certificates", params={"subject": "D1"})).json()
    assert [item["reason"] for item in page["items"]] == ["cessationOfOperation"]


async def test_a_dcu_that_was_enrolled_by_hand_has_a_life_of_its_own(
    operator: httpx.AsyncClient, running: Running, maker: Maker
) -> None:
    async def move(to: str) -> httpx.Response:
        return await operator.post("/api/v1/devices/dcu-D7/state", json={"to": to, "why": "moved"})

    await asyncio.to_thread(running.services.registry.enroll_dcu, "D7", who="test")
    assert (await move("suspended")).json()["state"] == LifecycleState.SUSPENDED
    assert (await move("in service")).json()["state"] == LifecycleState.IN_SERVICE
    device = FactoryDevice(running, maker, "D7")
    await device.ask()  # and waits
    assert (await move("suspended")).json()["state"] == LifecycleState.SUSPENDED
    assert (await move("in service")).json()["state"] == LifecycleState.IN_SERVICE
    await decide(operator, "refuse", "D7")
    assert code_of(await move("in service")) == (409, "registration.transition")
    assert (await move("retired")).json()["state"] == LifecycleState.RETIRED
    assert (await operator.get("/api/v1/registrations/D7")).json()["standing"] == "retired"
    assert code_of(await move("retired")) == (409, "device.transition")


async def test_the_list_of_revoked_certificates_is_at_the_security_listener(
    running: Running, maker: Maker
) -> None:
    from tests.support.factory import client_of

    async with client_of(running, FactoryDevice(running, maker).identity()) as client:
        answer = await client.get("/crl/devices.crl")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/pkix-crl"
