"""``openami bill`` and ``openami tariff``: of numbers that are typed, and of stored readings."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from tests.support.headend import (
    CHANNEL,
    LOAD_PROFILE,
    PERIOD,
    dcu_client,
    shipment,
    shipped,
    upload,
)

from openami.cli.main import main
from openami.fleet.operators import Role
from openami.headend.customers import Details
from openami.mdm.readings import ChannelValues, profile_table
from openami.mdm.tariffs.catalog import tariff_named, tariff_names
from openami.mdm.tariffs.month import Month
from openami.mdm.tariffs.readings import watt_hours

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import RunMain

    from openami.headend.server import Running

ZONE = tariff_named("kr-residential-low").zone
MAY = Month(2026, 5)
HIGH = "kr-residential-high"


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Any:
    """Return what runs ``openami`` and returns its status, what it prints and what it says."""

    def run(*arguments: str) -> tuple[int, str, str]:
        status = main(list(arguments))
        out, err = capsys.readouterr()
        return status, out, err

    return run


def test_a_bill_as_json(call: Any) -> None:
    status, out, err = call("bill", "--month", "2024-03", "--kwh", "350", "--json")
    made = json.loads(out)
    assert (status, err) == (0, "")
    assert made["total"] == 71_260
    assert sum(line["amount"] for line in made["lines"]) == made["total"]
    energy = made["lines"][1]
    assert energy["amount"] == 56_190
    assert [item["rate"] for item in energy["items"]] == [120, 214.6]
    assert energy["sources"][0].startswith("KEPCO")
    assert "\n" not in out.rstrip()


def test_a_bill_for_people(call: Any) -> None:
    arguments = ("--tariff", "kr-residential-low", "--month", "2024-03", "--kwh", "350")
    status, out, err = call("bill", *arguments, "--discount", "large-family")
    assert status == 0
    lines = out.splitlines()
    assert lines[0] == "KEPCO residential, low voltage (kr-residential-low, revision 1)"
    assert lines[1] == "2024-03, 350 kWh"
    assert any(line.startswith("  step 2, over 200 up to 400 kWh") for line in lines)
    assert any(line.split() == ["Total", "53070", "KRW"] for line in lines)
    assert any(line.startswith("[1] KEPCO") for line in lines)
    assert "note: " in err


def test_a_bill_by_time_of_use(call: Any) -> None:
    quantities = ("--kwh", "off-peak=10", "--kwh", "mid=20", "--kwh", "peak=0")
    name = ("--tariff", "kr-industrial-a2-high-a1", "--month", "2024-10")
    status, out, _ = call("bill", *name, *quantities, "--kw", "5")
    assert status == 0
    assert "2024-10, 30 kWh, off-peak 10 kWh, mid 20 kWh, peak 0 kWh, 5 kW" in out
    assert "8/31 days" in out


def test_cents_are_told_to_the_cent(call: Any) -> None:
    name = ("--tariff", "gb-price-cap-average", "--month", "2024-10", "--kwh", "300")
    _, out, _ = call("bill", *name, "--json")
    assert '"total": 92.41' in out
    assert json.loads(out, parse_float=Decimal)["total"] == Decimal("92.41")


def test_a_bill_is_compared_with_one_before(call: Any, tmp_path: Path) -> None:
    _, before, _ = call("bill", "--month", "2024-03", "--kwh", "350", "--json")
    file = tmp_path / "before.json"
    file.write_text(before, "utf-8")
    again = ("--month", "2024-03", "--against", str(file))
    _, out, _ = call("bill", *again, "--kwh", "401", "--json")
    found = json.loads(out)["against"]
    assert found["reasons"] == ["350 kWh is now 401 kWh"]
    assert sum(line["difference"] for line in found["lines"]) == found["difference"]
    _, out, err = call("bill", *again, "--kwh", "401")
    assert "difference" in out
    assert "note: 350 kWh is now 401 kWh" in err
    assert "note: the same" in call("bill", *again, "--kwh", "350")[2]


def test_a_bill_of_the_days_between_two_readings(call: Any) -> None:
    days = ("--from", "2024-06-18", "--to", "2024-07-17")
    status, out, _ = call("bill", *days, "--kwh", "350")
    assert status == 0
    assert out.splitlines()[1] == "2024-06-18/2024-07-17, 350 kWh"
    assert any(line.startswith("  step 2, over 300 up to 450 kWh, 17/30 days") for line in
               out.splitlines())  # fmt: skip
    made = json.loads(call("bill", *days, "--kwh", "350", "--json")[1])
    assert (made["total"], made["from"], made["to"]) == (65_010, "2024-06-18", "2024-07-17")


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--kwh", "1"], "bill.period"),
        (["--month", "2024-03", "--to", "2024-04-17", "--kwh", "1"], "bill.period"),
        (["--from", "2024-03-18", "--to", "2024-03-20", "--kwh", "1"], "bill.period"),
        (["--month", "2024-03"], "bill.usage"),
        (["--month", "2024-03", "--kwh", "1", "--meter", "M1"], "bill.usage"),
        (["--month", "2024-03", "--kwh", "many"], "bill.usage"),
        (["--month", "2024-03", "--kwh", "1", "--kwh", "2"], "bill.usage"),
        (["--month", "2024-03", "--kwh", "peak=1"], "bill.usage"),
        (["--month", "2024-03", "--kwh", "peak=1", "--kwh", "peak=1"], "bill.usage"),
        (["--month", "2024-03", "--kwh", "-1"], "bill.range"),
        (["--month", "March", "--kwh", "1"], "bill.month"),
        (["--month", "2024-03", "--kwh", "1", "--discount", "x"], "bill.discount"),
        (["--month", "2022-03", "--kwh", "1"], "tariff.not-valid"),
        (["--month", "2024-03", "--kwh", "1", "--tariff", "x"], "tariff.unknown"),
        (["--month", "2024-03", "--kwh", "1", "--tariff", "./none.toml"], "config.file"),
        (["--month", "2024-03", "--kwh", "1", "--against", "none.json"], "config.file"),
        (
            ["--month", "2024-03", "--kwh", "1", "--tariff", "kr-residential-tou-jeju"],
            "tariff.season",
        ),
    ],
)
def test_what_is_wrong_has_a_code(call: Any, arguments: list[str], code: str) -> None:
    status, out, err = call("bill", *arguments)
    assert (status, out) == (2, "")
    assert err.startswith(f"error[{code}]: ")


def test_what_is_no_bill_is_not_compared(call: Any, tmp_path: Path) -> None:
    file = tmp_path / "before.json"
    for text in ("no JSON", "[1]", "[" * 100_000):
        file.write_text(text, "utf-8")
        status, _, err = call("bill", "--month", "2024-03", "--kwh", "1", "--against", str(file))
        assert status == 2
        assert err.startswith("error[bill.against]: ")


def test_tariffs_are_listed_and_shown(call: Any) -> None:
    _, out, _ = call("tariff", "list", "--json")
    assert [json.loads(line)["name"] for line in out.splitlines()] == list(tariff_names())
    assert "kr-residential-low" in call("tariff", "list")[1]
    _, out, _ = call("tariff", "show", "kr-residential-low", "--json")
    shown = json.loads(out)
    assert shown["discounts"] == ["large-family", "disability"]
    funds = [row for row in shown["rates"] if row["charge"] == "fund"]
    assert [row["from"] for row in funds] == ["2023-05-16", "2024-07-01", "2025-07-01"]
    text = call("tariff", "show", "kr-residential-low")[1]
    assert "910 up to 300 kWh, 1600 up to 450 kWh, 7300" in text
    assert "season winter: months 1, 2, 12" in text


def test_files_of_tariffs_are_checked(call: Any, tmp_path: Path) -> None:
    status, out, _ = call("tariff", "check")
    assert status == 0
    assert len(out.splitlines()) == len(tariff_names())
    good, bad = tmp_path / "good.toml", tmp_path / "bad"
    good.write_text(GOOD, "utf-8")
    bad.write_text(GOOD.replace('rate = "9"', 'rate = "-9"'), "utf-8")
    status, out, err = call("tariff", "check", str(good), str(bad))
    assert status == 2
    assert out == f"{good}: good, revision 1, 1 charges\n"
    assert err.startswith(f"error[tariff.falls]: {bad}: charges: ")
    status, out, _ = call("tariff", "check", str(bad), "--json")
    assert (status, json.loads(out)["code"]) == (2, "tariff.falls")
    _, out, _ = call("bill", "--month", "2024-03", "--kwh", "3", "--tariff", str(good), "--json")
    assert json.loads(out)["total"] == 27


GOOD = """\
format = 1
name = "mine"
title = "Mine"
country = "KR"
currency = "KRW"
unit = "1"
zone = "Asia/Seoul"
from = 2024-01-01
revision = 1
[sources]
mine = "made up"
[[charges]]
id = "energy"
title = "Energy"
kind = "energy"
source = "mine"
rates = [{ rate = "9" }]
"""


async def stored(
    running: Running, tmp_path: Path, intervals: int, *, skip: int = 0, marked: tuple[int, ...] = ()
) -> None:
    """Store so many quarters of an hour of 100 Wh each, from the first of May in Korea.

    ``marked`` are the profile statuses of the first that are stored.
    """
    start = MAY.span(ZONE)[0]
    time = np.delete(np.arange(1, intervals + 1, dtype=np.int64) * PERIOD + start, slice(skip))
    status = np.zeros(len(time), np.uint8)
    status[: len(marked)] = marked
    channel = ChannelValues(CHANNEL, 0, 30, np.full(len(time), 100, np.int64))
    table = profile_table("M1", LOAD_PROFILE, time=time, status=status, channels=[channel])
    async with dcu_client(running, tmp_path, "D1") as client:
        running.services.shipments.take(shipment(shipped(1)), who="test")
        answer = await upload(client, "b1", table)
        assert answer.status_code == 200, answer.text


async def test_the_bill_of_a_meter_that_was_read(
    running: Running, run_main: RunMain, tmp_path: Path
) -> None:
    await stored(running, tmp_path, 31 * 96)
    status, out, err = await run_main("bill", "--meter", "M1", "--month", "2026-05", "--json")
    made = json.loads(out[0])
    assert (status, err) == (0, "")
    assert made["meter"] == "M1"
    assert made["usage"]["kwh"] == 297
    assert made["intervals"]["missing"] == made["intervals"]["doubtful"] == 0
    assert made["estimate"] is None
    typed = json.loads(
        (await run_main("bill", "--kwh", "297", "--month", "2026-05", "--json"))[1][0]
    )
    assert made["total"] == typed["total"]
    assert made["lines"] == typed["lines"]


async def test_the_bill_of_a_meter_has_the_tariff_of_its_customer(
    running: Running, run_main: RunMain, tmp_path: Path
) -> None:
    await stored(running, tmp_path, 31 * 96)
    start, end = MAY.span(ZONE)
    customers, middle = running.services.customers, (start + end) / 2
    for login, tariff, first in (("a", "kr-residential-low", start), ("b", HIGH, middle)):
        details = Details(tariff=tariff, discounts=("large-family",))
        customers.add(f"{login}@example.org", details, who="test")
        customers.assign(f"{login}@example.org", "M1", starts=first, who="test")
        customers.end(f"{login}@example.org", "M1", ends=first + (end - start) / 2, who="test")
    words = ("bill", "--meter", "M1", "--month", "2026-05", "--json")
    status, out, err = await run_main(*words)
    made = json.loads(out[0])
    assert (status, err) == (0, f"tariff {HIGH}: that of b@example.org\n")
    assert made["tariff"] == HIGH
    typed = ("bill", "--kwh", "297", "--month", "2026-05", "--tariff", HIGH, "--json")
    discount = ("--discount", "large-family")
    assert made["total"] == json.loads((await run_main(*typed, *discount))[1][0])["total"]
    chosen = json.loads((await run_main(*words, "--tariff", HIGH))[1][0])
    assert chosen["total"] == json.loads((await run_main(*typed))[1][0])["total"] > made["total"]
    running.services.operators.change("anna", role=Role.VIEWER, who="test")
    seen = json.loads((await run_main(*words))[1][0])
    assert seen["tariff"] == "kr-residential-low"  # whose a meter is, is not for viewers to know


async def test_the_bill_of_a_meter_that_is_read_on_another_day(
    running: Running, run_main: RunMain, tmp_path: Path
) -> None:
    await stored(running, tmp_path, 31 * 96)
    days = ("--from", "2026-05-02", "--to", "2026-05-31")
    made = json.loads((await run_main("bill", "--meter", "M1", *days, "--json"))[1][0])
    assert made["usage"]["kwh"] == 30 * 96 // 10
    assert made["intervals"]["expected"] == made["intervals"]["present"] == 30 * 96
    assert made["estimate"] is None


async def test_the_bill_of_a_month_that_goes_on(
    running: Running, run_main: RunMain, tmp_path: Path
) -> None:
    await stored(running, tmp_path, 10 * 96 + 12, skip=4)
    _, out, _ = await run_main("bill", "--meter", "M1", "--month", "2026-05", "--json")
    made = json.loads(out[0])
    assert made["intervals"]["missing"] == 4
    assert made["usage"]["kwh"] == 96
    foreseen = made["estimate"]
    assert foreseen["days"] == 9
    assert foreseen["kwh"] == 297
    assert foreseen["low"]["total"] <= foreseen["total"] <= foreseen["high"]["total"]
    status, out, err = await run_main("bill", "--meter", "M1", "--month", "2026-05")
    assert status == 0
    assert any(line.startswith("whole month, estimated: ") for line in out)
    assert "note: 4 of 972 intervals are missing" in err


async def test_a_bill_tells_how_many_of_its_intervals_are_right_in_sum_only(
    running: Running, run_main: RunMain, tmp_path: Path
) -> None:
    """Not valid, spread, both; a clock that was set and daylight saving say nothing of energy."""
    await stored(running, tmp_path, 31 * 96, marked=(0x04, 0x10, 0x14, 0x98, 0x28, 0x80))
    _, out, err = await run_main("bill", "--meter", "M1", "--month", "2026-05", "--json")
    made = json.loads(out[0])
    assert (made["intervals"]["doubtful"], made["usage"]["kwh"]) == (4, 297)
    _, _, err = await run_main("bill", "--meter", "M1", "--month", "2026-05")
    assert "note: 4 of 2976 intervals are right in sum only: their status says so" in err
    days = ("--from", "2026-05-02", "--to", "2026-05-31")
    made = json.loads((await run_main("bill", "--meter", "M1", *days, "--json"))[1][0])
    assert made["intervals"]["doubtful"] == 0


async def test_a_meter_without_readings_has_no_bill(
    running: Running, run_main: RunMain, tmp_path: Path
) -> None:
    await stored(running, tmp_path, 4)
    status, _, err = await run_main("bill", "--meter", "M1", "--month", "2026-07")
    assert status == 6
    assert err.startswith("error[bill.no-readings]: M1 has no load profile of 2026-07")
    status, _, err = await run_main("bill", "--meter", "M9", "--month", "2026-05")
    assert status == 6
    assert err.startswith("error[store.not-found]")


def test_energy_in_parts_of_a_watt_hour_carries_over() -> None:
    assert watt_hours([14, 14, 14], [-1, -1, -1]).tolist() == [1, 1, 2]
    assert watt_hours([1, 5], [3, -1]).tolist() == [1000, 0]
    assert watt_hours([], []).tolist() == []
