"""ACTION (Green Book 9.4.6.5): as ``services`` does GET and SET."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from openami.core.errors import DecodeError
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
    encode_outcomes,
)
from openami.dlms.apdu.common import Block
from openami.dlms.apdu.set import decode_values
from openami.dlms.association import BLOCK_OVERHEAD
from openami.dlms.conformance import Conformance
from openami.dlms.data import Data, DataType, Encodable, decode_data
from openami.dlms.results import ActionResult
from openami.dlms.server.device import invoke_method
from openami.dlms.server.events import MethodInvoked
from openami.dlms.server.services import TOO_LONG, take_block
from openami.dlms.server.session import Incoming, Outgoing, State
from openami.wire.writer import Writer

if TYPE_CHECKING:
    from openami.dlms.apdu.action import ActionResponse
    from openami.dlms.apdu.exception import ExceptionResponse
    from openami.dlms.references import MethodRef
    from openami.dlms.server.session import Call


def action_normal(call: Call, request: ActionRequestNormal) -> ActionResponse | ExceptionResponse:
    """Do one method."""
    outcome = _invoke(call, request.ref, request.parameters)
    return _answer(call, request.invoke_id, (outcome,), listed=False)


def action_with_list(
    call: Call, request: ActionRequestWithList
) -> ActionResponse | ExceptionResponse:
    """Do several methods, one after another."""
    outcomes = _invoke_all(call, request.refs, request.parameters)
    return _answer(call, request.invoke_id, outcomes, listed=True)


def _invoke_all(
    call: Call, refs: tuple[MethodRef, ...], parameters: tuple[Any, ...]
) -> tuple[ActionOutcome, ...]:
    if len(refs) != len(parameters):
        return (ActionOutcome(ActionResult.OTHER_REASON),) * len(refs)
    return tuple(
        _invoke(call, ref, parameter) for ref, parameter in zip(refs, parameters, strict=True)
    )


def _invoke(call: Call, ref: MethodRef, given: Encodable | None) -> ActionOutcome:
    # Decoding gives Data; null-data is how a list leaves a parameter out.
    parameter = given if isinstance(given, Data) and given.type is not DataType.NULL else None
    result, data = invoke_method(call.session.device, ref, parameter, call.context)
    if call.session.state is not State.PENDING:  # the passes of HLS have events of their own
        call.emit(MethodInvoked(call.session.peer, ref, result, parameter))
    return ActionOutcome(result, data)


def _answer(
    call: Call, invoke_id: int, outcomes: tuple[ActionOutcome, ...], *, listed: bool
) -> ActionResponse | ExceptionResponse:
    whole = (
        ActionResponseWithList(invoke_id, outcomes)
        if listed
        else ActionResponseNormal(invoke_id, outcomes[0])
    )
    if len(whole.encode()) <= call.room:
        return whole
    negotiated = call.session.negotiated
    if negotiated is None or Conformance.BLOCK_TRANSFER_WITH_ACTION not in negotiated.conformance:
        return TOO_LONG
    octets = encode_outcomes(outcomes) if listed else _encode(outcomes[0])
    call.session.outgoing = Outgoing(octets, action=True)
    return _next_block(call, invoke_id, call.session.outgoing)


def _encode(outcome: ActionOutcome) -> bytes:
    w = Writer()
    outcome.write(w)
    return w.bytes()


def _next_block(call: Call, invoke_id: int, outgoing: Outgoing) -> ActionResponseBlock:
    block, last = outgoing.take(call.room - BLOCK_OVERHEAD)
    if last:
        call.session.outgoing = None
    return ActionResponseBlock(invoke_id, Block(last, outgoing.number, block))


def action_next(call: Call, request: ActionRequestNext) -> ActionResponse:
    """Answer with the block after the one that the client names."""
    outgoing = call.session.outgoing
    if outgoing is None or not outgoing.action:
        return _refusal(request.invoke_id, ActionResult.NO_LONG_ACTION_IN_PROGRESS)
    if request.number != outgoing.number:
        call.session.outgoing = None
        return _refusal(request.invoke_id, ActionResult.LONG_ACTION_ABORTED)
    return _next_block(call, request.invoke_id, outgoing)


def _refusal(invoke_id: int, result: ActionResult) -> ActionResponseNormal:
    return ActionResponseNormal(invoke_id, ActionOutcome(result))


def action_first_block(
    call: Call, request: ActionRequestFirstBlock
) -> ActionResponse | ExceptionResponse:
    """Begin to take one method's parameters in blocks."""
    call.session.incoming = Incoming((request.ref,), listed=False, action=True)
    return _action_block(call, request.invoke_id, request.block)


def action_list_first_block(
    call: Call, request: ActionRequestWithListFirstBlock
) -> ActionResponse | ExceptionResponse:
    """Begin to take several methods' parameters in blocks."""
    call.session.incoming = Incoming(request.refs, listed=True, action=True)
    return _action_block(call, request.invoke_id, request.block)


def action_block(call: Call, request: ActionRequestBlock) -> ActionResponse | ExceptionResponse:
    """Take one more block."""
    return _action_block(call, request.invoke_id, request.block)


def _action_block(call: Call, invoke_id: int, block: Block) -> ActionResponse | ExceptionResponse:
    incoming = call.session.incoming
    if incoming is None or not incoming.action:
        return _refusal(invoke_id, ActionResult.NO_LONG_ACTION_IN_PROGRESS)
    if block.number != incoming.number + 1 or not take_block(incoming, block):
        call.session.incoming = None
        return _refusal(invoke_id, ActionResult.LONG_ACTION_ABORTED)
    if not block.last:
        return ActionResponseNext(invoke_id, block.number)
    call.session.incoming = None
    return _whole(call, invoke_id, incoming)


def _whole(call: Call, invoke_id: int, incoming: Incoming) -> ActionResponse | ExceptionResponse:
    refs: Any = incoming.items
    octets = bytes(incoming.octets)
    try:
        values = decode_values(octets) if incoming.listed else (decode_data(octets),)
    except DecodeError:
        outcomes = (ActionOutcome(ActionResult.TYPE_UNMATCHED),) * len(refs)
    else:
        outcomes = _invoke_all(call, refs, values)
    return _answer(call, invoke_id, outcomes, listed=incoming.listed)
