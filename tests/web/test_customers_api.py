"""Customers over the REST API."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.support.headend import meter_status, report

if TYPE_CHECKING:
    import httpx

KIM, BASE = "kim@example.org", "/api/v1/customers"


@pytest.fixture
async def kim(operator: httpx.AsyncClient, dcu: httpx.AsyncClient) -> str:
    await dcu.post("/device/v1/report", json=report(meter_status("M1")))
    answer = await operator.post(BASE, json={"login": KIM, "language": "ko"})
    assert answer.status_code == 201, answer.text
    return f"{BASE}/{KIM}"


async def test_a_customer_from_move_in_to_move_out(kim: str, operator: httpx.AsyncClient) -> None:
    move = {"meter": "M1", "starts": "2026-05-01T00:00:00+09:00"}
    answer = await operator.post(f"{kim}/meters", json=move)
    assert answer.status_code == 201, answer.text
    assert answer.json() == {
        "customer": KIM, "meter": "M1", "starts": "2026-04-30T15:00:00Z", "ends": None,
    }  # fmt: skip
    ended = await operator.post(f"{kim}/meters/M1/end", json={"ends": "2026-05-20T00:59:00"})
    assert ended.json()["ends"] == "2026-05-20T00:00:00Z"
    shown = (await operator.get(kim)).json()
    assert (shown["login"], shown["language"], shown["accepted"]) == (KIM, "ko", False)
    assert shown["meters"] == [ended.json()]
    of_meter = (await operator.get("/api/v1/meters/M1/customers")).json()
    assert of_meter["items"] == [ended.json()]
    again = await operator.post(f"{kim}/meters", json={"meter": "M1", "starts": None})
    assert again.status_code == 201
    twice = await operator.post(f"{kim}/meters", json={"meter": "M1"})
    assert (twice.status_code, twice.json()["error"]["code"]) == (409, "customer.meter")
    late = await operator.post(f"{kim}/meters", json={"meter": "M9"})
    assert late.status_code == 404


async def test_a_customer_is_changed_and_shut_out(
    kim: str, operator: httpx.AsyncClient, admin: httpx.AsyncClient
) -> None:
    changed = await operator.patch(kim, json={"discounts": ["large-family"]})
    assert changed.json()["discounts"] == ["large-family"]
    assert (await operator.patch(kim, json={"disabled": True})).json()["disabled"] is True
    assert (await operator.patch(kim, json={"disabled": False})).json()["disabled"] is False
    wrong = await operator.patch(kim, json={"tariff": "none-of-these"})
    assert (wrong.status_code, wrong.json()["error"]["code"]) == (400, "request.customer")
    listed = (await operator.get(BASE)).json()
    assert [one["login"] for one in listed["items"]] == [KIM]
    trail = await admin.get("/api/v1/audit", params={"subject": f"customer-{KIM}"})
    assert [item["what"] for item in trail.json()["items"]] == [
        "customer.enabled",
        "customer.disabled",
        "customer.changed kr-residential-low large-family",
        "customer.added",
    ]


async def test_an_invitation_is_shown_once(kim: str, operator: httpx.AsyncClient) -> None:
    made = (await operator.post(f"{kim}/invitations", json={"days": 2})).json()
    assert made["path"] == f"/my/welcome#{made['code']}"
    shown = await operator.get(kim)
    assert shown.json()["invited_until"] == made["until"]
    assert made["code"] not in shown.text


async def test_viewers_see_no_customer(kim: str, viewer: httpx.AsyncClient) -> None:
    """Who lives where is nothing that everybody needs to know who looks at the fleet."""
    for path in (BASE, kim, "/api/v1/meters/M1/customers"):
        assert (await viewer.get(path)).status_code == 403
    for path in (BASE, f"{kim}/invitations", f"{kim}/meters", f"{kim}/meters/M1/end"):
        assert (await viewer.post(path, json={"login": "x@example.org"})).status_code in {403, 422}
