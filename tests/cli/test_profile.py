"""A profile of another maker's meter, as ``openami read --profile`` gets it."""

from __future__ import annotations

import json
import math
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from tests.support.dcu_other import OtherLine, Rows, column, other_meter, profile, stamp
from tests.support.dlms_meter import NOON, PROFILE, config_of, make_meter

from openami.cli.output import emit_row
from openami.cli.profile import Wanted, read_profile
from openami.core.errors import DecodeError
from openami.core.obis import Obis
from openami.core.units import Unit
from openami.dlms import data as d
from openami.dlms.cosem import ProfileGeneric, Register
from openami.dlms.references import CaptureObject
from openami.transport.session import open_session
from openami.transport.url import MeterUrl

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tests.support.dlms_meter import Meter

    from openami.dlms.cosem.base import Attribute

WANTED = Wanted.of(str(PROFILE.obis), start=None, end=None, entries=None, deviation=None)


async def test_a_buffer_that_is_none_names_its_profile_and_meter() -> None:
    meter = make_meter(rows=4)
    client, config = config_of("lls")
    async with OtherLine(at17=meter) as line:
        url = MeterUrl.parse(
            f"hdlc+tcp://127.0.0.1:{line.port}?server=1:17&address_size=4&client={client}"
        )
        async with open_session(url, config) as session:
            assert len(await read_profile(session, WANTED)) == 4
            meter.profile.append(NOON + 900 * 5, [d.u8(1).encode()] * 7)
            with pytest.raises(DecodeError) as caught:
                await read_profile(session, WANTED)
    assert caught.value.code == "profile.columns"
    assert f"{line.port}: buffer of {PROFILE.obis}: 2 columns wanted" in str(caught.value)


async def rows_of(meter: Meter, wanted: Wanted) -> list[dict[str, Any]]:
    client, config = config_of("lls")
    async with OtherLine(at17=meter) as line:
        url = MeterUrl.parse(
            f"hdlc+tcp://127.0.0.1:{line.port}?server=1:17&address_size=4&client={client}"
        )
        async with open_session(url, config) as session:
            return await read_profile(session, wanted)


def other_profile(*columns: CaptureObject, cells: Sequence[Sequence[d.Data]]) -> ProfileGeneric:
    source = Rows()
    for number, row in enumerate(cells):
        time = NOON + 900 * number
        source.append(time, [stamp(time), *(cell.encode() for cell in row)])
    return profile(OWN, source, *columns)


OWN = "1.0.99.5.0.255"
POWER = "1.0.1.7.0.255"
CURRENT = "1.0.11.7.0.255"
OTHER = Wanted.of(OWN, start=None, end=None, entries=None, deviation=None)


async def test_every_cell_is_scaled_and_keeps_all_its_digits() -> None:
    made = other_profile(
        column(3, POWER),
        column(3, CURRENT),
        cells=[
            (d.null(), d.f64(12.5)),
            (d.u32(12345), d.f64(2.0)),
            (d.u64(90071992547409923), d.f64(math.nan)),
        ],
    )
    meter = other_meter(
        made,
        Register(POWER, lambda: 0, scaler=-1, unit=Unit.W),
        Register(CURRENT, lambda: 0, scaler=-3, unit=Unit.A),
    )
    found = await rows_of(meter, OTHER)
    assert [row[f"{POWER} [W]"] for row in found] == [
        None, Decimal("1234.5"), Decimal("9007199254740992.3"),
    ]  # fmt: skip
    assert [row[f"{CURRENT} [A]"] for row in found] == [Decimal("0.0125"), Decimal("0.0020"), None]


async def test_columns_of_one_attribute_stay_apart() -> None:
    first, second = (CaptureObject(7, Obis.parse("1.0.99.1.0.255"), 2, n) for n in (1, 2))
    made = other_profile(
        first, second, second, cells=[(d.u8(1), d.u8(2), d.u8(3)), (d.u8(4), d.u8(5), d.u8(6))]
    )
    found = await rows_of(other_meter(made), OTHER)
    names = ["1.0.99.1.0.255#1", "1.0.99.1.0.255#2", "1.0.99.1.0.255#2 (2)"]
    assert list(found[0]) == ["clock", *names]
    assert [[row[name] for name in names] for row in found] == [[1, 2, 3], [4, 5, 6]]


class Shy(ProfileGeneric):
    """A profile that does not tell its capture period."""

    def attributes(self) -> Mapping[int, Attribute]:
        return {index: a for index, a in super().attributes().items() if index != 4}


async def test_a_meter_may_keep_its_capture_period_to_itself() -> None:
    made = other_profile(column(3, POWER), cells=[(d.u8(1),), (d.u8(2),)])
    made.__class__ = Shy
    meter = other_meter(made, Register(POWER, lambda: 0, scaler=0, unit=Unit.W))
    assert [row[f"{POWER} [W]"] for row in await rows_of(meter, OTHER)] == [1, 2]


def test_a_row_of_json_keeps_all_digits(capsys: pytest.CaptureFixture[str]) -> None:
    emit_row({"clock": "2026", "a [W]": Decimal("9007199254740992.3"), "b": Decimal("5E+3")})
    line = capsys.readouterr().out
    assert line == '{"clock": "2026", "a [W]": 9007199254740992.3, "b": 5000}\n'
    assert json.loads(line)["b"] == 5000
