"""What is asked of a meter's image transfer (Blue Book 4.4.6), and what the answers mean.

Nothing of an answer is trusted: what is no number, no bitmap or no list is as good as not told.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from openami.core.errors import DecodeError
from openami.core.obis import Obis
from openami.dcu.discovery import FIRMWARE, number_of, text_of
from openami.dlms import data as d
from openami.dlms.client import InvokeMethod
from openami.dlms.cosem.image import IMAGE_OBIS
from openami.dlms.data import BitString
from openami.dlms.references import AttributeRef, MethodRef
from openami.dlms.results import DataAccessResult, result_name
from openami.fleet.upgrade import Bits, Busy, Info, Looked, Refused

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from openami.dlms.client import Item

MAX_INFOS: Final = 16
"""Images that a meter may say that it would activate: it has a handful of processors."""
_TESTED: Final = 2


def attribute(number: int) -> AttributeRef:
    """Return an attribute of image transfer."""
    return AttributeRef(18, IMAGE_OBIS, number)


def method(number: int) -> MethodRef:
    """Return a method of image transfer."""
    return MethodRef(18, IMAGE_OBIS, number)


BLOCK_SIZE: Final = attribute(2)
BITMAP: Final = attribute(3)
FIRST_GAP: Final = attribute(4)
ENABLED: Final = attribute(5)
STATUS: Final = attribute(6)
INFOS: Final = attribute(7)
REFUSAL: Final = AttributeRef(1, Obis.parse("0.0.96.128.0.255"), 2)
TRIAL: Final = AttributeRef(1, Obis.parse("0.0.96.128.1.255"), 2)
HEARD: Final = AttributeRef(1, Obis.parse("0.0.43.1.1.255"), 2)
"""The highest counter of broadcasts that the meter has accepted."""

LOOKED_AT: Final = (
    *(FIRMWARE, BLOCK_SIZE, STATUS, BITMAP, FIRST_GAP, ENABLED, INFOS),
    *(REFUSAL, TRIAL, HEARD),
)

INITIATE: Final = method(1)
TRANSFER: Final = method(2)
VERIFY: Final = InvokeMethod(method(3), d.i8(0))
ACTIVATE: Final = InvokeMethod(method(4), d.i8(0))


def initiate(identifier: bytes, size: int) -> InvokeMethod:
    """Return the request to begin with an image."""
    return InvokeMethod(INITIATE, d.structure(d.octets(identifier), d.u32(size)))


def block(number: int, octets: bytes) -> InvokeMethod:
    """Return the request to take a block."""
    return InvokeMethod(TRANSFER, d.structure(d.u32(number), d.octets(octets)))


def looked(items: Sequence[Item]) -> Looked | Busy | Refused:
    """Return what the answers to ``LOOKED_AT`` say.

    Without a block size and a status there is nothing to be done with a meter, now or at all.
    """
    found = dict(zip(LOOKED_AT, items, strict=True))
    for ref in (BLOCK_SIZE, STATUS):
        if not found[ref].ok:
            return _unread(ref, found[ref])
    size, status = number_of(found[BLOCK_SIZE]), number_of(found[STATUS])
    if size is None or status is None:
        return Refused("its image transfer tells no block size, or no status")
    return Looked(
        version=text_of(found[FIRMWARE]),
        block_size=size,
        status=status,
        bits=bits_of(found[BITMAP]),
        first_gap=number_of(found[FIRST_GAP]),
        enabled=_enabled(found[ENABLED]),
        infos=_infos(found[INFOS]),
        reason=text_of(found[REFUSAL]),
        tested=_tested(found),
    )


def _unread(ref: AttributeRef, item: Item) -> Busy | Refused:
    if item.result == DataAccessResult.TEMPORARY_FAILURE:
        return Busy()
    return Refused(f"reading {ref}: {result_name(item.result)}")


def bitmap(item: Item) -> Bits | Busy | Refused:
    """Return what the answer about ``BITMAP`` says."""
    if not item.ok:
        return _unread(BITMAP, item)
    found = bits_of(item)
    return Refused("its bitmap is none") if found is None else found


def bits_of(item: Item) -> Bits | None:
    """Return a bitmap, which some give as an octet-string; None if it is none."""
    value = _value(item)
    match value:
        case BitString():
            return Bits(value.octets, value.size)
        case bytes():
            return Bits(value, 8 * len(value))
    return None


def _enabled(item: Item) -> bool:
    """Tell whether images are taken; who does not say will say so when it is told to begin."""
    value = _value(item)
    return not (isinstance(value, int) and value == 0)


def _value(item: Item) -> Any:
    try:
        return item.data.value if item.ok else None
    except DecodeError:
        return None


def _infos(item: Item) -> tuple[Info, ...]:
    if not item.ok:
        return ()
    try:
        elements = list(islice(item.data.items(), MAX_INFOS))
        infos = [element.items()[:2] for element in elements]
        return tuple(Info(size.integer(), name.octets()) for size, name in infos)
    except (DecodeError, ValueError):
        return ()


def _tested(found: Mapping[AttributeRef, Item]) -> bool | None:
    state = number_of(found[TRIAL])
    return None if state is None else state == _TESTED
