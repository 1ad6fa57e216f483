"""What things cost is what our client and a meter's server really exchange."""

from __future__ import annotations

import math
from typing import Any

import pytest
from tests.support.dlms_meter import CONFIGS, Pair, make_meter
from tests.support.memory_image import image_in_memory

from openami.dcu.upgrade import class18
from openami.dcu.upgrade.sizes import TURN_S, Framing, costs
from openami.dlms import data as d
from openami.dlms.client import GetAttribute, Item
from openami.dlms.hdlc import HdlcAddress, HdlcClientLink, HdlcParameters, HdlcServerLink
from openami.dlms.results import DataAccessResult
from openami.fleet.upgrade import Bits, Busy, Info, Looked, Refused

IMAGE = 256 << 10
OK = DataAccessResult.SUCCESS


class _Framed(Pair):
    """Client and server with frames of a size and a window."""

    def __init__(self, framing: Framing, block_size: int) -> None:
        self.framing = framing
        meter = make_meter(rows=0, max_pdu=0, extra=(image_in_memory(block_size=block_size),))
        super().__init__(meter, *CONFIGS["hls-both"])

    def _links(self, sap: int) -> tuple[Any, Any]:
        info, window = self.framing.info, self.framing.window
        limits = HdlcParameters(info, info, window, window)
        server = HdlcAddress(1, 17, self.framing.address)
        return HdlcClientLink(sap, server, limits), HdlcServerLink(17, (1,), limits)

    def octets(self, request: Any) -> int:
        self.passed.clear()
        self.answer(request)
        return sum(len(octets) for _, octets in self.passed)


@pytest.mark.parametrize(
    ("framing", "block_size"),
    [
        (Framing(2030), 1024),
        (Framing(512), 1024),
        (Framing(512, 3), 1024),
        (Framing(128, 3, 2), 1024),
        (Framing(128), 100),
        (Framing(2030, 1, 2), 4096),
    ],
)
def test_octets_are_those_of_the_frames(framing: Framing, block_size: int) -> None:
    pair = _Framed(framing, block_size)
    pair.open()
    pair.answer(class18.initiate(b"new", IMAGE))
    found = costs(framing, block_size)
    assert pair.octets(class18.block(0, bytes(block_size))) == found.unicast
    assert pair.octets(GetAttribute(class18.BITMAP)) == found.ask
    assert found.open == 0


def test_a_broadcast_is_one_frame_or_none() -> None:
    assert costs(Framing(128), 1024).broadcast == 1095
    assert costs(Framing(128, address=2), 1024).broadcast == 1093
    assert math.isinf(costs(Framing(2030), 2048).broadcast)


def test_turning_the_line_round_takes_time() -> None:
    quick, slow = costs(Framing(2030), 1024), costs(Framing(2030, octet_rate=1000), 1024)
    assert slow.ask == quick.ask + 2 * TURN_S * 1000
    cut = costs(Framing(512, octet_rate=1000), 1024)  # each of the first two is acknowledged
    assert cut.unicast == costs(Framing(512), 1024).unicast + 6 * TURN_S * 1000
    assert slow.broadcast == quick.broadcast


# What answers mean.


def item(data: d.Data) -> Item:
    return Item(OK, data.encode())


def answers(**changes: Item) -> list[Item]:
    infos = d.array(d.structure(d.u32(9), d.octets(b"new"), d.octets(b"")))
    found = {
        "version": item(d.octets(b"v1")),
        "size": item(d.u32(100)),
        "status": item(d.enum(3)),
        "bits": item(d.bits("101")),
        "gap": item(d.u32(1)),
        "enabled": item(d.boolean(value=True)),
        "infos": item(infos),
        "refusal": item(d.octets(b"firmware.hash")),
        "trial": item(d.u8(2)),
        "heard": item(d.u32(7)),
    }
    return list((found | changes).values())


NONE = Item(DataAccessResult.OBJECT_UNDEFINED)
NO_DATA = Item(OK, b"\xff\xff")


def test_everything_that_a_meter_says() -> None:
    assert class18.looked(answers()) == Looked(
        "v1", 100, 3, Bits(b"\xa0", 3), 1, True, (Info(9, b"new"),), "firmware.hash", True
    )


@pytest.mark.parametrize("nothing", [NONE, NO_DATA, Item(OK)], ids=["refused", "broken", "empty"])
def test_what_it_does_not_say(nothing: Item) -> None:
    names = ("version", "bits", "gap", "enabled", "infos", "refusal", "trial", "heard")
    assert class18.looked(answers(**dict.fromkeys(names, nothing))) == Looked("", 100, 3)


@pytest.mark.parametrize(
    "infos",
    [d.u8(1), d.array(d.u8(1)), d.array(d.structure(d.u32(1))),
     d.array(d.structure(d.octets(b""), d.u8(0)))],
)  # fmt: skip
def test_lists_that_are_none(infos: d.Data) -> None:
    found = class18.looked(answers(infos=item(infos)))
    assert isinstance(found, Looked)
    assert found.infos == ()


def test_without_a_block_size_or_a_status_there_is_nothing_to_do() -> None:
    later = Item(DataAccessResult.TEMPORARY_FAILURE)
    for name in ("size", "status"):
        assert class18.looked(answers(**{name: later})) == Busy()
        refused = class18.looked(answers(**{name: NONE}))
        assert isinstance(refused, Refused)
        assert "object-undefined" in refused.why
        assert isinstance(class18.looked(answers(**{name: NO_DATA})), Refused)


@pytest.mark.parametrize(("value", "enabled"), [(d.boolean(value=False), False), (d.u8(0), False),
                                                (d.u8(1), True), (d.octets(b""), True)])  # fmt: skip
def test_enabled_as_makers_write_it(value: d.Data, enabled: bool) -> None:
    found = class18.looked(answers(enabled=item(value)))
    assert isinstance(found, Looked)
    assert found.enabled is enabled


def test_bitmaps_as_makers_write_them() -> None:
    assert class18.bitmap(item(d.bits("1"))) == Bits(b"\x80", 1)
    assert class18.bitmap(item(d.octets(b"\x01"))) == Bits(b"\x01", 8)
    assert isinstance(class18.bitmap(item(d.u8(1))), Refused)
    assert isinstance(class18.bitmap(NONE), Refused)
    assert class18.bitmap(Item(DataAccessResult.TEMPORARY_FAILURE)) == Busy()
