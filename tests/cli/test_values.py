"""COSEM values as the command line prints them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pytest

from openami.cli.values import plain
from openami.dlms import data as d
from openami.dlms.datetime import CosemDateTime

if TYPE_CHECKING:
    from openami.dlms.data import Data

NOON = CosemDateTime.from_utc(1_720_000_800)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (d.octets(b"OAM00001"), "OAM00001"),
        (d.octets(b"\x01\xff"), "01FF"),
        (d.f32(math.nan), None),
        (d.f64(-math.inf), None),
        (d.f64(0.5), 0.5),
        (d.structure(d.u8(1), d.boolean(True), d.f64(math.inf)), [1, True, None]),
    ],
)
def test_a_value_is_one_that_json_has(data: Data, expected: Any) -> None:
    assert plain(data) == expected


def test_twelve_octets_are_a_time_only_where_one_is_meant() -> None:
    octets = d.octets(NOON.encode())
    assert plain(octets, moment=True) == str(NOON)
    assert plain(octets) == NOON.encode().hex().upper()
