from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openami.core.obis import Obis
from openami.dlms.obis_names import describe

CASES = {
    "1.0.1.8.0.255": "active import, energy",
    "1.0.81.7.4.255": "angle, now, I L1 to U L1",
    "1.0.81.7.2.255": "angle, now, U L3 to U L1",
    "1.0.81.7.99.255": "angle, now, number 99",
    "1.0.32.7.124.255": "voltage L1, now, distortion",
    "1.0.11.7.3.255": "current, now, harmonic 3",
    "1.0.1.8.2.255": "active import, energy, rate 2",
    "1.0.2.8.0.1": "active export, energy, billing period 1",
    "1.0.1.29.0.255": "active import, energy of the interval",
    "1.0.1.7.0.255": "active import power, now",
    "1.0.21.7.0.255": "active import L1 power, now",
    "1.0.32.7.0.255": "voltage L1, now",
    "1.0.52.32.0.255": "voltage L2, sags",
    "1.0.91.7.0.255": "current N, now",
    "1.0.14.7.0.255": "frequency, now",
    "0.0.1.0.0.255": "clock",
    "0.0.40.0.0.255": "association, current",
    "0.0.40.0.3.255": "association 3",
    "0.0.43.1.0.255": "invocation counter",
    "0.0.43.1.2.255": "invocation counter 2",
    "0.0.96.1.0.255": "serial number",
    "0.0.96.7.21.255": "power failures, any phase",
    "0.0.96.15.1.255": "event counter 1",
    "0.0.99.98.1.255": "event log: fraud",
    "1.0.0.8.4.255": "recording interval, load profile",
    "1.0.99.1.0.255": "load profile",
    "1.0.83.200.0.255": "",
    "1.0.95.7.0.255": "",
    "7.0.1.8.0.255": "",
    "0.0.200.0.0.255": "",
}


@pytest.mark.parametrize(("code", "name"), CASES.items(), ids=CASES)
def test_codes_have_their_meaning(code: str, name: str) -> None:
    assert describe(Obis.parse(code)) == name


@given(st.binary(min_size=6, max_size=6))
def test_every_code_is_described_or_empty(raw: bytes) -> None:
    text = describe(Obis(raw))
    assert text == text.strip()
    assert not text.endswith(",")
