"""What a bill is made of: energy by period, demand."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Final

from openami.core.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from openami.mdm.tariffs.model import Tariff

# A steel works' month is below a thousand million kWh.
MAX_QUANTITY: Final = Decimal(10**9)


@dataclass(frozen=True, slots=True)
class Usage:
    """A month's usage as it was measured: kWh by period, or under "" where a tariff has none."""

    energy: Mapping[str, Decimal]
    demand_kw: Decimal | None = None

    @property
    def kwh(self) -> Decimal:
        """Its energy in all."""
        return sum(self.energy.values(), Decimal(0))


@dataclass(frozen=True, slots=True)
class Billed:
    """Usage in the steps in which it is billed."""

    energy: Mapping[str, Decimal]
    demand_kw: Decimal
    kwh: Decimal = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "kwh", sum(self.energy.values(), Decimal(0)))


def billed(tariff: Tariff, usage: Usage) -> Billed:
    """Return usage rounded as a tariff says, each period by itself.

    Raises:
        ConfigError: ``bill.usage``, the periods are not those of the tariff; ``bill.demand``, it
            wants a demand; ``bill.range``, a quantity is negative or can not be.
    """
    periods = tariff.periods or ("",)
    if set(usage.energy) != set(periods):
        raise ConfigError(
            f"{tariff.name} wants the usage "
            + (f"of each of {', '.join(periods)}" if tariff.periods else "as one number"),
            hint=" ".join(f"--kwh {period}{'=' if period else ''}N" for period in periods),
            code="bill.usage",
        )
    if tariff.needs_demand and usage.demand_kw is None:
        raise ConfigError(
            f"{tariff.name} wants the demand in kW", hint="--kw N", code="bill.demand"
        )
    demand = usage.demand_kw or Decimal(0)
    for quantity in (*usage.energy.values(), demand):
        if not 0 <= quantity <= MAX_QUANTITY:
            reason = f"a month has 0 to {MAX_QUANTITY:f} kWh or kW, not {quantity}"
            raise ConfigError(reason, code="bill.range")
    return Billed(
        {period: tariff.usage.apply(usage.energy[period]) for period in periods},
        tariff.demand.apply(demand),
    )


def parse_quantity(text: str) -> Decimal:
    """Return kWh or kW that a person has typed; ConfigError ``bill.usage``."""
    try:
        quantity = Decimal(text)
    except InvalidOperation:
        quantity = Decimal("NaN")
    if not quantity.is_finite():
        raise ConfigError(f"{text!r} is no quantity", hint="such as 350", code="bill.usage")
    return quantity
