"""A bill of the readings that a head-end has stored of a meter, over the REST API."""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from openami.cli.api import ApiError, ask, get_json, pages, segment
from openami.core.clock import isoformat, parse_utc
from openami.core.errors import ConfigError, NotFoundError
from openami.mdm.tariffs.readings import bill_readings, watt_hours

if TYPE_CHECKING:
    from collections.abc import Collection
    from decimal import Decimal
    from zoneinfo import ZoneInfo

    from openami.cli.api import Target
    from openami.mdm.tariffs.intervals import Octets
    from openami.mdm.tariffs.model import Tariff
    from openami.mdm.tariffs.month import Period
    from openami.transport.http import HttpClient

IMPORTED: Final = "1.0.1.29.0.255"  # energy taken in each interval
PROFILE: Final = "1.0.99.1.0.255"
_WH: Final = 30  # the unit's code

Longs = npt.NDArray[np.int64]


def metered_bill(
    target: Target,
    serial: str,
    tariff: Tariff,
    period: Period,
    kw: Decimal | None,
    discounts: Collection[str],
) -> dict[str, Any]:
    """Return the bill of a meter's period as plain data, with an estimate if it goes on.

    Raises:
        NotFoundError: ``bill.no-readings``, there are none.
    """
    start, end = period.before.span(tariff.zone)[0], period.span(tariff.zone)[1]
    begin = period.span(tariff.zone)[0]
    ends, wh, status = ask(target, lambda client: _readings(client, serial, (start, begin, end)))
    made = bill_readings(tariff, period, ends, wh, status=status, kw=kw, discounts=discounts)
    if made is None:
        raise NotFoundError(
            f"{serial} has no load profile of {period}",
            hint=f"openami readings {serial} --latest",
            code="bill.no-readings",
        )
    return {"meter": serial, **made.plain()}


def customer_of(
    target: Target, serial: str, period: Period, zone: ZoneInfo
) -> dict[str, Any] | None:
    """Return the customer who had a meter last in a period, None if nobody is known.

    Who may not see customers is told that nobody is known.
    """
    start, end = period.span(zone)

    async def look(client: HttpClient) -> dict[str, Any] | None:
        try:
            tenancies = (await get_json(client, f"/meters/{segment(serial)}/customers"))["items"]
            had = [each for each in tenancies if _overlaps(each, start, end)]
            if not had:
                return None
            login = max(had, key=lambda each: parse_utc(each["starts"]))["customer"]
            found: dict[str, Any] = await get_json(client, f"/customers/{segment(login)}")
        except ApiError as error:
            if error.code != "security.role":
                raise
            return None
        return found

    return ask(target, look)


def _overlaps(tenancy: dict[str, Any], start: int, end: int) -> bool:
    ends = tenancy["ends"]
    return parse_utc(tenancy["starts"]) < end and (ends is None or parse_utc(ends) > start)


async def _readings(
    client: HttpClient, serial: str, edges: tuple[int, int, int]
) -> tuple[Longs, Longs, Octets]:
    """Return the intervals' ends, their energy in Wh, and their profile status.

    Parts of a Wh carry over to the next interval, but not over the edge in the middle: a bill does
    not depend on what was read of the days before.
    """
    start, middle, end = edges
    path = f"/meters/{segment(serial)}/readings"
    span = {"start": isoformat(start), "end": isoformat(end)}
    ends, values, scalers, status = [], [], [], []
    async for item in pages(client, path, most=None, channel=IMPORTED, profile=PROFILE, **span):
        if item["unit"] != _WH:
            reason = f"{serial} gives {IMPORTED} in {item['symbol']}, not in Wh"
            raise ConfigError(reason, code="bill.unit")
        ends.append(int(parse_utc(item["time"])))
        values.append(item["value"])
        scalers.append(item["scaler"])
        status.append(item["status"])
    at = bisect_right(ends, middle)
    parts = [watt_hours(values[:at], scalers[:at]), watt_hours(values[at:], scalers[at:])]
    return np.array(ends, np.int64), np.concatenate(parts), np.array(status, np.uint8)
