"""What the stores of files share."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

import pytest

from openami.core.errors import StoreError, StoreFullError
from openami.store.durable import sync, told

if TYPE_CHECKING:
    from pathlib import Path


def test_files_and_folders_are_synced(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    sync(tmp_path / "file")
    sync(tmp_path)
    with pytest.raises(FileNotFoundError):
        sync(tmp_path / "none")


def test_what_the_file_system_says_is_ours(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="the file") as caught, told("the file"):
        (tmp_path / "none").read_bytes()
    assert isinstance(caught.value.__cause__, FileNotFoundError)
    with pytest.raises(StoreFullError), told("the file"):
        raise OSError(errno.ENOSPC, "full")
    with pytest.raises(ValueError, match="mine"), told("the file"):
        raise ValueError("mine")
