"""``openami bills``: a street's bills are those of its meters, and none is dropped."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow.parquet as pq
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

from openami.cli import api
from openami.cli import bills as bills_module
from openami.core.errors import TransportError
from openami.fleet.operators import Role
from openami.headend.billing import AT_ONCE
from openami.headend.customers import Details
from openami.mdm.readings import ChannelValues, join, profile_table
from openami.mdm.tariffs.catalog import tariff_named
from openami.mdm.tariffs.month import Month

if TYPE_CHECKING:
    from pathlib import Path

    import pyarrow as pa
    from tests.cli.conftest import RunMain

    from openami.headend.server import Running

LOW, HIGH, INDUSTRY = "kr-residential-low", "kr-residential-high", "kr-industrial-a2-high-a1"
MAY = Month(2026, 5)
START, END = MAY.span(tariff_named(LOW).zone)
MONTH = ("--month", "2026-05")
DAY = 86_400


@dataclass(frozen=True)
class Home:
    """A meter, what it has measured in May and the day before, and who has it."""

    number: int
    step: int = PERIOD
    first: int = START - DAY
    last: int = END
    missing: tuple[int, ...] = ()
    scaler: int = 0
    unit: int = 30
    wh: int = 150
    tariff: str | None = LOW
    discounts: tuple[str, ...] = ()

    @property
    def serial(self) -> str:
        return f"M{self.number}"

    def table(self) -> pa.Table:
        time = np.arange(self.first + self.step, self.last + 1, self.step, dtype=np.int64)
        time = np.delete(time, list(self.missing))
        values = np.random.default_rng(self.number).integers(0, 2 * self.wh + 1, len(time))
        channel = ChannelValues(CHANNEL, self.scaler, self.unit, values)
        status = np.zeros(len(time), np.uint8)
        return profile_table(
            self.serial, LOAD_PROFILE, time=time, status=status, channels=[channel]
        )


STREET = (
    Home(1),
    Home(2, missing=(96, 97, 1000)),  # the first two of May, and one more
    Home(3, last=START + 10 * DAY),
    Home(4, last=START - DAY),
    Home(5, unit=32),
    Home(6, scaler=-1, wh=1507),
    Home(7, tariff="ca-ontario-tou"),
    Home(8, tariff=HIGH, discounts=("large-family",)),
    Home(9, tariff=None),
    Home(10, tariff=INDUSTRY, wh=4000),
    Home(11, step=3600, wh=600),
    Home(12, step=900, scaler=1, wh=20),
)
STATUS = {
    "M1": "complete", "M10": "complete", "M11": "complete", "M12": "complete", "M2": "missing",
    "M3": "partial", "M4": "no-readings", "M5": "failed", "M6": "complete", "M7": "failed",
    "M8": "complete",
}  # fmt: skip


@pytest.fixture
async def street(running: Running, tmp_path: Path) -> Running:
    services = running.services
    services.shipments.take(shipment(*(shipped(home.number) for home in STREET)), who="test")
    async with dcu_client(running, tmp_path, "D1") as client:
        tables = [home.table() for home in STREET]
        answer = await upload(client, "b1", join([each for each in tables if each.num_rows]))
        assert answer.status_code == 200, answer.text
    for home in STREET:
        if home.tariff is not None:
            move_in(running, home.serial, home.tariff, START - 30 * DAY, home.discounts)
    services.customers.add("before@example.org", Details(tariff=LOW), who="test")
    return running


def move_in(
    running: Running, meter: str, tariff: str, starts: float, discounts: tuple[str, ...] = ()
) -> None:
    login = f"{meter.lower()}-{int(starts)}@example.org"
    customers = running.services.customers
    customers.add(login, Details(tariff=tariff, discounts=discounts), who="test")
    customers.assign(login, meter, starts=starts, who="test")


def lines(text: list[str]) -> list[dict[str, Any]]:
    return [json.loads(line, parse_float=Decimal) for line in text]


async def test_a_streets_bills_are_those_of_its_meters(street: Running, run_main: RunMain) -> None:
    """To the last digit, and whatever the size of the pieces; the exit status tells of failures."""
    del street
    status, out, err = await run_main("bills", *MONTH, "--piece", "5")
    rows = lines(out)
    assert status == 1
    assert {row["meter"]: row["status"] for row in rows} == STATUS
    assert [row["meter"] for row in rows] == sorted(STATUS)
    assert "error[bills.failed]: 2 meters without a bill: bill.unit 1, tariff.not-valid 1" in err
    assert "  complete: 6" in err
    for row in rows:
        _, alone, said = await run_main("bill", "--meter", row["meter"], *MONTH, "--json")
        if row["total"] is None:
            code = row["problem"]["code"] if row["problem"] else "bill.no-readings"
            assert f"error[{code}]" in said
            continue
        (bill,) = lines(alone)
        assert (row["total"], row["tariff"], row["kwh"], row["demand_kw"]) == (
            bill["total"], bill["tariff"], bill["usage"]["kwh"], bill["usage"]["demand_kw"],
        )  # fmt: skip
        assert row["charges"] == {line["id"]: line["amount"] for line in bill["lines"]}
        assert row["intervals"]["present"] == bill["intervals"]["present"]
        assert row["intervals"]["expected"] == bill["intervals"]["expected"]
        assert row["intervals"]["until"] == bill["intervals"]["until"]
        assert row["digest"] == bill["digest"]
    whole = (await run_main("bills", *MONTH))[1]
    assert whole == out


async def test_the_summary_as_json_and_the_file(
    street: Running, run_main: RunMain, tmp_path: Path
) -> None:
    del street
    file = tmp_path / "may.jsonl"
    status, out, _ = await run_main("bills", *MONTH, "--out", str(file), "--json")
    (summary,) = lines(out)
    rows = lines(file.read_text("utf-8").splitlines())
    assert status == 1
    assert summary["meters"] == len(rows) == len(STATUS)
    assert summary["status"] == {
        "complete": 6, "failed": 2, "missing": 1, "no-readings": 1, "partial": 1,
    }  # fmt: skip
    assert summary["total"] == {"KRW": sum(row["total"] or 0 for row in rows)}
    assert summary["kwh"] == sum(row["kwh"] or 0 for row in rows)
    assert summary["failed"] == {"bill.unit": 1, "tariff.not-valid": 1}
    assert file.stat().st_mode & 0o777 == 0o600
    assert [each.name for each in tmp_path.iterdir() if "partial" in each.name] == []
    before = file.read_bytes()
    await run_main("bills", *MONTH, "--out", str(file), "--json")
    assert file.read_bytes() == before


async def test_the_same_as_csv_and_parquet(
    street: Running, run_main: RunMain, tmp_path: Path
) -> None:
    del street
    text, table = tmp_path / "may.csv", tmp_path / "may.parquet"
    await run_main("bills", *MONTH, "--out", str(text), "--piece", "4")
    await run_main("bills", *MONTH, "--out", str(table), "--piece", "4")
    rows = lines((await run_main("bills", *MONTH))[1])
    with text.open(encoding="utf-8", newline="") as file:
        found = list(csv.DictReader(file))
    kept = pq.read_table(table).to_pylist()
    assert [row["meter"] for row in found] == [row["meter"] for row in kept] == sorted(STATUS)
    for row, cells, exact in zip(rows, found, kept, strict=True):
        assert cells["status"] == exact["status"] == row["status"]
        assert cells["total"] == ("" if row["total"] is None else str(row["total"]))
        assert exact["total"] == row["total"]
        assert exact["discounts"] == row["discounts"] == cells["discounts"].split()
        assert (exact["problem"] or "") == cells["problem"]
        assert exact["until"] == (row["intervals"] or {"until": None})["until"]


async def test_billing_again_shows_what_is_different(
    street: Running, run_main: RunMain, tmp_path: Path
) -> None:
    """A late reading, another tariff, somebody new, and somebody who was never there."""
    file = tmp_path / "may.jsonl"
    await run_main("bills", *MONTH, "--out", str(file))
    old = {row["meter"]: row for row in lines(file.read_text("utf-8").splitlines())}
    same = lines((await run_main("bills", *MONTH, "--against", str(file), "--piece", "2"))[1])
    assert {row["difference"] for row in same} == {0}
    assert [row for row in same if row["why"]] == []
    late = Home(2, first=START - DAY, last=START + 1800)
    async with dcu_client(street, tmp_path, "D1") as client:
        answer = await upload(client, "late", late.table())
        assert answer.status_code == 200, answer.text
    customers = street.services.customers
    customers.change(old["M1"]["customer"], Details(tariff=HIGH), who="test")
    customers.end(old["M8"]["customer"], "M8", ends=START - 3600, who="test")
    move_in(street, "M9", LOW, START)
    words = ("bills", *MONTH, "--against", str(file), "--piece", "3")
    _, out, err = await run_main(*words)
    new = {row["meter"]: row for row in lines(out)}
    assert list(new) == sorted([*STATUS, "M9"])
    assert new["M1"]["why"] == ["tariff"]
    assert new["M1"]["difference"] == new["M1"]["total"] - old["M1"]["total"] < 0
    assert new["M2"]["intervals"]["present"] == old["M2"]["intervals"]["present"] + 2
    assert set(new["M2"]["why"]) <= {"kwh", "status"}
    assert new["M9"]["why"] == ["new"]
    assert (new["M9"]["before"], new["M9"]["difference"]) == (None, new["M9"]["total"])
    assert (new["M8"]["status"], new["M8"]["total"]) == ("gone", None)
    assert new["M8"]["difference"] == -old["M8"]["total"]
    assert new["M3"]["difference"] == 0
    changed = [row["difference"] for row in new.values() if row["difference"]]
    assert f"  different: {len(changed):,}, {Decimal(sum(changed)):+,f} KRW" in err
    table = tmp_path / "again.parquet"
    await run_main(*words, "--out", str(table))
    kept = {row["meter"]: row for row in pq.read_table(table).to_pylist()}
    assert kept["M8"]["before"] == old["M8"]["total"]
    assert kept["M9"]["why"] == ["new"]


async def test_who_had_the_meter_last_is_billed(street: Running, run_main: RunMain) -> None:
    customers = street.services.customers
    (was,) = customers.of_meter("M1")
    customers.end(was.customer, "M1", ends=START + DAY, who="test")
    move_in(street, "M1", HIGH, START + 2 * DAY)
    (was,) = customers.of_meter("M3")
    customers.end(was.customer, "M3", ends=START, who="test")  # nothing of May
    (was,) = customers.of_meter("M6")
    customers.end(was.customer, "M6", ends=START + 3600, who="test")
    rows = {row["meter"]: row for row in lines((await run_main("bills", *MONTH))[1])}
    assert (rows["M1"]["tariff"], rows["M1"]["customers"]) == (HIGH, 2)
    assert "M3" not in rows
    assert rows["M6"]["customers"] == 1


async def test_days_between_two_readings(street: Running, run_main: RunMain) -> None:
    del street
    days = ("--from", "2026-05-02", "--to", "2026-05-31")
    rows = {row["meter"]: row for row in lines((await run_main("bills", *days))[1])}
    assert rows["M1"]["month"] == "2026-05-02/2026-05-31"
    assert rows["M1"]["intervals"]["whole"] == 30 * 96
    (alone,) = lines((await run_main("bill", "--meter", "M1", *days, "--json"))[1])
    assert rows["M1"]["total"] == alone["total"]


@pytest.mark.parametrize(
    ("arguments", "status", "code"),
    [
        ((), 2, "bill.period"),
        (("--month", "May"), 2, "bill.month"),
        ((*MONTH, "--json"), 2, "config.out"),
        ((*MONTH, "--format", "parquet"), 2, "config.out"),
        ((*MONTH, "--out", "/no/such/folder/may.csv"), 2, "config.file"),
    ],
)
async def test_what_is_wrong_has_a_code(
    run_main: RunMain, arguments: tuple[str, ...], status: int, code: str
) -> None:
    found, out, err = await run_main("bills", *arguments)
    assert (found, out) == (status, [])
    assert err.startswith(f"error[{code}]: ")


TWO = """\
{{"meter": "{}", "month": "2026-05", "total": null}}
{{"meter": "{}", "month": "2026-05", "total": null}}
"""


@pytest.mark.parametrize(
    "text",
    [
        "no JSON",
        "[]",
        '{"meter": "M1", "month": "2026-04", "total": 1}',
        '{"meter": "M1", "month": "2026-05"}',
        '{"meter": "M1", "month": "2026-05", "total": "much"}',
        TWO.format("M2", "M1"),
        TWO.format("M1", "M1"),
    ],
)
async def test_what_is_no_file_of_bills_is_not_compared(
    street: Running, run_main: RunMain, tmp_path: Path, text: str
) -> None:
    """And nothing is written, not even in part."""
    del street
    file, out = tmp_path / "before.jsonl", tmp_path / "after.jsonl"
    file.write_text(text, "utf-8")
    status, _, err = await run_main("bills", *MONTH, "--against", str(file), "--out", str(out))
    assert status == 2
    assert "error[bill.against]: " in err
    assert not out.exists()
    assert list(tmp_path.glob(".after*")) == []


async def test_a_file_that_is_not_there_is_named(
    street: Running, run_main: RunMain, tmp_path: Path
) -> None:
    """Which of two files it is: that to compare with, or that to write."""
    del street
    gone, out = tmp_path / "gone.jsonl", tmp_path / "out.jsonl"
    status, _, err = await run_main("bills", *MONTH, "--against", str(gone), "--out", str(out))
    assert (status, list(tmp_path.glob("*out*"))) == (2, [])
    assert f"error[config.file]: {gone}: " in err
    nowhere = tmp_path / "no" / "out.jsonl"
    status, _, err = await run_main("bills", *MONTH, "--out", str(nowhere))
    assert (status, f"error[config.file]: {nowhere}: " in err) == (2, True)


async def test_another_currency_is_not_compared(
    street: Running, run_main: RunMain, tmp_path: Path
) -> None:
    del street
    file = tmp_path / "before.jsonl"
    row = {"meter": "M1", "month": "2026-05", "total": 1, "currency": "GBP"}
    file.write_text(json.dumps(row), "utf-8")
    status, _, err = await run_main("bills", *MONTH, "--against", str(file))
    assert status == 2
    assert "error[bill.against]: M1 was billed in GBP, not KRW" in err


async def test_viewers_get_no_bills(street: Running, run_main: RunMain) -> None:
    street.services.operators.change("anna", role=Role.VIEWER, who="test")
    status, out, err = await run_main("bills", *MONTH)
    assert (status, out) == (4, [])
    assert err.startswith("error[security.role]")


async def test_a_piece_is_asked_for_again_when_the_line_is_cut(
    street: Running, run_main: RunMain, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Progress is told on stderr; the bills are the same."""
    del street
    whole = (await run_main("bills", *MONTH))[1]
    asked = api.get_json
    cuts = iter([True, False, True, True])

    async def cut(client: Any, path: str, **query: Any) -> Any:
        assert path == "/bills"
        if next(cuts, False):
            raise TransportError("the line was cut", code="transport.closed")
        return await asked(client, path, **query)

    monkeypatch.setattr(bills_module, "get_json", cut)
    monkeypatch.setattr(bills_module, "PAUSES_S", (0.0, 0.0))
    monkeypatch.setattr(bills_module, "TELL_S", -1.0)
    _, out, err = await run_main("bills", *MONTH, "--piece", "6")
    assert out == whole
    assert err.count("the line was cut: asking again") == 3
    assert "6 meters so far, up to M3" in err


async def test_while_others_are_billed_it_waits(
    street: Running, run_main: RunMain, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A head-end makes so many bills at once as it has memory for."""
    whole, room, asked = (await run_main("bills", *MONTH))[1], street.services.billing._room, 0
    for _ in range(AT_ONCE):
        assert room.acquire(blocking=False)

    def said(words: str) -> None:
        nonlocal asked
        if words.endswith("asking again"):
            asked += 1
            assert words == "others are billed just now: asking again"
            if asked == 3:
                room.release()

    monkeypatch.setattr(bills_module, "note", said)
    monkeypatch.setattr(bills_module, "BUSY_S", 0.0)
    assert (await run_main("bills", *MONTH))[1] == whole
    assert asked == 3
    room.release()
    assert [room.acquire(blocking=False) for _ in range(AT_ONCE + 1)] == [True] * AT_ONCE + [False]


async def test_a_certificate_that_nobody_vouches_for_is_not_asked_again(
    street: Running, run_main: RunMain, monkeypatch: pytest.MonkeyPatch
) -> None:
    del street
    monkeypatch.delenv("OPENAMI_CA")
    status, out, err = await run_main("bills", *MONTH)
    assert (status, out) == (5, [])
    assert "asking again" not in err
