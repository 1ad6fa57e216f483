"""How values look on a page."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from openami.core.clock import isoformat, utc

if TYPE_CHECKING:
    from collections.abc import Callable
    from decimal import Decimal
    from zoneinfo import ZoneInfo

    from openami.core.clock import Clock

NOTHING: Final = "–"
THIN: Final = "\u202f"  # a narrow space that does not break: between digits and before units

_STEPS: Final = ((60, "s"), (60, "min"), (24, "h"), (math.inf, "d"))
_OCTETS: Final = ("B", "KiB", "MiB", "GiB", "TiB")


def thousands(value: int | None) -> str:
    """Return a whole number in groups of three digits."""
    return NOTHING if value is None else f"{value:,}".replace(",", THIN)


def counted(value: int | None, noun: str, plural: str = "s") -> str:
    """Return how many there are of something."""
    return f"{thousands(value)} {noun}{'' if value == 1 else plural}"


def percent(share: float | None) -> str:
    """Return a share of 1 in percent; less than all never rounds to 100 %."""
    if share is None:
        return NOTHING
    shown = math.floor(share * 1000) / 10
    return f"{shown:g}{THIN}%"


def duration(seconds: float | None) -> str:
    """Return a duration in its largest fitting unit."""
    if seconds is None:
        return NOTHING
    value: float = max(seconds, 0.0)
    for step, unit in _STEPS:
        if value < step:
            return f"{value:.0f}{THIN}{unit}"
        value /= step
    return NOTHING


def octets(value: int | None) -> str:
    """Return a size with a binary unit."""
    if value is None:
        return NOTHING
    size = float(value)
    for unit in _OCTETS:
        if size < 1024 or unit == _OCTETS[-1]:
            return f"{size:.0f}{THIN}{unit}" if unit == "B" else f"{size:.1f}{THIN}{unit}"
        size /= 1024
    return NOTHING


def offset(seconds: float | None) -> str:
    """Return how far a clock is ahead, with its sign."""
    if seconds is None:
        return NOTHING
    rounded = round(seconds, 1) or 0.0  # no sign before nothing
    return f"{rounded:+.1f}{THIN}s".replace("-", "−")


def number(value: Decimal) -> str:
    """Return an exact number in groups of three digits."""
    return f"{value:,f}".replace(",", THIN)


def kwh(watt_hours: Decimal | None) -> str:
    """Return an energy in kilowatt-hours, exact."""
    return NOTHING if watt_hours is None else f"{number(watt_hours.scaleb(-3))}{THIN}kWh"


def wh(watt_hours: Decimal) -> str:
    """Return an energy in watt-hours, exact."""
    return f"{number(watt_hours)}{THIN}Wh"


def energy(watt_hours: float) -> str:
    """Return an energy in the unit that fits it, rounded: for words beside a chart."""
    if abs(watt_hours) < 1000:
        return f"{watt_hours:.0f}{THIN}Wh"
    return f"{watt_hours / 1000:,.1f}{THIN}kWh".replace(",", THIN)


def watt(power: float) -> str:
    """Return a power."""
    return f"{power / 1000:.2f}{THIN}kW" if abs(power) >= 1000 else f"{power:.0f}{THIN}W"


def days(left: float) -> str:
    """Return for how many days something is still good, rounded down."""
    return counted(int(left), "day")


def fingerprint(octets: bytes) -> str:
    """Return a digest in hexadecimal digits, in groups that the eye can compare."""
    digits = octets.hex()
    return " ".join(digits[place : place + 8] for place in range(0, len(digits), 8))


def sentence(words: str) -> str:
    """Return words with a capital at their beginning; what stands between is as it was."""
    return words[:1].upper() + words[1:]


def for_clock(clock: Clock, zone: ZoneInfo) -> dict[str, Callable[..., str]]:
    """Return every filter; those that need the time take it from ``clock`` and ``zone``."""

    def ago(at: float) -> str:
        age = clock.now() - at
        return "just now" if age < 1 else f"{duration(age)} ago"

    def local(at: float) -> str:
        return f"{date(at)} {time(at)}"

    def date(at: float) -> str:
        return f"{utc(at).astimezone(zone):%Y-%m-%d}"

    def time(at: float) -> str:
        return f"{utc(at).astimezone(zone):%H:%M:%S}"

    return {
        "thousands": thousands,
        "percent": percent,
        "duration": duration,
        "offset": offset,
        "kwh": kwh,
        "wh": wh,
        "watt": watt,
        "days": days,
        "fingerprint": fingerprint,
        "octets": octets,
        "sentence": sentence,
        "iso": isoformat,
        "ago": ago,
        "local": local,
        "date": date,
        "time": time,
    }
