"""GET, SET and ACTION (Green Book 9.3 and 9.4.6): one function for each form of request.

Every function takes the call and the request and returns the answer. Blocks are numbered from 1; a
block with another number than the next ends the transfer (Green Book 9.4.6.4).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from openami.core.errors import DecodeError
from openami.dlms.apdu.exception import ExceptionResponse, ServiceError, StateError
from openami.dlms.apdu.get import (
    GetRequestNext,
    GetRequestNormal,
    GetRequestWithList,
    GetResponseBlock,
    GetResponseNormal,
    GetResponseWithList,
    encode_results,
)
from openami.dlms.apdu.set import (
    SetRequestBlock,
    SetRequestFirstBlock,
    SetRequestNormal,
    SetRequestWithList,
    SetRequestWithListFirstBlock,
    SetResponseBlock,
    SetResponseLastBlock,
    SetResponseLastBlockWithList,
    SetResponseNormal,
    SetResponseWithList,
    decode_values,
)
from openami.dlms.association import BLOCK_OVERHEAD
from openami.dlms.conformance import Conformance
from openami.dlms.data import Data, RawData, decode_data
from openami.dlms.results import DataAccessResult
from openami.dlms.server.device import read_encoded, write_value
from openami.dlms.server.events import AttributeWritten
from openami.dlms.server.session import Incoming, Outgoing

if TYPE_CHECKING:
    from openami.dlms.apdu.common import Block
    from openami.dlms.apdu.get import AttributeItem, GetResponse, GetResult
    from openami.dlms.apdu.set import SetResponse
    from openami.dlms.server.session import Call

# A year of a load profile with eight channels is about 2 MiB: more is not read in one request.
MAX_ANSWER: Final = 8 << 20
# What clients write in blocks (activity calendars, schedules, keys) has a few KiB.
MAX_WRITTEN: Final = 64 << 10

TOO_LONG: Final = ExceptionResponse(StateError.SERVICE_NOT_ALLOWED, ServiceError.PDU_TOO_LONG)


# -- GET -----------------------------------------------------------------------------------------


def get_normal(call: Call, request: GetRequestNormal) -> GetResponse | ExceptionResponse:
    """Answer with the data, with its first block, or with why there is none."""
    result = _read(call, request.ref, request.selection)
    if isinstance(result, DataAccessResult):
        return GetResponseNormal(request.invoke_id, result)
    answer = GetResponseNormal(request.invoke_id, RawData(result))
    return answer if len(result) + 4 <= call.room else _first_block(call, request.invoke_id, result)


def _read(call: Call, *item: Any) -> bytes | DataAccessResult:
    ref, selection = item
    conformance = call.session.negotiated.conformance if call.session.negotiated else 0
    if selection is not None and not conformance & Conformance.SELECTIVE_ACCESS:
        return DataAccessResult.SCOPE_OF_ACCESS_VIOLATED
    found = read_encoded(call.session.device, ref, selection, call.context)
    too_long = isinstance(found, bytes) and len(found) > MAX_ANSWER
    return DataAccessResult.OTHER_REASON if too_long else found


def get_with_list(call: Call, request: GetRequestWithList) -> GetResponse | ExceptionResponse:
    """Answer each item; what would make the answer too long is not available."""
    results: list[GetResult] = []
    size = 0
    for ref, selection in request.items:
        found = _read(call, ref, selection) if size <= MAX_ANSWER else DataAccessResult.OTHER_REASON
        if isinstance(found, DataAccessResult):
            results.append(found)
        else:
            size += len(found)
            results.append(RawData(found))
    octets = encode_results(tuple(results))
    if len(octets) + 3 <= call.room:
        return GetResponseWithList(request.invoke_id, tuple(results))
    return _first_block(call, request.invoke_id, octets)


def _first_block(call: Call, invoke_id: int, octets: bytes) -> GetResponse | ExceptionResponse:
    session = call.session
    if not _negotiated(call, Conformance.BLOCK_TRANSFER_WITH_GET):
        return TOO_LONG
    session.outgoing = Outgoing(octets, action=False)
    return _next_block(call, invoke_id)


def _next_block(call: Call, invoke_id: int) -> GetResponseBlock:
    outgoing = call.session.outgoing
    if outgoing is None:  # pragma: no cover - both callers have one
        raise AssertionError
    block, last = outgoing.take(call.room - BLOCK_OVERHEAD)
    if last:
        call.session.outgoing = None
    return GetResponseBlock(invoke_id, last, outgoing.number, block)


def get_next(call: Call, request: GetRequestNext) -> GetResponseBlock:
    """Answer with the block after the one that the client names."""
    outgoing = call.session.outgoing
    if outgoing is None or outgoing.action:
        result = DataAccessResult.NO_LONG_GET_IN_PROGRESS
        return GetResponseBlock(request.invoke_id, last=True, number=request.number, result=result)
    if request.number != outgoing.number:
        call.session.outgoing = None
        result = DataAccessResult.DATA_BLOCK_NUMBER_INVALID
        return GetResponseBlock(request.invoke_id, last=True, number=request.number, result=result)
    return _next_block(call, request.invoke_id)


def _negotiated(call: Call, wanted: Conformance) -> bool:
    negotiated = call.session.negotiated
    return negotiated is not None and wanted in negotiated.conformance


# -- SET -----------------------------------------------------------------------------------------


def set_normal(call: Call, request: SetRequestNormal) -> SetResponse:
    """Write one attribute."""
    (result,) = _write_all(call, ((request.ref, request.selection),), (request.value,))
    return SetResponseNormal(request.invoke_id, result)


def set_with_list(call: Call, request: SetRequestWithList) -> SetResponse:
    """Write several attributes, each by itself."""
    return SetResponseWithList(request.invoke_id, _write_all(call, request.items, request.values))


def _write_all(
    call: Call, items: tuple[AttributeItem, ...], values: tuple[Any, ...]
) -> tuple[DataAccessResult, ...]:
    if len(items) != len(values):
        return (DataAccessResult.OTHER_REASON,) * len(items)
    return tuple(_write(call, item, value) for item, value in zip(items, values, strict=True))


def _write(call: Call, item: AttributeItem, value: Data) -> DataAccessResult:
    ref, selection = item
    if selection is not None:  # no attribute here is written in part
        result = DataAccessResult.SCOPE_OF_ACCESS_VIOLATED
    else:
        result = write_value(call.session.device, ref, value, call.context)
    call.emit(AttributeWritten(call.session.peer, ref, result, value))
    return result


def set_first_block(call: Call, request: SetRequestFirstBlock) -> SetResponse:
    """Begin to take one attribute in blocks."""
    items = ((request.ref, request.selection),)
    call.session.incoming = Incoming(items, listed=False, action=False)
    return _set_block(call, request.invoke_id, request.block)


def set_list_first_block(call: Call, request: SetRequestWithListFirstBlock) -> SetResponse:
    """Begin to take several attributes in blocks."""
    call.session.incoming = Incoming(request.items, listed=True, action=False)
    return _set_block(call, request.invoke_id, request.block)


def set_block(call: Call, request: SetRequestBlock) -> SetResponse:
    """Take one more block."""
    return _set_block(call, request.invoke_id, request.block)


def _set_block(call: Call, invoke_id: int, block: Block) -> SetResponse:
    incoming = call.session.incoming
    if incoming is None or incoming.action:
        return SetResponseLastBlock(
            invoke_id, DataAccessResult.NO_LONG_SET_IN_PROGRESS, block.number
        )
    if block.number != incoming.number + 1:
        call.session.incoming = None
        return SetResponseLastBlock(
            invoke_id, DataAccessResult.DATA_BLOCK_NUMBER_INVALID, block.number
        )
    if not take_block(incoming, block):
        call.session.incoming = None
        return SetResponseLastBlock(invoke_id, DataAccessResult.LONG_SET_ABORTED, block.number)
    if not block.last:
        return SetResponseBlock(invoke_id, block.number)
    call.session.incoming = None
    return _set_whole(call, invoke_id, incoming)


def take_block(incoming: Incoming, block: Block) -> bool:
    """Append a block's octets; False if they are too many."""
    if len(incoming.octets) + len(block.octets) > MAX_WRITTEN:
        return False
    incoming.octets += block.octets
    incoming.number = block.number
    return True


def _set_whole(call: Call, invoke_id: int, incoming: Incoming) -> SetResponse:
    items: Any = incoming.items
    octets = bytes(incoming.octets)
    try:
        values = decode_values(octets) if incoming.listed else (decode_data(octets),)
        results = _write_all(call, items, values)
    except DecodeError:
        results = (DataAccessResult.TYPE_UNMATCHED,) * len(items)
    if incoming.listed:
        return SetResponseLastBlockWithList(invoke_id, results, incoming.number)
    return SetResponseLastBlock(invoke_id, results[0], incoming.number)
