from __future__ import annotations

import json
import stat
from typing import TYPE_CHECKING

import pytest

from openami.core.errors import ConfigError
from openami.fleet.shipment import Shipment
from openami.meter.files import read_secret, write_secret
from openami.meter.identity import (
    MeterIdentity,
    MeterKeys,
    generate_identity,
    load_identity,
    load_shipment,
    save_identity,
    save_shipment,
    seeded,
)
from openami.meter.making import ensure_identity
from openami.meter.settings import MeterConfig, grid_of, zone_of
from openami.metrology.zone import ZONES, Zone

if TYPE_CHECKING:
    from pathlib import Path


def test_a_seed_gives_the_same_meter_again() -> None:
    one, same = (generate_identity(5, seeded("a"), phases=3) for _ in range(2))
    other = generate_identity(5, seeded("b"), phases=3)
    assert one == same
    assert other != one
    assert other.serial == one.serial == "OAM00000005"
    assert one.logical_device_name == b"OAM3000000000005"
    assert str(one.system_title) == "4F414D0000000005"
    keys = one.keys
    assert len({keys.master, keys.guek, keys.gak, keys.gbek}) == 4
    assert len(keys.lls) == 8
    assert keys.lls.isdigit()


def test_octets_of_a_seed_do_not_repeat() -> None:
    octets = seeded("x")
    assert len({octets(16) for _ in range(50)}) == 50


@pytest.mark.parametrize(
    ("number", "settings"), [(-1, {}), (10**8, {}), (1, {"phases": 2}), (1, {"flag": "AB"})]
)
def test_a_meter_that_cannot_be_is_refused(number: int, settings: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        generate_identity(number, seeded("x"), **settings)  # type: ignore[arg-type]  # any of its options


def test_keys_that_cannot_be_are_refused() -> None:
    with pytest.raises(ValueError, match="16 octets"):
        MeterKeys(bytes(15), bytes(16), bytes(16), bytes(16), b"1")


def test_no_key_is_shown() -> None:
    identity = generate_identity(5, seeded("a"))
    shown = repr(identity) + repr(MeterConfig(identity)) + repr(identity.shipped())
    for name in MeterKeys.__slots__:
        key = getattr(identity.keys, name)
        assert key.hex() not in shown
        assert repr(key) not in shown


def test_the_meters_file_is_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "new" / "meter.json"
    identity = generate_identity(5, seeded("a"))
    save_identity(path, identity)
    save_identity(path, identity)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [file.name for file in path.parent.iterdir()] == ["meter.json"]
    assert load_identity(path) == identity
    path.chmod(0o644)
    with pytest.raises(ConfigError, match="others can read"):
        load_identity(path)


@pytest.mark.parametrize("octets", [b"{", b"[]", b"{}", b'{"format": "openami-meter-1"}'])
def test_what_is_no_meters_file_is_refused(tmp_path: Path, octets: bytes) -> None:
    write_secret(tmp_path / "x", octets)
    with pytest.raises(ConfigError, match="no meter's file"):
        load_identity(tmp_path / "x")


def test_a_file_of_another_format_is_refused(tmp_path: Path) -> None:
    data = {**generate_identity(5, seeded("a")).shipped().data(), "format": "openami-meter-2"}
    write_secret(tmp_path / "x", json.dumps(data).encode())
    with pytest.raises(ConfigError, match="format"):
        load_identity(tmp_path / "x")


def test_files_that_cannot_be_say_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        read_secret(tmp_path / "none")
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(ConfigError, match="cannot be written"):
        write_secret(tmp_path / "file" / "x", b"")


def test_a_shipment_holds_all_meters(tmp_path: Path) -> None:
    meters = [generate_identity(n, seeded(str(n)), phases=1 + n % 2 * 2) for n in range(5)]
    save_shipment(tmp_path / "shipment.json", meters, 1_774_742_400)
    assert stat.S_IMODE((tmp_path / "shipment.json").stat().st_mode) == 0o600
    assert list(load_shipment(tmp_path / "shipment.json")) == meters
    shipment = Shipment.decode((tmp_path / "shipment.json").read_bytes())
    assert [meter.serial for meter in shipment.meters] == [meter.serial for meter in meters]


@pytest.mark.parametrize("missing", ["address", "key", "name"])
def test_an_entry_that_makes_no_meter_is_refused(missing: str) -> None:
    shipped = generate_identity(5, seeded("a")).shipped()
    data = shipped.data()
    if missing == "address":
        data["address"] = None
    elif missing == "name":
        data["logical_device_name"] = "short"
    else:
        del data["keys"]["master"]
    with pytest.raises(ConfigError, match="OAM00000005"):
        MeterIdentity.of(type(shipped).of(data))


def test_a_new_meter_keeps_its_identity(tmp_path: Path) -> None:
    made = ensure_identity(tmp_path, number=12, phases=3, address=100)
    assert ensure_identity(tmp_path, number=99) == made
    assert (made.serial, made.phases, made.address) == ("OAM00000012", 3, 100)
    assert ensure_identity(tmp_path / "other").serial.startswith("OAM")


def test_a_meter_gets_what_c1222_wants_when_it_is_asked_for(tmp_path: Path) -> None:
    plain = ensure_identity(tmp_path, number=8437)
    assert plain.c1222 is None
    made = ensure_identity(tmp_path, c1222=True)
    assert made.c1222 is not None
    assert (made.c1222.title, made.c1222.user) == (".123.1.8437", 2)
    assert len(made.c1222.password) == 20
    assert [len(key) for key in made.c1222.keys.values()] == [16]
    assert (made.keys, made.serial) == (plain.keys, plain.serial)
    assert ensure_identity(tmp_path, c1222=True) == ensure_identity(tmp_path) == made
    assert ensure_identity(tmp_path / "new", c1222=True).c1222 is not None
    shown = repr(made) + repr(MeterConfig(made))
    assert made.c1222.password not in shown
    assert repr(made.c1222.keys[2]) not in shown


def test_zones_go_by_name_or_offset() -> None:
    assert zone_of("Europe/Berlin") == ZONES["Europe/Berlin"]
    assert zone_of("UTC+05:30") == Zone(330)
    assert zone_of("UTC-03:00") == Zone(-180)
    for name in ("Mars/Base", "UTC+5", "UTC+99:00", "UTC+00:07", ""):
        with pytest.raises(ConfigError, match="no time zone"):
            zone_of(name)


def test_a_meter_of_before_grids_were_written_is_made_for_230_volts(tmp_path: Path) -> None:
    path = tmp_path / "meter.json"
    save_identity(path, generate_identity(5, seeded("a"), grid=grid_of("220/60")))
    assert str(load_identity(path).grid) == "220/60"
    data = json.loads(path.read_text())
    path.write_text(json.dumps({**data, "grid": "90/60"}))
    with pytest.raises(ConfigError, match="is not a grid"):
        load_identity(path)
    del data["grid"]
    path.write_text(json.dumps(data))
    assert str(load_identity(path).grid) == "230/50"


def test_a_grid_is_volts_and_hertz() -> None:
    assert grid_of("230/50") == MeterConfig(generate_identity(5, seeded("a"))).engine().grid
    assert grid_of("220/60") == (220_000, 6000)
    for text in ("220", "220/61", "400/50", "99/50", "220/60 ", "-220/60", "220/0", "²²0/60", ""):
        with pytest.raises(ConfigError, match="is not a grid"):
            grid_of(text)


def test_settings_that_cannot_measure_are_refused() -> None:
    identity = generate_identity(5, seeded("a"))
    with pytest.raises(ConfigError, match="period"):
        MeterConfig(identity, period=7).engine()
    assert MeterConfig(identity, drift_ppm=12.5).engine().drift_ppb == 12_500
