"""The boot code: which image runs, what it says, and what it leaves for the next boot."""

from __future__ import annotations

from typing import Final

import pytest
from tests.support.firmware import make_image, target

from openami.core.errors import SecurityError
from openami.firmware.boot import Booted, boot, confirm
from openami.firmware.counter import SecurityCounter
from openami.firmware.flash import Geometry, Layout, RamFlash
from openami.firmware.slot import Slot, SlotState

GEOMETRY: Final = Geometry(size=4096, erase_block=256, write_unit=8)


@pytest.fixture
def layout() -> Layout:
    return Layout.over(RamFlash(GEOMETRY), slot_size=1024, transfer_size=1280)


def put(layout: Layout, number: int, image: bytes, *, confirmed: bool = False) -> Slot:
    slot = Slot(layout.slots[number])
    slot.discard()
    slot.area.write(0, image.ljust(slot.area.units(len(image)), b"\xff"))
    slot.set_pending()
    if confirmed:
        slot.set_confirmed()
    return slot


def told(booted: Booted) -> list[tuple[str, int, str, str | None]]:
    return [(e.kind.value, e.slot, str(e.version), e.code) for e in booted.events]


def test_an_upgrade_is_tried_and_confirmed(layout: Layout) -> None:
    put(layout, 0, make_image("1.0.0", counter=3), confirmed=True)
    new = put(layout, 1, make_image("1.1.0", counter=4))
    booted = boot(layout, target())
    assert (booted.slot, booted.on_trial, booted.rescued) == (1, True, False)
    assert told(booted) == [("booted", 1, "1.1.0", None), ("trial-began", 1, "1.1.0", None)]
    assert new.state() is SlotState.TRIED
    counter = SecurityCounter(layout.counter)
    assert counter.value() == 0
    booted = confirm(layout, booted)
    assert told(booted) == [("confirmed", 1, "1.1.0", None)]
    assert (new.state(), counter.value()) == (SlotState.CONFIRMED, 4)
    assert confirm(layout, booted).events == ()
    assert told(boot(layout, target())) == [("booted", 1, "1.1.0", None)]


@pytest.mark.fums("UC7-before")
def test_an_upgrade_that_does_not_confirm_is_reverted_and_erased(layout: Layout) -> None:
    put(layout, 0, make_image("1.0.0", counter=3), confirmed=True)
    new = put(layout, 1, make_image("1.1.0", counter=4))
    boot(layout, target())
    booted = boot(layout, target())
    assert told(booted) == [
        ("booted", 0, "1.0.0", None),
        ("reverted", 1, "1.1.0", None),
        ("discarded", 1, "1.1.0", None),
    ]
    assert new.area.is_erased(0, new.area.size)
    assert SecurityCounter(layout.counter).value() == 3  # of the image that runs
    assert told(boot(layout, target())) == [("booted", 0, "1.0.0", None)]


@pytest.mark.parametrize(
    ("image", "code"),
    [
        (make_image("2.0.0", counter=2), "firmware.counter"),
        (make_image("2.0.0", counter=3, key="thief"), "firmware.key"),
        (make_image("2.0.0", counter=3, hardware=["OA-3P"]), "firmware.hardware"),
        (make_image("2.0.0", counter=3)[:-1], "firmware.signature"),
        (make_image("2.0.0", counter=3)[:100], "firmware.form"),
        (make_image("1.0.0", counter=9), "firmware.version"),
        (make_image("0.9.9", counter=9), "firmware.version"),
    ],
)
def test_what_is_refused_is_erased_and_the_old_image_runs(
    layout: Layout, image: bytes, code: str
) -> None:
    put(layout, 0, make_image("1.0.0", counter=3), confirmed=True)
    boot(layout, target())
    bad = put(layout, 1, image)
    booted = boot(layout, target())
    assert (booted.slot, booted.on_trial) == (0, False)
    assert ("refused", code) in [(e.kind.value, e.code) for e in booted.events]
    assert [e.kind.value for e in booted.events].count("refused") == 1
    assert bad.area.is_erased(0, bad.area.size)
    assert SecurityCounter(layout.counter).value() == 3


def test_a_transfer_in_the_other_slot_is_left_alone(layout: Layout) -> None:
    """It has no magic: so it is never booted, and never erased by the boot code."""
    put(layout, 0, make_image("1.0.0"), confirmed=True)
    slot = put(layout, 1, make_image("2.0.0"))
    slot.erase_trailer()
    assert told(boot(layout, target())) == [("booted", 0, "1.0.0", None)]
    assert slot.has_header()


def test_a_confirmed_image_that_rots_gives_way_to_the_other(layout: Layout) -> None:
    """Neither is erased: somebody has to see it."""
    put(layout, 0, make_image("1.0.0"), confirmed=True)
    rotten = make_image("2.0.0")
    new = put(layout, 1, rotten[:36] + b"?" + rotten[37:], confirmed=True)
    for _ in range(2):
        assert told(boot(layout, target())) == [
            ("refused", 1, "2.0.0", "firmware.hash"),
            ("booted", 0, "1.0.0", None),
        ]
    assert new.state() is SlotState.CONFIRMED


def test_a_lower_counter_never_runs_again(layout: Layout) -> None:
    """Not even when the newer image is gone: then the device waits for its maker."""
    put(layout, 0, make_image("1.0.0", counter=3), confirmed=True)
    new = put(layout, 1, make_image("2.0.0", counter=4))
    confirm(layout, boot(layout, target()))
    new.discard()
    with pytest.raises(SecurityError) as caught:
        boot(layout, target())
    assert caught.value.code == "firmware.none"
    assert "slot 0: firmware.counter" in caught.value.message


def test_a_cut_before_the_counter_rose_is_made_good(layout: Layout) -> None:
    put(layout, 0, make_image("1.0.0", counter=3), confirmed=True)
    assert SecurityCounter(layout.counter).value() == 0
    boot(layout, target())
    assert SecurityCounter(layout.counter).value() == 3


def test_an_empty_device_boots_nothing(layout: Layout) -> None:
    with pytest.raises(SecurityError) as caught:
        boot(layout, target())
    assert caught.value.code == "firmware.none"
    assert "both are empty" in caught.value.message


def test_the_last_resort_is_never_erased(layout: Layout) -> None:
    """A tried image stays as long as nothing else verifies, and may still confirm."""
    put(layout, 0, make_image("1.0.0")[:-9], confirmed=True)
    new = put(layout, 1, make_image("2.0.0"))
    assert not boot(layout, target()).rescued
    for _ in range(2):
        booted = boot(layout, target())
        assert (booted.slot, booted.on_trial, booted.rescued) == (1, True, True)
        assert told(booted)[-1] == ("rescued", 1, "2.0.0", None)
        assert told(booted)[0] == ("refused", 0, "1.0.0", "firmware.signature")
    assert new.state() is SlotState.TRIED
    assert not confirm(layout, booted).on_trial


def test_an_activation_that_was_torn_is_done_again(layout: Layout) -> None:
    put(layout, 0, make_image("1.0.0"), confirmed=True)
    new = put(layout, 1, make_image("2.0.0"))
    new.erase_trailer()
    new.area.write(new.area.size - 8, b"\x2c\xb6\x79\x80torn")
    assert boot(layout, target()).slot == 0
    new.set_pending()
    assert boot(layout, target()).slot == 1
