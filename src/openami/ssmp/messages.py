"""The messages of SSMP 1 (``docs/ssmp.md``).

Every message is ``SSMP``, a version octet, a type octet, the exchange (16 octets), the length of
the body (2 octets) and the body. Texts are a length octet and UTF-8, other fields a length of two
octets and octets.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING, ClassVar, Final, Self

from openami.core.errors import DecodeError
from openami.core.identifiers import check_serial
from openami.ssmp.bootstrap import BootstrapBlock
from openami.wire.reader import Reader
from openami.wire.writer import Writer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

MEDIA_TYPE: Final = "application/vnd.openami.ssmp"
VERSION: Final = 1
EXCHANGE: Final = 16  # octets that name an exchange or a grant: chance that never meets itself
DIGEST: Final = 32  # SHA-256
MAX_MESSAGE: Final = 16 * 1024  # octets: a chain of MAX_CHAIN certificates is under 4 kB
MAX_REQUEST: Final = 2048  # a certificate request on P-256 has about 300
MAX_CERTIFICATE: Final = 4096
MAX_CHAIN: Final = 3  # the device's certificate, its authority, and one for a longer hierarchy
MAX_TEXT: Final = 64  # octets of a model or a version
MAX_RETRY: Final = 7 * 86_400  # seconds: a device asks at least once a week, or it is lost

_MAGIC: Final = b"SSMP"


class Reason(IntEnum):
    """Why something was refused."""

    NOT_EXPECTED = 1
    MISMATCH = 2
    OPERATOR = 3
    TWICE = 4
    STALE = 5
    EXPIRED = 6
    SPENT = 7
    UNKNOWN = 8
    RETIRED = 9
    CERTIFICATE = 10
    REQUEST = 11
    SOON = 12


@dataclass(frozen=True, slots=True)
class DeviceInfo:
    """What a device says of itself."""

    manufacturer: str
    model: str
    hardware: str
    firmware: str

    def __post_init__(self) -> None:
        for text in (self.manufacturer, self.model, self.hardware, self.firmware):
            if not text.isprintable() or len(text.encode()) > MAX_TEXT:
                raise ValueError(f"at most {MAX_TEXT} octets of printable text wanted")


@dataclass(frozen=True, slots=True)
class Register:
    """A device asks to be registered, and for a certificate of the key in its request."""

    type: ClassVar[int] = 1

    exchange: bytes
    uid: str
    info: DeviceInfo
    request: bytes

    def body(self, writer: Writer) -> None:
        for text in (
            self.uid,
            self.info.manufacturer,
            self.info.model,
            self.info.hardware,
            self.info.firmware,
        ):
            _put_text(writer, text)
        _put(writer, self.request)

    @classmethod
    def read(cls, exchange: bytes, reader: Reader) -> Self:
        uid, *texts = (_text(reader) for _ in range(5))
        return cls(exchange, check_serial(uid), DeviceInfo(*texts), _some(reader, MAX_REQUEST))


@dataclass(frozen=True, slots=True)
class Approved:
    """The device is registered; ``grant`` names what it may fetch."""

    type: ClassVar[int] = 2

    exchange: bytes
    grant: bytes = field(repr=False)

    def body(self, writer: Writer) -> None:
        writer.raw(self.grant)

    @classmethod
    def read(cls, exchange: bytes, reader: Reader) -> Self:
        return cls(exchange, reader.take(EXCHANGE))


@dataclass(frozen=True, slots=True)
class Pending:
    """A person decides: ask again after ``retry`` seconds."""

    type: ClassVar[int] = 3

    exchange: bytes
    retry: int

    def body(self, writer: Writer) -> None:
        writer.u32(self.retry)

    @classmethod
    def read(cls, exchange: bytes, reader: Reader) -> Self:
        return cls(exchange, _retry(reader))


@dataclass(frozen=True, slots=True)
class Refused:
    """No, and why. What was refused may be asked again after ``retry`` seconds."""

    type: ClassVar[int] = 4

    exchange: bytes
    reason: Reason
    retry: int

    def body(self, writer: Writer) -> None:
        writer.u8(self.reason).u32(self.retry)

    @classmethod
    def read(cls, exchange: bytes, reader: Reader) -> Self:
        return cls(exchange, Reason(reader.u8()), _retry(reader))


@dataclass(frozen=True, slots=True)
class Fetch:
    """A device fetches what it was granted."""

    type: ClassVar[int] = 5

    exchange: bytes
    grant: bytes = field(repr=False)

    def body(self, writer: Writer) -> None:
        writer.raw(self.grant)

    @classmethod
    def read(cls, exchange: bytes, reader: Reader) -> Self:
        return cls(exchange, reader.take(EXCHANGE))


@dataclass(frozen=True, slots=True)
class Bootstrap:
    """The device's accounts, and its operational certificate first in ``chain`` (DER)."""

    type: ClassVar[int] = 6

    exchange: bytes
    grant: bytes = field(repr=False)
    block: BootstrapBlock
    chain: tuple[bytes, ...]

    def body(self, writer: Writer) -> None:
        writer.raw(self.grant).raw(self.block.encode())
        _put_chain(writer, self.chain)

    @classmethod
    def read(cls, exchange: bytes, reader: Reader) -> Self:
        grant = reader.take(EXCHANGE)
        return cls(exchange, grant, BootstrapBlock.read(reader), _chain(reader))


@dataclass(frozen=True, slots=True)
class Acknowledge:
    """The device keeps what it fetched: the SHA-256 of the whole message says what."""

    type: ClassVar[int] = 7

    exchange: bytes
    grant: bytes = field(repr=False)
    digest: bytes

    def body(self, writer: Writer) -> None:
        writer.raw(self.grant).raw(self.digest)

    @classmethod
    def read(cls, exchange: bytes, reader: Reader) -> Self:
        return cls(exchange, reader.take(EXCHANGE), reader.take(DIGEST))


@dataclass(frozen=True, slots=True)
class Confirmed:
    """The accounts are live at the server; ``digest`` says which."""

    type: ClassVar[int] = 8

    exchange: bytes
    digest: bytes

    def body(self, writer: Writer) -> None:
        writer.raw(self.digest)

    @classmethod
    def read(cls, exchange: bytes, reader: Reader) -> Self:
        return cls(exchange, reader.take(DIGEST))


@dataclass(frozen=True, slots=True)
class Renew:
    """A registered device asks for a certificate of the key in its new request."""

    type: ClassVar[int] = 9

    exchange: bytes
    request: bytes

    def body(self, writer: Writer) -> None:
        _put(writer, self.request)

    @classmethod
    def read(cls, exchange: bytes, reader: Reader) -> Self:
        return cls(exchange, _some(reader, MAX_REQUEST))


@dataclass(frozen=True, slots=True)
class Renewed:
    """The device's next certificate, first in ``chain`` (DER)."""

    type: ClassVar[int] = 10

    exchange: bytes
    chain: tuple[bytes, ...]

    def body(self, writer: Writer) -> None:
        _put_chain(writer, self.chain)

    @classmethod
    def read(cls, exchange: bytes, reader: Reader) -> Self:
        return cls(exchange, _chain(reader))


Request = Register | Fetch | Acknowledge | Renew
Answer = Approved | Pending | Refused | Bootstrap | Confirmed | Renewed
Message = Request | Answer

_READ: Final[Mapping[int, Callable[[bytes, Reader], Message]]] = {
    kind.type: kind.read
    for kind in (
        Register,
        Approved,
        Pending,
        Refused,
        Fetch,
        Bootstrap,
        Acknowledge,
        Confirmed,
        Renew,
        Renewed,
    )
}


def encode(message: Message) -> bytes:
    """Return a message's octets.

    Raises:
        ValueError: a field of it does not fit.
    """
    body = Writer()
    message.body(body)
    if len(message.exchange) != EXCHANGE:
        raise ValueError("an exchange has 16 octets")
    writer = Writer().raw(_MAGIC).u8(VERSION).u8(message.type).raw(message.exchange)
    octets = writer.u16(len(body)).raw(body.bytes()).bytes()
    decode(octets)  # what we would not take, we do not send
    return octets


def decode(octets: bytes) -> Message:
    """Read a message.

    Raises:
        DecodeError: it is none of version 1 (``protocol.version`` for one of another version).
    """
    reader = Reader(octets)
    if len(octets) > MAX_MESSAGE:
        raise reader.error(f"at most {MAX_MESSAGE} octets wanted")
    if reader.take(len(_MAGIC)) != _MAGIC:
        raise DecodeError("SSMP wanted")
    if reader.u8() != VERSION:
        raise DecodeError("version 1 wanted", offset=4, code="protocol.version")
    read = _READ.get(reader.u8())
    if read is None:
        raise DecodeError("a type from 1 to 10 wanted", offset=5)
    exchange = reader.take(EXCHANGE)
    body = reader.sub(reader.u16())
    reader.finish()
    message = _read(read, exchange, body)
    body.finish()
    return message


def _read(read: Callable[[bytes, Reader], Message], exchange: bytes, body: Reader) -> Message:
    try:
        return read(exchange, body)
    except ValueError as error:
        raise body.error(str(error)) from None


def _put_text(writer: Writer, text: str) -> None:
    octets = text.encode()
    writer.u8(len(octets)).raw(octets)


def _text(reader: Reader) -> str:
    size = reader.u8()
    if size > MAX_TEXT:
        raise reader.error(f"at most {MAX_TEXT} octets of text wanted")
    return reader.take(size).decode()


def _put(writer: Writer, octets: bytes) -> None:
    writer.u16(len(octets)).raw(octets)


def _some(reader: Reader, most: int) -> bytes:
    size = reader.u16()
    if not 0 < size <= most:
        raise reader.error(f"1 to {most} octets wanted")
    return reader.take(size)


def _put_chain(writer: Writer, chain: tuple[bytes, ...]) -> None:
    writer.u8(len(chain))
    for der in chain:
        _put(writer, der)


def _chain(reader: Reader) -> tuple[bytes, ...]:
    count = reader.u8()
    if not 0 < count <= MAX_CHAIN:
        raise reader.error(f"1 to {MAX_CHAIN} certificates wanted")
    return tuple(_some(reader, MAX_CERTIFICATE) for _ in range(count))


def _retry(reader: Reader) -> int:
    seconds = reader.u32()
    if not 0 < seconds <= MAX_RETRY:
        raise reader.error(f"1 to {MAX_RETRY} seconds wanted")
    return seconds
