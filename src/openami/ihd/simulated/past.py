"""What simulated appliances would have drawn before they began, as a recording."""

from __future__ import annotations

import csv
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from openami.core.clock import utc
from openami.core.errors import ConfigError
from openami.ihd.simulated.run import Home

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from openami.ihd.simulated.run import HomeSettings

STEP_S: Final = 300
"""Seconds of a row: what is on for less is its mean."""

LONGEST_S: Final = 400 * 86_400
"""The longest that is recorded at once: a year takes some minutes."""

COLUMNS: Final = ("timestamp", "active_power_kw", "reactive_power_kvar")


@dataclass(slots=True)
class _Hand:
    """A clock that shows what it is told."""

    time: float

    def now(self) -> float:
        return self.time


def write(path: Path, found: Iterable[tuple[str, str, str]]) -> None:
    """Write a recording's rows to a CSV file.

    Raises:
        ConfigError: it cannot be written.
    """
    try:
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(COLUMNS)
            writer.writerows(found)
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror}") from error


def rows(settings: HomeSettings, since: float, until: float) -> Iterator[tuple[str, str, str]]:
    """Yield a recording's rows (``COLUMNS``): local time of a row's start, kW, kvar.

    Args:
        settings: what is simulated; its clock is not asked.
        since: the first row's start, UTC seconds; cut to a whole step of local time.
        until: no row begins at or after this.

    Raises:
        ConfigError: that is no span, or a longer one than a year.
    """
    if not 2 * STEP_S <= until - since <= LONGEST_S:
        raise ConfigError(f"a recording has {2 * STEP_S} s to {LONGEST_S // 86_400} days")
    at = since - (since + settings.offset) % STEP_S
    hand = _Hand(at)
    home = Home(replace(settings, clock=hand))
    while at < until:
        hand.time += STEP_S
        active, reactive = home.advance()
        local = utc(at + settings.offset).replace(tzinfo=None)
        yield f"{local:%Y-%m-%dT%H:%M:%S}", f"{active / 1000:.3f}", f"{reactive / 1000:.3f}"
        at = hand.time
