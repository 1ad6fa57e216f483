from __future__ import annotations

import json
from typing import Any

import pytest

from openami.core.errors import ConfigError
from openami.core.identifiers import SystemTitle
from openami.fleet.shipment import Shipment, ShippedC1222, ShippedMeter

SECRET = bytes(range(16))
C1222: dict[str, Any] = {
    "title": ".123.8437",
    "keys": {"2": SECRET.hex()},
    "user": 2,
    "password": "20 hex digits".replace(" ", "-"),
}


def shipped(number: int = 1) -> ShippedMeter:
    return ShippedMeter(
        serial=f"OAM{number:08}",
        system_title=SystemTitle.of("OAM", number),
        logical_device_name=f"OAM1{number:012}",
        model="OA1-100",
        firmware="openami-0.1.0",
        phases=1,
        address=16 + number,
        keys={"guek": SECRET, "gak": SECRET[::-1], "lls": b"12345678"},
    )


def changed(**fields: Any) -> bytes:
    data = json.loads(Shipment((shipped(),)).encode())
    data["meters"][0].update(fields)
    return json.dumps(data).encode()


def test_a_shipment_is_read_as_it_was_written() -> None:
    shipment = Shipment.made_at((shipped(1), shipped(2)), 1_774_742_400)
    assert shipment.made == "2026-03-29T00:00:00Z"
    assert Shipment.decode(shipment.encode()) == shipment


@pytest.mark.parametrize("grid", ["220", "220/60 ", "x/60", "2200/60", 220])
def test_a_grid_may_be_missing_but_not_be_wrong(grid: object) -> None:
    assert Shipment.decode(changed()).meters[0].grid is None
    assert Shipment.decode(changed(grid="220/60")).meters[0].grid == "220/60"
    assert Shipment.decode(changed(grid=None)).meters[0].grid is None
    with pytest.raises(ConfigError, match="meter 1 is incomplete or wrong"):
        Shipment.decode(changed(grid=grid))


def test_keys_are_not_shown() -> None:
    assert SECRET.hex() not in repr(Shipment((shipped(),))).lower()
    assert "guek" not in repr(shipped())


@pytest.mark.parametrize(
    "octets",
    [
        b"{",
        b"[]",
        b"[" * 100_000,
        b'{"format": "openami-shipment-1"}',
        b'{"format": "openami-shipment-1", "meters": [7]}',
        Shipment((shipped(), shipped())).encode(),
        changed(serial="a b"),
        changed(system_title="00"),
        changed(phases=2),
        changed(address=3),
        changed(address="17"),
        changed(model=7),
        changed(keys={"guek": "00" * 16}),
        changed(keys={"guek": "00" * 15, "gak": "00" * 16}),
        changed(keys={"guek": "00" * 16, "gak": "00" * 16, "x": ""}),
        changed(keys={"guek": "secret", "gak": "00" * 16}),
        changed(keys=[]),
    ],
)
def test_what_is_no_shipment_is_refused_without_showing_it(octets: bytes) -> None:
    with pytest.raises(ConfigError, match="not a shipment file") as caught:
        Shipment.decode(octets)
    assert caught.value.code == "request.shipment"
    assert "secret" not in str(caught.value)


def test_what_a_meter_speaks_c1222_with_is_optional() -> None:
    (meter,) = Shipment.decode(changed(c1222=C1222)).meters
    assert meter.c1222 == ShippedC1222(".123.8437", {2: SECRET}, 2, C1222["password"])
    assert Shipment.decode(Shipment((meter,)).encode()).meters == (meter,)
    assert meter.secrets() == {
        **meter.keys,
        "c1222.title": b".123.8437",
        "c1222.user": b"2",
        "c1222.2": SECRET,
        "c1222.password": C1222["password"].encode(),
    }
    shown = repr(meter)
    assert C1222["password"] not in shown
    assert repr(SECRET) not in shown
    assert Shipment.decode(changed(c1222=None)).meters == (shipped(),)


@pytest.mark.parametrize(
    "fields",
    [
        {"title": "123.x"},
        {"title": 8437},
        {"title": "." + "9" * 11},
        {"keys": {}},
        {"keys": {"256": SECRET.hex()}},
        {"keys": {"two": SECRET.hex()}},
        {"keys": {"2": SECRET.hex()[2:]}},
        {"keys": {str(n): SECRET.hex() for n in range(9)}},
        {"user": 65_536},
        {"password": ""},
        {"password": "a word with spaces"},
        {"password": "x" * 21},
    ],
)
def test_what_no_meter_speaks_c1222_with_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="meter 1 is incomplete or wrong"):
        Shipment.decode(changed(c1222={**C1222, **fields}))


def test_two_meters_of_one_ap_title_are_refused() -> None:
    data = json.loads(Shipment((shipped(1), shipped(2))).encode())
    for meter in data["meters"]:
        meter["c1222"] = C1222
    with pytest.raises(ConfigError, match="an ApTitle is there twice"):
        Shipment.decode(json.dumps(data).encode())


def test_two_meters_of_one_title_are_refused() -> None:
    data = json.loads(Shipment((shipped(1), shipped(2))).encode())
    data["meters"][1]["system_title"] = data["meters"][0]["system_title"]
    with pytest.raises(ConfigError, match="system_title is there twice"):
        Shipment.decode(json.dumps(data).encode())
