"""What happened to one device in a campaign, and when."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from openami.fleet.campaigns.model import ERRORS, MAX_TEXT
from openami.fleet.campaigns.model import DeviceState as D

if TYPE_CHECKING:
    from collections.abc import Iterable

MAX_MARKS: Final = 128
"""Marks of one device: eleven states, and more attempts than any policy makes. The latest stay."""


@dataclass(frozen=True, slots=True)
class Mark:
    """A device reached a state.

    Attributes:
        at: by the clock of who saw it.
        attempt: which try of the DCU with this device, from 1.
        code: why, where it ended badly.
        reason: the same in the device's words, if it has any: printable, of one line.
    """

    state: D
    at: float
    attempt: int = 1
    code: str | None = None
    reason: str = ""

    def __post_init__(self) -> None:
        if len(self.reason) > MAX_TEXT or not self.reason.isprintable():
            raise ValueError(f"a reason is one line of up to {MAX_TEXT} characters")
        if self.reason and self.code is None:
            raise ValueError("a mark has a reason if it is a failure")
        if (self.code is not None) != (self.state in ERRORS) or self.attempt < 1:
            raise ValueError("a mark has a code if it is a failure, and an attempt from 1")


@dataclass(frozen=True, slots=True)
class Timeline:
    """Marks of one device, by attempt and state; each state once in an attempt."""

    device: str
    marks: tuple[Mark, ...] = ()

    @property
    def state(self) -> D:
        """How far the device is, in its latest attempt."""
        return self.marks[-1].state if self.marks else D.WAITING

    @property
    def code(self) -> str | None:
        """Why it ended badly, if it did."""
        return self.marks[-1].code if self.marks else None

    def with_marks(self, marks: Iterable[Mark]) -> Timeline:
        """Return the timeline with what it did not have; the first word about a state holds.

        They may come late, again and in any order. The very same timeline comes back if all was
        known.
        """
        known = {(mark.attempt, mark.state): mark for mark in self.marks}
        for mark in marks:
            known.setdefault((mark.attempt, mark.state), mark)
        if len(known) == len(self.marks):
            return self
        ordered = sorted(known.values(), key=lambda mark: (mark.attempt, mark.state.value))
        return replace(self, marks=tuple(ordered[-MAX_MARKS:]))
