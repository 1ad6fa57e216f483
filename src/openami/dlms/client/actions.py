"""The exchanges of ACTION."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from openami.core.errors import DecodeError
from openami.dlms.apdu import decode_apdu
from openami.dlms.apdu import set as set_
from openami.dlms.apdu.action import (
    ActionOutcome,
    ActionRequestBlock,
    ActionRequestFirstBlock,
    ActionRequestNext,
    ActionRequestNormal,
    ActionRequestWithList,
    ActionRequestWithListFirstBlock,
    ActionResponseBlock,
    ActionResponseNext,
    ActionResponseNormal,
    ActionResponseWithList,
    decode_outcomes,
)
from openami.dlms.association import BLOCK_OVERHEAD
from openami.dlms.client.blocks import (
    NO_BLOCK,
    Exchange,
    Terms,
    check_block,
    check_taken,
    counted,
    cut,
    expect,
    one_by_one,
    require_blocks,
)
from openami.dlms.client.events import Item
from openami.dlms.conformance import Conformance
from openami.dlms.data import Data, RawData, decode_data, null
from openami.dlms.results import ActionResult
from openami.wire.reader import Reader

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from openami.dlms.apdu.common import Block
    from openami.dlms.client.requests import (
        InvokeList,
        InvokeMethod,
    )

# -- ACTION --------------------------------------------------------------------------------------


def invoke_one(request: InvokeMethod, terms: Terms) -> Exchange:
    """Invoke one method; long parameters and answers go in blocks."""
    invoke = terms.invoke_id()
    apdu = ActionRequestNormal(invoke, request.ref, request.parameter).encode()
    if len(apdu) <= terms.room or request.parameter is None:
        answer = decode_apdu((yield apdu))
    else:
        empty = ActionRequestFirstBlock(invoke, request.ref, NO_BLOCK).encode()
        require_blocks(terms, Conformance.BLOCK_TRANSFER_WITH_ACTION, empty)
        blocks = cut(request.parameter.encode(), len(empty), terms)
        first = ActionRequestFirstBlock(invoke, request.ref, next(blocks))
        answer = yield from _action_blocks(first, blocks, invoke, terms)
    if isinstance(answer, ActionResponseBlock):
        return (_outcome((yield from _answer_blocks(answer, invoke, terms))),)
    return (_outcome_item(expect(answer, ActionResponseNormal, invoke).outcome),)


def _outcome_item(outcome: ActionOutcome) -> Item:
    data = outcome.data
    if isinstance(data, Data | RawData):
        return Item(outcome.result, data.encode())
    return Item(outcome.result)


def _outcome(octets: bytes) -> Item:
    """Return what the blocks of an answer say; some meters put only the data there."""
    r = Reader(octets)
    try:
        outcome = ActionOutcome.read(r)
        r.finish()
    except DecodeError:
        return Item(ActionResult.SUCCESS, decode_data(octets).encode())
    return _outcome_item(outcome)


def _action_blocks(
    first: ActionRequestFirstBlock | ActionRequestWithListFirstBlock,
    blocks: Iterator[Block],
    invoke: int,
    terms: Terms,
) -> Generator[bytes, bytes, Any]:
    sent = len(first.block.octets)
    apdu: Any = decode_apdu((yield first.encode()))
    for block in blocks:
        if not isinstance(apdu, ActionResponseNext):
            break  # the meter ends the transfer
        check_taken(expect(apdu, ActionResponseNext, invoke).number, block.number)
        terms.progress(sent)
        sent += len(block.octets)
        apdu = decode_apdu((yield ActionRequestBlock(invoke, block).encode()))
    return apdu


def _answer_blocks(apdu: Any, invoke: int, terms: Terms) -> Generator[bytes, bytes, bytes]:
    octets = bytearray()
    number = 0
    while True:
        block = expect(apdu, ActionResponseBlock, invoke).block
        number += 1
        check_block(block.number, number, block.octets, len(octets), terms, last=block.last)
        octets += block.octets
        terms.progress(len(octets))
        if block.last:
            return bytes(octets)
        apdu = decode_apdu((yield ActionRequestNext(invoke, number).encode()))


def invoke_list(request: InvokeList, terms: Terms) -> Exchange:
    """Invoke several methods."""
    if Conformance.MULTIPLE_REFERENCES not in terms.conformance:
        return (yield from one_by_one(request.items, invoke_one, terms))
    invoke = terms.invoke_id()
    refs = tuple(item.ref for item in request.items)
    values = tuple(null() if i.parameter is None else i.parameter for i in request.items)
    apdu = ActionRequestWithList(invoke, refs, values).encode()
    if len(apdu) <= terms.room:
        answer = decode_apdu((yield apdu))
    else:
        empty = ActionRequestWithListFirstBlock(invoke, refs, NO_BLOCK).encode()
        if len(empty) + BLOCK_OVERHEAD >= terms.room:
            return (yield from one_by_one(request.items, invoke_one, terms))
        require_blocks(terms, Conformance.BLOCK_TRANSFER_WITH_ACTION, empty)
        blocks = cut(set_.encode_values(values), len(empty), terms)
        first = ActionRequestWithListFirstBlock(invoke, refs, next(blocks))
        answer = yield from _action_blocks(first, blocks, invoke, terms)
    if isinstance(answer, ActionResponseBlock):
        outcomes = decode_outcomes((yield from _answer_blocks(answer, invoke, terms)))
    elif isinstance(answer, ActionResponseNormal):  # the meter ends a transfer in blocks
        return (_outcome_item(answer.outcome),) * len(request.items)
    else:
        outcomes = expect(answer, ActionResponseWithList, invoke).outcomes
    return counted(tuple(map(_outcome_item, outcomes)), request.items)
