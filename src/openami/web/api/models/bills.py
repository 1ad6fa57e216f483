"""What the REST API gives of bills."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Self

from pydantic import Field

from openami.core.clock import utc
from openami.headend.billing import MeterBill
from openami.mdm.tariffs.fleet_readings import FleetBill, Standing
from openami.mdm.tariffs.month import Period
from openami.web.api.models.common import Cursor, ErrorDetail, Model

# Texts: what reads JSON makes floats of its numbers.
Exact = Annotated[str, Field(examples=["71260"], description="A decimal number.")]


class BillIntervals(Model):
    """Of which intervals a bill is made; those that are missing count nothing."""

    whole: int = Field(description="Of the period.")
    expected: int = Field(description="Up to the last that is there.")
    present: int
    until: datetime

    @classmethod
    def of(cls, bill: FleetBill) -> Self:
        """Return the model of what a bill is made of."""
        return cls(
            whole=bill.whole, expected=bill.expected, present=bill.present, until=utc(bill.until)
        )


class BillModel(Model):
    """A meter's bill, or why there is none."""

    meter: str
    customer: str = Field(description="Who had the meter last in the period.")
    customers: int = Field(description="How many had it in the period, all of which is billed.")
    tariff: str
    revision: int | None
    digest: str | None = Field(description="SHA-256 of the tariff's file.")
    discounts: list[str]
    month: str = Field(description="`2026-05`, or `2026-05-18/2026-06-17`.")
    currency: str | None
    status: Standing
    total: Exact | None
    kwh: Exact | None = Field(description="As it is billed.")
    demand_kw: Exact | None = Field(description="Where the tariff wants it.")
    charges: dict[str, Exact] = Field(description="They add up to the total.")
    intervals: BillIntervals | None
    problem: ErrorDetail | None

    @classmethod
    def of(cls, found: MeterBill, period: Period) -> Self:
        """Return the model of what became of a meter's bill."""
        tariff, bill, problem = found.tariff, found.bill, found.problem
        demand = None
        if tariff is not None and bill is not None and tariff.needs_demand:
            demand = tariff.demand.apply(bill.usage.demand_kw or Decimal(0))
        return cls(
            meter=found.meter,
            customer=found.customer,
            customers=found.customers,
            tariff=found.named,
            revision=tariff.revision if tariff else None,
            digest=tariff.digest if tariff else None,
            discounts=list(found.discounts),
            month=str(period),
            currency=tariff.currency if tariff else None,
            status=found.standing,
            total=_exact(bill.total if bill else None),
            kwh=_exact(bill.kwh if bill else None),
            demand_kw=_exact(demand),
            charges={name: f"{amount:f}" for name, amount in bill.charges.items()} if bill else {},
            intervals=BillIntervals.of(bill) if bill else None,
            problem=None
            if problem is None
            else ErrorDetail(code=problem.code, message=problem.message, hint=problem.hint),
        )


class BillPage(Model):
    """The bills of some meters, by their serials."""

    items: list[BillModel]
    next: Cursor


def _exact(value: Decimal | None) -> str | None:
    return None if value is None else f"{value:f}"
