from __future__ import annotations

import pytest

from openami.core.errors import ConfigError
from openami.transport.url import Carrier, LinkKind, MeterUrl, SerialMode

HDLC, WRAPPER = LinkKind.HDLC, LinkKind.WRAPPER
TCP, UDP, SERIAL = Carrier.TCP, Carrier.UDP, Carrier.SERIAL

CASES = {
    "dlms+tcp://meter": MeterUrl(WRAPPER, TCP, "meter", 4059),
    "dlms+tcp://10.0.0.1:4060?client=1&server=2": MeterUrl(
        WRAPPER, TCP, "10.0.0.1", 4060, client=1, server=2
    ),
    "dlms+udp://[::1]:4059?client=0x10": MeterUrl(WRAPPER, UDP, "::1", 4059),
    "hdlc+tcp://host:7000?server=1:17&address_size=4": MeterUrl(
        HDLC, TCP, "host", 7000, server=1, station=17, address_size=4
    ),
    "hdlc+tcp://host:7000?server=1:17": MeterUrl(
        HDLC, TCP, "host", 7000, server=1, station=17, address_size=2
    ),
    "hdlc+tcp://host?server=1:0x3FFD&client=1": MeterUrl(
        HDLC, TCP, "host", client=1, server=1, station=0x3FFD, address_size=4
    ),
    "hdlc+serial:/dev/ttyUSB0": MeterUrl(HDLC, SERIAL, device="/dev/ttyUSB0"),
    "hdlc+serial:/dev/ttyUSB0?baud=300&frame=7e1&server=0x90:17": MeterUrl(
        HDLC,
        SERIAL,
        device="/dev/ttyUSB0",
        mode=SerialMode(300, 7, "E", 1),
        server=0x90,
        station=17,
        address_size=4,
    ),
}

WRONG = [
    "",
    "meter",
    "http://meter",
    "dlms://meter",
    "dlms+serial:/dev/ttyS0",
    "hdlc+udp://meter",
    "dlms+carrier-pigeon://meter",
    "dlms+tcp://",
    "dlms+tcp:/meter",
    "dlms+tcp://meter:99999",
    "dlms+tcp://meter:port",
    "dlms+tcp://meter/path",
    "dlms+tcp://meter#part",
    "dlms+tcp://[::1",
    "dlms+tcp://meter?client",
    "dlms+tcp://meter?client=",
    "dlms+tcp://meter?client=x",
    "dlms+tcp://meter?client=0",
    "dlms+tcp://meter?client=65536",
    "dlms+tcp://meter?client=1&client=2",
    "dlms+tcp://meter?password=1",
    "dlms+tcp://meter?address_size=1",
    "hdlc+tcp://meter?client=128",
    "hdlc+tcp://meter?server=1:",
    "hdlc+tcp://meter?server=16384",
    "hdlc+tcp://meter?server=128",
    "hdlc+tcp://meter?address_size=3",
    "hdlc+tcp://meter?address_size=4",
    "hdlc+tcp://meter?server=1:128&address_size=2",
    "hdlc+tcp://meter?server=1:17&address_size=1",
    "hdlc+serial:",
    "hdlc+serial://dev/ttyUSB0",
    "hdlc+serial:/dev/ttyUSB0?frame=9N1",
    "hdlc+serial:/dev/ttyUSB0?baud=1",
]


@pytest.mark.parametrize("text", CASES)
def test_urls_both_ways(text: str) -> None:
    url = CASES[text]
    assert MeterUrl.parse(text) == url
    assert MeterUrl.parse(str(url)) == url


@pytest.mark.parametrize("text", WRONG)
def test_what_names_no_meter(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        MeterUrl.parse(text)
    assert caught.value.code == "config.url"
    assert caught.value.hint is not None


def test_a_password_in_a_url_is_refused_and_not_repeated() -> None:
    with pytest.raises(ConfigError) as caught:
        MeterUrl.parse("dlms+tcp://user:secret@meter")
    assert "secret" not in str(caught.value)
    assert caught.value.__cause__ is not None
    assert "secret" not in str(caught.value.__cause__)
