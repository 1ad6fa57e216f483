"""A profile of another maker's meter, as ``openami read --profile`` gets it."""

from __future__ import annotations

import pytest
from tests.support.dcu_other import OtherLine
from tests.support.dlms_meter import NOON, PROFILE, config_of, make_meter

from openami.cli.profile import Wanted, read_profile
from openami.core.errors import DecodeError
from openami.dlms import data as d
from openami.transport.session import open_session
from openami.transport.url import MeterUrl

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
