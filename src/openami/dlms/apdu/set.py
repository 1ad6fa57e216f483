"""The SET service (Green Book 9.3.7 and 9.5)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

from openami.dlms.apdu.common import Block, Tag, head, read_choice, read_enum, read_list
from openami.dlms.apdu.get import AttributeItem, read_attribute, write_attributes
from openami.dlms.data import Data, Encodable
from openami.dlms.references import AttributeRef, Selection, read_selection, write_selection
from openami.dlms.results import DataAccessResult
from openami.wire.reader import Reader
from openami.wire.writer import Writer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def _read_result(r: Reader) -> DataAccessResult:
    return read_enum(r, DataAccessResult, "data-access-result")


@dataclass(frozen=True, slots=True)
class SetRequestNormal:
    """Write one attribute."""

    invoke_id: int
    ref: AttributeRef
    value: Encodable
    selection: Selection | None = None

    def encode(self) -> bytes:
        w = head(Tag.SET_REQUEST, 1, self.invoke_id)
        self.ref.write(w)
        write_selection(w, self.selection)
        return w.raw(self.value.encode()).bytes()

    @classmethod
    def read(cls, r: Reader) -> Self:
        invoke_id, ref, selection = r.u8(), AttributeRef.read(r), read_selection(r)
        return cls(invoke_id, ref, Data.decode(r), selection)


@dataclass(frozen=True, slots=True)
class SetRequestFirstBlock:
    """Begin to write one attribute; the blocks carry the encoded Data."""

    invoke_id: int
    ref: AttributeRef
    block: Block
    selection: Selection | None = None

    def encode(self) -> bytes:
        w = head(Tag.SET_REQUEST, 2, self.invoke_id)
        self.ref.write(w)
        write_selection(w, self.selection)
        self.block.write(w)
        return w.bytes()

    @classmethod
    def read(cls, r: Reader) -> Self:
        invoke_id, ref, selection = r.u8(), AttributeRef.read(r), read_selection(r)
        return cls(invoke_id, ref, Block.read(r), selection)


@dataclass(frozen=True, slots=True)
class SetRequestBlock:
    """One more block."""

    invoke_id: int
    block: Block

    def encode(self) -> bytes:
        w = head(Tag.SET_REQUEST, 3, self.invoke_id)
        self.block.write(w)
        return w.bytes()

    @classmethod
    def read(cls, r: Reader) -> Self:
        return cls(r.u8(), Block.read(r))


@dataclass(frozen=True, slots=True)
class SetRequestWithList:
    """Write several attributes at once."""

    invoke_id: int
    items: tuple[AttributeItem, ...]
    values: tuple[Encodable, ...]

    def encode(self) -> bytes:
        w = head(Tag.SET_REQUEST, 4, self.invoke_id)
        write_attributes(w, self.items)
        return w.raw(encode_values(self.values)).bytes()

    @classmethod
    def read(cls, r: Reader) -> Self:
        return cls(r.u8(), read_list(r, read_attribute), read_list(r, Data.decode))


@dataclass(frozen=True, slots=True)
class SetRequestWithListFirstBlock:
    """Begin to write several attributes; the blocks carry ``encode_values``."""

    invoke_id: int
    items: tuple[AttributeItem, ...]
    block: Block

    def encode(self) -> bytes:
        w = head(Tag.SET_REQUEST, 5, self.invoke_id)
        write_attributes(w, self.items)
        self.block.write(w)
        return w.bytes()

    @classmethod
    def read(cls, r: Reader) -> Self:
        return cls(r.u8(), read_list(r, read_attribute), Block.read(r))


def encode_values(values: tuple[Encodable, ...]) -> bytes:
    """Return a SEQUENCE OF Data: what the blocks of a list carry."""
    w = Writer().length(len(values))
    for value in values:
        w.raw(value.encode())
    return w.bytes()


def decode_values(octets: bytes) -> tuple[Data, ...]:
    """Return what ``encode_values`` wrote.

    Raises:
        DecodeError: the octets are something else.
    """
    r = Reader(octets)
    values = read_list(r, Data.decode)
    r.finish()
    return values


@dataclass(frozen=True, slots=True)
class SetResponseNormal:
    """What became of ``SetRequestNormal``."""

    invoke_id: int
    result: DataAccessResult

    def encode(self) -> bytes:
        return head(Tag.SET_RESPONSE, 1, self.invoke_id).u8(self.result).bytes()

    @classmethod
    def read(cls, r: Reader) -> Self:
        return cls(r.u8(), _read_result(r))


@dataclass(frozen=True, slots=True)
class SetResponseBlock:
    """Block ``number`` came; the next is awaited."""

    invoke_id: int
    number: int

    def encode(self) -> bytes:
        return head(Tag.SET_RESPONSE, 2, self.invoke_id).u32(self.number).bytes()

    @classmethod
    def read(cls, r: Reader) -> Self:
        return cls(r.u8(), r.u32())


@dataclass(frozen=True, slots=True)
class SetResponseLastBlock:
    """Block ``number`` was the last; what became of the attribute."""

    invoke_id: int
    result: DataAccessResult
    number: int

    def encode(self) -> bytes:
        w = head(Tag.SET_RESPONSE, 3, self.invoke_id)
        return w.u8(self.result).u32(self.number).bytes()

    @classmethod
    def read(cls, r: Reader) -> Self:
        return cls(r.u8(), _read_result(r), r.u32())


@dataclass(frozen=True, slots=True)
class SetResponseLastBlockWithList:
    """Block ``number`` was the last; what became of each attribute."""

    invoke_id: int
    results: tuple[DataAccessResult, ...]
    number: int

    def encode(self) -> bytes:
        w = head(Tag.SET_RESPONSE, 4, self.invoke_id)
        return w.octets(bytes(self.results)).u32(self.number).bytes()

    @classmethod
    def read(cls, r: Reader) -> Self:
        return cls(r.u8(), read_list(r, _read_result), r.u32())


@dataclass(frozen=True, slots=True)
class SetResponseWithList:
    """What became of each attribute of ``SetRequestWithList``."""

    invoke_id: int
    results: tuple[DataAccessResult, ...]

    def encode(self) -> bytes:
        return head(Tag.SET_RESPONSE, 5, self.invoke_id).octets(bytes(self.results)).bytes()

    @classmethod
    def read(cls, r: Reader) -> Self:
        return cls(r.u8(), read_list(r, _read_result))


SetRequest = (
    SetRequestNormal
    | SetRequestFirstBlock
    | SetRequestBlock
    | SetRequestWithList
    | SetRequestWithListFirstBlock
)
SetResponse = (
    SetResponseNormal
    | SetResponseBlock
    | SetResponseLastBlock
    | SetResponseLastBlockWithList
    | SetResponseWithList
)

_REQUESTS: Final[Mapping[int, Callable[[Reader], SetRequest]]] = {
    1: SetRequestNormal.read,
    2: SetRequestFirstBlock.read,
    3: SetRequestBlock.read,
    4: SetRequestWithList.read,
    5: SetRequestWithListFirstBlock.read,
}
_RESPONSES: Final[Mapping[int, Callable[[Reader], SetResponse]]] = {
    1: SetResponseNormal.read,
    2: SetResponseBlock.read,
    3: SetResponseLastBlock.read,
    4: SetResponseLastBlockWithList.read,
    5: SetResponseWithList.read,
}


def read_set_request(r: Reader) -> SetRequest:
    """Read what follows the tag C1; raises ``DecodeError`` if it is no set-request."""
    return read_choice(r, _REQUESTS, "set-request")


def read_set_response(r: Reader) -> SetResponse:
    """Read what follows the tag C5; raises ``DecodeError`` if it is no set-response."""
    return read_choice(r, _RESPONSES, "set-response")
