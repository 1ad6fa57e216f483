"""What a device holds: parts are parts of the same octets, and a write is taken whole or not."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.c1219 import any_device, config, tables_of, value_of

from openami.c1222.codes import ResponseCode
from openami.c1222.services import (
    Done,
    Failure,
    Read,
    ReadOffset,
    Response,
    TableData,
    Write,
    WriteIndex,
    WriteOffset,
    decode_request,
)
from openami.c1222.tables import (
    Procedure,
    ProcedureRequest,
    ProcedureResponse,
    Result,
    Selector,
    TableId,
    TableMemory,
    Tables,
    serve,
    span,
    standard,
)
from openami.core.errors import DecodeError, LocalProtocolError, NotFoundError

if TYPE_CHECKING:
    from openami.c1222.tables.layout import Node

EVENT, OTHER = bytes.fromhex("10 0102030405"), bytes.fromhex("C1 0000000000")
IDENT = b"THE METER OF THE DAY"


@pytest.fixture
def memory() -> TableMemory:
    values = config()
    tables = Tables.of_values(values).learn(standard(21), bytes(10))
    contents = {
        standard(0): tables.encode(standard(0), values),
        standard(1): bytes(range(65, 97)),
        standard(5): IDENT,
        standard(7): bytes(10),
        standard(21): bytes(10),
        standard(23): b"",
        TableId(9, manufacturer=True): b"not described",
    }
    return TableMemory(tables, contents)


def paths(node: Node, chance: Random, indexes: tuple[int, ...] = ()) -> list[tuple[int, ...]]:
    """Return indexes of elements, some of each level."""
    members = getattr(node, "members", None)
    inner = (
        [each.node for each in members]
        if members
        else [getattr(node, "of", None)] * min(getattr(node, "count", 0), 3)
    )
    found: list[tuple[int, ...]] = []
    for place, child in enumerate(inner):
        found.append((*indexes, place))
        if child is not None and chance.random() < 0.7:
            found += paths(child, chance, (*indexes, place))
    return found


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32))
def test_parts_are_parts_of_the_whole(seed: int) -> None:
    chance = Random(seed)
    device = any_device(chance)
    tables = [table for table in tables_of(device) if table.number not in {4, 7, 8, 54}]
    octets = {
        table: device.encode(table, value_of(device.layout(table), chance)) for table in tables
    }
    memory = TableMemory(device, dict(octets))
    for table, whole in octets.items():
        node = device.layout(table)
        for indexes in paths(node, chance):
            where = span(node, indexes)
            assert memory.read_index(table, indexes) == whole[where.offset : where.end]
            assert (
                memory.read_offset(table, where.offset, where.size)
                == whole[where.offset : where.end]
            )
        other = value_of(node, chance)
        if table in device.known:  # another dimension is another device
            continue
        news = device.encode(table, other)
        for indexes in paths(node, chance):
            where = span(node, indexes)
            part = news[where.offset : where.end]
            memory.write_index(table, indexes, part, 1)
            assert memory.read(table) == whole[: where.offset] + part + whole[where.end :]
            memory.write_offset(table, 0, whole)
            memory.write_offset(table, where.offset, part)
            assert memory.read_index(table, indexes) == part
            memory.write(table, whole)


def test_elements_that_follow_are_written_together(memory: TableMemory) -> None:
    memory.write_index(standard(1), (2,), b"\1\2\3")
    assert memory.read_index(standard(1), (2,), 3) == b"\1\2\3"
    assert memory.read_offset(standard(1), 12, 4) == b"\1\2\3" + b"P"
    with pytest.raises(LocalProtocolError):
        memory.write_index(standard(1), (0,), b"ABCDE")
    with pytest.raises(LocalProtocolError):
        memory.write_index(standard(1), (0,), b"OK", 1)


def test_a_table_that_ends_as_it_likes(memory: TableMemory) -> None:
    memory.write(standard(7), bytes.fromhex("1A00 00 0200"))
    assert memory.read_index(standard(7), (2,)) == b"\2\0"
    assert memory.read_index(standard(7), (0,), 3) == bytes.fromhex("1A00000200")
    memory.write(standard(7), bytes.fromhex("1A0000"))
    assert memory.read_index(standard(7), (2,)) == b""
    with pytest.raises(LocalProtocolError):
        memory.read_index(standard(7), (3,))


def test_what_is_not_there(memory: TableMemory) -> None:
    for table in (standard(99), standard(5).__class__(5, pending=True)):
        with pytest.raises(NotFoundError) as caught:
            memory.read(table)
        assert caught.value.code == "c1219.absent"
    for table in (standard(99), TableId(99, pending=True)):
        with pytest.raises(NotFoundError):
            memory.write(table, EVENT)
    for offset, count in ((0, 21), (20, 1), (-1, 1), (5, -1)):
        with pytest.raises(LocalProtocolError) as outside:
            memory.read_offset(standard(5), offset, count)
        assert outside.value.code == "c1219.index"
    with pytest.raises(LocalProtocolError):
        memory.write_offset(standard(5), 19, b"ab")
    assert memory.read(TableId(9, manufacturer=True)) == b"not described"
    memory.write_offset(TableId(9, manufacturer=True), 0, b"NOT")
    assert memory.read(TableId(9, manufacturer=True)) == b"NOT described"


def test_a_write_that_is_not_that_table_changes_nothing(memory: TableMemory) -> None:
    before = dict(memory.contents)
    for table, octets in (
        (standard(5), IDENT[:-1]),
        (standard(21), bytes(11)),
        (standard(0), before[standard(0)][:-1]),
    ):
        with pytest.raises(DecodeError):
            memory.write(table, octets)
    assert memory.contents == before


def test_a_new_dimension_is_a_new_layout(memory: TableMemory) -> None:
    assert memory.tables.layout(standard(23)).size == 0
    memory.write(standard(21), bytes.fromhex("04 00 00 02 00 00 00 00 00 00"))
    assert memory.tables.layout(standard(23)).size == 13
    values = config(order=1)
    memory.write(standard(0), Tables.of_values(values).encode(standard(0), values))
    assert memory.tables.formats.order == "big"
    assert memory.tables.layout(standard(23)).size == 13
    with pytest.raises(LocalProtocolError):  # its contents are still those of before
        memory.read_index(standard(23), (1,))


def test_pending_tables_wait_and_come_in_force(memory: TableMemory) -> None:
    pending = TableId(5, pending=True)
    memory.write(pending, EVENT + IDENT[::-1])
    memory.write(TableId(1, pending=True), OTHER + bytes(32))
    assert memory.read(pending) == EVENT + IDENT[::-1]
    assert memory.read_offset(pending, 6, 3) == b"YAD"
    assert memory.read(standard(5)) == IDENT
    status = memory.tables.decode(standard(4), memory.read(standard(4)))
    assert status == memory.status()
    assert status["NBR_PENDING_ACTIVATION"] == 2
    first, second = status["PENDING_TABLES"]
    assert first["EVENT"] == {
        "SELECTOR": {"EVENT": 0, "SELF_READ": True, "DEMAND_RESET": False},
        "STORAGE": EVENT[1:],
    }
    assert second["EVENT"]["SELECTOR"]["UNNAMED"] == 0xC0
    assert (
        TableId.from_octets(int.from_bytes(memory.read_index(standard(4), (4, 0, 1)), "little"))
        == pending
    )
    now = value_of(memory.tables.layout(standard(52)), Random(1))["CLOCK_CALENDAR"]
    assert memory.activate(event=EVENT, now=now) == 1
    assert memory.read(standard(5)) == IDENT[::-1]
    assert memory.activated == now
    assert memory.clear() == 1
    assert memory.activate(now=now) == 0
    assert memory.read(standard(1)) != bytes(32)
    assert memory.status()["NBR_PENDING_ACTIVATION"] == 0


def test_pending_tables_are_bounded_and_checked(memory: TableMemory) -> None:
    with pytest.raises(DecodeError):
        memory.write(TableId(5, pending=True), EVENT[:5])
    with pytest.raises(DecodeError):
        memory.write(TableId(5, pending=True), EVENT + IDENT[1:])
    for number in (5, 21):
        memory.write(TableId(number, pending=True), EVENT + memory.contents[standard(number)])
    memory.write(TableId(5, pending=True), OTHER + IDENT)  # in place of the one before
    with pytest.raises(LocalProtocolError) as full:
        memory.write(TableId(1, pending=True), EVENT + bytes(32))
    assert full.value.code == "c1219.pending"
    with pytest.raises(LocalProtocolError):
        memory.read_index(TableId(5, pending=True), (0,))


def test_a_pending_table_that_does_not_hold_any_more(memory: TableMemory) -> None:
    memory.write(TableId(23, pending=True), EVENT)
    memory.write(TableId(5, pending=True), EVENT + IDENT[::-1])
    memory.write(standard(21), bytes.fromhex("04 00 00 02 00 00 00 00 00 00"))
    with pytest.raises(DecodeError):
        memory.activate()
    assert memory.read(standard(5)) == IDENT
    assert len(memory.pending) == 2


def test_a_procedure_of_a_vector(memory: TableMemory) -> None:
    """The octets that the EAX' vector V1 writes to ST-7: procedure 26, which nothing describes."""
    octets = bytes.fromhex("1a00000200")
    request = ProcedureRequest.decode(memory.tables, octets)
    assert request == ProcedureRequest(26, 0, {"RAW": b"\2\0"})
    assert request.encode(memory.tables) == octets


PARAMETERS: dict[Procedure, dict[str, Any]] = {
    Procedure.RESET_LIST_POINTERS: {"LIST": 3},
    Procedure.UPDATE_LAST_READ_ENTRY: {"LIST": 3, "ENTRIES_READ": 96},
    Procedure.REMOTE_RESET: {"ACTION": {"DEMAND_RESET": True, "SELF_READ": False}},
    Procedure.ACTIVATE_PENDING: {
        "EVENT": {
            "SELECTOR": {"EVENT": 1, "SELF_READ": False, "DEMAND_RESET": False},
            "STORAGE": bytes(5),
        }
    },
    Procedure.DIRECT_LOAD_CONTROL: {"LEVEL": 100, "ACTIONS": 1, "TIMING": b"\0\x1e"},
}


@pytest.mark.parametrize("procedure", Procedure)
def test_procedures_both_ways(memory: TableMemory, procedure: Procedure) -> None:
    node = memory.tables.parameters((False, procedure))
    parameters = PARAMETERS.get(procedure) or value_of(node, Random(procedure))
    request = ProcedureRequest(procedure, 7, parameters, selector=Selector.ON_EXCEPTION)
    octets = request.encode(memory.tables)
    assert ProcedureRequest.decode(memory.tables, octets) == request
    if procedure is not Procedure.DIRECT_LOAD_CONTROL:  # a table of fixed length has zeros after it
        padded = octets.ljust(33, b"\0")
        assert ProcedureRequest.decode(memory.tables, padded) == request
    data = value_of(memory.tables.answer(request.key), Random(procedure))
    response = ProcedureResponse.to(request, Result.DONE, data)
    assert ProcedureResponse.decode(memory.tables, response.encode(memory.tables)) == response
    assert response.answers(request)
    assert not response.answers(ProcedureRequest(procedure, 8))


def test_set_date_and_time_octet_by_octet(memory: TableMemory) -> None:
    octets = bytes.fromhex("0A00 05 07 19060F0C1E00 10")
    request = ProcedureRequest.decode(memory.tables, octets)
    assert request.number == Procedure.SET_DATE_TIME
    assert request.parameters["DATE_TIME"].isoformat() == "2025-06-15T12:30:00"
    assert request.parameters["SET_MASK"] == {
        "SET_TIME": True,
        "SET_DATE": True,
        "SET_TIME_DATE_QUAL": True,
    }
    for wrong in (octets[:-1], octets + b"\1"):
        with pytest.raises(DecodeError):
            ProcedureRequest.decode(memory.tables, wrong)
    with pytest.raises(LocalProtocolError):
        ProcedureRequest(10, 1, {"SET_MASK": 1}).encode(memory.tables)


def test_answers_of_every_result(memory: TableMemory) -> None:
    request = ProcedureRequest(10, 9)
    for result in Result:
        response = ProcedureResponse.to(request, result)
        octets = response.encode(memory.tables)
        assert octets == bytes((10, 0, 9, result))
        assert ProcedureResponse.decode(memory.tables, octets) == response
        assert response.meaning == result.meaning
    other = ProcedureResponse.decode(memory.tables, bytes((10, 0, 9, 77, 1)))
    assert (other.meaning, other.data) == ("result 77", {"RAW": b"\1"})
    assert other.encode(memory.tables) == bytes((10, 0, 9, 77, 1))
    with pytest.raises(DecodeError):
        ProcedureResponse.decode(memory.tables, b"\0\0\0")
    ours = ProcedureResponse(4, 1, Result.DONE, {"RAW": b"ours"}, manufacturer=True)
    assert ProcedureResponse.decode(memory.tables, ours.encode(memory.tables)) == ours


@pytest.mark.parametrize(
    ("request_octets", "answer"),
    [
        ("30 0001", TableData(bytes(range(65, 97)))),
        ("3F 0001 000010 0010", TableData(bytes(range(81, 97)))),  # as in C12.22, annex example 8
        ("31 0001 0006 0001", TableData(bytes(range(81, 97)))),
        ("31 0001 0002 0003", TableData(bytes((77, 78, 79)))),
        ("31 0001 0006 0002", Failure(ResponseCode.IAR)),
        ("3F 0001 000020 0001", Failure(ResponseCode.IAR)),
        ("30 0063", Failure(ResponseCode.ONP)),
        ("30 2001", Failure(ResponseCode.ONP)),
        ("30 1005", Failure(ResponseCode.ONP)),
        ("40 0007 0005 1a00000200 e4", Done()),  # as in the EAX' vector V1
        ("41 0001 0002 0001 09 f7", Done()),
        ("4F 0001 00000C 0001 08 f8", Done()),
        ("40 0005 0001 00 00", Failure(ResponseCode.IAR)),
        ("20", Failure(ResponseCode.SNS)),
        ("3E", Failure(ResponseCode.SNS)),
    ],
)
def test_requests_for_tables(memory: TableMemory, request_octets: str, answer: Response) -> None:
    request = decode_request(bytes.fromhex(request_octets))
    assert serve(memory, request) == answer


def test_a_table_too_long_for_one_answer(memory: TableMemory) -> None:
    table = TableId(9, manufacturer=True)
    memory.contents[table] = bytes(0xFFFF)
    assert serve(memory, Read(table.wire)) == Failure(ResponseCode.RSTL, 0xFFFE)
    assert serve(memory, ReadOffset(table.wire, 1, 0xFFFE)) == TableData(bytes(0xFFFE))


def test_what_was_written_is_there(memory: TableMemory) -> None:
    serve(memory, WriteIndex(1, (2,), b"\1\2"))
    serve(memory, WriteOffset(1, 14, b"\3"))
    serve(memory, Write(5, IDENT[::-1]))
    assert memory.read_index(standard(1), (2,), 3) == b"\1\2\3"
    assert memory.read(standard(5)) == IDENT[::-1]
