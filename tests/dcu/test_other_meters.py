"""Meters that are made otherwise than ours, and meters that misbehave."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from tests.support.dcu_chain import Chain
from tests.support.dcu_other import (
    LOAD,
    PERIOD,
    SERIAL,
    OtherLine,
    Rows,
    column,
    deliver,
    other_meter,
    profile,
    stamp,
)
from tests.support.dlms_meter import ENERGY_COLUMN, NOON, make_meter

from openami.core.clock import ManualClock
from openami.core.units import Unit
from openami.dlms import data as d
from openami.dlms.cosem import DataObject, Register
from openami.dlms.cosem.base import AccessError
from openami.dlms.cosem.profile import SortMethod
from openami.dlms.results import DataAccessResult

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.support.dcu_headend import Certificates
    from tests.support.dlms_meter import Meter

OWN = "1.0.99.5.0.255"
OPTIONS = {
    "daily_profile": "",
    "billing_profile": "",
    "event_logs": (),
    "addresses": "16-18",
    "retries": 1,
    "response_timeout_s": 1.0,
}


@asynccontextmanager
async def chain_of(
    folder: Path, certificates: Certificates, line: OtherLine, **options: Any
) -> AsyncIterator[Chain]:
    made = Chain(folder, certificates, options={**OPTIONS, **options})
    made.clock = made.headend.clock = ManualClock(NOON + 86_400 + 30)
    deliver(made)
    async with line:
        made.modem_port = line.port
        await made.headend.start()
        try:
            yield made
        finally:
            await made.kill_dcu()
            await made.headend.stop()


def values(made: Chain, name: str, obis: str = "1.0.1.8.0.255") -> dict[int, int]:
    found: dict[int, int] = {}
    for row in made.headend.rows():
        if (row["profile"], row["channel"]) == (name, obis):
            time = int(row["time"].timestamp())
            assert time not in found
            found[time] = row["value"]
    return found


def told(made: Chain) -> dict[str, Any]:
    meters = made.headend.reports[-1]["meters"] if made.headend.reports else []
    return dict(meters[0]) if meters else {}


def fill(rows: Rows, count: int = 96, *, first: int = 1) -> None:
    for number in range(first, first + count):
        time = NOON + PERIOD * number
        rows.append(time, [stamp(time), d.u32(number * 7).encode()])


EXPECTED = {int(NOON) + PERIOD * n: 7 * n for n in range(1, 97)}


async def test_a_meter_without_a_serial_number_is_known_by_its_name(
    tmp_path: Path, certificates: Certificates
) -> None:
    meter = other_meter()
    async with chain_of(tmp_path, certificates, OtherLine(at17=meter)) as made:
        await made.start_dcu()
        await made.until(lambda: len(values(made, LOAD)) == 96)
        assert values(made, LOAD) == {t: v - 7 for t, v in EXPECTED.items()}
        row = made.headend.rows()[0]
        assert (row["meter"], row["scaler"], row["unit"], row["status"]) == (SERIAL, 0, 30, 0)
        await made.until(lambda: told(made).get("state") == "ok")
        assert told(made)["address"] == 17


async def test_a_counter_that_somebody_else_moved_on(
    tmp_path: Path, certificates: Certificates
) -> None:
    meter = other_meter()
    async with chain_of(tmp_path, certificates, OtherLine(at17=meter)) as made:
        await made.start_dcu()
        await made.until(lambda: told(made).get("state") == "ok")
        before = told(made)["last_read"]
        meter.security.counters.accept(50_000)
        made.advance(PERIOD)
        await made.until(lambda: meter.security.counters.last > 50_000)
        await made.until(lambda: told(made)["last_read"] > before)
        assert told(made)["state"] == "ok"


async def test_no_title_no_key_no_name(tmp_path: Path, certificates: Certificates) -> None:
    untitled, nameless = make_meter(), other_meter()
    nameless.device._objects.pop((1, ENERGY_COLUMN.obis), None)
    for key in [k for k in nameless.device._objects if str(k[1]) == "0.0.42.0.0.255"]:
        del nameless.device._objects[key]
    line = OtherLine(at16=untitled, at17=nameless)
    async with chain_of(tmp_path, certificates, line) as made:
        dcu = await made.start_dcu()
        await made.until(lambda: told(made).get("state") == "refused")
        assert told(made)["error"]["code"] == "meter.no-credentials"
        assert told(made)["system_title"] is None
        await made.until(lambda: 17 in dcu.roster.conflicts)
        await made.until(lambda: "17" in made.headend.reports[-1]["dcu"]["line"]["conflicts"])
        assert len(dcu.roster) == 1


async def test_one_serial_number_at_two_addresses(
    tmp_path: Path, certificates: Certificates
) -> None:
    line = OtherLine(at16=other_meter(), at18=other_meter())
    async with chain_of(tmp_path, certificates, line) as made:
        dcu = await made.start_dcu()
        await made.until(lambda: 18 in dcu.roster.conflicts)
        await made.until(lambda: told(made).get("state") == "ok")
        assert told(made)["address"] == 16


async def test_a_gap_in_what_came_is_looked_at_once_more(
    tmp_path: Path, certificates: Certificates
) -> None:
    source = Rows(lambda number, rows: rows if number > 1 else rows[:40] + rows[44:])
    fill(source)
    meter = other_meter(profile(OWN, source, ENERGY_COLUMN))
    async with chain_of(tmp_path, certificates, OtherLine(at17=meter), load_profile=OWN) as made:
        await made.start_dcu()
        await made.until(lambda: len(values(made, OWN)) == 96)
        assert values(made, OWN) == EXPECTED
        assert (NOON + PERIOD * 41, NOON + PERIOD * 44) in source.asked


async def test_a_gap_that_stays_is_asked_for_once(
    tmp_path: Path, certificates: Certificates
) -> None:
    source = Rows()
    fill(source, 40)
    fill(source, 52, first=45)
    meter = other_meter(profile(OWN, source, ENERGY_COLUMN))
    async with chain_of(tmp_path, certificates, OtherLine(at17=meter), load_profile=OWN) as made:
        await made.start_dcu()
        await made.until(lambda: len(values(made, OWN)) == 92)
        fill(source, 1, first=97)
        made.advance(PERIOD)
        await made.until(lambda: len(values(made, OWN)) == 93)
        assert source.asked.count((NOON + PERIOD * 41, NOON + PERIOD * 44)) == 1


async def test_newest_first_and_no_reading_by_entry(
    tmp_path: Path, certificates: Certificates
) -> None:
    class Lifo(Rows):
        def by_entry(self, first: int, last: int, columns: Any) -> Any:
            raise AccessError(DataAccessResult.OTHER_REASON, "not by entry")

    source = Lifo(lambda _, rows: rows[::-1])
    fill(source, 95)
    meter = other_meter(profile(OWN, source, ENERGY_COLUMN, sort=SortMethod.LIFO))
    async with chain_of(
        tmp_path, certificates, OtherLine(at17=meter), load_profile=OWN, history_days=30
    ) as made:
        await made.start_dcu()
        await made.until(lambda: len(values(made, OWN)) == 95)
        fill(source, 1, first=96)
        made.advance(PERIOD)
        await made.until(lambda: len(values(made, OWN)) == 96)
        assert values(made, OWN) == EXPECTED
        start, end = source.asked[-1]
        assert end is not None
        assert start == NOON + PERIOD * 95


async def test_a_profile_that_is_made_otherwise_one_day(
    tmp_path: Path, certificates: Certificates
) -> None:
    source = Rows()
    fill(source)
    power = Register("1.0.2.8.0.255", lambda: 5, scaler=3, unit=Unit.WH)
    made_profile = profile(OWN, source, ENERGY_COLUMN)
    meter = other_meter(made_profile, power)
    async with chain_of(tmp_path, certificates, OtherLine(at17=meter), load_profile=OWN) as made:
        await made.start_dcu()
        await made.until(lambda: len(values(made, OWN)) == 96)
        source.reset()
        made_profile.columns = (*made_profile.columns, column(3, "1.0.2.8.0.255"))
        time = NOON + PERIOD * 97
        source.append(time, [stamp(time), d.u32(1).encode(), d.u32(2).encode()])
        made.advance(PERIOD)
        await made.until(lambda: len(values(made, OWN)) == 97)
        assert values(made, OWN, "1.0.2.8.0.255") == {int(time): 2}
        assert made.headend.rows()[-1]["scaler"] == 3


async def test_a_cell_that_makes_no_sense_costs_no_other_entry(
    tmp_path: Path, certificates: Certificates
) -> None:
    source = Rows()
    power = Register("1.0.2.8.0.255", lambda: 5, unit=Unit.WH)
    meter = other_meter(profile(OWN, source, ENERGY_COLUMN, column(3, "1.0.2.8.0.255")), power)

    def add(number: int, *cells: d.Data) -> None:
        time = NOON + PERIOD * number
        source.append(time, [stamp(time), *(cell.encode() for cell in cells)])

    add(94, d.null(), d.u32(94))
    add(95, d.u32(95), d.visible("?"))
    add(96, d.visible("?"), d.visible("?"))
    async with chain_of(tmp_path, certificates, OtherLine(at17=meter), load_profile=OWN) as made:
        await made.start_dcu()
        await made.until(lambda: bool(values(made, OWN)) and told(made).get("error") is not None)
        assert told(made)["error"]["code"] == "meter.value"
        assert told(made)["state"] == "ok"
        for number in (97, 98):
            add(number, d.u32(number), d.f64(number / 2))
            made.advance(PERIOD)
            await made.until(lambda: int(NOON) + PERIOD * number in values(made, OWN))  # noqa: B023 - awaited here
        times = {number: int(NOON) + PERIOD * number for number in range(94, 99)}
        assert values(made, OWN) == {times[n]: n for n in (95, 97, 98)}
        exported = {
            int(row["time"].timestamp()): row["value"] * 10.0 ** row["scaler"]
            for row in made.headend.rows()
            if row["channel"] == "1.0.2.8.0.255"
        }
        assert exported == {times[94]: 94, times[97]: 48.5, times[98]: 49}
        await made.until(lambda: told(made).get("error") is None)


async def test_a_row_of_another_width_costs_no_other_entry(
    tmp_path: Path, certificates: Certificates
) -> None:
    source = Rows()
    meter = other_meter(profile(OWN, source, ENERGY_COLUMN))
    for number in range(93, 97):
        surplus = [d.u32(0).encode()] * (number == 94)
        time = NOON + PERIOD * number
        source.append(time, [stamp(time), d.u32(number).encode(), *surplus])
    async with chain_of(tmp_path, certificates, OtherLine(at17=meter), load_profile=OWN) as made:
        await made.start_dcu()
        await made.until(lambda: bool(values(made, OWN)) and told(made).get("error") is not None)
        assert told(made)["error"]["code"] == "meter.row"
        assert told(made)["state"] == "ok"
        assert values(made, OWN) == {int(NOON) + PERIOD * n: n for n in (93, 95, 96)}


async def test_a_profile_that_is_not_there_or_makes_no_sense_costs_no_other(
    tmp_path: Path, certificates: Certificates
) -> None:
    source = Rows()
    fill(source, 2)
    time = NOON + PERIOD * 3
    source.append(time, [d.u32(21).encode(), d.u32(1).encode()])
    meter = other_meter(profile(OWN, source, ENERGY_COLUMN))
    async with chain_of(
        tmp_path,
        certificates,
        OtherLine(at17=meter),
        daily_profile=OWN,
        billing_profile="0.0.98.1.0.255",
    ) as made:
        dcu = await made.start_dcu()
        await made.until(lambda: len(values(made, LOAD)) == 96)
        await made.until(lambda: told(made).get("error") is not None)
        assert told(made)["error"]["code"] == "meter.layout"
        assert told(made)["state"] == "ok"
        station = dcu.roster.get(SERIAL)
        assert station is not None
        assert station.meter.layouts["0.0.98.1.0.255"].columns == ()
        sessions = dcu.modem.figures.sessions
        made.advance(PERIOD / 2)
        await asyncio.sleep(0.1)
        assert dcu.modem.figures.sessions <= sessions + 4


async def test_an_empty_profile_and_one_that_grows(
    tmp_path: Path, certificates: Certificates
) -> None:
    source = Rows()
    meter = other_meter(profile(OWN, source, ENERGY_COLUMN))
    async with chain_of(tmp_path, certificates, OtherLine(at17=meter), load_profile=OWN) as made:
        await made.start_dcu()
        await made.until(lambda: told(made).get("state") == "ok")
        fill(source)
        made.advance(PERIOD)
        await made.until(lambda: len(values(made, OWN)) == 96)
        assert values(made, OWN) == EXPECTED


async def test_entries_of_no_time_are_told_and_left(
    tmp_path: Path, certificates: Certificates
) -> None:
    source = Rows()
    source.append(0, [stamp(0), d.u32(1).encode()])
    fill(source)
    meter = other_meter(profile(OWN, source, ENERGY_COLUMN))
    async with chain_of(tmp_path, certificates, OtherLine(at17=meter), load_profile=OWN) as made:
        await made.start_dcu()
        await made.until(lambda: len(values(made, OWN)) == 96)
        assert values(made, OWN) == EXPECTED


async def test_events_with_details_and_several_in_a_second(
    tmp_path: Path, certificates: Certificates
) -> None:
    source = Rows()
    times = [NOON + 5, NOON + 5, NOON + 5, NOON + 60]
    for number, time in enumerate(times):
        source.append(
            time, [stamp(time), d.u8(40 + number % 2).encode(), d.octets(b"\x01").encode()]
        )
    name = "0.0.99.98.1.255"
    log = profile(name, source, column(1, "0.0.96.11.1.255"), column(1, "0.0.96.1.9.255"), period=0)
    code = DataObject("0.0.96.11.1.255", d.u8(0))
    async with chain_of(
        tmp_path, certificates, OtherLine(at17=other_meter(log, code)), event_logs=(name,)
    ) as made:
        await made.start_dcu()
        await made.until(lambda: len(made.headend.rows("events")) == 4)
        found = [
            (int(r["time"].timestamp() - NOON), r["code"], r["ordinal"])
            for r in made.headend.rows("events")
        ]
        assert found == [(5, 40, 0), (5, 41, 1), (5, 40, 2), (60, 41, 0)]
        assert made.headend.rows("events")[0]["detail"] == "0.0.96.1.9.255=01"
        source.append(NOON + 60, [stamp(NOON + 60), d.u8(9).encode(), d.octets(b"").encode()])
        made.advance(3700)
        await made.until(lambda: len(made.headend.rows("events")) == 5)
        last = made.headend.rows("events")[-1]
        assert (last["code"], last["ordinal"]) == (9, 1)


async def test_a_clock_that_can_not_be_set_is_told(
    tmp_path: Path, certificates: Certificates
) -> None:
    meter = other_meter()
    meter.wall.set(NOON + 86_400 + 30 - 200)

    def refuse(ref: Any, value: Any, context: Any) -> None:
        raise AccessError(DataAccessResult.TEMPORARY_FAILURE)

    meter.device.set = refuse  # type: ignore[method-assign] # a meter whose clock is stuck
    async with chain_of(tmp_path, certificates, OtherLine(at17=meter)) as made:
        await made.start_dcu()
        await made.until(lambda: told(made).get("clock_offset_s") is not None)
        meter.wall.advance(PERIOD / 2)  # to where setting it back by 200 s crosses no boundary
        made.advance(PERIOD / 2)
        await made.until(lambda: (told(made).get("error") or {}).get("code") == "meter.clock")
        assert told(made)["error"]["message"].startswith("the clock can not be set")


@pytest.mark.parametrize("policy", [0, 3])
async def test_security_policies(tmp_path: Path, certificates: Certificates, policy: int) -> None:
    meter: Meter = other_meter(policy=policy)
    async with chain_of(tmp_path, certificates, OtherLine(at17=meter)) as made:
        await made.start_dcu()
        await made.until(lambda: len(values(made, LOAD)) == 96)
        assert values(made, LOAD) == {t: v - 7 for t, v in EXPECTED.items()}
