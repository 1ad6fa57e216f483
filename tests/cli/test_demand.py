"""``openami demand``, ``openami notice`` and supplies behind a DCU, as operators type them."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest
from tests.support.demand import moved_out, street

from openami.cli.demand_options import read_span
from openami.core.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import RunMain

    from openami.headend.server import Running


@pytest.fixture
def meters(running: Running) -> list[str]:
    devices: Any = running.services.registry._devices
    return street(devices, "D1", 2, region="Seoul")


MAKE = (
    "--program",
    "summer",
    "--name",
    "hot",
    "--start",
    "+10m",
    "--length",
    "1h30m",
    "--kind",
    "shed",
)


async def test_an_event_is_made_followed_and_cancelled(
    running: Running, run_main: RunMain, meters: list[str]
) -> None:
    del meters
    status, _, said = await run_main("demand", "program", "add", "summer", "--payload", "SIMPLE")
    assert (status, said.split(":")[0]) == (0, "program summer")
    status, lines, _ = await run_main("demand", "program", "list")
    assert lines[1].split()[::2][:2] == ["summer", "SIMPLE"]
    status, lines, _ = await run_main(
        "demand", "event", "make", *MAKE, "--level", "2", "--region", "Seoul", "--random", "5m",
        "--text-en", "Use less", "--text-ko", "줄여 주세요", "--json",
    )  # fmt: skip
    event = json.loads(lines[0])
    assert (status, event["state"], event["meters"]) == (0, "scheduled", 2)
    assert event["intervalPeriod"]["duration"] == "PT1H30M"
    assert event["intervalPeriod"]["randomizeStart"] == "PT5M"
    id_ = event["id"]
    status, lines, said = await run_main("demand", "event", "list", "--state", "scheduled")
    assert said == ""
    assert lines[1].split()[:4] == [id_, "hot", "shed", "scheduled"]
    status, lines, _ = await run_main("demand", "event", "show", id_)
    shown = dict(line.split(maxsplit=1) for line in lines[1:] if len(line.split()) > 1)
    assert (shown["says"], shown["meters"], shown["delivered"]) == ("SIMPLE 2", "2", "0")
    demand = running.services.demand
    from openami.fleet.demand.standing import Answer

    demand.answer("D1-1", id_, Answer.OPTED_OUT, who="kim")
    status, lines, _ = await run_main("demand", "event", "show", id_, "--meters")
    assert lines[1].split() == ["D1-1", "opted-out"]
    status, _, said = await run_main("demand", "event", "results", id_)
    assert (status, said.split("]")[0]) == (3, "error[demand.not-begun")
    status, _, said = await run_main("demand", "event", "cancel", id_, "--why", "rain")
    assert said == f"event {id_} is cancelled\n"


async def test_a_draft_is_published_later_and_a_file_says_all(
    run_main: RunMain, meters: list[str], tmp_path: Path
) -> None:
    del meters
    await run_main("demand", "program", "add", "summer")
    status, lines, _ = await run_main(
        "demand", "event", "draft", *MAKE, "--kind", "price", "--price", "310", "--json"
    )
    event = json.loads(lines[0])
    assert (status, event["state"], event["kind"]) == (0, "draft", "price")
    status, _, said = await run_main("demand", "event", "publish", event["id"])
    assert (status, said) == (0, f"event {event['id']} for 2 meters\n")
    again = {
        "programID": event["programID"], "eventName": "again", "intervals": event["intervals"],
        "intervalPeriod": event["intervalPeriod"],
    }  # fmt: skip
    file = tmp_path / "event.json"
    file.write_text(json.dumps(again), "utf-8")
    status, _, said = await run_main("demand", "event", "make", "--file", str(file))
    assert (status, "for 2 meters begins" in said) == (0, True)
    file.write_text("[]", "utf-8")
    status, _, said = await run_main("demand", "event", "make", "--file", str(file))
    assert (status, said.split("]")[0]) == (2, "error[config.demand")


async def test_prices_come_from_a_tariff(run_main: RunMain, meters: list[str]) -> None:
    del meters
    await run_main("demand", "program", "add", "summer")
    status, lines, _ = await run_main(
        "demand", "event", "make", "--program", "summer", "--name", "day", "--start", "+15m",
        "--length", "1d", "--tariff", "kr-industrial-a2-high-a1", "--json",
    )  # fmt: skip
    event = json.loads(lines[0])
    assert (status, event["kind"], len(event["intervals"]) > 1) == (0, "price", True)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--program", "winter", "--name", "x", "--start", "+1h", "--length", "1h"), "no program"),
        (("--name", "x"), "--program"),
        (("--program", "summer"), "--name, --start, --length"),
        ((*MAKE,), "--level, --limit"),
        ((*MAKE, "--limit", "much"), "no number"),
        ((*MAKE, "--level", "1", "--start", "soon"), "no time"),
        ((*MAKE, "--level", "1", "--length", "long"), "no span"),
    ],
)
async def test_what_can_not_be_meant_is_said(
    run_main: RunMain, arguments: tuple[str, ...], words: str
) -> None:
    await run_main("demand", "program", "add", "summer")
    status, _, said = await run_main("demand", "event", "make", *arguments)
    assert (status, words in said) == (2, True), said


def test_spans() -> None:
    assert [read_span(text, "x") for text in ("90s", "1h30m", "2d")] == [90, 5400, 172_800]
    for text in ("", "1", "0m", "h"):
        with pytest.raises(ConfigError):
            read_span(text, "x")


async def test_a_notice_is_sent_listed_and_taken_back(run_main: RunMain, meters: list[str]) -> None:
    del meters
    status, lines, _ = await run_main(
        "notice", "send", "--kind", "outage", "--text-en", "No power at 9", "--for", "12h",
        "--region", "Seoul", "--json",
    )  # fmt: skip
    made = json.loads(lines[0])
    assert (status, made["targets"]) == (0, [{"type": "SERVICE_AREA", "values": ["Seoul"]}])
    status, lines, _ = await run_main("notice", "list")
    assert lines[1].split()[:2] == [made["id"], "outage"]
    status, _, said = await run_main("notice", "withdraw", made["id"], "--why", "earlier")
    assert said == f"notice {made['id']} is taken back\n"
    assert (await run_main("notice", "send"))[0] == 2


async def test_an_order_to_a_supply_is_followed(
    running: Running, run_main: RunMain, meters: list[str]
) -> None:
    del meters
    orders = running.services.demand.orders

    async def do(found: str) -> None:
        while orders._book.waiting("D1-1") is None:
            await asyncio.sleep(0.01)
        orders.reported("D1-1", "D1", None, code=found, reason="")

    doing = asyncio.create_task(do("disconnected"))
    status, _, said = await run_main("device", "supply", "D1-1", "off", "--why", "moved out")
    await doing
    assert (status, said.splitlines()[-1]) == (0, "D1-1: supply off: done: disconnected")
    doing = asyncio.create_task(do("disconnected"))
    status, _, said = await run_main("device", "supply", "D1-1", "on", "--why", "moved in")
    await doing
    assert (status, "error[supply.refused]" in said) == (1, True)
    status, lines, _ = await run_main(
        "device", "supply", "D1-2", "ready", "--why", "x", "--wait", "0", "--json"
    )
    assert (status, json.loads(lines[0])["order"]["wanted"]) == (0, "ready")


async def test_who_was_not_reached_is_listed(run_main: RunMain, meters: list[str]) -> None:
    await run_main("demand", "program", "add", "summer")
    status, lines, _ = await run_main("demand", "event", "make", *MAKE, "--level", "2", "--json")
    made = json.loads(lines[0])["id"]
    assert status == 0
    status, lines, _ = await run_main("demand", "event", "show", made, "--unreached")
    assert (status, lines[0].split()) == (0, ["meter", "dcu", "why"])
    assert [line.split() for line in lines[1:]] == [[one, "D1", "not-asked"] for one in meters]
    status, _, said = await run_main("demand", "event", "show", made, "--unreached", "--meters")
    assert (status, "config.demand" in said) == (2, True)


async def test_displays_that_are_not_forgotten_are_seen_to(
    running: Running, run_main: RunMain, meters: list[str]
) -> None:
    customers: Any = running.services.customers
    moved_out(customers._customers, running.services.clock.now(), *meters)
    status, lines, _ = await run_main("demand", "displays", "list", "--meter", "D1-2")
    assert status == 0
    assert lines[0].split() == ["meter", "moved", "out", "last", "refused", "why"]
    assert lines[1].startswith("D1-2")
    assert lines[1].endswith("nothing was heard of it through D1")
    done = ("demand", "displays", "done", "D1-2", "--why", "at the door")
    status, _, said = await run_main(*done)
    assert (status, said) == (0, "meter D1-2 is not told any more to forget its displays\n")
    assert (await run_main(*done))[0] == 6  # there is none
    status, lines, _ = await run_main("demand", "displays", "list", "--json")
    (left,) = [json.loads(line) for line in lines]
    status, lines, _ = await run_main("demand", "displays", "done", "D1-1", "--why", "x", "--json")
    assert json.loads(lines[0]) == left
    status, lines, said = await run_main("demand", "displays", "list")
    assert (status, said) == (0, "all are forgotten\n")
