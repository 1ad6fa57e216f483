"""What a managed device remembers over restarts."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from openami.core.errors import StoreFullError
from openami.store.device_memory import SEEN_MOST, DeviceMemory

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable
    from pathlib import Path

    import pytest


def test_nonces_are_those_of_one_account(tmp_path: Path) -> None:
    memory = DeviceMemory(tmp_path / "memory.sqlite")
    assert memory.nonces("a") == (b"", b"")
    memory.keep_nonces("a", b"c1", b"s1")
    memory.keep_nonces("a", b"c2", b"s2")
    memory.close()
    memory = DeviceMemory(tmp_path / "memory.sqlite")
    assert memory.nonces("a") == (b"c2", b"s2")
    memory.keep_nonces("b", b"c3", b"s3")
    assert memory.nonces("a") == (b"", b"")
    memory.close()


def test_the_latest_sessions_are_remembered(tmp_path: Path) -> None:
    memory = DeviceMemory(tmp_path / "memory.sqlite")
    for session in range(SEEN_MOST + 3):
        memory.saw(session)
    memory.saw(SEEN_MOST)
    memory.close()
    memory = DeviceMemory(tmp_path / "memory.sqlite")
    assert memory.seen() == frozenset(range(4, SEEN_MOST + 3))
    memory.close()


def test_facts(tmp_path: Path) -> None:
    memory = DeviceMemory(tmp_path / "memory.sqlite")
    assert memory.fact("software") == ""
    memory.put_fact("software", "1")
    memory.put_fact("software", "2")
    memory.close()
    memory = DeviceMemory(tmp_path / "memory.sqlite")
    assert memory.fact("software") == "2"
    memory.close()


def test_the_room_that_is_kept_aside_is_for_the_write_that_needs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another thread that writes meanwhile neither uses it nor puts it aside again."""
    memory = DeviceMemory(tmp_path / "memory.sqlite")
    commit, other = memory._commit, threading.Thread(target=memory.saw, args=(2,))
    reserve = tmp_path / "memory.sqlite.reserve"
    there: list[bool] = []

    def full_at_first(keep: Callable[[sqlite3.Cursor], object]) -> None:
        if threading.current_thread() is not other:
            there.append(reserve.exists())
            if there == [True]:
                raise StoreFullError("no room")
            other.start()
            other.join(0.2)  # it does not end before this one has
            there.append(reserve.exists())
        commit(keep)

    monkeypatch.setattr(memory, "_commit", full_at_first)
    memory.saw(1)
    other.join()
    assert there == [True, False, False]
    assert memory.seen() == {1, 2}
    assert reserve.exists()
    memory.close()
