"""Events that meters keep in their logs."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class MeterEvent:
    """One entry of one of a meter's event logs.

    ``ordinal`` counts events of the same log and second, from 0: together with meter, log and
    time it names the event, so that reading a log twice stores nothing twice.
    """

    meter: str
    log: str
    time: int
    code: int
    ordinal: int = 0
    detail: str | None = None
