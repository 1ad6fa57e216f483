"""The GET service (Green Book 9.3.6 and 9.5)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

from openami.core.errors import DecodeError
from openami.dlms.apdu.common import Tag, head, read_choice, read_enum, read_list
from openami.dlms.data import Data, Encodable, RawData
from openami.dlms.references import AttributeRef, Selection, read_selection, write_selection
from openami.dlms.results import DataAccessResult
from openami.wire.reader import Reader
from openami.wire.writer import Writer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

GetResult = Encodable | DataAccessResult


@dataclass(frozen=True, slots=True)
class GetRequestNormal:
    """Ask for one attribute, or a part of it."""

    invoke_id: int
    ref: AttributeRef
    selection: Selection | None = None

    def encode(self) -> bytes:
        w = head(Tag.GET_REQUEST, 1, self.invoke_id)
        self.ref.write(w)
        write_selection(w, self.selection)
        return w.bytes()

    @classmethod
    def read(cls, r: Reader) -> Self:
        return cls(r.u8(), AttributeRef.read(r), read_selection(r))


@dataclass(frozen=True, slots=True)
class GetRequestNext:
    """Ask for the block after ``number``, the last one that came."""

    invoke_id: int
    number: int

    def encode(self) -> bytes:
        return head(Tag.GET_REQUEST, 2, self.invoke_id).u32(self.number).bytes()

    @classmethod
    def read(cls, r: Reader) -> Self:
        return cls(r.u8(), r.u32())


AttributeItem = tuple[AttributeRef, Selection | None]


def write_attributes(w: Writer, items: tuple[AttributeItem, ...]) -> None:
    """Write a SEQUENCE OF Cosem-Attribute-Descriptor-With-Selection."""
    w.length(len(items))
    for ref, selection in items:
        ref.write(w)
        write_selection(w, selection)


def read_attribute(r: Reader) -> AttributeItem:
    """Read a Cosem-Attribute-Descriptor-With-Selection; raises ``DecodeError`` if it is none."""
    return AttributeRef.read(r), read_selection(r)


@dataclass(frozen=True, slots=True)
class GetRequestWithList:
    """Ask for several attributes at once."""

    invoke_id: int
    items: tuple[AttributeItem, ...]

    def encode(self) -> bytes:
        w = head(Tag.GET_REQUEST, 3, self.invoke_id)
        write_attributes(w, self.items)
        return w.bytes()

    @classmethod
    def read(cls, r: Reader) -> Self:
        return cls(r.u8(), read_list(r, read_attribute))


def write_result(w: Writer, result: GetResult) -> None:
    """Write a Get-Data-Result: data [0] or data-access-result [1]."""
    if isinstance(result, DataAccessResult):
        w.u8(1).u8(result)
    else:
        w.u8(0).raw(result.encode())


_RESULTS: Final[Mapping[int, Callable[[Reader], Data | DataAccessResult]]] = {
    0: Data.decode,
    1: lambda r: read_enum(r, DataAccessResult, "data-access-result"),
}


def read_result(r: Reader) -> Data | DataAccessResult:
    """Read a Get-Data-Result; raises ``DecodeError`` if it is none."""
    return read_choice(r, _RESULTS, "get-data-result")


def encode_results(results: tuple[GetResult, ...]) -> bytes:
    """Return a SEQUENCE OF Get-Data-Result: what the blocks of an answer to a list carry."""
    w = Writer().length(len(results))
    for result in results:
        write_result(w, result)
    return w.bytes()


def decode_results(octets: bytes) -> tuple[Data | DataAccessResult, ...]:
    """Return what ``encode_results`` wrote.

    Raises:
        DecodeError: the octets are something else.
    """
    r = Reader(octets)
    results = read_list(r, read_result)
    r.finish()
    return results


@dataclass(frozen=True, slots=True)
class GetResponseNormal:
    """One attribute's data, or why there is none."""

    invoke_id: int
    result: GetResult

    def encode(self) -> bytes:
        w = head(Tag.GET_RESPONSE, 1, self.invoke_id)
        write_result(w, self.result)
        return w.bytes()

    @classmethod
    def read(cls, r: Reader) -> Self:
        return cls(r.u8(), read_result(r))


@dataclass(frozen=True, slots=True)
class GetResponseBlock:
    """A block of the encoded Data (answer to one attribute) or of ``encode_results`` (to a list).

    ``result`` is the block's octets, or why the transfer ends here.
    """

    invoke_id: int
    last: bool
    number: int
    result: bytes | DataAccessResult

    def encode(self) -> bytes:
        w = head(Tag.GET_RESPONSE, 2, self.invoke_id).u8(self.last).u32(self.number)
        if isinstance(self.result, DataAccessResult):
            return w.u8(1).u8(self.result).bytes()
        return w.u8(0).octets(self.result).bytes()

    @classmethod
    def read(cls, r: Reader) -> Self:
        return cls(r.u8(), r.u8() != 0, r.u32(), read_choice(r, _BLOCKS, "datablock-g"))


_BLOCKS: Final[Mapping[int, Callable[[Reader], bytes | DataAccessResult]]] = {
    0: lambda r: r.take(r.length()),
    1: lambda r: read_enum(r, DataAccessResult, "data-access-result"),
}


@dataclass(frozen=True, slots=True)
class GetResponseWithList:
    """The answers to ``GetRequestWithList``, in its order."""

    invoke_id: int
    results: tuple[GetResult, ...]

    def encode(self) -> bytes:
        w = head(Tag.GET_RESPONSE, 3, self.invoke_id)
        return w.raw(encode_results(self.results)).bytes()

    @classmethod
    def read(cls, r: Reader) -> Self:
        return cls(r.u8(), read_list(r, read_result))


GetRequest = GetRequestNormal | GetRequestNext | GetRequestWithList
GetResponse = GetResponseNormal | GetResponseBlock | GetResponseWithList

_REQUESTS: Final[Mapping[int, Callable[[Reader], GetRequest]]] = {
    1: GetRequestNormal.read,
    2: GetRequestNext.read,
    3: GetRequestWithList.read,
}
_RESPONSES: Final[Mapping[int, Callable[[Reader], GetResponse]]] = {
    1: GetResponseNormal.read,
    2: GetResponseBlock.read,
    3: GetResponseWithList.read,
}


def read_get_request(r: Reader) -> GetRequest:
    """Read what follows the tag C0; raises ``DecodeError`` if it is no get-request."""
    return read_choice(r, _REQUESTS, "get-request")


def read_get_response(r: Reader) -> GetResponse:
    """Read what follows the tag C4; raises ``DecodeError`` if it is no get-response."""
    return read_choice(r, _RESPONSES, "get-response")


_RAW_HEAD: Final = 4  # tag, choice, invoke-id, result's choice


def decode_get_response(octets: bytes) -> GetResponse:
    """Return a get-response whose data, if it is the normal form, stays encoded (``RawData``).

    For buffers that are decoded as columns: the data has not been looked at.

    Raises:
        DecodeError: the octets are no get-response.
    """
    if octets[:2] == b"\xc4\x01" and octets[3:4] == b"\x00":
        if len(octets) == _RAW_HEAD:
            raise DecodeError("data wanted, nothing left", offset=_RAW_HEAD)
        return GetResponseNormal(octets[2], RawData(octets[_RAW_HEAD:]))
    r = Reader(octets)
    r.expect(Tag.GET_RESPONSE, "get-response")
    response = read_get_response(r)
    r.finish()
    return response
