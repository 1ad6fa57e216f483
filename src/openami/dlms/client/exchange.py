"""The APDUs of one request: generators that yield what to send and are sent what came.

Each returns the items of the answer. It raises ``RemoteProtocolError`` when the meter breaks the
standard, which closes the association, and ``TooLongError`` when the request does not fit.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from openami.core.errors import DecodeError, LocalProtocolError, RemoteProtocolError
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
from openami.dlms.apdu.common import Block, Tag
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
from openami.dlms.association import BLOCK_OVERHEAD
from openami.dlms.client.events import Item
from openami.dlms.client.requests import (
    GetAttribute,
    GetList,
    InvokeList,
    InvokeMethod,
    Request,
    SetAttribute,
    SetList,
)
from openami.dlms.conformance import Conformance
from openami.dlms.data import Data, RawData, decode_data, null
from openami.dlms.results import ActionResult, DataAccessResult
from openami.wire.reader import Reader

Items = tuple[Item, ...]
Exchange = Generator[bytes, bytes, Items]
T = TypeVar("T")


class TooLongError(LocalProtocolError):
    """A request does not fit into what the meter takes, and the meter takes no blocks."""

    code = "pdu-too-long"


@dataclass(frozen=True, slots=True)
class Terms:
    """What an exchange has to keep to.

    Args:
        conformance: what was negotiated.
        room: octets that a plain APDU may have.
        max_answer: octets of the longest answer from blocks.
        invoke_id: returns the next Invoke-Id-And-Priority octet.
        progress: is told the octets so far.
    """

    conformance: Conformance
    room: int
    max_answer: int
    invoke_id: Callable[[], int]
    progress: Callable[[int], None]


def exchange(request: Request, terms: Terms) -> Exchange:
    """Return the exchange of a request."""
    return _EXCHANGES[type(request)](request, terms)


def _odd(what: str) -> RemoteProtocolError:
    return RemoteProtocolError(f"an answer that does not fit the request: {what}")


def _expect(apdu: Any, kind: type[T], invoke_id: int) -> T:
    """Return ``apdu`` if it is the answer awaited (Green Book 9.3.4: the invoke-id comes back)."""
    if not isinstance(apdu, kind):
        raise _odd(type(apdu).__name__)
    if (getattr(apdu, "invoke_id", 0) ^ invoke_id) & 0x0F:
        raise _odd("another invoke-id")
    return apdu


# -- GET -----------------------------------------------------------------------------------------


def _decode_get(octets: bytes) -> Any:
    return decode_get_response(octets) if octets[:1] == _GET else decode_apdu(octets)


_GET: Final = bytes((Tag.GET_RESPONSE,))


def _get(request: GetAttribute, terms: Terms) -> Exchange:
    invoke = terms.invoke_id()
    apdu = _decode_get((yield GetRequestNormal(invoke, request.ref, request.selection).encode()))
    if isinstance(apdu, GetResponseBlock):
        found = yield from _get_blocks(apdu, invoke, terms)
        return (_item(found),)
    return (_item(_expect(apdu, GetResponseNormal, invoke).result),)


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
        block = _expect(apdu, GetResponseBlock, invoke)
        if isinstance(block.result, DataAccessResult):
            return block.result
        number += 1
        _check_block(block.number, number, block.result, len(octets), terms, last=block.last)
        octets += block.result
        terms.progress(len(octets))
        if block.last:
            return bytes(octets)
        apdu = _decode_get((yield GetRequestNext(invoke, number).encode()))


def _check_block(
    found: int, wanted: int, block: bytes, size: int, terms: Terms, *, last: bool
) -> None:
    if found != wanted:
        raise RemoteProtocolError(f"block {wanted} wanted, {found} came")
    if not block and not last:
        raise RemoteProtocolError("an empty block that is not the last")
    if size + len(block) > terms.max_answer:
        raise RemoteProtocolError(f"an answer of more than {terms.max_answer} octets")


def _get_list(request: GetList, terms: Terms) -> Exchange:
    items: list[Item] = []
    for chunk in _chunks(request.items, terms, _attribute_size):
        if len(chunk) == 1 or Conformance.MULTIPLE_REFERENCES not in terms.conformance:
            items += yield from _one_by_one(chunk, _get, terms)
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
        results = _expect(apdu, GetResponseWithList, invoke).results  # type: ignore[assignment]  # what was decoded is never RawData
    return _counted(tuple(_item(result) for result in results), chunk)


def _counted(items: Items, chunk: tuple[Any, ...]) -> Items:
    if len(items) != len(chunk):
        raise _odd(f"{len(items)} results for {len(chunk)} items")
    return items


def _one_by_one(
    chunk: tuple[Any, ...], single: Callable[[Any, Terms], Exchange], terms: Terms
) -> Exchange:
    items: list[Item] = []
    for item in chunk:
        items += yield from single(item, terms)
    return tuple(items)


_LIST_HEAD: Final = 3 + 3  # tag, choice, invoke-id; a count of up to 3 octets


def _attribute_size(item: GetAttribute) -> int:
    return len(GetRequestNormal(0, item.ref, item.selection).encode()) - 3


def _chunks(
    items: tuple[T, ...], terms: Terms, size_of: Callable[[T], int]
) -> Iterator[tuple[T, ...]]:
    """Cut a list into parts that fit one APDU each, of one item at least."""
    chunk: list[T] = []
    size = _LIST_HEAD
    for item in items:
        needed = size_of(item)
        if chunk and size + needed > terms.room:
            yield tuple(chunk)
            chunk, size = [], _LIST_HEAD
        chunk.append(item)
        size += needed
    if chunk:
        yield tuple(chunk)


# -- SET -----------------------------------------------------------------------------------------


def _set(request: SetAttribute, terms: Terms) -> Exchange:
    invoke = terms.invoke_id()
    apdu = set_.SetRequestNormal(invoke, request.ref, request.value).encode()
    if len(apdu) <= terms.room:
        response = _expect(decode_apdu((yield apdu)), set_.SetResponseNormal, invoke)
        return (Item(response.result),)
    empty = set_.SetRequestFirstBlock(invoke, request.ref, _NO_BLOCK)
    _require_blocks(terms, Conformance.BLOCK_TRANSFER_WITH_SET, empty.encode())
    blocks = _cut(request.value.encode(), len(empty.encode()), terms)
    first = set_.SetRequestFirstBlock(invoke, request.ref, next(blocks))
    last = yield from _set_blocks(first, blocks, invoke, terms)
    if isinstance(last, set_.SetResponseNormal | set_.SetResponseLastBlock):
        return (Item(last.result),)
    raise _odd(type(last).__name__)


def _set_blocks(
    first: set_.SetRequestFirstBlock | set_.SetRequestWithListFirstBlock,
    blocks: Iterator[Block],
    invoke: int,
    terms: Terms,
) -> Generator[bytes, bytes, set_.SetResponse]:
    sent = len(first.block.octets)
    apdu: Any = decode_apdu((yield first.encode()))
    for block in blocks:
        if not isinstance(apdu, set_.SetResponseBlock):
            break  # the meter ends the transfer
        _check_taken(_expect(apdu, set_.SetResponseBlock, invoke).number, block.number)
        terms.progress(sent)
        sent += len(block.octets)
        apdu = decode_apdu((yield set_.SetRequestBlock(invoke, block).encode()))
    found: set_.SetResponse = _expect(apdu, object, invoke)  # type: ignore[assignment]  # the callers check its kind
    return found


def _check_taken(number: int, next_number: int) -> None:
    if number != next_number - 1:
        raise RemoteProtocolError(f"block {next_number - 1} was sent, {number} acknowledged")


_NO_BLOCK: Final = Block(last=False, number=0, octets=b"")


def _require_blocks(terms: Terms, wanted: Conformance, head: bytes) -> None:
    if wanted not in terms.conformance or len(head) + BLOCK_OVERHEAD >= terms.room:
        raise TooLongError("the request is longer than what the meter takes")


def _cut(octets: bytes, head: int, terms: Terms) -> Iterator[Block]:
    """Cut ``octets`` into blocks: the first fits beside ``head`` octets, the others alone."""
    size = terms.room - head - 2  # the block's length may have 3 octets, in ``head`` it has one
    offset, number = 0, 1
    while True:
        block = octets[offset : offset + size]
        offset += len(block)
        yield Block(offset >= len(octets), number, block)
        if offset >= len(octets):
            return
        number += 1
        size = terms.room - BLOCK_OVERHEAD


def _set_list(request: SetList, terms: Terms) -> Exchange:
    if Conformance.MULTIPLE_REFERENCES not in terms.conformance:
        return (yield from _one_by_one(request.items, _set, terms))
    invoke = terms.invoke_id()
    refs = tuple((item.ref, None) for item in request.items)
    values = tuple(item.value for item in request.items)
    apdu = set_.SetRequestWithList(invoke, refs, values).encode()
    if len(apdu) <= terms.room:
        whole = _expect(decode_apdu((yield apdu)), set_.SetResponseWithList, invoke)
        return _counted(tuple(map(Item, whole.results)), request.items)
    empty = set_.SetRequestWithListFirstBlock(invoke, refs, _NO_BLOCK).encode()
    if len(empty) + BLOCK_OVERHEAD >= terms.room:
        return (yield from _one_by_one(request.items, _set, terms))
    _require_blocks(terms, Conformance.BLOCK_TRANSFER_WITH_SET, empty)
    blocks = _cut(set_.encode_values(values), len(empty), terms)
    first = set_.SetRequestWithListFirstBlock(invoke, refs, next(blocks))
    last = yield from _set_blocks(first, blocks, invoke, terms)
    if isinstance(last, set_.SetResponseLastBlockWithList | set_.SetResponseWithList):
        return _counted(tuple(map(Item, last.results)), request.items)
    if isinstance(last, set_.SetResponseLastBlock):
        return (Item(last.result),) * len(request.items)
    raise _odd(type(last).__name__)


# -- ACTION --------------------------------------------------------------------------------------


def _invoke(request: InvokeMethod, terms: Terms) -> Exchange:
    invoke = terms.invoke_id()
    apdu = ActionRequestNormal(invoke, request.ref, request.parameter).encode()
    if len(apdu) <= terms.room or request.parameter is None:
        answer = decode_apdu((yield apdu))
    else:
        empty = ActionRequestFirstBlock(invoke, request.ref, _NO_BLOCK).encode()
        _require_blocks(terms, Conformance.BLOCK_TRANSFER_WITH_ACTION, empty)
        blocks = _cut(request.parameter.encode(), len(empty), terms)
        first = ActionRequestFirstBlock(invoke, request.ref, next(blocks))
        answer = yield from _action_blocks(first, blocks, invoke, terms)
    if isinstance(answer, ActionResponseBlock):
        return (_outcome((yield from _answer_blocks(answer, invoke, terms))),)
    return (_outcome_item(_expect(answer, ActionResponseNormal, invoke).outcome),)


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
        _check_taken(_expect(apdu, ActionResponseNext, invoke).number, block.number)
        terms.progress(sent)
        sent += len(block.octets)
        apdu = decode_apdu((yield ActionRequestBlock(invoke, block).encode()))
    return apdu


def _answer_blocks(apdu: Any, invoke: int, terms: Terms) -> Generator[bytes, bytes, bytes]:
    octets = bytearray()
    number = 0
    while True:
        block = _expect(apdu, ActionResponseBlock, invoke).block
        number += 1
        _check_block(block.number, number, block.octets, len(octets), terms, last=block.last)
        octets += block.octets
        terms.progress(len(octets))
        if block.last:
            return bytes(octets)
        apdu = decode_apdu((yield ActionRequestNext(invoke, number).encode()))


def _invoke_list(request: InvokeList, terms: Terms) -> Exchange:
    if Conformance.MULTIPLE_REFERENCES not in terms.conformance:
        return (yield from _one_by_one(request.items, _invoke, terms))
    invoke = terms.invoke_id()
    refs = tuple(item.ref for item in request.items)
    values = tuple(null() if i.parameter is None else i.parameter for i in request.items)
    apdu = ActionRequestWithList(invoke, refs, values).encode()
    if len(apdu) <= terms.room:
        answer = decode_apdu((yield apdu))
    else:
        empty = ActionRequestWithListFirstBlock(invoke, refs, _NO_BLOCK).encode()
        if len(empty) + BLOCK_OVERHEAD >= terms.room:
            return (yield from _one_by_one(request.items, _invoke, terms))
        _require_blocks(terms, Conformance.BLOCK_TRANSFER_WITH_ACTION, empty)
        blocks = _cut(set_.encode_values(values), len(empty), terms)
        first = ActionRequestWithListFirstBlock(invoke, refs, next(blocks))
        answer = yield from _action_blocks(first, blocks, invoke, terms)
    if isinstance(answer, ActionResponseBlock):
        outcomes = decode_outcomes((yield from _answer_blocks(answer, invoke, terms)))
    elif isinstance(answer, ActionResponseNormal):  # the meter ends a transfer in blocks
        return (_outcome_item(answer.outcome),) * len(request.items)
    else:
        outcomes = _expect(answer, ActionResponseWithList, invoke).outcomes
    return _counted(tuple(map(_outcome_item, outcomes)), request.items)


_EXCHANGES: Final[Mapping[type, Callable[[Any, Terms], Exchange]]] = {
    GetAttribute: _get,
    GetList: _get_list,
    SetAttribute: _set,
    SetList: _set_list,
    InvokeMethod: _invoke,
    InvokeList: _invoke_list,
}
