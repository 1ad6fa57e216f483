"""A place where room runs out: a small tmpfs where root may mount one, and a file size limit."""

from __future__ import annotations

import os
import resource
import subprocess
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@dataclass(frozen=True, slots=True)
class SmallDisk:
    """``path`` is where there is little room, until ``grow`` is called."""

    path: Path
    grow: Callable[[], None]


@contextmanager
def small_disk(kind: str, path: Path, octets: int) -> Iterator[SmallDisk]:
    """Give little room at ``path``: ``tmpfs`` in all, ``limit`` in each file."""
    path.mkdir()
    with {"tmpfs": _tmpfs, "limit": _limit}[kind](path, octets) as grow:
        yield SmallDisk(path, grow)


def kinds() -> tuple[str, ...]:
    """Return what this machine can do; the limit always."""
    return ("limit", "tmpfs") if _can_mount() else ("limit",)


@contextmanager
def _limit(_path: Path, octets: int) -> Iterator[Callable[[], None]]:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (octets, before[1]))
    try:
        yield lambda: resource.setrlimit(resource.RLIMIT_FSIZE, before)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@contextmanager
def _tmpfs(path: Path, octets: int) -> Iterator[Callable[[], None]]:
    _mount("-t", "tmpfs", "-o", f"size={octets}", "tmpfs", str(path))
    try:
        yield lambda: _mount("-o", f"remount,size={octets * 8}", str(path))
    finally:
        subprocess.run(["umount", "--lazy", str(path)], check=True)


def _mount(*arguments: str) -> None:
    subprocess.run(["mount", *arguments], check=True, capture_output=True)


def _can_mount() -> bool:
    if os.geteuid() != 0:
        return False
    with tempfile.TemporaryDirectory() as folder:
        try:
            with _tmpfs(Path(folder), 65536):
                return True
        except (OSError, subprocess.CalledProcessError):
            return False
