"""The answers of EPSEM (C12.22, 5.3.2.3 and 5.3.2.4).

An answer does not say what it answers: whoever reads it knows what was asked. Answers stand in the
order of the requests.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Final

from openami.c1222.codes import Connection, ResponseCode, ServiceCode
from openami.c1222.services import fields
from openami.c1222.services.features import FEATURES, Features
from openami.c1222.services.fields import Field
from openami.c1222.services.requests import LAYOUTS, Security
from openami.core.errors import DecodeError, LocalProtocolError
from openami.wire.reader import Reader
from openami.wire.writer import Writer

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from openami.c1222.services.requests import Request
    from openami.c1222.titles import ApTitle

NOTHING: Final = Connection(0)


class Response:
    """What all answers have in common."""

    __slots__ = ()
    FIELDS: ClassVar[tuple[Field, ...]] = ()

    def encode(self) -> bytes:
        """Return the octets.

        Raises:
            LocalProtocolError: a field does not fit.
        """
        return fields.write_fields(Writer().u8(ResponseCode.OK), self.FIELDS, self)


@dataclass(frozen=True, slots=True)
class Done(Response):
    """It was done, and there is nothing to say about it."""


@dataclass(frozen=True, slots=True)
class Deregistered(Response):
    """The registration has ended; some say whose."""

    FIELDS = (fields.title("title", optional=True),)
    title: ApTitle | None = None


@dataclass(frozen=True, slots=True)
class Identified(Response):
    """What a node speaks and is; ``standard`` is one of ``Standard``, mostly."""

    FIELDS = (
        fields.number("standard", 1),
        fields.number("version", 1),
        fields.number("revision", 1),
        FEATURES,
    )
    standard: int
    version: int
    revision: int
    features: Features = Features()  # noqa: RUF009 - it is frozen


@dataclass(frozen=True, slots=True)
class Resolved(Response):
    """The native address of a node."""

    FIELDS = (fields.NATIVE,)
    native: bytes


@dataclass(frozen=True, slots=True)
class Traced(Response):
    """The relays on the way, the first one first."""

    FIELDS = (fields.titles("titles"),)
    titles: tuple[ApTitle, ...]


@dataclass(frozen=True, slots=True)
class Registered(Response):
    """The node takes part.

    Attributes:
        title: what it is called from now on.
        delay: seconds to wait before it registers again after its power failed.
        period: seconds until it has to register again.
        info: what it is told to do.
    """

    FIELDS = (
        fields.title("title"),
        fields.number("delay", 2),
        fields.number("period", 3),
        fields.number("info", 1, Connection),
    )
    title: ApTitle
    delay: int
    period: int
    info: Connection = NOTHING


@dataclass(frozen=True, slots=True)
class TableData(Response):
    """What was read."""

    FIELDS = (fields.DATA,)
    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class LoggedOn(Response):
    """The session has begun; it ends after ``timeout`` seconds of silence."""

    FIELDS = (fields.number("timeout", 2),)
    timeout: int


@dataclass(frozen=True, slots=True)
class Failure(Response):
    """It was not done.

    Attributes:
        code: why.
        largest: with RQTL and RSTL, the octets of the largest request, or answer, if it was said.
        detail: with SGERR, what more was said.
        titles: of a Trace: the relays up to the one that could not go on.
    """

    code: ResponseCode
    largest: int | None = None
    detail: bytes = b""
    titles: tuple[ApTitle, ...] = ()

    def encode(self) -> bytes:
        row = operands(self.code, trace=bool(self.titles))
        said = Failure(self.code, **{each.name: getattr(self, each.name) for each in row})
        unsized = self.titles and self.code in _SIZED and self.largest is None
        if self.code is ResponseCode.OK or said != self or unsized:
            raise LocalProtocolError(f"{self.code.name} does not say that")
        return fields.write_fields(Writer().u8(self.code), row, self)


# Two sources give it four octets, one gives it three: both are read, four are written.
def _read_largest(r: Reader) -> int:
    return r.uint(_SHORT if r.remaining == _SHORT else 4)


_SHORT: Final = 3
_LARGEST: Final = Field("largest", _read_largest, lambda w, v: w.u32(v), optional=True)
_TITLES: Final = fields.titles("titles")
_DETAIL: Final = fields.rest("detail")
_SIZED: Final = frozenset({ResponseCode.RQTL, ResponseCode.RSTL})
_CODES: Final = frozenset(ResponseCode)


def operands(code: ResponseCode, *, trace: bool) -> tuple[Field, ...]:
    """Return the fields after a code that is not OK; ``trace``: it answers a Trace."""
    if code is ResponseCode.SGERR:
        return (_DETAIL,)
    path = (_TITLES,) if trace else ()
    return (_LARGEST, *path) if code in _SIZED else path


_OTHERS: Final[Mapping[int, type[Response]]] = {
    ServiceCode.IDENTIFY: Identified,
    ServiceCode.DEREGISTER: Deregistered,
    ServiceCode.RESOLVE: Resolved,
    ServiceCode.TRACE: Traced,
    ServiceCode.REGISTER: Registered,
    ServiceCode.LOGON: LoggedOn,
}
_READS: Final = range(ServiceCode.READ, ServiceCode.WRITE)
ANSWERS: Final[Mapping[int, type[Response]]] = {
    code: TableData if code in _READS else _OTHERS.get(code, Done) for code in LAYOUTS
}
"""The class of the answer that says OK to each request, by the request's code."""


def response_code(r: Reader) -> ResponseCode:
    """Read the first octet of an answer.

    Raises:
        DecodeError: there is no such answer.
    """
    at = r.offset
    code = r.u8()
    if code not in _CODES:
        raise DecodeError(f"no answer has the code {code:02X}", offset=at)
    return ResponseCode(code)


def decode_response(data: bytes, request: int, *, base: int = 0) -> Response:
    """Return the one answer that ``data`` is.

    Args:
        data: its octets.
        request: the code of the request that it answers.
        base: its offset in the message.

    Raises:
        DecodeError: it is none; ``c1222.checksum``.
    """
    r = Reader(data, base=base)
    code = response_code(r)
    if code is ResponseCode.OK:
        kind = ANSWERS[request]
        return kind(*fields.read_fields(r, kind.FIELDS))
    row = operands(code, trace=request == ServiceCode.TRACE)
    values = fields.read_fields(r, row)
    return Failure(code, **{each.name: value for each, value in zip(row, values, strict=True)})


def decode_responses(
    services: Sequence[bytes], requests: Sequence[Request]
) -> tuple[Response, ...]:
    """Return one answer for each request.

    A node that refuses a whole message says so once. One that does not answer Security where
    there is no session, as in the standard's own example, has let the user in.

    Raises:
        DecodeError: an answer is wrong, or their number.
    """
    if len(services) == len(requests):
        pairs = zip(services, requests, strict=True)
        return tuple(decode_response(data, request.code) for data, request in pairs)
    asked = [request for request in requests if not isinstance(request, Security)]
    if len(services) == len(asked):
        answers = iter(decode_responses(services, asked))
        return tuple(Done() if isinstance(each, Security) else next(answers) for each in requests)
    if len(services) == 1 and services[0][:1] != b"\x00":
        return (decode_response(services[0], requests[0].code),) * len(requests)
    raise DecodeError(f"{len(services)} answers to {len(requests)} services")
