"""What happened to one device in a campaign, and when."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from openami.fleet.campaigns.model import ERRORS, MAX_TEXT
from openami.fleet.campaigns.model import DeviceState as D

MAX_MARKS: Final = 128
"""Marks of one device: all its states, in more attempts than any policy makes."""


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
