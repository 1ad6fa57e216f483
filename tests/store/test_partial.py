"""A file that comes piece by piece."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from openami.core.errors import StoreError, StoreFullError
from openami.store.partial import PartialFile

if TYPE_CHECKING:
    from pathlib import Path


def test_what_is_kept_is_there_for_the_next(tmp_path: Path) -> None:
    file = PartialFile(tmp_path / "a" / "b", floor=0)
    assert (file.state(), file.size()) == (b"", 0)
    file.drop()
    file.note(b"one")
    file.cut(0)
    file.keep(b"12345")
    file.keep(b"678")
    file.note(b"two")
    again = PartialFile(tmp_path / "a" / "b", floor=0)
    assert (again.state(), again.size(), b"".join(again.pieces())) == (b"two", 8, b"12345678")
    again.cut(3)
    again.keep(b"x")
    assert file.path.read_bytes() == b"123x"
    again.drop()
    again.drop()
    assert (again.size(), again.state()) == (0, b"two")


def test_a_word_that_was_torn_is_the_one_before(tmp_path: Path) -> None:
    file = PartialFile(tmp_path, floor=0)
    file.note(b"one")
    (tmp_path / "state.part").write_bytes(b"tw")
    assert file.state() == b"one"
    file.note(b"two")
    assert file.state() == b"two"


def test_the_floor_stays_free(tmp_path: Path) -> None:
    file = PartialFile(tmp_path, floor=2**62)
    assert file.room() == 0
    file.cut(0)
    with pytest.raises(StoreFullError):
        file.keep(b"1")
    assert file.size() == 0
    (tmp_path / "object").write_bytes(b"12345")
    assert file.room() == 5


def test_a_folder_that_is_none(tmp_path: Path) -> None:
    place = tmp_path / "file"
    place.write_bytes(b"")
    file = PartialFile(place, floor=0)
    for call in (
        file.state,
        file.room,
        file.size,
        file.drop,
        lambda: file.note(b"x"),
        lambda: file.cut(0),
        lambda: list(file.pieces()),
    ):
        with pytest.raises(StoreError):
            call()
