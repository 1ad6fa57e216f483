"""The exchanges of GET."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from openami.dlms.apdu import decode_apdu
from openami.dlms.apdu.common import Tag
from openami.dlms.apdu.get import (
    GetRequestNext,
    GetRequestNormal,
    GetRequestWithList,
    GetResponseBlock,
    GetResponseNormal,
    GetResponseWithList,
    decode_get_response,
    decode_results,
)
from openami.dlms.client.blocks import (
    Exchange,
    Terms,
    check_block,
    chunks,
    counted,
    expect,
    one_by_one,
)
from openami.dlms.client.events import Item
from openami.dlms.conformance import Conformance
from openami.dlms.results import DataAccessResult

if TYPE_CHECKING:
    from collections.abc import Generator

    from openami.dlms.client.requests import (
        GetAttribute,
        GetList,
    )

# -- GET -----------------------------------------------------------------------------------------


def _decode_get(octets: bytes) -> Any:
    return decode_get_response(octets) if octets[:1] == _GET else decode_apdu(octets)


_GET: Final = bytes((Tag.GET_RESPONSE,))


def get_one(request: GetAttribute, terms: Terms) -> Exchange:
    """Read one attribute; a long answer comes in blocks."""
    invoke = terms.invoke_id()
    apdu = _decode_get((yield GetRequestNormal(invoke, request.ref, request.selection).encode()))
    if isinstance(apdu, GetResponseBlock):
        found = yield from _get_blocks(apdu, invoke, terms)
        return (_item(found),)
    return (_item(expect(apdu, GetResponseNormal, invoke).result),)


def _item(result: Any) -> Item:
    if isinstance(result, DataAccessResult):
        return Item(result)
    raw = result if isinstance(result, bytes) else result.encode()
    return Item(DataAccessResult.SUCCESS, raw)


def _get_blocks(
    apdu: Any, invoke: int, terms: Terms
) -> Generator[bytes, bytes, bytes | DataAccessResult]:
    """Ask for block after block, and return all octets, or why there are no more."""
    octets = bytearray()
    number = 0
    while True:
        if isinstance(apdu, GetResponseNormal) and isinstance(apdu.result, DataAccessResult):
            return apdu.result  # how some meters end a transfer
        block = expect(apdu, GetResponseBlock, invoke)
        if isinstance(block.result, DataAccessResult):
            return block.result
        number += 1
        check_block(block.number, number, block.result, len(octets), terms, last=block.last)
        octets += block.result
        terms.progress(len(octets))
        if block.last:
            return bytes(octets)
        apdu = _decode_get((yield GetRequestNext(invoke, number).encode()))


def get_list(request: GetList, terms: Terms) -> Exchange:
    """Read several attributes, as many at once as fit one request."""
    items: list[Item] = []
    for chunk in chunks(request.items, terms, _attribute_size):
        if len(chunk) == 1 or Conformance.MULTIPLE_REFERENCES not in terms.conformance:
            items += yield from one_by_one(chunk, get_one, terms)
        else:
            items += yield from _get_chunk(chunk, terms)
    return tuple(items)


def _get_chunk(chunk: tuple[GetAttribute, ...], terms: Terms) -> Exchange:
    invoke = terms.invoke_id()
    pairs = tuple((item.ref, item.selection) for item in chunk)
    apdu = _decode_get((yield GetRequestWithList(invoke, pairs).encode()))
    if isinstance(apdu, GetResponseBlock):
        found = yield from _get_blocks(apdu, invoke, terms)
        if isinstance(found, DataAccessResult):
            return (Item(found),) * len(chunk)
        results = decode_results(found)
    else:
        results = expect(apdu, GetResponseWithList, invoke).results  # type: ignore[assignment]  # what was decoded is never RawData
    return counted(tuple(_item(result) for result in results), chunk)


def _attribute_size(item: GetAttribute) -> int:
    return len(GetRequestNormal(0, item.ref, item.selection).encode()) - 3
