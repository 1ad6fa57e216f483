"""Tables as ST-00 and the dimension tables say that they are, and procedures (C12.19)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from openami.c1222.codes import ResponseCode
from openami.c1222.conformance.case import (
    Exchange,
    FindingError,
    Heard,
    Row,
    StoppedError,
    case,
    skipped,
)
from openami.c1222.conformance.cases.reads import config, too_long
from openami.c1222.conformance.lab import Lab, is_refused, supported
from openami.c1222.services import Done, Failure, Read, ReadOffset, TableData, Write
from openami.c1222.tables import (
    Procedure,
    ProcedureRequest,
    ProcedureResponse,
    Result,
    TableId,
    Tables,
    standard,
)
from openami.c1222.tables.procedures import INITIATE
from openami.core.errors import ConfigError, DecodeError, LocalProtocolError

if TYPE_CHECKING:
    from collections.abc import Generator

    from openami.c1222.conformance.case import Steps

_TABLES: Final = "C12.19, 9"
_SECRET: Final = frozenset({42, 45})
"""Passwords and keys: a tester does not ask for them, its report would have them."""
_PROCEDURES: Final = frozenset({7, 8})
_NO_PROCEDURE: Final = 0x07FE
_INITIATE: Final = 7
_RESPONSE: Final = 8
_SEQUENCES: Final = (0x5A, 0xA5)
_DISTURBS: Final = "it writes ST-07"
_MOST_WORDS: Final = 6


def _known(lab: Lab, table: TableId) -> Generator[Exchange, Heard, Tables]:
    """Return the tables after those were read that rule one of them.

    Raises:
        StoppedError: one of those can not be read.
    """
    tables = yield from config(lab)
    for each in tables.missing(table):
        said = yield from lab.ask_one(Read(each.wire))
        if not isinstance(said, TableData):
            raise skipped(f"{each}, which rules {table}, can not be read")
        tables = tables.learn(each, said.data)
    lab.tables = tables
    return tables


def _looked_at(lab: Lab, number: int) -> Generator[Exchange, Heard, str]:
    """Return what is wrong with one table that ST-00 lists, or nothing."""
    table = standard(number)
    said = yield from lab.ask_one(Read(number))
    try:
        node = (yield from _known(lab, table)).layout(table)
    except (StoppedError, LocalProtocolError, ConfigError):
        node = None  # nobody knows how long it is
    if isinstance(said, TableData):
        lab.contents[number] = said.data
        if node is None or node.minimum <= len(said.data) <= node.size:
            return ""
        return f"{table} has {len(said.data)} octets, not {node.size}"
    if isinstance(said, Failure) and said.code is ResponseCode.RSTL and node is not None:
        last = yield from lab.ask_one(ReadOffset(number, node.size - 1, 1))
        return "" if isinstance(last, TableData) else f"{table} has not {node.size} octets"
    return ""


@case("table-lengths", Row.TABLES, f"{_TABLES}: ST-00 and the dimension tables", "table-length")
def lengths(lab: Lab) -> Steps:
    """Every table has the length that ST-00 and its dimension tables give it."""
    tables = yield from config(lab)
    lab.begin()
    used = tables.known[standard(0)]["STD_TBLS_USED"] - _SECRET - _PROCEDURES
    described = sorted(each for each in used if standard(each) in tables.description.tables)
    wrong = []
    for number in described:
        try:
            wrong.append((yield from _looked_at(lab, number)))
        except DecodeError as error:
            wrong.append(f"ST-{number:02d}: {error.message}")
        except StoppedError:
            continue  # it wants more rights
    lab.asked, lab.answered = f"Read of {len(described)} tables", f"{len(lab.contents)} read"
    found = [each for each in wrong if each]
    if found:
        raise FindingError("table-length", "; ".join(found[:_MOST_WORDS]))


@case("table-list", Row.TABLES, f"{_TABLES}: ST-00, STD_TBLS_USED", "table-list")
def listed(lab: Lab) -> Steps:
    """Tables that ST-00 lists are there, and no others."""
    tables = yield from config(lab)
    lab.begin()
    values = tables.known[standard(0)]
    used = values["STD_TBLS_USED"]
    numbers = range(8 * values["DIM_STD_TBLS_USED"])
    wrong = []
    for number in sorted(set(numbers) - _SECRET - _PROCEDURES):
        (said,) = yield from lab.ask(ReadOffset(number, 0, 1))
        absent = isinstance(said, Failure) and said.code is ResponseCode.ONP
        supported(said, "Read by offset")
        if absent == (number in used) and not is_refused(said):
            wrong.append(f"{standard(number)} is {'absent' if absent else 'there'}")
    if wrong:
        raise FindingError("table-list", "against ST-00 " + ", ".join(wrong[:_MOST_WORDS]))


def _executed(lab: Lab, asked: ProcedureRequest) -> Generator[Exchange, Heard, ProcedureResponse]:
    """Have a procedure done, and return what ST-08 says then.

    Raises:
        StoppedError: the node has no procedures, or none for the tester.
        FindingError: ST-08 can not be read.
    """
    tables = yield from config(lab)
    requests: tuple[Any, ...] = (Write(_INITIATE, asked.encode(tables)), Read(_RESPONSE))
    said = yield from lab.ask(*requests)
    if is_refused(said[0]):
        secret = lab.need_password()
        said = yield from lab.ask_shown(secret, *requests)
    written, read = said
    supported(written, "Write")
    if is_refused(written):
        raise skipped("the node wants more rights for procedures")
    if isinstance(written, Failure) and written.code is ResponseCode.ONP:
        raise skipped("the node has no ST-07")
    if written != Done() or not isinstance(read, TableData):
        raise FindingError("procedure", f"ST-08 wanted, not {lab.answered}")
    try:
        return ProcedureResponse.decode(tables, read.data)
    except DecodeError as error:
        raise FindingError("procedure", f"ST-08: {error.message}") from None


@case(
    "procedure-sequence",
    Row.PROCEDURES,
    "C12.19, 9.8: ST-08",
    "procedure-sequence",
    "procedure",
    disturbs=_DISTURBS,
)
def sequence(lab: Lab) -> Steps:
    """ST-08 names the procedure of ST-07 and its sequence number."""
    for number in _SEQUENCES:
        asked = ProcedureRequest(_NO_PROCEDURE, number)
        said = yield from _executed(lab, asked)
        lab.answered = f"sequence {said.sequence}"
        if not said.answers(asked):
            raise FindingError("procedure-sequence", f"{number} wanted, not {said.sequence}")


@case(
    "procedure-unknown",
    Row.PROCEDURES,
    "C12.19, 9.8: RESULT_CODE 6",
    "procedure-unknown",
    "procedure",
    disturbs=_DISTURBS,
)
def unknown(lab: Lab) -> Steps:
    """A procedure that is none is not recognized."""
    said = yield from _executed(lab, ProcedureRequest(_NO_PROCEDURE, _SEQUENCES[0]))
    lab.answered = said.meaning
    if said.result != Result.UNRECOGNIZED:
        raise FindingError("procedure-unknown", f"result 6 wanted, not {said.result}")


@case(
    "procedure-parameters",
    Row.PROCEDURES,
    "C12.19, 9.8: RESULT_CODE 2",
    "procedure-parameters",
    "procedure",
    disturbs=_DISTURBS,
)
def parameters(lab: Lab) -> Steps:
    """A procedure whose parameters are cut off is not done."""
    tables = yield from config(lab)
    if Procedure.SET_DATE_TIME not in tables.known[standard(0)]["STD_PROC_USED"]:
        raise skipped("the node has no procedure to set its time")
    proc = {"NUMBER": int(Procedure.SET_DATE_TIME), "MANUFACTURER": False, "SELECTOR": 0}
    values = {"PROC": proc, "SEQ_NBR": _SEQUENCES[0], "PARM": b"\x00"}
    said = yield from lab.ask_one(Write(_INITIATE, tables.encode(INITIATE, values)))
    if isinstance(said, Failure):  # refused at once, as a table that is not that table
        return
    answer = yield from lab.ask_one(Read(_RESPONSE))
    if not isinstance(answer, TableData):
        raise FindingError("procedure", f"ST-08 wanted, not {lab.answered}")
    result = ProcedureResponse.decode(tables, answer.data).result
    lab.answered = f"result {result}"
    if result in {Result.DONE, Result.ACCEPTED}:
        raise FindingError("procedure-parameters", "a time that is cut off is taken")


CASES: Final = (lengths, listed, too_long, sequence, unknown, parameters)
