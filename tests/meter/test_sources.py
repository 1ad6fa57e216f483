from __future__ import annotations

import gzip
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from openami.core.errors import ConfigError
from openami.meter.recordings import from_file, homes, names, recording
from openami.meter.sources import parse_sample, parse_source
from openami.metrology.clock import SECOND
from openami.metrology.config import EngineConfig
from openami.metrology.energy import PER_WH, Channel
from openami.metrology.engine import MeterEngine
from openami.metrology.sources import Sample, from_wh

if TYPE_CHECKING:
    from pathlib import Path


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


def test_all_recordings_of_the_package_can_be_played() -> None:
    assert homes() == tuple(f"H0{n}" for n in range(1, 9))
    assert names() == [*(f"household:{home}" for home in homes()), "solar", "minute"]
    for name in names():
        source = parse_source(name, offset=36_000).source
        segment = source.at(at("2026-07-01") * SECOND)
        assert segment.until is not None


def test_a_year_of_a_home_is_measured_to_the_watt_hour() -> None:
    """52 weeks of real half hours: the register is the sum of the file."""
    played = recording("household", "H01")
    assert (len(played.samples), played.step) == (364 * 48, 1800)
    start = at("2013-02-13")
    assert played.start == start
    engine = MeterEngine.create(EngineConfig(), start)
    engine.advance(start + 364 * 86_400, played.source(0))
    whole = sum(sample.active * 1800 * SECOND for sample in played.samples)
    assert engine.state.energy.exact(Channel.IMPORT) == whole
    assert whole % PER_WH == 0
    assert engine.register(Channel.IMPORT) == whole // PER_WH
    assert 2_000_000 < whole // PER_WH < 6_000_000


def test_gaps_are_filled_from_the_week_before() -> None:
    played = recording("household", "H05")
    assert len(played.samples) == 364 * 48


def test_a_home_with_a_roof_exports() -> None:
    samples = recording("solar").samples
    assert min(sample.active for sample in samples) < 0 < max(s.active for s in samples)
    assert all(sample.reactive >= 0 for sample in samples)


def test_minutes_have_voltages() -> None:
    samples = recording("minute").samples
    assert samples[0] == Sample(326_000, 128_000, 243_150)


@pytest.mark.parametrize(
    ("text", "sample"),
    [
        ("constant:500", Sample(500_000)),
        ("1500.5,-200", Sample(1_500_500, -200_000)),
        ("constant:1000*0.7", Sample(700_000)),
        ("-1000*1/3@-60", Sample(-333_334)),
    ],
)
def test_a_constant_can_be_written_in_many_ways(text: str, sample: Sample) -> None:
    assert parse_source(text).source.at(0).sample == sample


def test_a_shift_plays_ahead_of_time() -> None:
    now = at("2026-07-01T12:00") * SECOND
    ahead = parse_source("household:H02@3600").source
    plain = parse_source("household:H02").source
    assert ahead.at(now).sample == plain.at(now + 3600 * SECOND).sample


def test_files_of_ones_own(tmp_path: Path) -> None:
    rows = "timestamp,kwh\n2026-01-01T00:00,0.100\n2026-01-01T00:15,0.25\n2026-01-01T00:30,\n"
    plain, packed = tmp_path / "a.csv", tmp_path / "a.csv.gz"
    plain.write_text(rows)
    packed.write_bytes(gzip.compress(rows.encode()))
    found = from_file(plain)
    assert found == from_file(packed)
    assert [sample.active for sample in found.samples] == [from_wh(100, 900), 1_000_000, 0]
    source = parse_source(f"file:{plain}").source
    assert source.at(at("2026-01-01T00:20") * SECOND).sample.active == 1_000_000


@pytest.mark.parametrize(
    ("columns", "row", "sample"),
    [
        ("consumption_kwh,solar_kwh", "0.5,0.8", Sample(-300_000, 150_000)),
        ("consumption_kwh,solar_kwh", "0.5,", Sample(500_000, 150_000)),
        ("active_power_kw", "1.234", Sample(1_234_000)),
        ("active_power_kw,voltage_v", "1.234,", Sample(1_234_000)),
        ("active_power_kw,voltage_v", "1.234,0", Sample(1_234_000, 0, 0)),
        ("active_power_kw,voltage_v", "0,229.5", Sample(0, 0, 229_500)),
    ],
)
def test_other_columns_and_their_gaps(
    tmp_path: Path, columns: str, row: str, sample: Sample
) -> None:
    path = tmp_path / "a.csv"
    gap = "," * columns.count(",")
    path.write_text(f"timestamp,{columns}\n2026-01-01T00:00,{row}\n2026-01-01T01:00,{gap}\n")
    assert from_file(path).samples == (sample, Sample())


@pytest.mark.parametrize(
    "text",
    [
        "",
        "timestamp,kwh\n2026-01-01T00:00,1\n",
        "timestamp,other\n2026-01-01T00:00,1\n2026-01-01T01:00,1\n",
        "kwh\n1\n2\n",
        "timestamp,kwh\n2026-01-01T00:00,1\n2026-01-01T01:00,1\n2026-01-01T03:00,1\n",
        "timestamp,kwh\n2026-01-01T00:00,1\n2026-01-01T00:00,1\n",
        "timestamp,kwh\n2026-01-01T01:00,1\n2026-01-01T00:00,1\n",
        "timestamp,kwh\n2026-01-01T00:00,x\n2026-01-01T01:00,1\n",
        "timestamp,kwh\n2026-01-01T00:00,0.0001\n2026-01-01T01:00,1\n",
        "timestamp,kwh\n2026-01-01T00:00,0.001\n2026-01-01T00:00:07,1\n",
        "timestamp,kwh\nyesterday,1\n2026-01-01T01:00,1\n",
        "timestamp,kwh\n2026-01-01T00:00,1e999999\n2026-01-01T01:00,inf\n",
        "timestamp,kwh\n2026-01-01T00:00,nan\n2026-01-01T01:00,1\n",
        "timestamp,active_power_kw,voltage_v\n2026-01-01T00:00,1,-1\n2026-01-01T01:00,1,230\n",
    ],
)
def test_what_is_no_recording_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.csv"
    path.write_text(text)
    with pytest.raises(ConfigError):
        from_file(path)


def test_files_that_cannot_be_read_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        from_file(tmp_path / "none.csv")
    (tmp_path / "b.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="cannot be read"):
        from_file(tmp_path / "b.csv")
    (tmp_path / "c.csv.gz").write_bytes(b"no gzip")
    with pytest.raises(ConfigError, match="cannot be read"):
        from_file(tmp_path / "c.csv.gz")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "household:H99",
        "household",
        "weather",
        "constant:",
        "1,2,3",
        "1e40",
        "script:/none.py",
        "command:",
        "command:'",
        "file:/none.csv",
    ],
)
def test_what_is_no_source_is_refused(text: str) -> None:
    with pytest.raises(ConfigError):
        parse_source(text)


def test_unknown_recordings_are_refused() -> None:
    with pytest.raises(ConfigError, match="no recording"):
        recording("weather")


def test_a_recording_plays_until_a_program_tells() -> None:
    spec = parse_source("constant:500*2 then command:sh -c 'if true; then echo 7; fi'")
    assert spec.command == ("sh", "-c", "if true; then echo 7; fi")
    assert spec.live is not None
    assert spec.source.at(0).sample.active == 1_000_000
    spec.live.push(5, Sample(7))
    assert spec.source.at(5).sample == Sample(7)
    alone = parse_source("command:sh -c 'if true; then command:x'")
    assert alone.command == ("sh", "-c", "if true; then command:x")


def test_programs_are_live_sources(tmp_path: Path) -> None:
    script = tmp_path / "load.py"
    script.write_text("")
    assert parse_source(f"script:{script}*2").command[-1] == str(script)
    spec = parse_source("command:vmstat -n 1")
    assert spec.command == ("vmstat", "-n", "1")
    assert spec.live is spec.source


@pytest.mark.parametrize(
    "text",
    ["", "x", "1 2 3", "1e99", "nan", "1/0", "inf", "1e99999999", "1 1e-99999999", "9" * 5000],
)
def test_what_is_no_power_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="not a power"):
        parse_sample(text)


@pytest.mark.parametrize(
    ("text", "milliwatts"),
    [("1.5", 1500), ("-2e3", -2_000_000), ("5e-05", 0), (" .25 ", 250), ("+7.", 7000)],
)
def test_a_power_is_written_as_programs_write_numbers(text: str, milliwatts: int) -> None:
    assert parse_sample(text) == Sample(milliwatts)
