"""The small parts of the DCU."""

from __future__ import annotations

import asyncio
import math
import threading
from contextlib import closing, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from tests.support.dcu_chain import START

from openami.core.errors import DecodeError, SecurityError, StoreFullError
from openami.dcu.buffers import LayoutError, decode_events, decode_readings
from openami.dcu.discovery import (
    ASKED,
    TITLE,
    TITLE_TEXT,
    Greeting,
    _octets,
    _title,
    number_of,
    serial_of,
)
from openami.dcu.flow import Patience, Stop
from openami.dcu.headend import BroadcastCredentials, Credentials, HeadEndAwayError
from openami.dcu.keys import MECHANISM, Keyring
from openami.dcu.known import (
    FARTHEST,
    RESERVE,
    VISIT_COUNTERS,
    Column,
    KnownMeter,
    Layout,
    MeterCounters,
    forget_meter,
    load_meters,
    save_meter,
)
from openami.dcu.schedule import CLOCK, make_line, make_rules
from openami.dcu.settings import DcuSettings
from openami.dlms import data as d
from openami.dlms.client import Item
from openami.dlms.datetime import CosemDateTime
from openami.dlms.results import DataAccessResult
from openami.fleet.collection import Probe
from openami.store.spool import Spool
from openami.store.vault import FileVault

if TYPE_CHECKING:
    from pathlib import Path

NEEDED: dict[str, Any] = {
    "id": "dcu-1",
    "state": "dcu",
    "modem": "hdlc+tcp://127.0.0.1:4059",
    "headend": "https://headend:8444",
}

# Settings


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("id", "../x"),
        ("addresses", "1-5"),
        ("addresses", "16-x"),
        ("addresses", "16-9999"),
        ("addresses", "16-4000,5000-9000"),
        ("addresses", "20-16"),
        ("address_octets", 1),
        ("load_profile", "1.2"),
        ("event_logs", ["x"]),
        ("timezone", "Mars/Olympus"),
        ("headend", "http://headend:80"),
        ("system_title", "4F"),
        ("clock_threshold_s", 9999),
        ("clock_margin_s", 300),
        ("backoff_first_s", 99999),
        ("retry_first_s", 99999),
        ("reconnect_first_s", 99999),
        ("window", 8),
        ("unheard_of", 1),
    ],
)
def test_settings_that_can_not_be(name: str, value: Any) -> None:
    with pytest.raises(ValidationError):
        DcuSettings(**{**NEEDED, name: value})


def test_a_station_too_large_for_its_address() -> None:
    with pytest.raises(ValidationError, match="address_octets"):
        DcuSettings(**{**NEEDED, "address_octets": 2, "addresses": "200"})


def test_every_setting_is_described() -> None:
    assert all(len(field.description or "") > 20 for field in DcuSettings.model_fields.values())


def test_a_line_and_its_rules_as_set() -> None:
    settings = DcuSettings(
        **{**NEEDED, "billing_profile": "", "set_clocks": False, "timezone": "Asia/Seoul"}
    )
    rules = make_rules(settings)
    assert rules.clock is None
    assert rules.deviation(START) == -540
    line = make_line(settings)
    line.add("A", 16, jitter=0)
    subjects = {plan.subject for plan in line._plans}
    assert subjects == {"1.0.99.1.0.255", "1.0.99.2.0.255", *settings.event_logs, CLOCK}
    line.forget("A")
    from openami.fleet.collection import Moment

    assert line.next(Moment(START, 0)) == Probe(16)


# What is remembered


def test_meters_are_remembered_and_damage_is_left_out(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "s")
    meter = KnownMeter(serial="A1", address=17, layouts={"p": Layout(columns=(), period=9)})
    save_meter(spool, meter)
    spool.put("meter/B2", b"{broken")
    assert load_meters(spool) == {"A1": meter}
    assert 0 <= meter.jitter < 1
    forget_meter(spool, "A1")
    assert load_meters(spool) == {}
    spool.close()


def test_counters_are_never_used_twice_whatever_is_lost(tmp_path: Path) -> None:
    used: set[int] = set()
    spool = Spool(tmp_path / "s")
    for visits in (1, 3, 40):
        counters = MeterCounters(spool, "A1")  # a restart: all but the spool is gone
        for _ in range(visits):
            counters.prepare()
            for _ in range(VISIT_COUNTERS):
                counter = counters.take()
                assert counter not in used
                used.add(counter)
    assert max(used) < 3 * RESERVE + 44 * VISIT_COUNTERS + RESERVE
    spool.close()


def test_counters_that_were_not_set_aside_are_not_given_out(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "s")
    counters = MeterCounters(spool, "A1")
    with pytest.raises(SecurityError):
        counters.take()
    assert counters.resume(70_000)
    assert not counters.resume(70_000)
    assert not counters.resume(FARTHEST + 1)
    assert not counters.resume(2**32)
    with pytest.raises(SecurityError):
        counters.take()
    counters.prepare()
    assert (counters.take(), counters.next) == (70_000, 70_001)
    counters.accept(5)
    with pytest.raises(SecurityError, match="not above"):
        counters.accept(5)
    counters.renew(bytes(16))
    assert counters.last == -1
    spool.close()


def test_a_full_disk_leaves_counters_as_they_were(tmp_path: Path) -> None:
    class FullSpool:
        def get(self, key: str) -> bytes | None:
            return None

        def put(self, key: str, value: bytes) -> None:
            raise StoreFullError("no room")

    counters = MeterCounters(FullSpool(), "A1")  # type: ignore[arg-type] # a disk that is full
    with pytest.raises(StoreFullError):
        counters.prepare()
    with pytest.raises(SecurityError):
        counters.take()


def test_a_visit_that_was_given_up_sets_no_counters_aside_after_the_next(tmp_path: Path) -> None:
    go, entered, twice = (threading.Event() for _ in range(3))

    class SlowSpool(Spool):
        def put(self, key: str, value: bytes) -> None:
            (twice if entered.is_set() else entered).set()
            assert go.wait(30)
            super().put(key, value)

    with closing(SlowSpool(tmp_path / "s")) as spool:
        counters = MeterCounters(spool, "A1")
        threads = [threading.Thread(target=counters.prepare) for _ in range(2)]
        threads[0].start()
        assert entered.wait(30)
        threads[1].start()
        assert not twice.wait(0.2)
        go.set()
        for thread in threads:
            thread.join()
        assert not twice.is_set()
        assert MeterCounters(spool, "A1").next == RESERVE


def test_another_firmware_has_other_layouts() -> None:
    meter = KnownMeter(serial="A", address=1, firmware="1", layouts={"p": Layout(columns=())})
    same = Greeting("A", None, "name", "", "1", None).update(meter)
    assert (same.layouts, same.logical_device_name) == (meter.layouts, "name")
    assert Greeting("A", "T", "", "", "2", None).update(meter).layouts == {}


# Who a meter is


def item(data: d.Data | None) -> Item:
    if data is None:
        return Item(DataAccessResult.OBJECT_UNDEFINED)
    return Item(DataAccessResult.SUCCESS, data.encode())


@pytest.mark.parametrize(
    ("data", "serial"),
    [
        (d.octets(b"OAM00000001"), "OAM00000001"),
        (d.octets(b"12345678\0\0"), "12345678"),
        (d.octets(b"\x01\x02\xff"), "0102ff"),
        (d.visible(" KFM 1001/7 "), "KFM-1001-7"),
        (d.u32(70001), "70001"),
        (d.octets(b""), None),
        (d.boolean(value=True), None),
        (d.array(), None),
        (None, None),
    ],
)
def test_serial_numbers_as_makers_write_them(data: d.Data | None, serial: str | None) -> None:
    assert serial_of(item(data)) == serial


def test_octets_that_are_no_data_name_nobody() -> None:
    broken = Item(DataAccessResult.SUCCESS, b"\x09\x05ab")
    assert serial_of(broken) is None
    assert _octets(broken) is None
    assert number_of(broken) is None
    assert number_of(item(d.u32(9))) == 9
    assert _octets(item(d.octets(b"12345678"))) == b"12345678"


def test_a_title_is_taken_from_wherever_it_stands() -> None:
    title = bytes.fromhex("4F414D0000000001")
    bare = dict.fromkeys(ASKED, item(None))
    assert _title(title, bare) == "4F414D0000000001"
    assert _title(b"short", {**bare, TITLE: item(d.octets(title))}) == "4F414D0000000001"
    assert (
        _title(None, {**bare, TITLE_TEXT: item(d.octets(b"4f414d0000000001"))})
        == title.hex().upper()
    )
    assert _title(None, {**bare, TITLE_TEXT: item(d.octets(b"no title"))}) is None


# Keys


async def test_sealed_credentials_that_were_tampered_with_are_fetched_anew(tmp_path: Path) -> None:
    title = "4F414D0000000001"
    answers: list[Any] = []

    class Source:
        async def credentials(self, wanted: Any) -> Any:
            answer = answers.pop(0)
            if isinstance(answer, Exception):
                raise answer
            return answer

    vault = FileVault(tmp_path / "v", kek=tmp_path / "kek")
    keys = Credentials(1, MECHANISM, bytes(16), bytes(range(16)))
    ring = Keyring(vault, Source())  # type: ignore[arg-type] # a head-end of few words
    hears = replace(keys, broadcast=BroadcastCredentials(102, b"L" * 16, b"A" * 16))
    answers += [HeadEndAwayError("away"), None, replace(keys, mechanism="lls"), hears, hears]
    found = [await ring.fetch(title) for _ in range(5)]
    assert found == [False, False, False, True, False]
    again = Keyring(vault, Source())  # type: ignore[arg-type] # the same
    again.load(title)
    assert again.get(title) == hears
    answers.append(keys)
    assert await ring.fetch(title)
    fresh = Keyring(vault, Source())  # type: ignore[arg-type] # the same
    assert fresh.get(title) is None
    fresh.load(title)
    assert fresh.get(title) == keys
    vault.put("meter", title, "broadcast", b"cut")
    cut = Keyring(vault, Source())  # type: ignore[arg-type] # the same
    cut.load(title)
    assert cut.get(title) is None
    vault.put("meter", title, "client", b"one")
    damaged = Keyring(vault, Source())  # type: ignore[arg-type] # the same
    damaged.load(title)
    assert damaged.get(title) is None
    assert damaged.get(None) is None
    vault.close()


# Waiting


async def test_a_stop_ends_every_wait_and_a_waker_its_own() -> None:
    stop, waker = Stop(), asyncio.Event()
    sleeps = [
        asyncio.ensure_future(stop.sleep(3600)),
        asyncio.ensure_future(stop.sleep(3600, waker)),
    ]
    waker.set()
    await sleeps[1]
    assert not sleeps[0].done()
    stop.set()
    await sleeps[0]
    assert stop


async def test_a_cancelled_wait_is_cancelled() -> None:
    sleep = asyncio.ensure_future(Stop().sleep(3600))
    await asyncio.sleep(0)
    sleep.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sleep


def test_patience_grows_and_begins_anew() -> None:
    patience = Patience(1, 8, lambda: 0.0)
    assert [patience.failed() for _ in range(5)] == [1, 2, 4, 8, 8]
    assert patience.failed(HeadEndAwayError("x", retry_after=30)) == 30
    patience.succeeded()
    assert patience.failed() == 1


# Buffers

CLOCK_COLUMN = Column(class_id=8, obis="0.0.1.0.0.255", attribute=2)
STATUS = Column(class_id=1, obis="0.0.96.10.1.255", attribute=2)
ENERGY = Column(class_id=3, obis="1.0.1.29.0.255", attribute=2, scaler=-1, unit=30)
DEMAND = Column(class_id=4, obis="1.0.1.6.0.255", attribute=2, scaler=0, unit=27)
DEMAND_AT = Column(class_id=4, obis="1.0.1.6.0.255", attribute=5)


def moment(time: float, status: int = 0) -> d.Data:
    return d.octets(CosemDateTime.from_utc(time, -540, status=status).encode())


def rows(*cells: tuple[d.Data, ...]) -> bytes:
    return d.array(*(d.structure(*row) for row in cells)).encode()


def test_readings_of_a_billing_row() -> None:
    layout = Layout(columns=(CLOCK_COLUMN, STATUS, ENERGY, DEMAND, DEMAND_AT), period=0)
    raw = rows((moment(START), d.u16(0x1F0), d.u64(7), d.i32(-3), moment(START - 500)))
    found = decode_readings(raw, layout, deviation=None)
    assert found.times.tolist() == [START]
    assert found.status.tolist() == [0xF0]
    table = found.tables("A1", "p", [0])[0].to_pylist()
    shown = [(r["channel"], r["value"], r["scaler"], r["unit"]) for r in table]
    assert shown == [("1.0.1.29.0.255", 7, -1, 30), ("1.0.1.6.0.255", -3, 0, 27)]


def test_without_a_status_column_the_clock_speaks() -> None:
    layout = Layout(columns=(CLOCK_COLUMN, ENERGY), period=900)
    raw = rows((moment(START), d.u32(1)), (moment(START + 900, status=1), d.u32(2)))
    assert decode_readings(raw, layout, deviation=None).status.tolist() == [0, 2]


def test_times_without_a_deviation_take_the_meters_own() -> None:
    layout = Layout(columns=(CLOCK_COLUMN, ENERGY), period=900)
    plain = CosemDateTime.from_utc(START, -540).encode()
    bare = plain[:9] + b"\x80\x00" + plain[11:]
    found = decode_readings(rows((d.octets(bare), d.u32(1))), layout, deviation=-540)
    assert found.times.tolist() == [START]
    lost = decode_readings(rows((d.octets(bare), d.u32(1))), layout, deviation=None)
    assert (len(lost), lost.misplaced) == (0, 1)


def test_newest_first_is_turned_round() -> None:
    layout = Layout(columns=(CLOCK_COLUMN, ENERGY), newest_first=True)
    raw = rows((moment(START + 900), d.u32(2)), (moment(START), d.u32(1)))
    found = decode_readings(raw, layout, deviation=None)
    assert found.times.tolist() == [START, START + 900]
    assert found.channels[0][1].values.tolist() == [1, 2]


def test_fingerprints_tell_rows_apart_and_stay_the_same() -> None:
    layout = Layout(columns=(CLOCK_COLUMN, STATUS, ENERGY))
    raw = rows(*((moment(START), d.u8(s), d.u32(v)) for s, v in ((0, 1), (0, 2), (1, 1), (0, 1))))
    digests = decode_readings(raw, layout, deviation=None).digests
    assert digests[0] == digests[3]
    assert len(np.unique(digests)) == 3


@pytest.mark.parametrize("empty", [d.array()])
def test_an_empty_buffer(empty: d.Data) -> None:
    layout = Layout(columns=(CLOCK_COLUMN, ENERGY))
    assert len(decode_readings(empty.encode(), layout, deviation=None)) == 0
    assert len(decode_events(empty.encode(), layout, deviation=None)) == 0


@pytest.mark.parametrize(
    "row",
    [
        (moment(START),),
        (moment(START), d.u32(1), d.u32(2)),
        (d.u32(1), d.u32(2)),
        (moment(START), d.octets(b"x")),
        (moment(START), d.boolean(True)),
    ],
)
def test_rows_of_another_layout(row: tuple[d.Data, ...]) -> None:
    with pytest.raises(LayoutError):
        decode_readings(rows(row), Layout(columns=(CLOCK_COLUMN, ENERGY)), deviation=None)


def test_a_row_of_another_width_costs_itself_only() -> None:
    layout = Layout(columns=(CLOCK_COLUMN, ENERGY))
    raw = rows(
        (moment(START), d.u32(1)),
        (moment(START + 900), d.u32(2), d.u32(0)),
        (moment(START + 1800), d.u32(3)),
    )
    for decode in (decode_readings, decode_events):
        with pytest.raises(LayoutError):  # it may have been made otherwise since
            decode(raw, layout, deviation=None)
        found = decode(raw, layout, deviation=None, fresh=True)
        assert found.times.tolist() == [START, START + 1800]
        assert (found.misshapen, found.misplaced) == (1, 0)


EXPORT = Column(class_id=3, obis="1.0.2.8.0.255", attribute=2, scaler=-1, unit=30)


@pytest.mark.parametrize(
    ("cells", "expected", "odd"),
    [
        ([d.null(), d.u32(7)], {900: (7, -1)}, 0),
        ([d.null(), d.null()], {}, 0),
        ([d.u64(2**64 - 1), d.u64(5)], {900: (5, -1)}, 1),
        ([d.u32(5), d.octets(b"?")], {0: (5, -1)}, 1),
        ([d.u32(5), d.boolean(True)], {0: (5, -1)}, 1),
        ([d.f64(12.0), d.f64(-3.0)], {0: (12, -1), 900: (-3, -1)}, 0),
        ([d.f32(1234.1), d.f32(0.5)], {0: (1_234_100, -4), 900: (500, -4)}, 0),
        ([d.f64(0.1234), d.u32(2)], {0: (123_400, -7), 900: (2_000_000, -7)}, 0),
        ([d.f64(math.nan), d.f64(2.0)], {900: (2, -1)}, 1),
        ([d.f64(1e-12), d.f64(math.inf)], {}, 2),
        ([d.f64(1e300), d.f64(1.5)], {900: (1500, -4)}, 1),
    ],
)
def test_an_odd_cell_costs_itself_only(
    cells: list[d.Data], expected: dict[int, tuple[int, int]], odd: int
) -> None:
    layout = Layout(columns=(CLOCK_COLUMN, EXPORT, ENERGY))
    raw = rows(*((moment(START + 900 * n), cell, d.u32(n)) for n, cell in enumerate(cells)))
    found = decode_readings(raw, layout, deviation=None, fresh=True)
    told = [row for table in found.tables("A1", "p", [0, 1]) for row in table.to_pylist()]
    by_channel: dict[str, dict[int, tuple[int, int]]] = {EXPORT.obis: {}, ENERGY.obis: {}}
    for row in told:
        place = int(row["time"].timestamp()) - START
        by_channel[row["channel"]][place] = (row["value"], row["scaler"])
    assert by_channel[EXPORT.obis] == expected
    assert by_channel[ENERGY.obis] == {0: (0, ENERGY.scaler or 0), 900: (1, ENERGY.scaler or 0)}
    assert found.odd == odd


def test_a_whole_number_has_its_fingerprint_beside_an_odd_one_too() -> None:
    layout = Layout(columns=(CLOCK_COLUMN, ENERGY))
    clean = rows((moment(START), d.u32(5)), (moment(START + 900), d.u32(6)))
    mixed = rows((moment(START), d.u32(5)), (moment(START + 900), d.octets(b"?")))
    first, second = (decode_readings(raw, layout, deviation=None) for raw in (clean, mixed))
    assert first.digests[0] == second.digests[0]
    assert first.digests[1] != second.digests[1]


@pytest.mark.parametrize("decode", [decode_readings, decode_events])
@given(raw=st.binary(max_size=80))
def test_no_buffer_does_more_than_decode_or_raise(decode: Any, raw: bytes) -> None:
    layout = Layout(columns=(CLOCK_COLUMN, ENERGY))
    with suppress(DecodeError):
        assert len(decode(raw, layout, deviation=None)) >= 0
