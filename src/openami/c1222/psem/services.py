"""Services that C12.18 and C12.21 have and C12.22 has not, or has otherwise.

Negotiate and Timing Setup are of these only. Logon has no time here: the line's own silence ends a
session. All others are those of ``openami.c1222.services``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Final

from openami.c1222.codes import ResponseCode
from openami.c1222.services import (
    Done,
    Failure,
    Logon,
    Request,
    Response,
    decode_request,
    decode_response,
)
from openami.c1222.services import fields as f
from openami.c1222.services.responses import operands, response_code
from openami.core.errors import DecodeError
from openami.wire.reader import Reader
from openami.wire.writer import Writer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from openami.c1222.services.fields import Field

NEGOTIATE: Final = 0x60
MAX_BAUDS: Final = 11
LOGON: Final = 0x50
TIMING: Final = 0x71
_TIME_SIZE: Final = 2
_TIMING_ROW: Final = (
    *(f.number("silence", 1), f.number("between", 1), f.number("reply", 1)),
    f.number("retries", 1),
)


@dataclass(frozen=True, slots=True)
class Negotiate:
    """Ask for longer packets, and more of them: C12.18, 60 to 6B.

    Attributes:
        packet: octets of the longest packet.
        packets: of one message.
        bauds: codes of the speeds that would do, of which the device takes one; none: it stays.
    """

    packet: int
    packets: int
    bauds: tuple[int, ...] = ()

    def encode(self) -> bytes:
        """Return the octets."""
        w = Writer().u8(NEGOTIATE + len(self.bauds)).u16(self.packet).u8(self.packets)
        return w.raw(bytes(self.bauds)).bytes()

    @classmethod
    def decode(cls, data: bytes) -> Negotiate:
        """Read one; see ``decode``."""
        r = Reader(data)
        count = r.u8() - NEGOTIATE
        found = cls(r.u16(), r.u8(), tuple(r.take(count)))
        r.finish()
        return found


@dataclass(frozen=True, slots=True)
class Negotiated(Response):
    """What holds from the next packet on; ``baud`` is the code of the speed."""

    FIELDS: ClassVar[tuple[Field, ...]] = (
        f.number("packet", 2),
        f.number("packets", 1),
        f.number("baud", 1),
    )
    packet: int
    packets: int
    baud: int


@dataclass(frozen=True, slots=True)
class TimingSetup:
    """Ask for other times: C12.21, 71; ``silence`` and ``reply`` in seconds, ``between`` too."""

    silence: int
    between: int
    reply: int
    retries: int

    def encode(self) -> bytes:
        """Return the octets."""
        return f.write_fields(Writer().u8(TIMING), _TIMING_ROW, self)

    @classmethod
    def decode(cls, data: bytes) -> TimingSetup:
        """Read one; see ``decode``."""
        return cls(*f.read_fields(Reader(data[1:], base=1), _TIMING_ROW))


@dataclass(frozen=True, slots=True)
class TimingSet(Response):
    """What holds from now on."""

    FIELDS: ClassVar[tuple[Field, ...]] = _TIMING_ROW
    silence: int
    between: int
    reply: int
    retries: int


PsemRequest = Request | Negotiate | TimingSetup
_ANSWERS: Final[Mapping[type, type[Response]]] = {Negotiate: Negotiated, TimingSetup: TimingSet}


def encode(request: PsemRequest) -> bytes:
    """Return the octets of a request; see ``Request.encode`` for what it raises."""
    octets = request.encode()
    return octets[:-_TIME_SIZE] if isinstance(request, Logon) else octets


def decode(data: bytes) -> PsemRequest:
    """Return the one request that ``data`` is.

    Raises:
        DecodeError: it is none; ``c1222.service``: its code is unknown.
    """
    if not data:
        raise DecodeError("no request")
    code = data[0]
    if NEGOTIATE <= code <= NEGOTIATE + MAX_BAUDS:
        return Negotiate.decode(data)
    if code == TIMING:
        return TimingSetup.decode(data)
    return decode_request(data + bytes(_TIME_SIZE) if code == LOGON else data)


def decode_answer(data: bytes, request: PsemRequest) -> Response:
    """Return the answer to a request.

    Raises:
        DecodeError: it is none.
    """
    kind = Done if isinstance(request, Logon) else _ANSWERS.get(type(request))
    if kind is None:
        assert isinstance(request, Request)
        return decode_response(data, request.code)
    r = Reader(data)
    code = response_code(r)
    if code is ResponseCode.OK:
        return kind(*f.read_fields(r, kind.FIELDS))
    f.read_fields(r, operands(code, trace=False))
    return Failure(code)
