"""A flash that takes room for what was written, and holds what one in memory would."""

from __future__ import annotations

import random

from openami.firmware.flash import Geometry, RamFlash
from openami.firmware.sparse import PAGE, SparseFlash, split

GEOMETRY = Geometry(size=8 * 8192, erase_block=8192, write_unit=8)
FACTORY = bytes(range(256)) * 20


def test_it_holds_what_a_flash_in_memory_does() -> None:
    chance = random.Random(4)
    plain = RamFlash(GEOMETRY, bytearray(FACTORY.ljust(GEOMETRY.size, b"\xff")))
    sparse = SparseFlash(GEOMETRY, split(FACTORY, GEOMETRY))
    for _ in range(200):
        if chance.random() < 0.3:
            offset = chance.randrange(8) * 8192
            for each in (plain, sparse):
                each.erase(offset)
        else:
            data = chance.randbytes(8 * chance.randrange(1, 900))
            offset = chance.randrange((GEOMETRY.size - len(data)) // 8) * 8
            for each in (plain, sparse):
                each.write(offset, data)
        assert sparse.read(0, GEOMETRY.size) == bytes(plain.data)
        start = chance.randrange(GEOMETRY.size - 100)
        assert sparse.read(start, 100) == plain.read(start, 100)


def test_it_takes_room_for_what_was_written() -> None:
    flash = SparseFlash(GEOMETRY, split(FACTORY, GEOMETRY))
    assert flash.read(0, len(FACTORY)) == FACTORY
    assert flash.pages == 0
    flash.erase(8 * 4096)
    assert flash.pages == 0
    flash.write(PAGE * 10 - 8, bytes(16))
    assert flash.pages == 2
    flash.erase(8 * 4096)
    assert flash.pages == 1


def test_pages_that_are_erased_are_left_out() -> None:
    pages = split(b"x" + b"\xff" * 3 * PAGE + b"y", GEOMETRY)
    assert list(pages) == [0, 3]
    flash = SparseFlash(GEOMETRY, pages)
    assert flash.read(0, 2) == b"x\xff"
    assert flash.read(3 * PAGE - 1, 3) == b"\xff\xffy"
