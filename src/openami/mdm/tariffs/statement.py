"""A bill as plain data, such as is kept, sent and compared."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from openami.mdm.tariffs.billing import Bill, Item, Line


def statement(bill: Bill) -> dict[str, Any]:
    """Return a bill with all that explains it; numbers are ``Decimal``."""
    return {
        "tariff": bill.tariff.name,
        "title": bill.tariff.title,
        "revision": bill.tariff.revision,
        "digest": bill.tariff.digest,
        "month": str(bill.period),
        "from": str(bill.period.first),
        "to": str(bill.period.last),
        "currency": bill.tariff.currency,
        "usage": {
            "kwh": bill.billed.kwh,
            "periods": {name: kwh for name, kwh in bill.billed.energy.items() if name},
            "demand_kw": bill.billed.demand_kw if bill.tariff.needs_demand else None,
        },
        "lines": [_line(line) for line in bill.lines],
        "total": bill.total,
        "notes": list(bill.tariff.notes),
    }


def _line(line: Line) -> Mapping[str, Any]:
    return {
        "id": line.name,
        "title": line.title,
        "amount": line.amount,
        "rule": line.rule,
        "items": [_item(item) for item in line.items],
        "sources": list(line.sources),
    }


def _item(item: Item) -> Mapping[str, Any]:
    return {
        "what": item.what,
        "quantity": item.quantity,
        "unit": item.unit,
        "rate": item.rate,
        "from": str(item.since),
        "days": item.days,
        "of_days": item.of_days,
        "amount": item.shown,
    }
