"""The object lists, read through the real server by each kind of client."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.support.meter_bench import MANAGEMENT, PUBLIC, READER, START, Bench, Session
from tests.support.metering import line

from openami.core.obis import Obis
from openami.core.units import Unit
from openami.dlms import data as d
from openami.dlms.datetime import CosemDateTime
from openami.dlms.obis_names import describe
from openami.dlms.references import CLOCK_COLUMN, EntrySelection, RangeSelection
from openami.dlms.results import ActionResult, DataAccessResult
from openami.metrology.events import Event, Ring

if TYPE_CHECKING:
    from openami.dlms.data import Data

CLOCK = "8/0.0.1.0.0.255"
ENERGY = "3/1.0.1.8.0.255"
PROFILE = "7/1.0.99.1.0.255"
CLASSES = {1, 3, 4, 5, 7, 8, 15, 17, 18, 22, 23, 40, 41, 64, 70, 71, 8192, 8193}


def entries(session: Session) -> list[tuple[str, Data]]:
    listed = session.data("15/0.0.40.0.0.255").items()
    return [
        (f"{entry.items()[0].integer()}/{Obis(entry.items()[2].octets())}", entry.items()[3])
        for entry in listed
    ]


def readable(rights: Data) -> list[int]:
    attributes = rights.items()[0].items()
    return [
        item.items()[0].integer()
        for item in attributes
        if item.items()[1].integer() in {1, 3, 4, 6}
    ]


@pytest.mark.parametrize("phases", [1, 3])
def test_managers_read_108_codes_and_more(phases: int) -> None:
    bench = Bench(phases=phases)
    bench.run(3600)
    session = bench.client(MANAGEMENT).opened()
    listed = entries(session)
    assert len({name.split("/")[1] for name, _ in listed}) >= 108
    assert {int(name.split("/")[0]) for name, _ in listed} == CLASSES
    for name, rights in listed:
        for attribute in readable(rights):
            assert session.get(name, attribute).ok, (name, attribute)


@pytest.mark.parametrize("phases", [1, 3])
def test_no_code_of_ours_is_nameless(phases: int) -> None:
    names = {item.obis: describe(item.obis) for item in Bench(phases=phases).meter.model.every}
    assert [str(obis) for obis, name in names.items() if not name] == []


@pytest.mark.parametrize(("phases", "codes"), [(1, 108), (3, 126)])
def test_readers_read_108_codes_and_write_nothing(phases: int, codes: int) -> None:
    bench = Bench(phases=phases)
    session = bench.client(READER).opened()
    listed = entries(session)
    assert len({name.split("/")[1] for name, _ in listed}) >= codes
    for name, rights in listed:
        for item in rights.items()[0].items():
            assert item.items()[1].integer() in {0, 1, 4}, name
        assert all(session.get(name, attribute).ok for attribute in readable(rights))


@pytest.mark.fums("SEC-5")
def test_the_public_client_sees_who_the_meter_is_and_no_more() -> None:
    bench = Bench()
    session = bench.client(PUBLIC).opened()
    names = {name for name, _ in entries(session)}
    assert {CLOCK, "1/0.0.42.0.0.255", "1/0.0.96.1.0.255", "1/0.0.43.1.0.255"} <= names
    assert not {name for name in names if name.startswith(("3/", "7/", "64/", "70/"))}
    name = session.data("1/0.0.42.0.0.255").octets()
    assert name == bench.config.identity.logical_device_name
    assert session.get(ENERGY).result == DataAccessResult.READ_WRITE_DENIED
    assert session.get("3/1.0.99.8.0.255").result == DataAccessResult.OBJECT_UNDEFINED


def test_a_meter_can_be_opened_to_the_public() -> None:
    bench = Bench(public_reads=True)
    bench.run(3600)
    session = bench.client(PUBLIC).opened()
    assert session.data(ENERGY).integer() == 1000
    assert len(entries(session)) >= 108


def test_what_is_measured_is_read() -> None:
    bench = Bench(phases=3)
    bench.run(3600)
    session = bench.client(READER).opened()
    assert session.data(ENERGY).integer() == 1000
    scaler, unit = session.data(ENERGY, 3).items()
    assert (scaler.integer(), unit.integer()) == (0, Unit.WH)
    assert session.data("3/1.0.3.8.0.255").integer() == 250
    assert session.data("3/1.0.1.7.0.255").integer() == 1000
    phases = [session.data(f"3/1.0.{20 * n + 1}.7.0.255").integer() for n in (1, 2, 3)]
    assert phases == [420, 330, 250]
    energies = [session.data(f"3/1.0.{20 * n + 1}.8.0.255").integer() for n in (1, 2, 3)]
    assert energies == [420, 330, 250]
    assert session.data("3/1.0.43.8.0.255").integer() == 82
    assert session.data("3/1.0.43.8.0.255", 3).items()[1].integer() == Unit.VARH
    assert session.data("3/1.0.62.8.0.255").integer() == 0
    assert session.data("3/1.0.62.8.0.255", 3).items()[1].integer() == Unit.WH
    assert 2200 < session.data("3/1.0.32.7.0.255").integer() < 2400
    assert session.data("3/1.0.13.7.0.255").integer() == 970
    assert session.data("4/1.0.1.6.0.255").integer() == 1000
    ended = CosemDateTime.decode(session.data("4/1.0.1.6.0.255", 5).octets())
    assert ended.timestamp() == START + 900
    bench.run(450)
    assert session.data("3/1.0.1.29.0.255").integer() == 125
    assert session.data("5/1.0.1.4.0.255").integer() == 500
    assert session.data("5/1.0.1.4.0.255", 3).integer() == 1000
    began = CosemDateTime.decode(session.data("5/1.0.1.4.0.255", 7).octets())
    assert began.timestamp() == START + 3600
    assert session.data("1/0.0.96.14.0.255").integer() == 4
    assert session.data("1/0.0.96.11.7.255").integer() == Event.POWER_UP


@pytest.mark.parametrize(("phases", "codes"), [(1, 152), (3, 196)])
def test_a_meter_has_as_many_codes_as_it_says(phases: int, codes: int) -> None:
    names = {str(item.obis) for item in Bench(phases=phases).meter.model.every}
    assert len(names) == codes
    ours = {f"1.0.{20 * n + c}.8.0.255" for n in (1, 2, 3) for c in (1, 2, 3, 4)}
    assert names & ours == (ours if phases == 3 else set())


@pytest.mark.parametrize("hdlc", [False, True])
def test_a_profile_is_read_whole_by_range_and_by_entry(*, hdlc: bool) -> None:
    bench = Bench()
    bench.run(2 * 86_400)
    session = Session(bench, READER, bench.config_of(READER), hdlc=hdlc).opened()
    assert session.data(PROFILE, 7).integer() == 192
    assert len(session.data(PROFILE, 3).items()) == 6
    whole = [line(row.encode()) for row in session.data(PROFILE).items()]
    assert [row.time for row in whole] == [START + 900 * n for n in range(1, 193)]
    assert sum(row.values[0] for row in whole) == session.data(ENERGY).integer() == 48_000
    low, high = (
        d.octets(CosemDateTime.from_utc(START + s, -540).encode()) for s in (86_400, 90_000)
    )
    part = session.data(PROFILE, 2, RangeSelection(CLOCK_COLUMN, low, high)).items()
    assert [line(row.encode()) for row in part] == whole[95:100]
    some = session.data(PROFILE, 2, EntrySelection(5, 8, 1, 2)).items()
    assert [row.items() for row in some] == [
        (d.octets(bench.config.zone.stamp(row.time)), d.u8(row.status)) for row in whole[4:8]
    ]
    assert session.data(PROFILE, 2, EntrySelection(193, 0, 1, 0)).items() == ()


def test_billing_and_daily_rows_have_the_columns_they_name() -> None:
    bench = Bench()
    bench.run(4 * 86_400)
    session = bench.client(READER).opened()
    for name in ("7/1.0.99.2.0.255", "7/0.0.98.1.0.255", "7/0.0.99.98.7.255"):
        columns = session.data(name, 3).items()
        rows = session.data(name).items()
        assert rows, name
        assert all(len(row.items()) == len(columns) for row in rows)
    assert session.data("1/0.0.0.1.0.255").integer() == 1
    assert CosemDateTime.decode(session.data("1/0.0.0.1.2.255").octets()).month == 4


@pytest.mark.parametrize(
    ("log", "ring", "event", "name"),
    [
        (7, Ring.POWER_LOG, Event.POWER_DOWN, "power"),
        (8, Ring.CLOCK_LOG, Event.CLOCK_NEW, "clock"),
        (1, Ring.FRAUD_LOG, Event.MAGNET_DETECTED, "fraud"),
        (6, Ring.SECURITY_LOG, Event.AUTHENTICATION_FAILED, "security"),
    ],
)
def test_power_clock_tamper_and_security_each_have_a_log(
    log: int, ring: Ring, event: Event, name: str
) -> None:
    bench = Bench()
    bench.meter.engine.record(event)
    bench.meter.commit()
    bench.meter.engine.rows.clear(ring)  # what is read after the restart comes from the memory
    bench.restart()
    session = bench.client(READER).opened()
    listed = {name for name, _ in entries(session)}
    profile, code = f"7/0.0.99.98.{log}.255", f"1/0.0.96.11.{log}.255"
    assert {profile, code} <= listed
    assert describe(Obis.parse(f"0.0.99.98.{log}.255")) == f"event log: {name}"
    columns = [
        f"{c.items()[0].integer()}/{Obis(c.items()[1].octets())}"
        for c in session.data(profile, 3).items()
    ]
    assert columns == [CLOCK, code]
    codes = [row.items()[1].integer() for row in session.data(profile).items()]
    assert event in codes
    assert session.data(code).integer() == codes[-1]


def test_managers_reset_profiles_and_close_billing_but_capture_no_interval() -> None:
    bench = Bench()
    bench.run(3600)
    session = bench.client(MANAGEMENT).opened()
    assert session.invoke("7/0.0.98.1.0.255", 2, d.i8(0)).ok
    assert session.data("7/0.0.98.1.0.255", 7).integer() == 1
    denied = ActionResult.READ_WRITE_DENIED
    assert session.invoke(PROFILE, 2, d.i8(0)).result == denied
    assert session.invoke(ENERGY, 1, d.i8(0)).result == denied
    assert session.invoke(PROFILE, 1, d.i8(0)).ok
    assert session.data(PROFILE, 7).integer() == 0
    assert session.data("1/0.0.96.11.0.255").integer() == 254


@pytest.mark.fums("SEC-4")
def test_readers_may_not_act() -> None:
    bench = Bench()
    session = bench.client(READER).opened()
    with pytest.raises(AssertionError, match="service-not-supported"):
        session.invoke("70/0.0.96.3.10.255", 1, d.i8(0))
    assert bench.meter.engine.state.connected
