"""Whether the head-end can do its work: looked at now and then, told at once."""

from __future__ import annotations

import shutil
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypeAlias

import structlog

from openami.core.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

log = structlog.get_logger(__name__)

FREE_OCTETS: Final = 512 * 2**20  # compaction writes new files before it drops the old ones


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at."""

    ok: bool
    detail: str


@dataclass(frozen=True, slots=True)
class HealthState:
    """What all checks gave; fine until something was looked at."""

    checks: Mapping[str, Check] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Whether every check is."""
        return all(check.ok for check in self.checks.values())


Probe: TypeAlias = "Callable[[], str]"


class Health:
    """Runs probes, each of which says a few words or raises ``StoreError`` with others."""

    def __init__(self, probes: Mapping[str, Probe]) -> None:
        self._probes = probes
        self._lock = threading.Lock()
        self._notes: dict[str, Check] = {}
        self._state = HealthState()

    def state(self) -> HealthState:
        """Return what the last look gave."""
        return self._state

    def look(self) -> HealthState:
        """Run every probe. Blocks."""
        checks = {name: _check(probe) for name, probe in self._probes.items()}
        with self._lock:
            checks |= self._notes
        before, self._state = self._state, HealthState(checks)
        if before.ok != self._state.ok:
            failing = sorted(name for name, check in checks.items() if not check.ok)
            log.warning("health changed", ok=self._state.ok, failing=failing)
        return self._state

    def note(self, name: str, *, ok: bool, detail: str) -> None:
        """Keep how something went that is not looked at but done, such as compaction."""
        with self._lock:
            self._notes[name] = Check(ok, detail)


def disk_probe(folder: Path, *, free: int = FREE_OCTETS) -> Probe:
    """Return the probe of the room that is left where ``folder`` is."""

    def probe() -> str:
        left = shutil.disk_usage(folder).free
        if left < free:
            raise StoreError(f"only {left >> 20} MiB are free", code="store.low")
        return f"{left >> 20} MiB free"

    return probe


def _check(probe: Probe) -> Check:
    try:
        return Check(ok=True, detail=probe())
    except StoreError as error:
        return Check(ok=False, detail=error.message)
