"""``openami customer`` against a head-end that runs."""

from __future__ import annotations

import functools
import json
from typing import TYPE_CHECKING

import pytest

from openami.fleet.devices import Device, DeviceKind

if TYPE_CHECKING:
    from tests.cli.conftest import RunMain

    from openami.headend.server import Running

KIM = "kim@example.org"


@pytest.fixture
def run(run_main: RunMain) -> RunMain:
    """Return what runs ``openami customer``."""
    return functools.partial(run_main, "customer")


async def test_a_customer_is_added_invited_and_given_a_meter(
    run: RunMain, running: Running
) -> None:
    running.services.registry._devices.add(Device(DeviceKind.METER, "M1"), who="test", when=1.0)
    status, lines, _ = await run("add", KIM, "--discount", "large-family", "--language", "ko")
    assert status == 0
    assert any(line.split() == ["discounts", "large-family"] for line in lines)
    status, lines, _ = await run("invite", KIM, "--days", "3")
    shown = dict(line.split(maxsplit=1) for line in lines[1:])
    assert shown["link"] == f"{running.url}/my/welcome#{shown['code']}"
    password = "a long walk by the river"
    assert running.services.customers.accept(shown["code"], password, address="here")
    status, lines, _ = await run("invite", KIM, "--json")
    assert set(json.loads(lines[0])) == {"customer", "until", "code", "link"}
    since, until = "2026-05-01T00:00:00Z", "2026-05-20T00:00:00Z"
    assert await run("assign", KIM, "M1", "--from", since) == (
        0, [f"M1: {KIM}'s from {since}"], "",
    )  # fmt: skip
    assert await run("end", KIM, "M1", "--at", until) == (
        0, [f"M1: {KIM}'s from {since} until {until}"], "",
    )  # fmt: skip
    status, lines, _ = await run("show", KIM)
    assert lines[-1] == f"M1: {KIM}'s from {since} until {until}"
    status, lines, _ = await run("change", KIM, "--no-discounts", "--json")
    assert json.loads(lines[0])["discounts"] == []
    status, lines, _ = await run("disable", KIM, "--json")
    assert json.loads(lines[0])["disabled"] is True
    assert (await run("enable", KIM))[0] == 0
    status, lines, _ = await run("list")
    assert KIM in lines[1]


async def test_what_can_not_be_says_why(run: RunMain) -> None:
    status, _, said = await run("add", "nobody")
    assert (status, said) == (
        2, "error[request.customer]: a customer's login looks like an e-mail address\n",
    )  # fmt: skip
    status, _, said = await run("assign", KIM, "M1", "--from", "yesterday")
    assert status == 2
    assert "no time" in said
