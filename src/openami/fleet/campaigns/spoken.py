"""Groups, shares and windows as a person types them in a line, and as a page tells them.

``10%, 40%, rest`` are groups; so are ``area Seoul + Busan`` and ``cell plc-7``, with a name before
a colon if it is to have one: ``pilot: cell plc-7``. ``01:00-05:00 mon-fri`` is a window.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from openami.fleet.campaigns.model import WHOLE, Areas, Cells, Rest, Rule, Share
from openami.fleet.campaigns.windows import ALL_DAYS, MINUTES_OF_DAY, Window

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
REST: Final = "rest"
_PERCENT: Final = WHOLE // 100
_SHARE: Final = re.compile(r"(\d{1,3})(?:\.(\d{1,2}))?\s*%")
_WINDOW: Final = re.compile(r"(\d{1,2}):(\d\d)\s*-\s*(\d{1,2}):(\d\d)(?:\s+(\S.*))?")
_PLACES: Final = re.compile(r"(area|cell)s?\s+(\S.*)", re.IGNORECASE)


def read_share(text: str) -> int:
    """Return the ten-thousandths that a percentage such as ``2.5%`` is.

    Raises:
        ValueError: it is none from 0 to 100 with at most two digits behind the point.
    """
    found = _SHARE.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"{text!r} is no percentage, such as 2.5%")
    whole, rest = found.groups()
    parts = int(whole) * _PERCENT + int((rest or "0").ljust(2, "0"))
    if parts > WHOLE:
        raise ValueError(f"{text!r} is more than all")
    return parts


def share_words(parts: int) -> str:
    """Return ten-thousandths as a percentage."""
    return f"{parts / _PERCENT:g}%"


def read_groups(text: str) -> Iterator[tuple[str, Rule]]:
    """Yield the name and the rule of each group of a line; a share's name is what was typed.

    Raises:
        ValueError: one is none.
    """
    for part in filter(None, (part.strip() for part in text.replace("\n", ",").split(","))):
        name, colon, said = (each.strip() for each in part.rpartition(":"))
        yield (name if colon else said), read_rule(said)


def read_rule(text: str) -> Rule:
    """Return the rule that a text is; ValueError."""
    if text.lower() == REST:
        return Rest()
    places = _PLACES.fullmatch(text)
    if places is None:
        return Share(read_share(text))
    kind, names = places.groups()
    found = frozenset(name for name in (one.strip() for one in names.split("+")) if name)
    return Areas(found) if kind.lower() == "area" else Cells(found)


def rule_words(rule: Rule) -> str:
    """Return a rule as it is typed."""
    match rule:
        case Share(parts):
            return share_words(parts)
        case Areas(names):
            return f"area {' + '.join(sorted(names))}"
        case Cells(names):
            return f"cell {' + '.join(sorted(names))}"
        case _:
            return REST


def read_windows(text: str) -> Iterator[Window]:
    """Yield the windows of a text, apart by commas or lines.

    Raises:
        ValueError: one is none.
    """
    for part in filter(None, (part.strip() for part in text.replace("\n", ",").split(","))):
        yield read_window(part)


def read_window(text: str) -> Window:
    """Return the window that ``01:00-05:00`` or ``22:00-02:00 sat+sun`` is.

    Raises:
        ValueError: it is none.
    """
    found = _WINDOW.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"{text!r} is no window, such as 01:00-05:00 mon-fri")
    hour, minute, end_hour, end_minute, days = found.groups()
    opens, closes = _minutes(hour, minute), _minutes(end_hour, end_minute)
    return Window(opens, closes, ALL_DAYS if days is None else frozenset(_days(days)))


def window_words(window: Window) -> str:
    """Return a window as it is typed."""
    days = [DAYS[day] for day in sorted(window.days)]
    behind = "" if window.days == ALL_DAYS else f" {'+'.join(days)}"
    return f"{clock_words(window.opens)}-{clock_words(window.closes)}{behind}"


def clock_words(minutes: int) -> str:
    """Return minutes after midnight as a clock shows them; the day's end is 24:00."""
    return f"{minutes // 60:02}:{minutes % 60:02}"


def read_clock(text: str) -> int:
    """Return the minutes after midnight of ``HH:MM``; ValueError."""
    hour, colon, minute = text.partition(":")
    if not (colon and hour.isdecimal() and minute.isdecimal() and len(minute) == 2):
        raise ValueError(f"{text!r} is no time of day, such as 01:30")
    return _minutes(hour, minute)


def _minutes(hour: str, minute: str) -> int:
    minutes = int(hour) * 60 + int(minute)
    if int(minute) > 59 or minutes > MINUTES_OF_DAY:
        raise ValueError(f"{hour}:{minute} is no time of day")
    return minutes


def _days(text: str) -> Iterable[int]:
    for part in text.lower().split("+"):
        first, dash, last = (one.strip()[:3] for one in part.partition("-"))
        ends = (first, last) if dash else (first, first)
        if any(day not in DAYS for day in ends):
            raise ValueError(f"{part!r} is no day of the week, such as mon or sat-sun")
        begin, end = (DAYS.index(day) for day in ends)
        yield from (day % 7 for day in range(begin, end + 1 if end >= begin else end + 8))
