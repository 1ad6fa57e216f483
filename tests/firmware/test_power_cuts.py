"""The power goes at every operation of the flash, twice in a row, during everything.

A device, and the DCU that upgrades it, live until nothing more is to be done. Every cut of that
life is lived on from, and every cut of that one too. Whatever happens, the device boots an image
that verifies, ends on the right one, never lowers its security counter, and never writes a slot
that is in use.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import pytest
from tests.support.cut_flash import CutFlash
from tests.support.firmware import make_image, target

from openami.core.errors import DecodeError, SecurityError, StoreError, StoreFullError
from openami.firmware.boot import boot, confirm
from openami.firmware.counter import SecurityCounter
from openami.firmware.flash import Geometry, Layout, RamFlash
from openami.firmware.slot import Slot, SlotState
from openami.firmware.transfer import Transfer, TransferState
from openami.firmware.verify import verify
from openami.firmware.version import Version

if TYPE_CHECKING:
    from openami.firmware.boot import Booted

# A line is trodden a hundred thousand times here, and once in the other tests: enough to be seen.
pytestmark = pytest.mark.no_cover

WIDE: Final = Geometry(size=16 * 192, erase_block=192, write_unit=32)
BLOCK: Final = 96  # straddles the blocks of the flash
SLOT: Final = 3 * 192
TRANSFER: Final = 5 * 192
MOST_BOOTS: Final = 12
CUTS: Final = 2
OLD: Final = make_image("1.0.0", counter=1)
NEW: Final = make_image("2.0.0", counter=2)
NEWEST: Final = make_image("3.0.0", counter=3)
DOWNGRADE: Final = make_image("2.0.0", counter=0)
LATE: Final = make_image("0.9.0", counter=9)
FOREIGN: Final = make_image("2.0.0", counter=2, hardware=["OA-3P"])
STOLEN: Final = make_image("2.0.0", counter=2, key="thief")


def flipped(image: bytes, offset: int) -> bytes:
    return image[:offset] + bytes((image[offset] ^ 1,)) + image[offset + 1 :]


@dataclass(frozen=True)
class Story:
    """What a DCU wants of a device, how the image behaves, and what may come of it."""

    ends: tuple[str, ...]  # versions
    image: bytes = b""  # empty: nothing
    version: str = "2.0.0"
    passes: bool = True  # its self-test; otherwise it resets, or a watchdog does that
    withdraws: bool = False  # the DCU, whatever there is: it begins with another
    regrets: bool = False  # the DCU, once it has activated
    states: frozenset[TransferState] = frozenset({TransferState.ACTIVATION_SUCCESSFUL})


UPGRADED: Final = frozenset({TransferState.ACTIVATION_SUCCESSFUL})
REFUSED: Final = frozenset({TransferState.VERIFICATION_FAILED})
REVERTED: Final = frozenset({TransferState.ACTIVATION_FAILED})
GONE: Final = frozenset({TransferState.NOT_INITIATED})
BEGUN: Final = frozenset({TransferState.INITIATED})
OTHER: Final = b"other"  # the image for which one is withdrawn
UPGRADES: Final = {
    "good": Story(("2.0.0",), NEW),
    "fails its self-test": Story(("1.0.0",), NEW, passes=False, states=REVERTED),
    "its hash": Story(("1.0.0",), flipped(NEW, 36), states=REFUSED),
    "its signature": Story(("1.0.0",), flipped(NEW, len(NEW) - 1), states=REFUSED),
    "its counter": Story(("1.0.0",), DOWNGRADE, states=REFUSED),
    "no image": Story(("1.0.0",), b"\xff" * 200, states=REFUSED),
    "regretted": Story(("1.0.0", "2.0.0"), NEW, regrets=True, states=BEGUN | UPGRADED),
}

NOTHING: Final = Story(("1.0.0",), states=GONE)
WITHDRAWN: Final = Story(("1.0.0", "2.0.0"), NEWEST, withdraws=True, states=BEGUN)
NEXT: Final = Story(("3.0.0",), NEWEST, version="3.0.0")


def layout_over(flash: CutFlash | RamFlash) -> Layout:
    return Layout.over(flash, slot_size=SLOT, transfer_size=TRANSFER)


def factory(geometry: Geometry = WIDE) -> bytes:
    """Return the flash of a device that runs the old image."""
    flash = RamFlash(geometry)
    layout = layout_over(flash)
    Slot(layout.slots[0]).provision(OLD)
    boot(layout, target())
    return bytes(flash.data)


@dataclass
class Life:
    """One life of a device, from power on until nothing more is to be done."""

    story: Story
    flash: CutFlash
    layout: Layout = field(init=False)

    def __post_init__(self) -> None:
        self.layout = layout_over(self.flash)

    def live(self) -> Booted:
        for _ in range(MOST_BOOTS):
            booted = self.power_on()
            if booted.on_trial and not self.story.passes:
                continue
            began = len(self.flash.operations)
            booted = confirm(self.layout, booted)
            done = self.upgrade(booted)
            self.check_use(began, booted)
            if done:
                return booted
        raise AssertionError("boots without end")

    def power_on(self) -> Booted:
        began, counter = len(self.flash.operations), self.counter()
        booted = boot(self.layout, target())
        verify(Slot(self.layout.slots[booted.slot]).image(), target(), counter=counter)
        self.check_use(began, booted)
        return booted

    def counter(self) -> int:
        return SecurityCounter(self.layout.counter).value()

    def upgrade(self, booted: Booted) -> bool:
        """Do what the DCU wants; return whether nothing more is to be done."""
        story, transfer = self.story, Transfer(self.layout, booted, block_size=BLOCK)
        if story.withdraws:
            transfer.begin(OTHER, len(story.image))
        elif story.image and booted.version < Version.parse(story.version):
            return self.install(transfer)
        return True

    def install(self, transfer: Transfer) -> bool:
        story, state = self.story, transfer.state
        if transfer.identifier == OTHER or state in story.states & (REFUSED | REVERTED):
            return True
        if state in GONE | REVERTED | UPGRADED:  # of an image before
            transfer.begin(b"upgrade", len(story.image))
        while (gap := transfer.first_gap) < transfer.blocks:
            try:
                transfer.put(gap, story.image[gap * BLOCK : (gap + 1) * BLOCK])
            except StoreFullError:
                transfer.begin(b"upgrade", len(story.image))
        try:
            if transfer.state is TransferState.INITIATED:
                transfer.verify(target())
        except (DecodeError, SecurityError):
            return True
        transfer.activate()
        if story.regrets:
            transfer.begin(OTHER, len(story.image))
        return story.regrets

    def check_use(self, began: int, booted: Booted) -> None:
        """No slot in use was written: the one that runs, and the one that a trial goes back to."""
        for operation in self.flash.operations[began:]:
            for number, area in enumerate(self.layout.slots):
                offset = operation.start - area.start
                if 0 <= offset < area.size:
                    flag = operation.kind == "write" and offset >= Slot(area).capacity
                    assert flag if number == booted.slot else not booted.on_trial


def counter_of(geometry: Geometry, data: bytes) -> int:
    return SecurityCounter(layout_over(RamFlash(geometry, bytearray(data))).counter).value()


def lived(story: Story, data: bytes, geometry: Geometry) -> list[bytes]:
    """Live from these contents to the end; return what the flash may hold after every cut."""
    flash = CutFlash(geometry, bytearray(data))
    life = Life(story, flash)
    counter = life.counter()
    at_end(life, life.live())
    for operation in flash.operations:
        found = [counter_of(geometry, cut) for cut in operation.cuts]
        assert min(found) >= counter, "the security counter fell"
        counter = found[-1]
    return [cut for operation in flash.operations for cut in operation.cuts]


def at_end(life: Life, booted: Booted) -> None:
    again = boot(life.layout, target())
    assert (again.slot, again.on_trial) == (booted.slot, False)
    assert str(again.version) in life.story.ends
    assert Transfer(life.layout, again, block_size=BLOCK).state in life.story.states
    assert life.counter() == again.counter
    other = Slot(life.layout.slots[1 - again.slot])
    assert other.state() in {SlotState.EMPTY, SlotState.CONFIRMED}


def explore(
    story: Story, starts: set[bytes], cuts: int = CUTS, geometry: Geometry = WIDE
) -> set[bytes]:
    """Live from every start, from every cut of that, and so on; return all that was lived from."""
    seen: set[bytes] = set()
    for _ in range(cuts + 1):
        seen |= starts
        starts = {cut for start in starts for cut in lived(story, start, geometry)} - seen
    return seen


@pytest.mark.fums("UC1-end", "UC7-before")
@pytest.mark.parametrize("name", UPGRADES)
def test_upgrade(name: str) -> None:
    """Install, trial, confirmation, return: the transfer, the boot code and the image."""
    assert len(explore(UPGRADES[name], {factory()})) > 60


@pytest.mark.fums("UC3-again")
def test_the_next_upgrade() -> None:
    """Into the slot that holds the old image, with a journal that tells of another transfer."""
    end = CutFlash(WIDE, bytearray(factory()))
    Life(UPGRADES["good"], end).live()
    assert len(explore(NEXT, {bytes(end.data)})) > 400


def test_withdrawal() -> None:
    """From wherever an upgrade may be."""
    starts = explore(UPGRADES["good"], {factory()}, cuts=1)
    assert len(explore(WITHDRAWN, starts, cuts=1) - starts) > 400


@pytest.mark.parametrize("unit", [8, 16])
def test_finer_flash(unit: int) -> None:
    geometry = Geometry(WIDE.size, WIDE.erase_block, unit)
    assert len(explore(UPGRADES["good"], {factory(geometry)}, cuts=1, geometry=geometry)) > 90


@pytest.mark.parametrize(
    "image",
    [flipped(NEW, 36), flipped(NEW, len(NEW) - 1), NEW[:-9], DOWNGRADE, LATE, FOREIGN, STOLEN, OLD],
    ids=["hash", "signature", "cut", "counter", "version", "hardware", "key", "not newer"],
)
def test_what_nobody_verified_is_not_booted(image: bytes) -> None:
    """An image comes into the slot, and is to be tried, without a transfer."""
    assert len(explore(NOTHING, {planted(factory(), 1, image)})) > 15


def planted(data: bytes, number: int, image: bytes) -> bytes:
    flash = RamFlash(WIDE, bytearray(data))
    slot = Slot(layout_over(flash).slots[number])
    slot.discard()
    slot.area.write(0, image.ljust(slot.area.units(len(image)), b"\xff"))
    slot.set_pending()
    return bytes(flash.data)


def rotted() -> bytes:
    """Return the flash of a device with an image to be tried, and none to go back to."""
    data = bytearray(planted(factory(), 1, NEW))
    data[40] ^= 1
    return bytes(data)


def test_an_image_is_tried_with_none_to_go_back_to() -> None:
    """Cut anywhere, it is booted again; only a confirmation that was torn is never made good."""
    flash = CutFlash(WIDE, bytearray(rotted()))
    layout = layout_over(flash)
    confirm(layout, boot(layout, target()))
    for cut in (cut for operation in flash.operations for cut in operation.cuts):
        layout = layout_over(RamFlash(WIDE, bytearray(cut)))
        booted = boot(layout, target())
        assert booted.slot == 1
        assert confirmed(layout, booted) or booted.rescued


def confirmed(layout: Layout, booted: Booted) -> bool:
    try:
        return not confirm(layout, booted).on_trial
    except StoreError:
        return False


def test_a_bad_image_is_booted_again_when_there_is_no_other() -> None:
    """Until a better one comes, over the one that has rotted."""
    layout = layout_over(RamFlash(WIDE, bytearray(rotted())))
    for _ in range(3):
        booted = boot(layout, target())
        assert (booted.slot, booted.on_trial) == (1, True)
    assert booted.rescued
    transfer = Transfer(layout, booted, block_size=BLOCK)
    transfer.begin(b"better", len(NEWEST))
    for number in range(transfer.blocks):
        transfer.put(number, NEWEST[number * BLOCK :][:BLOCK])
    transfer.verify(target())
    transfer.activate()
    assert boot(layout, target()).slot == 0
    booted = boot(layout, target())  # which did not pass either: back to the one before
    assert (booted.slot, booted.rescued) == (1, True)
    assert not confirm(layout, booted).on_trial
    assert Slot(layout.slots[0]).state() is SlotState.TRIED
    assert boot(layout, target()).slot == 1
    assert Slot(layout.slots[0]).state() is SlotState.EMPTY


@pytest.mark.parametrize("unit", [1, 4, 8, 32])
@pytest.mark.parametrize("seed", range(4))
def test_cut_again_and_again(seed: int, unit: int) -> None:
    """Power that fails up to twelve times in a row, at places that chance chooses, early ones rather."""
    geometry = Geometry(WIDE.size, WIDE.erase_block, unit)
    chance, data = random.Random(seed), factory(geometry)
    failures = 0
    for _ in range(12):
        cuts = lived(UPGRADES["good"], data, geometry)
        failures += bool(cuts)
        data = cuts[int(len(cuts) * chance.random() ** 2)] if cuts else data
    lived(UPGRADES["good"], data, geometry)
    assert failures >= 5  # until there was nothing more to be done
