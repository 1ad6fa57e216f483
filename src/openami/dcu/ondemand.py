"""On-demand reads: some attributes of one meter, now."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from openami.core.errors import DecodeError
from openami.core.obis import Obis
from openami.dcu.layouts import SCALERS, scaler_unit
from openami.dlms.client import GetAttribute, GetList
from openami.dlms.datetime import CosemDateTime
from openami.dlms.references import AttributeRef, RangeSelection
from openami.dlms.results import result_name
from openami.transport.session import ServiceRefusedError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from openami.dcu.headend import Attribute, Work
    from openami.dcu.jobs import JobBoard
    from openami.dlms.client import Item
    from openami.transport.session import DlmsSession

# So many attributes in one request, so that the operator sees a long job go on.
CHUNK: Final = 16
# Of a profile's buffer an operator wants the newest part; the rest is in the store.
BUFFER_S: Final = 86_400.0

_CLOCK_TIME: Final = (8, 2)
_PROFILE_BUFFER: Final = (7, 2)


async def do_job(session: DlmsSession, work: Work, board: JobBoard, *, wall: float) -> None:
    """Read what a job asks for, and say so on the board.

    Raises:
        OpenAmiError: the line or the meter failed; the job is still open.
    """
    results: list[dict[str, Any]] = []
    board.running(work.id, 0.0)
    for chunk in _chunks(work.attributes):
        results += await _read(session, chunk, wall)
        if len(results) < len(work.attributes):
            board.running(work.id, len(results) / len(work.attributes), results)
    board.done(work.id, results)


def _chunks(attributes: Sequence[Attribute]) -> Iterator[Sequence[Attribute]]:
    for start in range(0, len(attributes), CHUNK):
        yield attributes[start : start + CHUNK]


async def _read(
    session: DlmsSession, wanted: Sequence[Attribute], wall: float
) -> list[dict[str, Any]]:
    """Return the results of some attributes, registers with their scalers and units."""
    try:
        refs = [_ref(attribute) for attribute in wanted]
    except ValueError:
        return [_failed(attribute, "request.obis") for attribute in wanted]
    scalers = {ref: _scaler(ref) for ref in refs if (ref.class_id, ref.attribute) in SCALERS}
    asked = [*dict.fromkeys(refs), *dict.fromkeys(scalers.values())]
    try:
        answer = await session.request(GetList(tuple(_get(ref, wall) for ref in asked)))
    except ServiceRefusedError as error:
        return [_failed(attribute, error.code) for attribute in wanted]
    items = dict(zip(asked, answer.items, strict=True))
    return [
        _result(attribute, items[ref], items.get(scalers[ref]) if ref in scalers else None)
        for attribute, ref in zip(wanted, refs, strict=True)
    ]


def _ref(attribute: Attribute) -> AttributeRef:
    return AttributeRef(attribute.class_id, Obis.parse(attribute.obis), attribute.attribute)


def _scaler(ref: AttributeRef) -> AttributeRef:
    return AttributeRef(ref.class_id, ref.obis, SCALERS[ref.class_id, ref.attribute])


def _get(ref: AttributeRef, wall: float) -> GetAttribute:
    if (ref.class_id, ref.attribute) != _PROFILE_BUFFER:
        return GetAttribute(ref)
    start, end = (CosemDateTime.from_utc(moment) for moment in (wall - BUFFER_S, wall + BUFFER_S))
    return GetAttribute(ref, RangeSelection.of_times(start, end))


def _result(attribute: Attribute, item: Item, scaler: Item | None) -> dict[str, Any]:
    if not item.ok:
        return _failed(attribute, f"dlms.{result_name(item.result)}")
    try:
        is_time = (attribute.class_id, attribute.attribute) == _CLOCK_TIME
        value = str(item.data.datetime()) if is_time else item.data.jsonable()
        found = scaler_unit(scaler) if scaler is not None else (None, None)
    except DecodeError as error:
        return _failed(attribute, error.code)
    return {**_named(attribute), "value": value, "scaler": found[0], "unit": found[1]}


def _failed(attribute: Attribute, code: str) -> dict[str, Any]:
    return {**_named(attribute), "error": code}


def _named(attribute: Attribute) -> dict[str, Any]:
    return {
        "class_id": attribute.class_id,
        "obis": attribute.obis,
        "attribute": attribute.attribute,
    }
