"""The flash of many meters in one file: kept, apart, and small while nothing is written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest

from openami.core.errors import StoreError
from openami.firmware.flash import Geometry
from openami.firmware.sparse import split
from openami.store.flash import FileFlash
from openami.store.street_flash import StreetFlash

if TYPE_CHECKING:
    from pathlib import Path

GEOMETRY: Final = Geometry(size=4 * 8192, erase_block=8192, write_unit=8)
FACTORY: Final = b"factory " * 100


def test_each_meter_finds_its_own_again(tmp_path: Path) -> None:
    path = tmp_path / "flash.db"
    street = StreetFlash(path, GEOMETRY)
    assert street.new
    with pytest.raises(StoreError):
        street.of("A")
    street.provision(split(FACTORY, GEOMETRY))
    one, two = street.of("A"), street.of("B")
    one.erase(0)
    one.write(16, bytes(8))
    two.write(8192, b"two two ")
    street.close()
    street = StreetFlash(path, GEOMETRY)
    assert not street.new
    assert street.of("A").read(0, 32) == b"\xff" * 16 + bytes(8) + b"\xff" * 8
    assert street.of("B").read(0, len(FACTORY)) == FACTORY
    assert street.of("B").read(8192, 8) == b"two two "
    assert street.of("C").pages == 0
    street.close()


def test_what_is_not_kept_is_not_there(tmp_path: Path) -> None:
    street = StreetFlash(tmp_path / "flash.db", GEOMETRY)
    street.provision(split(FACTORY, GEOMETRY))
    flash = street.of("A")
    street.close()
    with pytest.raises(StoreError):
        flash.erase(0)
    assert flash.read(0, len(FACTORY)) == FACTORY


def test_a_flash_of_one_meter_begins_as_its_factory_made_it(tmp_path: Path) -> None:
    flash = FileFlash(tmp_path / "meter.flash", GEOMETRY, FACTORY)
    assert flash.read(0, GEOMETRY.size) == FACTORY.ljust(GEOMETRY.size, b"\xff")
    flash.close()
