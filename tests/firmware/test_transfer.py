"""The transfer: in any order, again, after a cut, and what is refused by which code."""

from __future__ import annotations

import random
from functools import partial
from typing import TYPE_CHECKING, Final

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from tests.support.cut_flash import CutFlash
from tests.support.firmware import HARDWARE, image_key, make_image, private_key, target

from openami.core.errors import (
    ConfigError,
    DecodeError,
    RemoteProtocolError,
    SecurityError,
    StoreFullError,
)
from openami.firmware.boot import Booted, boot, confirm
from openami.firmware.build import Plan, assemble, sign
from openami.firmware.flash import Geometry, Layout, RamFlash
from openami.firmware.image import Dependency
from openami.firmware.journal import MAX_IDENTIFIER, SPARE, Begun, Entry, Journal
from openami.firmware.keys import signer
from openami.firmware.slot import Slot, SlotState
from openami.firmware.transfer import Transfer, TransferState
from openami.firmware.version import Version

if TYPE_CHECKING:
    from collections.abc import Callable

    from openami.firmware.image import Image

GEOMETRY: Final = Geometry(size=16 * 256, erase_block=256, write_unit=8)
SLOT: Final = 4 * 256
TRANSFER: Final = 5 * 256
RECORD: Final = 88  # octets before the entries of the journal
BLOCK: Final = 40  # divides neither the flash's blocks nor the image
OLD: Final = make_image("1.0.0")
NEW: Final = make_image("2.0.0", counter=2, payload=bytes(range(256)))


class Device:
    """A device that runs the old image."""

    def __init__(self, block_size: int = BLOCK) -> None:
        self.flash = RamFlash(GEOMETRY)
        self.layout = Layout.over(self.flash, slot_size=SLOT, transfer_size=TRANSFER)
        self.block_size = block_size
        Slot(self.layout.slots[0]).provision(OLD)
        self.booted = self.boot()

    def boot(self) -> Booted:
        self.booted = boot(self.layout, target())
        return self.booted

    def confirm(self) -> None:
        self.booted = confirm(self.layout, self.booted)

    @property
    def transfer(self) -> Transfer:
        """The transfer as it is found after a restart."""
        return Transfer(self.layout, self.booted, block_size=self.block_size)

    def block(self, number: int, image: bytes = NEW) -> bytes:
        return image[number * self.block_size :][: self.block_size]

    def fill(self, image: bytes = NEW) -> Transfer:
        transfer = self.transfer
        transfer.begin(b"image", len(image))
        for number in range(transfer.blocks):
            transfer.put(number, self.block(number, image))
        return transfer


@pytest.fixture
def device() -> Device:
    return Device()


def refused(code: str, call: Callable[[], object]) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        call()
    assert caught.value.code == f"firmware.transfer.{code}"


@pytest.mark.parametrize("size", [8, 24, 40, 104, 200, 256, 1024])
def test_blocks_of_any_size_in_any_order(size: int) -> None:
    device = Device(size)
    transfer = device.transfer
    assert (transfer.state, transfer.blocks, transfer.first_gap) == (0, 0, 0)
    assert device.transfer.slot is None
    transfer.begin(b"image", len(NEW))
    assert transfer.slot == 1 - device.booted.slot
    numbers = list(range(transfer.blocks))
    random.Random(size).shuffle(numbers)
    done: set[int] = set()
    for number in numbers:
        transfer.put(number, device.block(number))
        done.add(number)
        again = device.transfer  # all is known after a restart, too
        for found in (transfer, again):
            assert [n for n in range(found.blocks) if found.has(n)] == sorted(done)
            assert found.first_gap == min(set(numbers) - done, default=len(numbers))
        assert (again.identifier, again.size) == (b"image", len(NEW))
    assert not transfer.has(-1)
    assert not transfer.has(len(numbers))
    assert str(transfer.verify(target()).version) == "2.0.0"


def test_every_state_survives_a_restart(device: Device) -> None:
    def state() -> TransferState:
        return device.transfer.state

    assert state() is TransferState.NOT_INITIATED
    device.fill()
    assert state() is TransferState.INITIATED
    device.transfer.verify(target())
    assert state() is TransferState.VERIFICATION_SUCCESSFUL
    device.transfer.verify(target())
    device.transfer.activate()
    device.transfer.activate()
    assert state() is TransferState.ACTIVATION_INITIATED
    assert device.boot().on_trial
    assert state() is TransferState.ACTIVATION_INITIATED
    device.transfer.activate()  # of what runs: nothing is left to do
    device.confirm()
    assert state() is TransferState.ACTIVATION_SUCCESSFUL
    assert device.boot().slot == 1
    assert state() is TransferState.ACTIVATION_SUCCESSFUL


def test_a_trial_that_fails_is_told(device: Device) -> None:
    device.fill().verify(target())
    device.transfer.activate()
    device.boot()
    assert device.boot().slot == 0
    transfer = device.transfer
    assert transfer.state is TransferState.ACTIVATION_FAILED
    assert not any(transfer.has(number) for number in range(transfer.blocks))
    refused("state", transfer.activate)
    refused("state", lambda: transfer.verify(target()))
    refused("state", lambda: transfer.put(0, device.block(0)))
    device.fill().verify(target())
    assert device.transfer.state is TransferState.VERIFICATION_SUCCESSFUL


@pytest.mark.fums("UC7-inactive")
def test_what_another_transfer_takes_the_place_of_is_not_booted(device: Device) -> None:
    device.fill().verify(target())
    device.transfer.activate()
    device.transfer.begin(b"other", 100)
    assert device.boot().slot == 0
    assert Slot(device.layout.slots[1]).state() is SlotState.EMPTY


def test_what_does_not_fit_is_refused(device: Device) -> None:
    before = bytes(device.flash.data)
    capacity = SLOT - GEOMETRY.erase_block
    for size in (-1, 0, capacity + 1, 1 << 40):
        refused("size", partial(device.transfer.begin, b"image", size))
    small = Layout.over(device.flash, slot_size=SLOT, transfer_size=256)
    followed = ((256 - RECORD) // 8 - SPARE) * 8  # octets, of blocks that the journal has room for
    transfer = Transfer(small, device.booted, block_size=8)
    refused("size", lambda: transfer.begin(b"image", followed + 1))
    refused("identifier", lambda: device.transfer.begin(bytes(MAX_IDENTIFIER + 1), 100))
    assert bytes(device.flash.data) == before
    device.transfer.begin(bytes(range(MAX_IDENTIFIER)), capacity)
    assert device.transfer.identifier == bytes(range(MAX_IDENTIFIER))


@pytest.mark.fums("UC7-two")
def test_a_trial_keeps_its_way_back(device: Device) -> None:
    device.fill().verify(target())
    device.transfer.activate()
    device.boot()
    refused("trial", lambda: device.transfer.begin(b"image", 100))
    device.confirm()
    device.transfer.begin(b"image", 100)


@pytest.mark.fums("UC7-two")
def test_the_slot_that_runs_is_never_written(device: Device) -> None:
    before = bytes(device.flash.data[:SLOT])
    device.fill().verify(target())
    device.transfer.activate()
    assert bytes(device.flash.data[:SLOT]) == before


def test_blocks_that_are_refused(device: Device) -> None:
    transfer = device.transfer
    refused("state", lambda: transfer.put(0, bytes(BLOCK)))
    transfer.begin(b"image", len(NEW))
    last = transfer.blocks - 1
    assert len(device.block(last)) < BLOCK
    for number, block in (
        (-1, bytes(BLOCK)),
        (last + 1, bytes(BLOCK)),
        (0, bytes(BLOCK - 1)),
        (0, bytes(BLOCK + 1)),
        (0, b""),
        (last, bytes(BLOCK)),
    ):
        refused("block", partial(transfer.put, number, block))
    transfer.put(3, device.block(3))
    before = bytes(device.flash.data)
    transfer.put(3, device.block(3))
    refused("differs", lambda: transfer.put(3, bytes(BLOCK)))
    assert bytes(device.flash.data) == before
    refused("incomplete", lambda: transfer.verify(target()))
    refused("state", transfer.activate)


def test_a_late_broadcast_harms_nothing(device: Device) -> None:
    transfer = device.fill()
    transfer.verify(target())
    transfer.put(0, device.block(0))
    refused("differs", lambda: transfer.put(0, bytes(BLOCK)))
    assert transfer.state is TransferState.VERIFICATION_SUCCESSFUL


def stepped(version: Version, *others: Dependency) -> bytes:
    plan = Plan(Version(2), 1, (HARDWARE,), dependencies=(Dependency(0, version), *others))
    return sign(assemble(plan, b"x"), image_key(), signer(private_key()))


@pytest.mark.parametrize(
    ("image", "code"),
    [
        (NEW[:36] + b"?" + NEW[37:], "hash"),
        (NEW[:-1] + b"?", "signature"),
        (NEW[:-1], "cut"),
        (NEW + b"?", "size"),
        (b"\xff" * 100, "magic"),
        (make_image("2.0.0", key="thief"), "key"),
        (make_image("2.0.0", hardware=["OA-3P"]), "hardware"),
        (make_image("2.0.0", counter=0), "counter"),
        (make_image("1.0.0"), "version"),
        (make_image("0.9.0", counter=5), "version"),
        (stepped(Version(1, 0, 1)), "dependency"),
    ],
)
def test_an_image_that_may_not_be_activated(device: Device, image: bytes, code: str) -> None:
    transfer = device.fill(image)
    for _ in range(2):
        with pytest.raises((DecodeError, SecurityError)) as caught:
            transfer.verify(target())
        assert caught.value.code == f"firmware.{code}"
        assert device.transfer.state is TransferState.VERIFICATION_FAILED
    refused("state", transfer.activate)
    refused("state", lambda: transfer.put(0, device.block(0, image)))
    assert device.boot().slot == 0


def test_an_image_that_needs_what_is_there(device: Device) -> None:
    """The image that runs is number 0; metrology, here, is number 1."""
    image = stepped(Version(1), Dependency(1, Version(7)))
    assert device.fill(image).verify(target(modules={1: Version(7)})).dependencies


def test_a_block_size_that_the_flash_cannot_write(device: Device) -> None:
    for size in (0, -8, 12, 65536):
        with pytest.raises(ConfigError):
            Transfer(device.layout, device.booted, block_size=size)


def test_a_transfer_with_another_block_size_is_over(device: Device) -> None:
    """New firmware may prefer another; class 18 has no way to tell the client."""
    device.fill()
    device.block_size = 48
    assert device.transfer.state is TransferState.NOT_INITIATED
    device.fill().verify(target())


def test_torn_blocks_are_written_again(device: Device) -> None:
    """What shares a block of the flash with a torn unit is missing, until it comes again."""
    transfer = device.fill()
    journal = Journal(device.layout.transfer)
    assert journal.read(device.block) == [
        (Entry.BLOCK, number) for number in range(transfer.blocks)
    ]
    start = device.layout.slots[1].start
    device.flash.data[start + 2 * BLOCK] ^= 0x10
    transfer = device.transfer
    assert [n for n in range(transfer.blocks) if not transfer.has(n)] == [2]
    transfer.put(2, device.block(2))
    gone = [n for n in range(transfer.blocks) if not transfer.has(n)]
    assert gone == [0, 1, 3, 4, 5, 6]  # 256 octets are 6.4 blocks
    for number in gone:
        transfer.put(number, device.block(number))
    # The entries were there already, and hold again.
    assert len(journal.read(device.block)) == transfer.blocks
    assert device.transfer.verify(target())


def test_a_journal_without_room_says_so() -> None:
    """Torn entries take room; there is some to spare, and then a transfer begins anew."""
    flash = RamFlash(GEOMETRY)
    layout = Layout.over(flash, slot_size=SLOT, transfer_size=256)
    Slot(layout.slots[0]).provision(OLD)
    booted = boot(layout, target())
    transfer = Transfer(layout, booted, block_size=128)
    transfer.begin(b"image", len(NEW))
    places = (256 - RECORD) // 8
    assert transfer.blocks + SPARE < places
    for torn in range(places):
        start = layout.transfer.start + RECORD + 8 * torn
        flash.data[start : start + 8] = b"\x01torn..."
        transfer = Transfer(layout, booted, block_size=128)
        assert transfer.first_gap == 0
    with pytest.raises(StoreFullError) as caught:
        transfer.put(0, NEW[:128])
    assert caught.value.code == "firmware.transfer.worn"
    transfer.begin(b"image", len(NEW))
    transfer.put(0, NEW[:128])
    assert transfer.has(0)


def test_an_entry_of_no_block_is_left_out(device: Device) -> None:
    device.transfer.begin(b"image", len(NEW))
    journal = Journal(device.layout.transfer)
    journal.append(Entry.BLOCK, 999)
    assert device.transfer.first_gap == 0
    assert device.transfer.state is TransferState.INITIATED


def test_a_record_is_read_as_written_or_not_at_all() -> None:
    begun = Begun(1, b"identifier", 1000, 64)
    octets = begun.encode()
    assert Begun.decode(octets) == begun
    for place in range(len(octets) * 8):
        torn = bytearray(octets)
        torn[place // 8] ^= 1 << place % 8
        assert Begun.decode(bytes(torn)) is None


class AnyTransfer(RuleBasedStateMachine):
    """Blocks come as they like, and the power goes as it likes.

    What was acknowledged stays, unless it shares a block of the flash with a unit that was torn;
    what is said to be there is there.
    """

    def __init__(self) -> None:
        super().__init__()
        self.device = Device()
        self.state = TransferState.NOT_INITIATED
        self.present: set[int] = set()
        self.torn: set[int] = set()
        self.transfer = self.device.transfer
        self.blocks = -(-len(NEW) // BLOCK)

    @rule()
    def begin(self) -> None:
        self.transfer.begin(b"image", len(NEW))
        self.state, self.present, self.torn = TransferState.INITIATED, set(), set()

    @rule()
    def restart(self) -> None:
        assert self.device.boot().slot == 0
        self.transfer = self.device.transfer

    @precondition(lambda self: self.state is TransferState.INITIATED)
    @rule(data=st.data())
    def put(self, data: st.DataObject) -> None:
        number = data.draw(st.integers(0, self.blocks - 1))
        self.transfer.put(number, self.device.block(number))
        self.present.add(number)
        self.after(number)

    @precondition(lambda self: self.state is TransferState.INITIATED)
    @rule()
    def put_the_gaps(self) -> None:
        while (gap := self.transfer.first_gap) < self.blocks:
            self.transfer.put(gap, self.device.block(gap))
        self.present, self.torn = set(range(self.blocks)), set()

    @precondition(lambda self: self.state is TransferState.INITIATED)
    @rule(data=st.data())
    def cut_while_putting(self, data: st.DataObject) -> None:
        number = data.draw(st.integers(0, self.blocks - 1))
        flash = CutFlash(GEOMETRY, bytearray(self.device.flash.data))
        layout = Layout.over(flash, slot_size=SLOT, transfer_size=TRANSFER)
        transfer = Transfer(layout, self.device.booted, block_size=BLOCK)
        transfer.put(number, self.device.block(number))
        if flash.operations:
            operation = data.draw(st.sampled_from(flash.operations))
            self.device.flash.data[:] = data.draw(st.sampled_from(operation.cuts))
            self.restart()
            self.after(number)
            self.torn.add(number)

    def after(self, number: int) -> None:
        """Ask again for what may have been erased around a torn unit."""
        near = self.near(number) if number in self.torn else {number}
        self.present -= near
        self.present |= {other for other in near if self.transfer.has(other)}

    def near(self, number: int) -> set[int]:
        size = GEOMETRY.erase_block
        first = number * BLOCK // size * size
        last = -(-(number + 1) * BLOCK // size) * size
        return {n for n in range(self.blocks) if n * BLOCK < last and (n + 1) * BLOCK > first}

    @precondition(lambda self: self.present)
    @rule(data=st.data())
    def put_another(self, data: st.DataObject) -> None:
        number = data.draw(st.sampled_from(sorted(self.present)))
        other = bytes(octet ^ 0xFF for octet in self.device.block(number))
        with pytest.raises(RemoteProtocolError):
            self.transfer.put(number, other)

    @precondition(lambda self: self.state is not TransferState.NOT_INITIATED)
    @rule()
    def verify(self) -> None:
        if len(self.present) < self.blocks:
            refused("incomplete", lambda: self.transfer.verify(target()))
            return
        assert str(self.transfer.verify(target()).version) == "2.0.0"
        self.state = TransferState.VERIFICATION_SUCCESSFUL

    @invariant()
    def says_what_is_so(self) -> None:
        found = {n for n in range(self.transfer.blocks) if self.transfer.has(n)}
        assert found == self.present
        assert self.transfer.state is self.state
        area = self.device.layout.slots[1]
        for number in found:
            wanted = self.device.block(number)
            assert area.read(number * BLOCK, len(wanted)) == wanted


AnyTransfer.TestCase.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
TestAnyTransfer = AnyTransfer.TestCase


def test_what_the_device_finds_in_an_image_refuses_it() -> None:
    """A check of the device's own comes last, and its verdict is kept."""
    seen: list[Version] = []

    def refuse(image: Image) -> None:
        seen.append(image.version)
        raise DecodeError("no payload of ours", code="firmware.payload")

    device = Device()
    transfer = device.fill()
    with pytest.raises(DecodeError):
        transfer.verify(target(), check=refuse)
    states = [device.transfer.state]
    assert seen == [Version(2)]
    transfer.verify(target(), check=lambda image: seen.append(image.version))
    states.append(device.transfer.state)
    assert states == [TransferState.VERIFICATION_FAILED, TransferState.VERIFICATION_SUCCESSFUL]
