"""What a managed device remembers over restarts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from openami.store.device_memory import SEEN_MOST, DeviceMemory

if TYPE_CHECKING:
    from pathlib import Path


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
