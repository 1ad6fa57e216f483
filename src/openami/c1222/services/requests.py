"""The requests of EPSEM (C12.22, 5.3.2.4)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Final, Self

from openami.c1222.codes import MAX_INDEXES, Connection, NodeType, ServiceCode
from openami.c1222.services import fields
from openami.c1222.services.fields import COUNT, DATA, OFFSET, TABLE, Field
from openami.core.errors import DecodeError, LocalProtocolError
from openami.wire.reader import Reader
from openami.wire.writer import Writer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from openami.c1222.titles import ApTitle

MANUFACTURER: Final = 0x0800
PENDING: Final = 0x1000
"""Bits of a table's number: a manufacturer's table, a pending one."""
PASSWORD_SIZE: Final = 20
USER_SIZE: Final = 10


class Request:
    """What all requests have in common; ``FIELDS`` are the octets after the code."""

    __slots__ = ()
    CODE: ClassVar[ServiceCode]
    FIELDS: ClassVar[tuple[Field, ...]] = ()

    @property
    def code(self) -> int:
        """The first octet."""
        return self.CODE

    def check(self) -> None:
        """Raise ValueError where fields contradict each other."""

    def encode(self) -> bytes:
        """Return the octets.

        Raises:
            LocalProtocolError: a field does not fit.
        """
        try:
            self.check()
        except ValueError as error:
            raise LocalProtocolError(str(error)) from None
        return fields.write_fields(Writer().u8(self.code), layout(self.code)[1], self)


@dataclass(frozen=True, slots=True)
class Identify(Request):
    """Ask what the node speaks and is."""

    CODE = ServiceCode.IDENTIFY


@dataclass(frozen=True, slots=True)
class Terminate(Request):
    """End the session at once, whatever is under way."""

    CODE = ServiceCode.TERMINATE


@dataclass(frozen=True, slots=True)
class Disconnect(Request):
    """Take the node off the network."""

    CODE = ServiceCode.DISCONNECT


@dataclass(frozen=True, slots=True)
class Logoff(Request):
    """End the session."""

    CODE = ServiceCode.LOGOFF


@dataclass(frozen=True, slots=True)
class Deregister(Request):
    """End a node's registration."""

    CODE = ServiceCode.DEREGISTER
    FIELDS = (fields.title("title"),)
    title: ApTitle


@dataclass(frozen=True, slots=True)
class Resolve(Request):
    """Ask for a node's native address."""

    CODE = ServiceCode.RESOLVE
    FIELDS = (fields.title("title"),)
    title: ApTitle


@dataclass(frozen=True, slots=True)
class Trace(Request):
    """Go to a node and collect the relays on the way: each adds itself to ``titles``."""

    CODE = ServiceCode.TRACE
    FIELDS = (fields.titles("titles"),)
    titles: tuple[ApTitle, ...]


@dataclass(frozen=True, slots=True)
class Register(Request):
    """Let a node take part in the network.

    Attributes:
        node_type: what it is.
        connection: what it can do.
        device_class: four octets of its maker and model.
        title: what it wants to be called.
        serial: its electronic serial number, a universal identifier.
        native: its address on the network below, empty: as the message came.
        period: seconds until it registers again.
        pattern: with ``NodeType.DOMAIN_PATTERN``, the titles that it answers for.
    """

    CODE = ServiceCode.REGISTER
    FIELDS = (
        fields.NODE_TYPE,
        fields.CONNECTION,
        fields.octets("device_class", 4),
        fields.title("title"),
        fields.title("serial"),
        fields.NATIVE,
        fields.number("period", 3),
        fields.counted("pattern", optional=True),
    )
    node_type: NodeType
    connection: Connection
    device_class: bytes
    title: ApTitle
    serial: ApTitle
    native: bytes
    period: int
    pattern: bytes | None = None

    def check(self) -> None:
        if bool(self.node_type & NodeType.DOMAIN_PATTERN) != (self.pattern is not None):
            raise ValueError("a pattern exactly where the node's type has one wanted")


@dataclass(frozen=True, slots=True)
class Read(Request):
    """Read a whole table."""

    CODE = ServiceCode.READ
    FIELDS = (TABLE,)
    table: int


@dataclass(frozen=True, slots=True)
class ReadIndex(Request):
    """Read ``count`` elements of a table from the one that ``path`` (1 to 9 indexes) leads to."""

    CODE = ServiceCode.READ_INDEX
    table: int
    path: tuple[int, ...]
    count: int

    @property
    def code(self) -> int:
        return ServiceCode.READ_INDEX - 1 + len(self.path)

    def check(self) -> None:
        _check_path(self.path)


@dataclass(frozen=True, slots=True)
class ReadDefault(Request):
    """Read the table, or the part of one, that the node has for whoever asks for none."""

    CODE = ServiceCode.READ_DEFAULT


@dataclass(frozen=True, slots=True)
class ReadOffset(Request):
    """Read ``count`` octets of a table from ``offset``."""

    CODE = ServiceCode.READ_OFFSET
    FIELDS = (TABLE, OFFSET, COUNT)
    table: int
    offset: int
    count: int


@dataclass(frozen=True, slots=True)
class Write(Request):
    """Write a whole table."""

    CODE = ServiceCode.WRITE
    FIELDS = (TABLE, DATA)
    table: int
    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class WriteIndex(Request):
    """Write elements of a table from the one that ``path`` (1 to 9 indexes) leads to."""

    CODE = ServiceCode.WRITE_INDEX
    table: int
    path: tuple[int, ...]
    data: bytes = field(repr=False)

    @property
    def code(self) -> int:
        return ServiceCode.WRITE_INDEX - 1 + len(self.path)

    def check(self) -> None:
        _check_path(self.path)


@dataclass(frozen=True, slots=True)
class WriteOffset(Request):
    """Write octets of a table from ``offset``."""

    CODE = ServiceCode.WRITE_OFFSET
    FIELDS = (TABLE, OFFSET, DATA)
    table: int
    offset: int
    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Logon(Request):
    """Begin a session; ``user`` has ten octets, ``timeout`` is in seconds of silence."""

    CODE = ServiceCode.LOGON
    FIELDS = (
        fields.number("user_id", 2),
        fields.octets("user", USER_SIZE),
        fields.number("timeout", 2),
    )
    user_id: int
    user: bytes
    timeout: int

    @classmethod
    def of(cls, user_id: int, user: bytes, timeout: int) -> Self:
        """Return one, its user with spaces after it.

        Raises:
            LocalProtocolError: the user has more than ten octets.
        """
        return cls(user_id, fields.padded(user, USER_SIZE, "user"), timeout)


@dataclass(frozen=True, slots=True)
class Security(Request):
    """Show a password of twenty octets; ``user_id`` says whose where there is no session."""

    CODE = ServiceCode.SECURITY
    FIELDS = (
        fields.octets("password", PASSWORD_SIZE, secret=True),
        fields.number("user_id", 2, optional=True),
    )
    password: bytes = field(repr=False)
    user_id: int | None = None

    @classmethod
    def of(cls, password: bytes, user_id: int | None = None) -> Self:
        """Return one, its password with spaces after it.

        Raises:
            LocalProtocolError: the password has more than twenty octets.
        """
        return cls(fields.padded(password, PASSWORD_SIZE, "password"), user_id)


@dataclass(frozen=True, slots=True)
class Wait(Request):
    """Keep the session for so many seconds of silence."""

    CODE = ServiceCode.WAIT
    FIELDS = (fields.number("seconds", 1),)
    seconds: int


Layout = tuple[type[Request], tuple[Field, ...]]


def _check_path(path: tuple[int, ...]) -> None:
    if not 1 <= len(path) <= MAX_INDEXES:
        raise ValueError(f"1 to {MAX_INDEXES} indexes wanted, not {len(path)}")


def _layouts() -> dict[int, Layout]:
    plain: tuple[type[Request], ...] = (
        *(Identify, Terminate, Disconnect, Deregister, Resolve, Trace, Register),
        *(Read, ReadDefault, ReadOffset, Write, WriteOffset, Logon, Security, Logoff, Wait),
    )
    found: dict[int, Layout] = {each.CODE: (each, each.FIELDS) for each in plain}
    for count in range(1, MAX_INDEXES + 1):
        path = fields.indexes(count)
        found[ServiceCode.READ_INDEX - 1 + count] = ReadIndex, (TABLE, path, COUNT)
        found[ServiceCode.WRITE_INDEX - 1 + count] = WriteIndex, (TABLE, path, DATA)
    return found


LAYOUTS: Final[Mapping[int, Layout]] = _layouts()
"""The class and the fields of every request, by its first octet."""


def layout(code: int) -> Layout:
    """Return the class and the fields of the request that begins with ``code``.

    Raises:
        DecodeError: there is none (``c1222.service``).
    """
    found = LAYOUTS.get(code)
    if found is None:
        raise DecodeError(f"no service has the code {code:02X}", code="c1222.service")
    return found


def decode_request(data: bytes, *, base: int = 0) -> Request:
    """Return the one request that ``data`` is; ``base`` is its offset in the message.

    Raises:
        DecodeError: it is none; ``c1222.service``: its code is unknown; ``c1222.checksum``.
    """
    r = Reader(data, base=base)
    kind, row = layout(r.u8())
    request = kind(*fields.read_fields(r, row))
    try:
        request.check()
    except ValueError as error:
        raise r.error(str(error)) from None
    return request
