"""What the head-end is told of meters' upgrades: counts, which are whole, and marks, once each."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final, Self

import structlog

from openami.core.errors import DecodeError
from openami.fleet.campaigns.model import ERRORS, DeviceState, StepKind
from openami.fleet.campaigns.progress import MAX_CODES, OTHER
from openami.fleet.upgrade import Stage

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from openami.fleet.upgrade import Upgrade

MAX_MARKS: Final = 2000
"""Told at a time: 200 meters tell all of their states in one request, of some 300 KiB."""

log = structlog.get_logger("dcu.upgrade")

_STATES: Final[Mapping[Stage, DeviceState]] = {
    Stage.COMPLETE: DeviceState.TRANSFERRED,
    Stage.VERIFYING: DeviceState.TRANSFERRED,
    Stage.VERIFIED: DeviceState.VERIFIED,
    Stage.ACTIVATING: DeviceState.VERIFIED,
    Stage.ACTIVATED: DeviceState.ACTIVATED,
    Stage.ON_TRIAL: DeviceState.ACTIVATED,
    Stage.CONFIRMED: DeviceState.CONFIRMED,
    Stage.REVERTED: DeviceState.REVERTED,
    Stage.DISCARDED: DeviceState.DISCARDED,
    Stage.FAILED: DeviceState.FAILED,
}


def state_of(stage: Stage, *, fetched: bool, tested: bool = False) -> DeviceState:
    """Return how far a meter is.

    Args:
        stage: of its upgrade.
        fetched: its image is on the DCU.
        tested: it has said that the new image passed its self-test.
    """
    if stage is Stage.ON_TRIAL and tested:
        return DeviceState.SELF_TESTED
    before = DeviceState.DOWNLOADED if fetched else DeviceState.OFFERED
    return _STATES.get(stage, before)


def has_told(told: int, state: DeviceState) -> bool:
    """Tell whether a meter has a mark of a state; ``told`` has a bit for each."""
    return bool(told >> state.value & 1)


def name_of(state: DeviceState) -> str:
    """Return what a state is called in a report."""
    return state.name.lower().replace("_", "-")


@dataclass(frozen=True, slots=True)
class Mark:
    """A meter has reached a state; ``code`` and ``reason`` say why, where that is an end."""

    meter: str
    state: str
    at: float
    attempt: int
    code: str | None = None
    reason: str = ""

    def encode(self) -> bytes:
        """Return what is kept of it until it was told."""
        return json.dumps(asdict(self), separators=(",", ":")).encode()

    @classmethod
    def decode(cls, octets: bytes) -> Self:
        """Return what ``encode`` wrote; raises ``DecodeError``."""
        try:
            return cls(**json.loads(octets))
        except (ValueError, TypeError) as error:
            raise DecodeError("a mark wanted", code="upgrade.mark") from error


@dataclass(frozen=True, slots=True)
class StepFailure:
    """A step that the DCU itself could not do."""

    step: StepKind
    attempt: int
    code: str

    def body(self) -> dict[str, Any]:
        """Return it as a report has it."""
        return asdict(self)

    def encode(self) -> bytes:
        """Return what is kept of it."""
        return json.dumps(asdict(self), separators=(",", ":")).encode()

    @classmethod
    def decode(cls, octets: bytes) -> Self:
        """Return what ``encode`` wrote; raises ``DecodeError``."""
        try:
            values = json.loads(octets)
            return cls(StepKind(values["step"]), int(values["attempt"]), str(values["code"]))
        except (ValueError, TypeError, KeyError) as error:
            raise DecodeError("a failed step wanted", code="upgrade.step") from error


def marks_of(
    upgrade: Upgrade, state: DeviceState, *, attempt: int, told: int, now: float
) -> tuple[list[Mark], int]:
    """Return the marks that a state adds, and which states the meter then has marks of.

    Whoever confirms an image has passed its self-test, even if nobody asked in between.

    Args:
        upgrade: how far the meter is.
        state: the same as it is told.
        attempt: which of the tries with it.
        told: the states that it has marks of, a bit for each.
        now: the true time.
    """
    tested = state is DeviceState.SELF_TESTED
    if state is DeviceState.CONFIRMED:
        tested = Stage.ON_TRIAL in upgrade.marks
    before = (DeviceState.ACTIVATED, DeviceState.SELF_TESTED) if tested else ()
    marks = []
    for reached in dict.fromkeys((*before, state)):
        if has_told(told, reached):
            continue
        told |= 1 << reached.value
        failed = reached in ERRORS
        code = (upgrade.code or "upgrade.failed") if failed else None
        reason = upgrade.reason if failed else ""
        marks.append(Mark(upgrade.serial, name_of(reached), now, attempt, code, reason))
    return marks, told


def readable(kept: Iterable[bytes]) -> list[Mark]:
    """Return marks that were kept; what another version of this software wrote is passed over."""
    marks = []
    for octets in kept:
        try:
            marks.append(Mark.decode(octets))
        except DecodeError as error:
            log.warning("a mark cannot be read", code=error.code)
    return marks


def report(
    campaign: str,
    number: int,
    meters: Iterable[tuple[Upgrade, DeviceState]],
    *,
    failed: StepFailure | None,
    marks: Sequence[Mark],
) -> dict[str, Any]:
    """Return what is told of one order.

    Args:
        campaign: whose order it is.
        number: of the report; it grows.
        meters: those that the order names, and how far each is.
        failed: the step that could not be done.
        marks: what was not told yet.
    """
    counts: Counter[DeviceState] = Counter()
    codes: Counter[str] = Counter()
    for upgrade, state in meters:
        counts[state] += 1
        if state in ERRORS:
            codes[upgrade.code or "upgrade.failed"] += 1
    return {
        "campaign": campaign,
        "number": number,
        "counts": {name_of(state): count for state, count in counts.items()},
        "codes": _bounded(codes),
        "failed": None if failed is None else failed.body(),
        "marks": [asdict(mark) for mark in marks],
    }


def _bounded(codes: Counter[str]) -> dict[str, int]:
    if len(codes) <= MAX_CODES:
        return dict(codes)
    kept = dict(codes.most_common(MAX_CODES - 1))
    return {**kept, OTHER: codes.total() - sum(kept.values())}
