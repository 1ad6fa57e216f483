"""A memory that fails is told of when it begins, seldom while it lasts, and when it ends."""

from __future__ import annotations

import pytest
from structlog.testing import capture_logs
from tests.support.meter_bench import FailingMemory

from openami.core.errors import StoreFullError
from openami.meter.memory import WatchedMemory
from openami.metrology.memory import MeterCommit


def test_a_full_disk_does_not_fill_the_log() -> None:
    now = 0.0
    disk = FailingMemory()
    memory = WatchedMemory(disk, now=lambda: now)
    change = [MeterCommit("m", b"{}")]
    for full in (True, False, True):
        disk.full = full
        with capture_logs() as logs:
            if full:
                for _ in range(86_400):  # a day, every second
                    now += 1
                    with pytest.raises(StoreFullError):
                        memory.commit(change)
            else:
                memory.commit(change)
                memory.commit(change)
        told = [entry["event"] for entry in logs]
        assert set(told) == {"memory not written" if full else "memory written again"}
        assert len(told) == (29 if full else 1)
        assert logs[0].get("failures") == (1 if full else 86_400)
    assert memory.load("m") == disk.load("m")
