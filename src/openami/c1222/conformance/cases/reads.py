"""Identify, and Read in every form."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from openami.c1222.codes import ResponseCode, Standard
from openami.c1222.conformance.case import (
    PREFIX,
    UNANSWERED,
    Exchange,
    FindingError,
    Heard,
    Row,
    case,
    not_supported,
    skipped,
)
from openami.c1222.conformance.cases.lists import NO_TABLE
from openami.c1222.conformance.lab import Lab, supported
from openami.c1222.services import (
    MANUFACTURER,
    Failure,
    Identified,
    Identify,
    Read,
    ReadDefault,
    ReadIndex,
    ReadOffset,
    Request,
    TableData,
    decode_response,
)
from openami.c1222.tables import TableId, Tables
from openami.core.errors import DecodeError, OpenAmiError

if TYPE_CHECKING:
    from collections.abc import Generator

    from openami.c1222.conformance.case import Steps

READ: Final = "C12.22, 5.3.2.4: Read"
_HEAD: Final = 3
"""Octets of ST-00 that are elements of their own at its beginning."""
_FAR: Final = 0xFFFE
_FARTHEST: Final = 0xFF_FFFE
_MANY: Final = 60
_SOME: Final = 8


def config(lab: Lab) -> Generator[Exchange, Heard, Tables]:
    """Return what ST-00 says; it is read once.

    Raises:
        StoppedError: it can not be read.
    """
    if lab.tables is None:
        octets = yield from octets_of(lab, 0)
        try:
            lab.tables = Tables.of_config(octets)
        except OpenAmiError as error:
            raise skipped(f"ST-00 can not be read: {error.message}") from None
    return lab.tables


def octets_of(lab: Lab, table: int) -> Generator[Exchange, Heard, bytes]:
    """Return a table that is there.

    Raises:
        StoppedError: it can not be read.
    """
    if table not in lab.contents:
        said = yield from lab.ask_one(Read(table))
        supported(said, "Read")
        if not isinstance(said, TableData):
            raise skipped(f"{TableId.from_octets(table)} can not be read")
        lab.contents[table] = said.data
    return lab.contents[table]


def wants(lab: Lab, request: Request, code: ResponseCode, finding: str) -> Steps:
    """Ask what must fail, and see why it does.

    Raises:
        StoppedError: the service is not supported.
        FindingError: it does not fail, or not for that.
    """
    said = yield from lab.ask_one(request)
    supported(said, type(request).__name__)
    if not isinstance(said, Failure) or said.code is not code:
        raise FindingError(finding, f"{code.name} wanted, not {lab.answered}")


@case("identify", Row.IDENTIFY, "C12.22, 5.3.2.4: Identify", "identify")
def identify(lab: Lab) -> Steps:
    """A node says that it speaks C12.22, in which version, and what it can do."""
    said = yield from lab.ask_one(Identify())
    supported(said, "Identify")
    if not isinstance(said, Identified) or said.standard != Standard.C12_22:
        raise FindingError("identify", f"a node of C12.22 wanted, not {lab.answered}")


@case("read", Row.READ, f"{READ} (30)", "read")
def full(lab: Lab) -> Steps:
    """ST-00, which every device has, can be read whole."""
    said = yield from lab.ask_one(Read(0))
    supported(said, "Read")
    if not isinstance(said, TableData) or not said.data:
        raise FindingError("read", f"ST-00 wanted, not {lab.answered}")


@case("read-checksum", Row.READ, f"{READ}, cksum", "checksum")
def read_checksum(lab: Lab) -> Steps:
    """The checksum of what was read is right."""
    made = lab.message(Read(0))
    apdu = yield from lab.deliver(made)
    for service in lab.open(apdu).epsem.services:
        try:
            decode_response(service, Read.CODE)
        except DecodeError as error:
            if error.code == "c1222.checksum":
                raise FindingError("checksum", "the checksum of ST-00 is wrong") from None
    lab.answered = "OK"


def _part(lab: Lab, request: Request, wanted: bytes) -> Steps:
    said = yield from lab.ask_one(request)
    supported(said, type(request).__name__)
    if not isinstance(said, TableData) or said.data != wanted:
        raise FindingError("read-part", f"{len(wanted)} octets of ST-00 wanted, not {lab.answered}")


@case("read-offset", Row.READ, f"{READ} (3F)", "read-part")
def offset(lab: Lab) -> Steps:
    """Octets of ST-00 by offset and count are those of the whole."""
    whole = yield from octets_of(lab, 0)
    yield from _part(lab, ReadOffset(0, 0, len(whole)), whole)
    yield from _part(lab, ReadOffset(0, _HEAD, 4), whole[_HEAD : _HEAD + 4])


@case("read-index", Row.READ, f"{READ} (31 to 39)", "read-part")
def index(lab: Lab) -> Steps:
    """Elements of ST-00 by index and count are those of the whole."""
    whole = yield from octets_of(lab, 0)
    yield from _part(lab, ReadIndex(0, (1,), 2), whole[1:_HEAD])


@case("read-default", Row.READ, f"{READ} (3E)", "read-default")
def default(lab: Lab) -> Steps:
    """Who asks for no table gets the one that the node has for that, if it has one."""
    said = yield from lab.ask_one(ReadDefault())
    supported(said, "Read default")
    if isinstance(said, Failure) and said.code is ResponseCode.ONP:
        raise not_supported("the node has no default table")
    if not isinstance(said, TableData):
        raise FindingError("read-default", f"a table wanted, not {lab.answered}")


@case("read-unknown-table", Row.READ, "C12.22, 5.3.2.3: onp", "unknown-table")
def unknown_table(lab: Lab) -> Steps:
    """A table that the device has not is answered with ONP."""
    for table in (NO_TABLE, MANUFACTURER | NO_TABLE):
        yield from wants(lab, Read(table), ResponseCode.ONP, "unknown-table")


@case("read-index-range", Row.READ, "C12.22, 5.3.2.3: iar", "index-range")
def index_range(lab: Lab) -> Steps:
    """An element that a table has not is answered with IAR."""
    yield from wants(lab, ReadIndex(0, (_FAR,), 1), ResponseCode.IAR, "index-range")


@case("read-offset-range", Row.READ, "C12.22, 5.3.2.3: iar", "offset-range")
def offset_range(lab: Lab) -> Steps:
    """Octets that a table has not are answered with IAR."""
    size = len((yield from octets_of(lab, 0)))
    for start, count in ((_FARTHEST, 1), (size, 1), (0, size + 1)):
        yield from wants(lab, ReadOffset(0, start, count), ResponseCode.IAR, "offset-range")


@case("read-too-long", Row.READ, "C12.22, 5.3.2.3: rstl", "too-long")
def too_long(lab: Lab) -> Steps:
    """An answer that is too long for the node is RSTL, not silence, and no part of it."""
    yield from octets_of(lab, 0)
    longest = max(lab.contents, key=lambda table: len(lab.contents[table]))
    number = _MANY if lab.target.stream else _SOME
    try:
        said = yield from lab.ask(*(Read(longest) for _ in range(number)))
    except FindingError as error:
        if error.code != PREFIX + UNANSWERED:
            raise
        raise FindingError("too-long", f"no answer to a read of {number} tables") from None
    codes = {each.code for each in said if isinstance(each, Failure)}
    lab.answered = ", ".join(code.name for code in codes) or "OK, all of it"
    allowed = {ResponseCode.RSTL, ResponseCode.RQTL, ResponseCode.SGNP, ResponseCode.ISC}
    if codes - allowed:
        raise FindingError("too-long", f"RSTL wanted, not {lab.answered}")


CASES: Final = (
    identify,
    full,
    read_checksum,
    offset,
    index,
    default,
    unknown_table,
    index_range,
    offset_range,
)
"""What reads, but for ``too_long``, which wants to know the longest table."""
