"""gurux-dlms as client reads our meter in every way that the standard knows, and sets its clock."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pytest
from tests.interop.conftest import HOURS, MANAGEMENT, PUBLIC, READER, START, serving

from openami.metrology.energy import Channel

if TYPE_CHECKING:
    from tests.interop.conftest import Served

pytestmark = pytest.mark.peer

CLOCK: Final = "0.0.1.0.0.255"
ENERGY: Final = "1.0.1.8.0.255"
PROFILE: Final = "1.0.99.1.0.255"
MESSAGE: Final = "0.0.96.13.0.255"

DAYLIGHT_SAVING: Final = 8

LINKS: Final = ("wrapper", "hdlc")
CIPHERED: Final = ("authenticated", "encrypted", "both")
WAYS: Final = [
    pytest.param(link, client, security, id=f"{link}-{name}-{security}")
    for link in LINKS
    for client, name, securities in (
        (PUBLIC, "lowest", ("none",)),
        (READER, "lls", ("none", *CIPHERED)),
        (MANAGEMENT, "hls5", ("none", *CIPHERED)),
    )
    for security in securities
]


def row(interval: int) -> list[Any]:
    """Return the load profile's row number ``interval`` (from 1), as the peer gives it.

    Summer time begins an hour after ``START``; 62.5 varh an interval add up without loss.
    """
    status = DAYLIGHT_SAVING if interval >= 4 else 0
    reactive = 62.5 * interval // 1 - 62.5 * (interval - 1) // 1
    return [{"time": START + 900 * interval}, status, 250, 0, reactive, 0]


@pytest.mark.parametrize(("link", "client", "security"), WAYS)
async def test_reads_everything(served: Served, link: str, client: int, security: str) -> None:
    """Registers, clock, object list, and a load profile by range, by entry and whole."""
    first, last = START + 900 * 10, START + 900 * 20
    results = await served.talk(
        link,
        client,
        ["read", 3, ENERGY, 2],
        ["read", 3, ENERGY, 3],
        ["read", 8, CLOCK, 2],
        ["read", 7, PROFILE, 7],
        ["objects"],
        ["columns", PROFILE],
        ["range", PROFILE, first, last],
        ["entries", PROFILE, 3, 5],
        ["read", 7, "0.0.98.1.0.255", 7],
        ["read", 3, "1.0.99.99.99.255", 2],
        security=security,
    )
    energy, unit, clock, count, objects, columns, by_range, by_entry, billing, none = results
    assert energy == served.meter.engine.state.energy.whole(Channel.IMPORT) == 1000 * HOURS
    assert unit == [1, 30]
    assert clock == {"time": START + 3600 * HOURS}
    assert count == 4 * HOURS
    assert billing == 0
    assert "error" in none
    assert len(objects) >= (108 if client != PUBLIC else 20)
    assert [3, ENERGY, 0] in objects
    assert columns[0] == [8, CLOCK, 2, 0]
    assert [3, "1.0.1.29.0.255", 2, 0] in columns
    assert len({str(entry[:2]) for entry in objects}) == len(objects)
    assert by_range == [row(interval) for interval in range(10, 21)]
    assert by_entry == [row(interval) for interval in range(3, 8)]
    assert all(len(entry) == len(columns) for entry in by_range)


@pytest.mark.parametrize("link", LINKS)
@pytest.mark.parametrize("security", ["none", *CIPHERED])
async def test_sets_the_clock(served: Served, link: str, security: str) -> None:
    wanted = START + 3600 * HOURS + 30
    results = await served.talk(
        link, MANAGEMENT, ["set_clock", CLOCK, wanted], ["read", 8, CLOCK, 2], security=security
    )
    assert results == [None, {"time": wanted}]
    assert served.meter.engine.seconds == wanted


@pytest.mark.parametrize("link", LINKS)
async def test_a_dedicated_key(served: Served, link: str) -> None:
    results = await served.talk(
        link,
        MANAGEMENT,
        ["read", 3, ENERGY, 2],
        ["range", PROFILE, START, START + 86_400],
        security="both",
        dedicated=bytes(range(16)).hex(),
    )
    assert results[0] == 1000 * HOURS
    assert len(results[1]) == 96


@pytest.mark.parametrize("octets", [64, 128, 1024])
async def test_long_answers_in_blocks(served: Served, octets: int) -> None:
    results = await served.talk(
        "wrapper", READER, ["entries", PROFILE, 1, 4 * HOURS], ["objects"], max_pdu=octets
    )
    assert results[0] == [row(interval) for interval in range(1, 4 * HOURS + 1)]
    assert len(results[1]) >= 108


@pytest.mark.parametrize("octets", [128, 512, 2030])
async def test_long_answers_in_segments(served: Served, octets: int) -> None:
    results = await served.talk(
        "hdlc", READER, ["entries", PROFILE, 1, 4 * HOURS], ["objects"], max_info=octets
    )
    assert results[0] == [row(interval) for interval in range(1, 4 * HOURS + 1)]
    assert len(results[1]) >= 108


@pytest.mark.parametrize("link", LINKS)
async def test_long_requests_in_blocks(link: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A meter that takes few octets at once gets a value and a method's parameter in blocks.

    In the clear: ciphered, the peer's blocks are longer than what was negotiated.
    """
    monkeypatch.setattr("openami.meter.objects.clients.MAX_APDU", 80)
    text = bytes(range(32, 132))
    keys = [bytes([number] * 16) for number in (1, 2, 3)]
    async with serving(plain_management=True) as meter:
        master = meter.meter.config.identity.keys.master
        results = await meter.talk(
            link,
            MANAGEMENT,
            ["write", MESSAGE, text.hex()],
            ["read", 1, MESSAGE, 2],
            ["transfer_keys", "0.0.43.0.0.255", master.hex(), *(key.hex() for key in keys)],
        )
        assert results[0] > 1
        assert results[1] == text.hex()
        assert results[2] > 1
        renewed = {"guek": keys[0].hex(), "gak": keys[2].hex(), "security": "both"}
        assert await meter.talk(link, MANAGEMENT, ["read", 1, MESSAGE, 2], **renewed) == [
            text.hex()
        ]


@pytest.mark.parametrize("octets", [128, 2030])
async def test_long_requests_in_segments(served: Served, octets: int) -> None:
    text = bytes(range(32, 187))
    results = await served.talk(
        "hdlc",
        MANAGEMENT,
        ["write", MESSAGE, text.hex()],
        ["read", 1, MESSAGE, 2],
        max_info=octets,
        security="both",
    )
    assert results == [2 if octets == 128 else 1, text.hex()]


@pytest.mark.parametrize("size", [1, 2, 4])
async def test_every_form_of_address(served: Served, size: int) -> None:
    station = served.meter.station
    address = {1: 1, 2: (1 << 7) + station, 4: (1 << 14) + station}[size]
    results = await served.talk(
        "hdlc", READER, ["read", 3, ENERGY, 2], server=address, address_size=size
    )
    assert results == [1000 * HOURS]


async def test_datagrams(served: Served) -> None:
    results = await served.talk(
        "wrapper", READER, ["read", 3, ENERGY, 2], ["entries", PROFILE, 1, 40], datagrams=True
    )
    assert results == [1000 * HOURS, [row(interval) for interval in range(1, 41)]]


async def test_a_wrong_password_and_a_wrong_key(served: Served) -> None:
    for client, wrong in (
        (READER, {"password": "wrong"}),
        (MANAGEMENT, {"guek": bytes(16).hex(), "security": "both"}),
    ):
        answer = await served.try_to_talk("wrapper", client, ["read", 3, ENERGY, 2], **wrong)
        assert "error" in answer
        assert answer["results"] == []


async def test_who_may_not_write_does_not() -> None:
    async with serving() as meter:
        for client in (PUBLIC, READER):
            answer = await meter.talk("wrapper", client, ["set_clock", CLOCK, START])
            assert "error" in answer[0]
        meter.meter.refresh()
        assert meter.meter.engine.seconds == START + 3600 * HOURS
        answer = await meter.talk("wrapper", PUBLIC, ["read", 3, ENERGY, 2], ["read", 8, CLOCK, 2])
        assert "error" in answer[0]
        assert answer[1] == {"time": START + 3600 * HOURS}
