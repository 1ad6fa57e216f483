"""A flash in a file: what it holds is on the disk, and an upgrade runs on it."""

from __future__ import annotations

import fcntl
import os
import random
import stat
from typing import TYPE_CHECKING, Final

import pytest
from tests.support.firmware import imgtool, make_image, private_pem, target
from tests.support.small_disk import small_disk

from openami.core.errors import StoreError, StoreFullError
from openami.firmware.boot import boot, confirm
from openami.firmware.flash import Geometry, Layout, RamFlash
from openami.firmware.slot import Slot
from openami.firmware.transfer import Transfer, TransferState
from openami.store.flash import FileFlash

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

GEOMETRY: Final = Geometry(size=16 * 256, erase_block=256, write_unit=8)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "flash.bin"


@pytest.fixture
def flash(path: Path) -> Iterator[FileFlash]:
    flash = FileFlash(path, GEOMETRY)
    yield flash
    flash.close()


def test_it_holds_what_a_flash_in_memory_does(flash: FileFlash, path: Path) -> None:
    chance, memory = random.Random(1), RamFlash(GEOMETRY)
    for _ in range(100):
        if chance.random() < 0.2:
            offset = chance.randrange(16) * 256
            for each in (flash, memory):
                each.erase(offset)
        else:
            offset, data = chance.randrange(500) * 8, chance.randbytes(8)
            for each in (flash, memory):
                each.write(offset, data)
        assert path.read_bytes() == bytes(memory.data)
    assert flash.read(8, 100) == memory.read(8, 100)


def test_it_is_new_and_its_owners_alone(flash: FileFlash, path: Path) -> None:
    assert flash.read(0, GEOMETRY.size) == b"\xff" * GEOMETRY.size
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_what_was_written_is_on_the_disk(flash: FileFlash) -> None:
    """Only a loss of power could show that it is not; the kernel was asked for it."""
    assert fcntl.fcntl(flash._file, fcntl.F_GETFL) & os.O_DSYNC


def test_one_process_has_it(flash: FileFlash, path: Path) -> None:
    with pytest.raises(StoreError) as caught:
        FileFlash(path, GEOMETRY)
    assert caught.value.code == "store.busy"


def test_a_file_of_another_size_is_refused(path: Path) -> None:
    path.write_bytes(bytes(100))
    with pytest.raises(StoreError) as caught:
        FileFlash(path, GEOMETRY)
    assert caught.value.code == "store.damaged"
    assert path.read_bytes() == bytes(100)


def test_a_file_that_is_cut_meanwhile_is_told(flash: FileFlash, path: Path) -> None:
    os.truncate(path, 1000)
    with pytest.raises(StoreError) as caught:
        flash.read(992, 16)
    assert caught.value.code == "store.damaged"


def test_a_full_disk_is_met_when_the_flash_is_made(tmp_path: Path) -> None:
    """Not in the middle of an upgrade; and half a flash is never found later."""
    with small_disk("limit", tmp_path / "small", 2000) as disk:
        with pytest.raises(StoreFullError):
            FileFlash(disk.path / "flash.bin", GEOMETRY)
        assert not list(disk.path.iterdir())
    FileFlash(tmp_path / "small" / "flash.bin", GEOMETRY).close()


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(StoreError):
        FileFlash(tmp_path / "none" / "flash.bin", GEOMETRY)


def test_an_upgrade_with_a_restart_after_every_step(path: Path, tmp_path: Path) -> None:
    new = make_image("2.0.0", counter=2, payload=bytes(200))

    def opened() -> tuple[FileFlash, Layout]:
        flash = FileFlash(path, GEOMETRY)
        return flash, Layout.over(flash, slot_size=1024, transfer_size=1280)

    flash, layout = opened()
    Slot(layout.slots[0]).provision(make_image("1.0.0"))
    Transfer(layout, boot(layout, target()), block_size=64).begin(b"new", len(new))
    flash.close()
    state = TransferState.INITIATED
    for step in range(20):
        flash, layout = opened()
        booted = boot(layout, target())
        booted = confirm(layout, booted)
        transfer = Transfer(layout, booted, block_size=64)
        state, gap = transfer.state, transfer.first_gap
        if state is TransferState.INITIATED and gap < transfer.blocks:
            assert gap == step
            transfer.put(gap, new[gap * 64 :][:64])
        elif state is TransferState.INITIATED:
            transfer.verify(target())
        elif state is TransferState.VERIFICATION_SUCCESSFUL:
            transfer.activate()
        flash.close()
    assert (state, booted.slot) == (TransferState.ACTIVATION_SUCCESSFUL, 1)
    (tmp_path / "slot.bin").write_bytes(path.read_bytes()[1024:2048])
    assert "correctly validated" in imgtool(
        "verify", "--key", private_pem(tmp_path), tmp_path / "slot.bin"
    )
