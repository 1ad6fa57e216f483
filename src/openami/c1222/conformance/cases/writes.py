"""Write in every form. What is written is what stands there already, wherever it may be taken."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from openami.c1222.codes import ResponseCode
from openami.c1222.conformance.case import Exchange, FindingError, Heard, Row, case, skipped
from openami.c1222.conformance.cases.lists import NO_TABLE
from openami.c1222.conformance.cases.reads import config, wants
from openami.c1222.conformance.lab import Lab, supported
from openami.c1222.services import (
    Done,
    Failure,
    Read,
    Request,
    TableData,
    Write,
    WriteIndex,
    WriteOffset,
)
from openami.c1222.tables import standard

if TYPE_CHECKING:
    from collections.abc import Generator

    from openami.c1222.conformance.case import Steps

WRITE: Final = "C12.22, 5.3.2.4: Write"
_DISTURBS: Final = "it writes a table, with what stands there already"
_HARMLESS: Final = (5, 6)
"""Tables that say what a device is called: to write them anew changes nothing."""


def _found(lab: Lab) -> Generator[Exchange, Heard, tuple[int, bytes]]:
    """Return a table that may be written, and what stands there.

    Raises:
        StoppedError: there is none.
    """
    tables = yield from config(lab)
    known = tables.known[standard(0)]
    writable = known["STD_TBLS_WRITE"] & known["STD_TBLS_USED"]
    table = next((each for each in _HARMLESS if each in writable), None)
    if table is None:
        raise skipped("of ST-05 and ST-06 the node lets none be written")
    return table, (yield from _now(lab, table))


def _now(lab: Lab, table: int) -> Generator[Exchange, Heard, bytes]:
    """Read a table anew."""
    said = yield from lab.ask_one(Read(table))
    if not isinstance(said, TableData):
        raise skipped(f"ST-{table:02d} can not be read")
    return said.data


def _taken(lab: Lab, request: Request, table: int, before: bytes) -> Steps:
    """Write, and see that it was done and that the table is what it was."""
    said = yield from lab.ask_one(request)
    supported(said, type(request).__name__)
    lab.asked, lab.answered = type(request).__name__, "OK" if said == Done() else lab.answered
    if said != Done():
        raise FindingError("write", f"ST-{table:02d} is not written: {lab.answered}")
    if (yield from _now(lab, table)) != before:
        raise FindingError("write", f"ST-{table:02d} is not what was written")


def _refused(lab: Lab, request: Request | bytes, finding: str, what: str) -> Steps:
    said = yield from lab.ask_one(request)
    if not isinstance(said, Failure):
        raise FindingError(finding, f"{what} is taken")


@case("write", Row.WRITE, f"{WRITE} (40)", "write", disturbs=_DISTURBS)
def full(lab: Lab) -> Steps:
    """A table that may be written can be written whole, and read again."""
    table, before = yield from _found(lab)
    yield from _taken(lab, Write(table, before), table, before)


@case("write-offset", Row.WRITE, f"{WRITE} (4F)", "write", disturbs=_DISTURBS)
def offset(lab: Lab) -> Steps:
    """A table can be written by offset."""
    table, before = yield from _found(lab)
    yield from _taken(lab, WriteOffset(table, 1, before[1:4]), table, before)


@case("write-index", Row.WRITE, f"{WRITE} (41 to 49)", "write", disturbs=_DISTURBS)
def index(lab: Lab) -> Steps:
    """A table can be written by index."""
    table, before = yield from _found(lab)
    first = len(before) if table == _HARMLESS[0] else 20
    yield from _taken(lab, WriteIndex(table, (0,), before[:first]), table, before)


@case("write-checksum", Row.WRITE, f"{WRITE}, cksum", "write-checksum", disturbs=_DISTURBS)
def write_checksum(lab: Lab) -> Steps:
    """What comes with a wrong checksum is not written."""
    table, before = yield from _found(lab)
    right = Write(table, before).encode()
    wrong = right[:-1] + bytes((right[-1] ^ 0x55,))
    yield from _refused(lab, wrong, "write-checksum", "a wrong checksum")


@case("write-length", Row.WRITE, "C12.22, 5.3.2.3: iar", "write-length", disturbs=_DISTURBS)
def write_length(lab: Lab) -> Steps:
    """More octets than a table has are not written."""
    table, before = yield from _found(lab)
    try:
        yield from _refused(lab, Write(table, before + b" "), "write-length", "an octet too many")
    except FindingError:
        yield from lab.ask_one(Write(table, before))
        raise
    if (yield from _now(lab, table)) != before:
        raise FindingError("write-length", f"ST-{table:02d} is not what it was")


@case("write-unknown-table", Row.WRITE, "C12.22, 5.3.2.3: onp", "unknown-table", disturbs=_DISTURBS)
def unknown_table(lab: Lab) -> Steps:
    """To write a table that the device has not is answered with ONP."""
    yield from wants(lab, Write(NO_TABLE, b" "), ResponseCode.ONP, "unknown-table")


@case("write-range", Row.WRITE, "C12.22, 5.3.2.3: iar", "write-range", disturbs=_DISTURBS)
def write_range(lab: Lab) -> Steps:
    """Octets behind a table's end are not written, and answered with IAR."""
    table, before = yield from _found(lab)
    beyond = WriteOffset(table, len(before), b" ")
    yield from wants(lab, beyond, ResponseCode.IAR, "write-range")


CASES: Final = (
    full,
    offset,
    index,
    write_checksum,
    write_length,
    unknown_table,
    write_range,
)
