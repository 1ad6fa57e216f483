"""What the page shows, as plain data: the API's ``state``, ``live`` and columns of energy."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from openami.core.clock import isoformat
from openami.core.errors import ConfigError
from openami.dlms.cosem import ControlState
from openami.dlms.cosem.response import Answer
from openami.ihd import billing, carbon, ledger, saying, when
from openami.mdm.spans import day_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from decimal import Decimal
    from zoneinfo import ZoneInfo

    from openami.dlms.cosem.response import Event
    from openami.dlms.home import Live
    from openami.ihd.history import History
    from openami.ihd.saying import Told
    from openami.mdm.tariffs.model import Tariff
    from openami.mdm.tariffs.pricing import Price

FRESH_WH: Final = 100
"""A bill is made anew after so much: less seldom moves it."""
HOURS_S: Final = 62 * 86_400
DAYS_S: Final = 430 * 86_400
MONTHS_S: Final = 20 * 366 * 86_400
"""How far one request for energy may reach: its prices are looked up hour by hour."""

_BOUNDS: Final[Mapping[str, tuple[Callable[[int, int, ZoneInfo], list[int]], int]]] = {
    "hour": (when.hours, HOURS_S),
    "day": (when.days, DAYS_S),
    "month": (when.months, MONTHS_S),
}


def live_shown(live: Live) -> dict[str, Any]:
    """Return a push as the API gives it: floats, for screens."""
    return {
        "at": isoformat(live.at),
        "voltage_v": [each / 1000 for each in live.voltage],
        "current_a": [each / 1000 for each in live.current],
        "active_w": live.active / 1000,
        "reactive_var": live.reactive / 1000,
        "apparent_va": live.apparent / 1000,
        "power_factor": live.factor / 1000,
        "frequency_hz": live.frequency / 100,
        "limit_w": live.limit,
        "emergency": live.emergency,
        "rate": live.rate,
        "supply": _supply(live.supply),
    }


def _supply(state: int) -> str:
    try:
        return ControlState(state).name.lower().replace("_", "-")
    except ValueError:  # of a later edition of the standard
        return "unknown"


@dataclass(frozen=True, slots=True)
class _Made:
    """A bill, and what it was made of."""

    key: tuple[object, ...]
    bill: dict[str, Any]


class Screen:
    """Figures of one household, made anew when they may have changed.

    Args:
        history: what they are made of.
        zone: whose midnights count; None: the tariff's.
        factor: grams per kWh in place of the country's.
    """

    def __init__(self, history: History, zone: ZoneInfo | None, factor: Decimal | None) -> None:
        self._history = history
        self._zone = zone
        self._factor = factor
        self._made: _Made | None = None
        self._making = asyncio.Lock()

    def zone(self, tariff: Tariff) -> ZoneInfo:
        """Return whose midnights count."""
        return self._zone or tariff.zone

    def figures(self, tariff: Tariff, now: float) -> dict[str, Any]:
        """Return the API's ``energy``."""
        history, live = self._history, self._history.live
        found = ledger.figures(history.ledger, history.running, now, self.zone(tariff))
        return {
            **found,
            "total_wh": None if live is None else live.imported,
            "exported_total_wh": None if live is None else live.exported,
        }

    def usual(self, tariff: Tariff, now: float) -> Price | None:
        """Return the price of the next kWh by the tariff."""
        start = when.month_of(now, tariff.zone).span(tariff.zone)[0]
        used = self._history.ledger.between(start, int(now), self._history.running)[0]
        return billing.price(tariff, now, used)

    async def refresh(self, tariff: Tariff, now: float) -> None:
        """Make the bill anew if it may have changed."""
        history = self._history
        running = history.running
        energy = 0 if running is None else running.imported // FRESH_WH
        day = when.today(now, tariff.zone)[0]
        key = (history.ledger, energy, day, tariff.digest)
        async with self._making:
            if self._made is None or self._made.key != key:
                period = 900 if history.meter is None else history.meter.period
                made = await asyncio.to_thread(
                    billing.bill, tariff, history.ledger, running, period, now
                )
                self._made = _Made(key, made)

    def shown(self, tariff: Tariff, told: Told, now: float) -> dict[str, Any]:
        """Return what of the API's ``state`` comes from the history and from the utility."""
        figures, usual = self.figures(tariff, now), self.usual(tariff, now)
        made = {} if self._made is None else self._made.bill
        month, day = figures["month_wh"], day_of(now, self.zone(tariff))
        return {
            "energy": figures,
            "bill": {
                "currency": tariff.currency,
                "tariff": tariff.name,
                "so_far": None,
                "estimate": None,
                **made,
                "step": billing.step(usual, month),
                "price_now": billing.price_now(usual, priced(told), now),
            },
            "carbon": carbon.shown(carbon.factor_of(tariff.country, self._factor, day), figures),
            "comparison": saying.comparison_shown(told),
            "events": saying.events_shown(told, now),
            "notices": saying.notices_shown(told, now),
        }

    def energy(self, tariff: Tariff, by: str, start: int, end: int) -> dict[str, Any]:
        """Return columns of energy and of what it costs, as the API gives them; it takes a while.

        Raises:
            ConfigError: ``request.invalid``, there are no such columns, or too many.
        """
        if by not in _BOUNDS:
            raise ConfigError(f"by is {', '.join(_BOUNDS)}", code="request.invalid")
        bounds_of, most = _BOUNDS[by]
        if not 0 <= start <= end <= start + most:
            days = most // 86_400
            reason = f"from is before to, and of {by}s {days} days are given at once"
            raise ConfigError(reason, code="request.invalid")
        bounds = bounds_of(start, end, self.zone(tariff))
        history = self._history
        wh, exported = ledger.columns(history.ledger, history.running, bounds)
        return {
            "start": bounds[:-1],
            "end": bounds[-1],
            "wh": wh,
            "exported_wh": exported,
            "cost": self._costs(tariff, by, bounds),
        }

    def _costs(self, tariff: Tariff, by: str, bounds: Sequence[int]) -> list[str | None]:
        history: History = self._history
        if by != "month":
            return billing.costs(tariff, history.ledger, history.running, bounds)
        period = 900 if history.meter is None else history.meter.period
        return billing.month_totals(tariff, history.ledger, history.running, period, bounds[:-1])


def priced(told: Told) -> Sequence[Event]:
    """Return the events whose prices hold: those that the household is not out of."""
    choices = told.choices()
    return [each for each in told.events if choices.get(each.id) is not Answer.OPTED_OUT]
