"""How far the devices of a campaign are: counts per DCU, and sums per group kept by difference.

A report is all that a DCU has to say of its devices at a moment, and has a number that grows. What
comes late or again has a number that is not higher than one before it, and changes nothing. So
reports may come in any order and any number of times: what counts is the last one.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np

from openami.core.errors import RemoteProtocolError
from openami.fleet.campaigns.groups import GroupCount
from openami.fleet.campaigns.model import ERRORS, NOT_FETCHED, READY, STATES, StepKind
from openami.fleet.campaigns.model import DeviceState as D

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

    from openami.fleet.campaigns.plan import Plan
    from openami.fleet.campaigns.sites import Ints

MAX_CODES: Final = 32
"""Kinds of failure in one report: a DCU's meters seldom fail in more than a few ways."""
MAX_ALL_CODES: Final = 512
"""Kinds of failure in a campaign: all codes that we know several times over. Reports name them, so
without a bound DCUs could fill the memory; what is beyond is counted as ``OTHER``."""
MAX_NUMBER: Final = 2**62
"""Of a report: a DCU that has lost its memory goes on from its clock, in microseconds."""
OTHER: Final = "campaign.other-codes"
_CODE: Final = re.compile(r"[a-z0-9]+(?:[.-][a-z0-9]+){0,7}")
MAX_CODE: Final = 64

_ERRORS: Final = [state.value for state in ERRORS]
_READY: Final = [state.value for state in READY]
_WAITING: Final = D.WAITING.value
_FAILED: Final = D.FAILED.value


@dataclass(frozen=True, slots=True)
class StepFailed:
    """A DCU could not do what it was given: the attempt, and the code of why."""

    step: StepKind
    attempt: int
    code: str


@dataclass(frozen=True, slots=True)
class Report:
    """What a DCU says of its devices in a campaign.

    It has a word for each device that its order names: one that it does not know has failed.

    Attributes:
        number: higher than in all its reports before.
        counts: devices by state; those that it does not mention are waiting.
        codes: of those that ended badly, by the code of why.
        failed: a step that the DCU itself could not do.
    """

    number: int
    counts: Mapping[D, int]
    codes: Mapping[str, int] = field(default_factory=dict)
    failed: StepFailed | None = None

    def __post_init__(self) -> None:
        codes = [*self.codes, *([self.failed.code] if self.failed else [])]
        if not 0 < self.number <= MAX_NUMBER or len(codes) > MAX_CODES + 1:
            raise _refused("form", "a report's number or its codes")
        if D.WAITING in self.counts:
            raise _refused("form", "a report counts devices that wait")
        if any(len(code) > MAX_CODE or not _CODE.fullmatch(code) for code in codes):
            raise _refused("form", "a code of a report")
        if min([0, *self.counts.values()]) < 0 or min([1, *self.codes.values()]) < 1:
            raise _refused("count", "a report counts less than nothing")
        errors = sum(self.counts.get(state, 0) for state in ERRORS)
        if sum(self.codes.values()) != errors:
            raise _refused("count", "a report does not say of every failure why")


@dataclass(frozen=True, slots=True)
class SiteProgress:
    """How far one DCU's devices are, as it is kept in a store."""

    row: int
    number: int
    heard: float
    counts: tuple[int, ...]
    codes: Mapping[str, int]


class Progress:
    """Counts per DCU and group of one campaign.

    Args:
        plan: whose rows it has.
        devices: how many each row has.
        groups: how many there are.
    """

    def __init__(self, plan: Plan, devices: Ints, *, groups: int) -> None:
        self._group = plan.group.astype(np.int16)
        self._counts = np.zeros((len(devices), len(STATES)), np.int32)
        self._counts[:, _WAITING] = devices
        self._numbers = np.zeros(len(devices), np.int64)
        self._heard = np.zeros(len(devices), np.float64)
        self._codes: dict[int, dict[str, int]] = {}
        self._known: set[str] = set()
        self._by_code = [Counter[str]() for _ in range(groups)]
        self._sums = np.zeros((groups, len(STATES)), np.int64)
        inside = plan.group >= 0
        self._sums[:, _WAITING] = np.bincount(plan.group[inside], devices[inside], groups)

    def __len__(self) -> int:
        return len(self._counts)

    # What is said of DCUs

    def take(self, row: int, report: Report, *, now: float) -> bool:
        """Take note of a report; False if it is late or known, and nothing has changed.

        Raises:
            RemoteProtocolError: ``campaign.report.count``, it counts more devices than the DCU was
                given.
        """
        if report.number <= self._numbers[row]:
            return False
        waiting = self.devices(row) - sum(report.counts.values())
        if waiting < 0:
            raise _refused("count", "a report counts more devices than there are")
        counts = np.zeros(len(STATES), np.int32)
        for state, count in report.counts.items():
            counts[state.value] = count
        counts[_WAITING] = waiting
        self._numbers[row] = report.number
        self._heard[row] = now
        self._put(row, counts, self._kept(report.codes))
        return True

    def give_up(self, row: int, states: tuple[D, ...], code: str) -> int:
        """Let a DCU's devices in some states count as failed; return how many."""
        counts = self._counts[row].copy()
        columns = [state.value for state in states]
        lost = int(counts[columns].sum())
        if lost:
            counts[columns] = 0
            counts[_FAILED] += lost
            codes = Counter(self._codes.get(row, {}))
            codes[self._keep(code)] += lost
            self._put(row, counts, codes)
        return lost

    def offer(self, row: int) -> None:
        """Let a DCU's waiting devices count as offered."""
        counts = self._counts[row].copy()
        counts[D.OFFERED.value] += counts[_WAITING]
        counts[_WAITING] = 0
        self._put(row, counts, self._codes.get(row, {}))

    def join(self, row: int, devices: int) -> None:
        """Let a DCU have more devices; they are waiting."""
        counts = self._counts[row].copy()
        counts[_WAITING] += devices
        self._put(row, counts, self._codes.get(row, {}))

    def leave(self, row: int, state: D, code: str | None = None) -> bool:
        """Let a DCU have one device less, which was in ``state``; False if it has none such.

        A device that waits may have been offered meanwhile, and the other way round.
        """
        if state in NOT_FETCHED:
            state = next((one for one in NOT_FETCHED if self.in_any(row, (one,))), state)
        counts, codes = self._counts[row].copy(), dict(self._codes.get(row, {}))
        if state in ERRORS:
            code = code if code in codes else OTHER
            if code not in codes:
                return False
            codes[code] -= 1
        if not counts[state.value]:
            return False
        counts[state.value] -= 1
        self._put(row, counts, {code: count for code, count in codes.items() if count})
        return True

    def extend(self, plan: Plan, devices: Ints) -> None:
        """Take in the rows that ``plan`` has more; ``devices`` are theirs."""
        first = len(self)
        room = len(devices)
        self._group = plan.group.astype(np.int16)
        self._counts = np.pad(self._counts, ((0, room), (0, 0)))
        self._numbers = np.pad(self._numbers, (0, room))
        self._heard = np.pad(self._heard, (0, room))
        for row, count in enumerate(devices.tolist(), first):
            self.join(row, count)

    # What is asked

    def devices(self, row: int) -> int:
        """Return how many devices a DCU has in the campaign."""
        return int(self._counts[row].sum())

    def counts(self, row: int) -> dict[D, int]:
        """Return a DCU's devices by state, without states that none is in."""
        return _by_state(self._counts[row])

    def codes(self, row: int) -> Mapping[str, int]:
        """Return a DCU's failures by code."""
        return dict(self._codes.get(row, {}))

    def number(self, row: int) -> int:
        """Return the number of a DCU's last report; 0: it has not reported."""
        return int(self._numbers[row])

    def heard(self, row: int) -> float:
        """Return when a DCU last reported; 0: never."""
        return float(self._heard[row])

    def in_any(self, row: int, states: tuple[D, ...]) -> int:
        """Return how many of a DCU's devices are in one of some states."""
        counts = self._counts[row].tolist()
        return sum(counts[state.value] for state in states)

    def having(self, rows: Ints, states: tuple[D, ...]) -> list[int]:
        """Return those of some rows that have a device in one of some states, in their order."""
        columns = [state.value for state in states]
        found: list[int] = rows[self._counts[rows][:, columns].any(axis=1)].tolist()
        return found

    def group_states(self, group: int) -> dict[D, int]:
        """Return a group's devices by state, without states that none is in."""
        return _by_state(self._sums[group])

    def group_codes(self, group: int) -> Mapping[str, int]:
        """Return a group's failures by code, the most frequent first."""
        return dict(self._by_code[group].most_common())

    def group_counts(self) -> tuple[GroupCount, ...]:
        """Return what thresholds are judged by, for every group."""
        return tuple(
            GroupCount(
                sum(sums),
                sum(sums[state] for state in _READY),
                sums[D.CONFIRMED.value],
                sum(sums[state] for state in _ERRORS),
            )
            for sums in self._sums.tolist()
        )

    # What a store keeps

    def saved(self, row: int) -> SiteProgress:
        """Return what a store keeps of a DCU."""
        counts = tuple(self._counts[row].tolist())
        return SiteProgress(row, self.number(row), self.heard(row), counts, self.codes(row))

    def restore(self, kept: SiteProgress) -> None:
        """Take back what a store kept of a DCU."""
        self._numbers[kept.row] = kept.number
        self._heard[kept.row] = kept.heard
        self._put(kept.row, np.array(kept.counts, np.int32), self._kept(kept.codes))

    def _put(self, row: int, counts: npt.NDArray[np.int32], codes: Mapping[str, int]) -> None:
        group = int(self._group[row])
        if group >= 0:
            self._sums[group] += counts - self._counts[row]
            by_code = self._by_code[group]
            by_code.subtract(self._codes.get(row, {}))
            by_code.update(codes)
            for code in self._codes.get(row, {}):
                if not by_code[code]:
                    del by_code[code]
        self._counts[row] = counts
        if codes:
            self._codes[row] = dict(codes)
        else:
            self._codes.pop(row, None)

    def _kept(self, codes: Mapping[str, int]) -> Counter[str]:
        kept = Counter[str]()
        for code, count in codes.items():
            kept[self._keep(code)] += count
        return kept

    def _keep(self, code: str) -> str:
        if code not in self._known and len(self._known) >= MAX_ALL_CODES:
            return OTHER
        self._known.add(code)
        return code


def _by_state(counts: npt.NDArray[np.int32]) -> dict[D, int]:
    return {state: count for state, count in zip(STATES, counts.tolist(), strict=True) if count}


def _refused(code: str, message: str) -> RemoteProtocolError:
    return RemoteProtocolError(message, code=f"campaign.report.{code}")
