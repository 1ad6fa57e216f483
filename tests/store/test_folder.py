"""A folder whose files are replaced whole."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest
from tests.support.small_disk import kinds, small_disk

from openami.core.errors import StoreError, StoreFullError
from openami.store.folder import Folder, pieces_of

if TYPE_CHECKING:
    from pathlib import Path


def test_files_are_replaced_and_removed(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "a" / "b", reserve=100)
    assert (folder.read("x", 10), folder.digest("x")) == (None, None)
    folder.put("x", [b"one", b"two"])
    assert folder.read("x", 4) == b"onet"
    folder.keep("x", b"three")
    assert folder.digest("x") == hashlib.sha256(b"three").hexdigest()
    assert folder.place("x").read_bytes() == b"".join(pieces_of(folder.place("x"))) == b"three"
    folder.drop("x")
    folder.drop("x")
    assert sorted(file.name for file in (tmp_path / "a" / "b").iterdir()) == ["reserve"]
    assert (tmp_path / "a" / "b").stat().st_mode & 0o777 == 0o700


def test_a_file_that_fails_leaves_the_one_before(tmp_path: Path) -> None:
    folder = Folder(tmp_path, reserve=100)
    folder.put("x", [b"one"])

    def fails() -> list[bytes]:
        return list(pieces_of(tmp_path / "not there"))

    with pytest.raises(StoreError):
        folder.put("x", (piece for piece in fails()))
    assert folder.read("x", 9) == b"one"


@pytest.mark.parametrize("kind", [kind for kind in kinds() if kind == "tmpfs"])
def test_a_full_disk_takes_a_small_file_from_the_reserve(tmp_path: Path, kind: str) -> None:
    with small_disk(kind, tmp_path / "disk", 128 * 1024) as disk:
        folder = Folder(disk.path, reserve=32 * 1024)
        with pytest.raises(StoreFullError):
            folder.put("large", [bytes(256 * 1024)])
        assert not folder.place("large.part").exists()
        with pytest.raises(OSError, match="space"), folder.place("filler").open("wb") as file:
            file.write(bytes(256 * 1024))
        with pytest.raises(StoreFullError):
            folder.put("small", [bytes(4096)])
        folder.keep("small", b"it is kept")
        assert folder.read("small", 99) == b"it is kept"
        folder.place("filler").unlink()
        folder.keep("small", b"again")
        assert folder.place("reserve").stat().st_size == 32 * 1024


def test_one_process_has_it_at_a_time(tmp_path: Path) -> None:
    folder = Folder(tmp_path, reserve=1)
    folder.lock(0.0)
    with pytest.raises(StoreError) as caught:
        Folder(tmp_path, reserve=1).lock(0.1)
    assert caught.value.code == "store.busy"


def test_a_folder_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StoreError):
        Folder(tmp_path / "file", reserve=1)
    folder = Folder(tmp_path, reserve=1)
    (tmp_path / "x").mkdir()
    for call in (
        lambda: folder.read("x", 1),
        lambda: folder.digest("x"),
        lambda: folder.remove("x"),
        lambda: folder.flush("y"),
        lambda: folder.rename("y", "z"),
        lambda: folder.put("x", [b""]),
    ):
        with pytest.raises(StoreError):
            call()
