"""The ACTION service (Green Book 9.3.8 and 9.5)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

from openami.dlms.apdu.common import Block, Tag, head, read_choice, read_enum, read_list
from openami.dlms.apdu.get import GetResult, read_result, write_result
from openami.dlms.apdu.set import encode_values
from openami.dlms.data import Data, Encodable
from openami.dlms.references import MethodRef, read_presence
from openami.dlms.results import ActionResult
from openami.wire.reader import Reader
from openami.wire.writer import Writer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


@dataclass(frozen=True, slots=True)
class ActionRequestNormal:
    """Invoke one method."""

    invoke_id: int
    ref: MethodRef
    parameters: Encodable | None = None

    def encode(self) -> bytes:
        w = head(Tag.ACTION_REQUEST, 1, self.invoke_id)
        self.ref.write(w)
        if self.parameters is None:
            return w.u8(0).bytes()
        return w.u8(1).raw(self.parameters.encode()).bytes()

    @classmethod
    def read(cls, r: Reader) -> Self:
        invoke_id, ref = r.u8(), MethodRef.read(r)
        return cls(invoke_id, ref, Data.decode(r) if read_presence(r) else None)


@dataclass(frozen=True, slots=True)
class ActionRequestNext:
    """Ask for the block after ``number``, the last one of the answer that came."""

    invoke_id: int
    number: int

    def encode(self) -> bytes:
        return head(Tag.ACTION_REQUEST, 2, self.invoke_id).u32(self.number).bytes()

    @classmethod
    def read(cls, r: Reader) -> Self:
        return cls(r.u8(), r.u32())


def _write_methods(w: Writer, refs: tuple[MethodRef, ...]) -> None:
    w.length(len(refs))
    for ref in refs:
        ref.write(w)


@dataclass(frozen=True, slots=True)
class ActionRequestWithList:
    """Invoke several methods; ``parameters`` has one element for each, null-data for none."""

    invoke_id: int
    refs: tuple[MethodRef, ...]
    parameters: tuple[Encodable, ...]

    def encode(self) -> bytes:
        w = head(Tag.ACTION_REQUEST, 3, self.invoke_id)
        _write_methods(w, self.refs)
        return w.raw(encode_values(self.parameters)).bytes()

    @classmethod
    def read(cls, r: Reader) -> Self:
        return cls(r.u8(), read_list(r, MethodRef.read), read_list(r, Data.decode))


@dataclass(frozen=True, slots=True)
class ActionRequestFirstBlock:
    """Begin to invoke one method; the blocks carry its encoded parameters."""

    invoke_id: int
    ref: MethodRef
    block: Block

    def encode(self) -> bytes:
        w = head(Tag.ACTION_REQUEST, 4, self.invoke_id)
        self.ref.write(w)
        self.block.write(w)
        return w.bytes()

    @classmethod
    def read(cls, r: Reader) -> Self:
        return cls(r.u8(), MethodRef.read(r), Block.read(r))


@dataclass(frozen=True, slots=True)
class ActionRequestWithListFirstBlock:
    """Begin to invoke several methods; the blocks carry ``set.encode_values`` of parameters."""

    invoke_id: int
    refs: tuple[MethodRef, ...]
    block: Block

    def encode(self) -> bytes:
        w = head(Tag.ACTION_REQUEST, 5, self.invoke_id)
        _write_methods(w, self.refs)
        self.block.write(w)
        return w.bytes()

    @classmethod
    def read(cls, r: Reader) -> Self:
        return cls(r.u8(), read_list(r, MethodRef.read), Block.read(r))


@dataclass(frozen=True, slots=True)
class ActionRequestBlock:
    """One more block of parameters."""

    invoke_id: int
    block: Block

    def encode(self) -> bytes:
        w = head(Tag.ACTION_REQUEST, 6, self.invoke_id)
        self.block.write(w)
        return w.bytes()

    @classmethod
    def read(cls, r: Reader) -> Self:
        return cls(r.u8(), Block.read(r))


@dataclass(frozen=True, slots=True)
class ActionOutcome:
    """What became of a method, and what it returned (Action-Response-With-Optional-Data)."""

    result: ActionResult
    data: GetResult | None = None

    def write(self, w: Writer) -> None:
        w.u8(self.result)
        if self.data is None:
            w.u8(0)
        else:
            write_result(w.u8(1), self.data)

    @classmethod
    def read(cls, r: Reader) -> Self:
        result = read_enum(r, ActionResult, "action-result")
        return cls(result, read_result(r) if read_presence(r) else None)


def encode_outcomes(outcomes: tuple[ActionOutcome, ...]) -> bytes:
    """Return a SEQUENCE OF Action-Response-With-Optional-Data: what blocks for a list carry."""
    w = Writer().length(len(outcomes))
    for outcome in outcomes:
        outcome.write(w)
    return w.bytes()


def decode_outcomes(octets: bytes) -> tuple[ActionOutcome, ...]:
    """Return what ``encode_outcomes`` wrote.

    Raises:
        DecodeError: the octets are something else.
    """
    r = Reader(octets)
    outcomes = read_list(r, ActionOutcome.read)
    r.finish()
    return outcomes


@dataclass(frozen=True, slots=True)
class ActionResponseNormal:
    """What became of ``ActionRequestNormal``."""

    invoke_id: int
    outcome: ActionOutcome

    def encode(self) -> bytes:
        w = head(Tag.ACTION_RESPONSE, 1, self.invoke_id)
        self.outcome.write(w)
        return w.bytes()

    @classmethod
    def read(cls, r: Reader) -> Self:
        return cls(r.u8(), ActionOutcome.read(r))


@dataclass(frozen=True, slots=True)
class ActionResponseBlock:
    """A block of the encoded answer."""

    invoke_id: int
    block: Block

    def encode(self) -> bytes:
        w = head(Tag.ACTION_RESPONSE, 2, self.invoke_id)
        self.block.write(w)
        return w.bytes()

    @classmethod
    def read(cls, r: Reader) -> Self:
        return cls(r.u8(), Block.read(r))


@dataclass(frozen=True, slots=True)
class ActionResponseWithList:
    """What became of each method of ``ActionRequestWithList``."""

    invoke_id: int
    outcomes: tuple[ActionOutcome, ...]

    def encode(self) -> bytes:
        w = head(Tag.ACTION_RESPONSE, 3, self.invoke_id)
        return w.raw(encode_outcomes(self.outcomes)).bytes()

    @classmethod
    def read(cls, r: Reader) -> Self:
        return cls(r.u8(), read_list(r, ActionOutcome.read))


@dataclass(frozen=True, slots=True)
class ActionResponseNext:
    """Block ``number`` of the parameters came; the next is awaited."""

    invoke_id: int
    number: int

    def encode(self) -> bytes:
        return head(Tag.ACTION_RESPONSE, 4, self.invoke_id).u32(self.number).bytes()

    @classmethod
    def read(cls, r: Reader) -> Self:
        return cls(r.u8(), r.u32())


ActionRequest = (
    ActionRequestNormal
    | ActionRequestNext
    | ActionRequestWithList
    | ActionRequestFirstBlock
    | ActionRequestWithListFirstBlock
    | ActionRequestBlock
)
ActionResponse = (
    ActionResponseNormal | ActionResponseBlock | ActionResponseWithList | ActionResponseNext
)

_REQUESTS: Final[Mapping[int, Callable[[Reader], ActionRequest]]] = {
    1: ActionRequestNormal.read,
    2: ActionRequestNext.read,
    3: ActionRequestWithList.read,
    4: ActionRequestFirstBlock.read,
    5: ActionRequestWithListFirstBlock.read,
    6: ActionRequestBlock.read,
}
_RESPONSES: Final[Mapping[int, Callable[[Reader], ActionResponse]]] = {
    1: ActionResponseNormal.read,
    2: ActionResponseBlock.read,
    3: ActionResponseWithList.read,
    4: ActionResponseNext.read,
}


def read_action_request(r: Reader) -> ActionRequest:
    """Read what follows the tag C3; raises ``DecodeError`` if it is no action-request."""
    return read_choice(r, _REQUESTS, "action-request")


def read_action_response(r: Reader) -> ActionResponse:
    """Read what follows the tag C7; raises ``DecodeError`` if it is no action-response."""
    return read_choice(r, _RESPONSES, "action-response")
