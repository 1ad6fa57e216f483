"""Flash: its rules, its layout, the slots with MCUboot's trailer, the security counter."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.cut_flash import CutFlash
from tests.support.firmware import (
    HARDWARE,
    imgtool_signed,
    make_image,
    private_pem,
    target,
)

from openami.core.errors import ConfigError, LocalProtocolError, StoreError
from openami.firmware.boot import boot
from openami.firmware.counter import SecurityCounter
from openami.firmware.flash import Area, Geometry, Layout, RamFlash
from openami.firmware.slot import Slot, SlotState

if TYPE_CHECKING:
    from pathlib import Path

GEOMETRY: Final = Geometry(size=4096, erase_block=256, write_unit=8)
SIGNED: Final = ("--version", "1.0.0", "--security-counter", 1, "--header-size", 32)


def whole(geometry: Geometry = GEOMETRY) -> Area:
    return Area(RamFlash(geometry), 0, geometry.size)


@pytest.mark.parametrize(
    "geometry",
    [
        (4096, 256, 3),
        (4096, 256, 64),
        (4096, 40, 8),
        (4096, 250, 8),
        (4096, 128, 32),
        (0, 256, 8),
        (4000, 256, 8),
        ((256 << 20) + 256, 256, 8),
    ],
)
def test_flash_that_no_meter_has(geometry: tuple[int, int, int]) -> None:
    with pytest.raises(ConfigError):
        Geometry(*geometry)


def test_an_area_keeps_to_its_rules() -> None:
    area = Area(RamFlash(GEOMETRY), 256, 512)
    area.write(8, b"written." * 2)
    assert area.flash.read(256 + 8, 8) == b"written."
    before = area.flash.read(0, GEOMETRY.size)
    for offset, data in ((-8, bytes(8)), (508, bytes(8)), (512, bytes(8)), (4, bytes(8))):
        with pytest.raises(LocalProtocolError):
            area.write(offset, data)
    with pytest.raises(LocalProtocolError):
        area.write(0, bytes(4))
    with pytest.raises(LocalProtocolError):
        area.write(16, b"\xff" * 7 + b"\x00")
    for offset in (-256, 8, 512):
        with pytest.raises(LocalProtocolError):
            area.erase(offset)
    for offset, size in ((-1, 1), (0, -1), (0, 513), (513, 0)):
        with pytest.raises(LocalProtocolError):
            area.read(offset, size)
    assert area.flash.read(0, GEOMETRY.size) == before
    area.erase(0)
    assert area.is_erased(0, 512)


def test_a_layout_uses_each_octet_once() -> None:
    layout = Layout.over(RamFlash(GEOMETRY), slot_size=1024, transfer_size=1280)
    areas = (*layout.slots, layout.transfer, layout.counter)
    assert [(area.start, area.size) for area in areas] == [
        (0, 1024),
        (1024, 1024),
        (2048, 1280),
        (3328, 512),
    ]


@pytest.mark.parametrize(
    ("slot", "transfer"),
    [(256, 256), (1000, 256), (1024, 0), (1024, 200), (1536, 1024), (-256, 256)],
)
def test_a_layout_that_does_not_fit(slot: int, transfer: int) -> None:
    with pytest.raises(ConfigError):
        Layout.over(RamFlash(GEOMETRY), slot_size=slot, transfer_size=transfer)


@pytest.mark.parametrize("unit", [1, 8, 16, 32])
@pytest.mark.parametrize(
    ("options", "state"),
    [((), SlotState.PENDING), (("--confirm",), SlotState.CONFIRMED)],
    ids=["pending", "confirmed"],
)
def test_a_slot_that_imgtool_fills(
    unit: int, options: tuple[str, ...], state: SlotState, tmp_path: Path
) -> None:
    """Its trailer is read, and ours is the same, octet for octet."""
    area = whole(Geometry(4096, 512, unit))
    key = ("--key", private_pem(tmp_path), "--custom-tlv", "0x00a0", HARDWARE)
    place = ("--align", unit, "--max-align", max(unit, 8), "--max-sectors", 8)
    filled = imgtool_signed(
        tmp_path, b"payload", *key, *SIGNED, *place, "--pad", *options, "--slot-size", area.size
    )
    Slot(area).discard()
    area.write(0, filled)
    slot = Slot(area)
    assert slot.state() is state
    ours = Slot(whole(area.flash.geometry))
    ours.provision(filled[: slot.image().size])
    assert ours.state() is SlotState.CONFIRMED
    if state is SlotState.CONFIRMED:
        assert ours.area.read(0, area.size) == filled


def test_what_a_trailer_says() -> None:
    slot = Slot(whole())
    assert slot.state() is SlotState.EMPTY
    slot.set_pending()
    assert slot.state() is SlotState.PENDING
    slot.set_tried()
    assert slot.state() is SlotState.TRIED
    slot.set_confirmed()
    slot.set_confirmed()
    assert slot.state() is SlotState.CONFIRMED
    with pytest.raises(LocalProtocolError):
        slot.set_tried()
    assert slot.version() is None
    slot.erase_trailer()
    assert slot.state() is SlotState.EMPTY


def test_a_torn_flag_is_never_taken_for_a_set_one() -> None:
    """MCUboot counts only the value 1; a confirmation that was torn cannot be written again."""
    flash = CutFlash(GEOMETRY, bytearray(b"\xff" * GEOMETRY.size))
    slot = Slot(Area(flash, 0, GEOMETRY.size))
    slot.set_pending()
    slot.set_confirmed()
    torn = flash.operations[-1].cuts[:-1]
    for cut in torn:
        again = Slot(Area(RamFlash(GEOMETRY, bytearray(cut)), 0, GEOMETRY.size))
        assert again.state() is SlotState.TRIED
        with pytest.raises(StoreError) as caught:
            again.set_confirmed()
        assert caught.value.code == "firmware.trailer"


def test_an_image_too_long_for_its_slot_is_not_provisioned() -> None:
    slot = Slot(whole())
    with pytest.raises(LocalProtocolError):
        slot.provision(make_image("1.0.0", payload=bytes(slot.capacity)))


def test_an_image_as_long_as_its_slot_boots() -> None:
    layout = Layout.over(RamFlash(GEOMETRY), slot_size=1024, transfer_size=1280)
    slot = Slot(layout.slots[0])
    room = slot.capacity - len(make_image("1.0.0", payload=b"x")) + 1
    # A signature's length varies by an octet or two.
    made = (make_image("1.0.0", payload=bytes([fill]) * room) for fill in range(256))
    image = next(image for image in made if len(image) == slot.capacity)
    slot.provision(image)
    assert boot(layout, target()).digest == slot.image().digest
    assert slot.image().size == slot.capacity


@pytest.mark.parametrize("unit", [1, 8, 32])
def test_the_counter_never_falls(unit: int) -> None:
    """Also over many rounds of both blocks, with each entry torn on the way."""
    geometry = Geometry(384, 192, unit)
    data = b"\xff" * geometry.size
    highest = 0
    for value in (1, 2, 7, *range(8, 80), 0xFFFF_FFFF):
        flash = CutFlash(geometry, bytearray(data))
        SecurityCounter(Area(flash, 0, geometry.size)).raise_to(value)
        for cut in (cut for operation in flash.operations for cut in operation.cuts):
            again = SecurityCounter(Area(RamFlash(geometry, bytearray(cut)), 0, geometry.size))
            assert again.value() in {highest, value}
            again.raise_to(value)
            assert again.value() == value
        data, highest = flash.operations[0].cuts[0], value  # torn, and then made good
        counter = SecurityCounter(Area(RamFlash(geometry, bytearray(data)), 0, geometry.size))
        counter.raise_to(value)
        data = counter.area.read(0, geometry.size)


def test_a_counter_that_is_not_higher_writes_nothing() -> None:
    counter = SecurityCounter(whole(Geometry(512, 256, 8)))
    assert counter.value() == 0
    counter.raise_to(0)
    assert counter.area.is_erased(0, 512)
    counter.raise_to(5)
    before = counter.area.read(0, 512)
    for lower in (0, 4, 5):
        counter.raise_to(lower)
    assert counter.area.read(0, 512) == before


@given(st.lists(st.integers(0, 0xFFFF_FFFF), max_size=60))
def test_the_counter_is_the_highest_value(values: list[int]) -> None:
    counter = SecurityCounter(whole(Geometry(384, 192, 8)))
    for place, value in enumerate(values):
        counter.raise_to(value)
        assert counter.value() == max(values[: place + 1])
