"""The exchanges of SET."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from openami.dlms.apdu import decode_apdu
from openami.dlms.apdu import set as set_
from openami.dlms.association import BLOCK_OVERHEAD
from openami.dlms.client.blocks import (
    NO_BLOCK,
    Exchange,
    Terms,
    check_taken,
    counted,
    cut,
    expect,
    odd,
    one_by_one,
    require_blocks,
)
from openami.dlms.client.events import Item
from openami.dlms.conformance import Conformance
from openami.dlms.results import DataAccessResult

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from openami.dlms.apdu.common import Block
    from openami.dlms.client.requests import (
        SetAttribute,
        SetList,
    )

# -- SET -----------------------------------------------------------------------------------------


def set_one(request: SetAttribute, terms: Terms) -> Exchange:
    """Write one attribute; a long value goes in blocks."""
    invoke = terms.invoke_id()
    apdu = set_.SetRequestNormal(invoke, request.ref, request.value).encode()
    if len(apdu) <= terms.room:
        response = expect(decode_apdu((yield apdu)), set_.SetResponseNormal, invoke)
        return (Item(response.result),)
    empty = set_.SetRequestFirstBlock(invoke, request.ref, NO_BLOCK)
    require_blocks(terms, Conformance.BLOCK_TRANSFER_WITH_SET, empty.encode())
    blocks = cut(request.value.encode(), len(empty.encode()), terms)
    first = set_.SetRequestFirstBlock(invoke, request.ref, next(blocks))
    last = yield from _set_blocks(first, blocks, invoke, terms)
    if isinstance(last, set_.SetResponseNormal | set_.SetResponseLastBlock):
        return (Item(last.result),)
    raise odd(type(last).__name__)


def _set_blocks(
    first: set_.SetRequestFirstBlock | set_.SetRequestWithListFirstBlock,
    blocks: Iterator[Block],
    invoke: int,
    terms: Terms,
) -> Generator[bytes, bytes, set_.SetResponse]:
    sent = len(first.block.octets)
    apdu: Any = decode_apdu((yield first.encode()))
    for block in blocks:
        if not isinstance(apdu, set_.SetResponseBlock):  # the meter ends the transfer
            if getattr(apdu, "result", None) is DataAccessResult.SUCCESS:
                raise odd("done before the last block")
            break
        check_taken(expect(apdu, set_.SetResponseBlock, invoke).number, block.number)
        terms.progress(sent)
        sent += len(block.octets)
        apdu = decode_apdu((yield set_.SetRequestBlock(invoke, block).encode()))
    found: set_.SetResponse = expect(apdu, object, invoke)  # type: ignore[assignment]  # the callers check its kind
    return found


def set_list(request: SetList, terms: Terms) -> Exchange:
    """Write several attributes."""
    if Conformance.MULTIPLE_REFERENCES not in terms.conformance:
        return (yield from one_by_one(request.items, set_one, terms))
    invoke = terms.invoke_id()
    refs = tuple((item.ref, None) for item in request.items)
    values = tuple(item.value for item in request.items)
    apdu = set_.SetRequestWithList(invoke, refs, values).encode()
    if len(apdu) <= terms.room:
        whole = expect(decode_apdu((yield apdu)), set_.SetResponseWithList, invoke)
        return counted(tuple(map(Item, whole.results)), request.items)
    empty = set_.SetRequestWithListFirstBlock(invoke, refs, NO_BLOCK).encode()
    if len(empty) + BLOCK_OVERHEAD >= terms.room:
        return (yield from one_by_one(request.items, set_one, terms))
    require_blocks(terms, Conformance.BLOCK_TRANSFER_WITH_SET, empty)
    blocks = cut(set_.encode_values(values), len(empty), terms)
    first = set_.SetRequestWithListFirstBlock(invoke, refs, next(blocks))
    last = yield from _set_blocks(first, blocks, invoke, terms)
    if isinstance(last, set_.SetResponseLastBlockWithList | set_.SetResponseWithList):
        return counted(tuple(map(Item, last.results)), request.items)
    if isinstance(last, set_.SetResponseLastBlock):
        return (Item(last.result),) * len(request.items)
    raise odd(type(last).__name__)
