"""Events, notices, comparisons and supply orders as a head-end says them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from openami.core.clock import isoformat
from openami.dlms import data as d
from openami.dlms.cosem import ClientKind
from openami.dlms.cosem.base import Context
from openami.dlms.cosem.response import ANSWERS, RESPONSE_OBIS, Answer
from openami.dlms.references import MethodRef

if TYPE_CHECKING:
    from openami.meter.device import Meter

TEXTS = {"en": "Use less, please.", "ko": "전기를 아껴 주세요."}


def event(
    name: str,
    start: float,
    *spans: float,
    kind: str = "emergency",
    limit: float | None = 1.0,
    **more: Any,
) -> dict[str, Any]:
    """Return an event of intervals that follow each other; ``limit`` in kW holds in all."""
    intervals = []
    for number, seconds in enumerate(spans or (3600.0,)):
        payloads = [{"type": "SIMPLE", "value": "2"}]
        if limit is not None:
            payloads.append({"type": "IMPORT_CAPACITY_LIMIT", "value": str(limit)})
        intervals.append(
            {
                "id": number,
                "start": isoformat(start),
                "duration_s": int(seconds),
                "payloads": payloads,
            }
        )
        start += seconds
    body = {
        "id": name, "version": 1, "program": "summer", "kind": kind, "priority": 1,
        "optional": kind != "emergency", "currency": "KRW", "texts": TEXTS,
        "intervals": intervals, "opted_out": False,
    }  # fmt: skip
    return {**body, **more}


def notice(name: str, at: float, **more: Any) -> dict[str, Any]:
    """Return a notice that is shown for a day."""
    body = {"id": name, "at": isoformat(at), "kind": "message", "until": isoformat(at + 86_400)}
    return {**body, "texts": TEXTS, **more}


def similar(end: float, **more: Any) -> dict[str, Any]:
    """Return a comparison of a week with similar homes."""
    week = {"start": isoformat(end - 7 * 86_400), "end": isoformat(end)}
    return {**week, "homes": 23, "mean_wh": 61_000, "best_wh": 40_000, "own_wh": 70_000, **more}


def supply(order: str, wanted: str, until: float) -> dict[str, Any]:
    return {"order": order, "wanted": wanted, "until": isoformat(until)}


def answer(meter: Meter, event: str, which: Answer) -> None:
    """Answer an event at a meter, as a display does."""
    parameter = d.structure(d.visible(event), d.enum(ANSWERS.index(which)))
    context = Context(kind=ClientKind.HOME)
    meter.device.invoke(MethodRef(8193, RESPONSE_OBIS, 2), parameter, context)
