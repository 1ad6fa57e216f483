"""The meter's clock as tables have it: seconds since 1970 in UTC, as a time without a zone."""

from __future__ import annotations

from datetime import UTC, datetime


def moment(seconds: int) -> datetime | None:
    """Return a time of the meter's clock; None for 0, which is none."""
    return shown(seconds) if seconds else None


def shown(seconds: int) -> datetime:
    """Return a time of the meter's clock."""
    return datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None)


def seconds_of(value: datetime | None) -> int:
    """Return the seconds of a time that a table holds; 0 if it is none."""
    return 0 if value is None else int(value.replace(tzinfo=UTC).timestamp())
