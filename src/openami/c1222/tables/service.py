"""Requests for tables, answered out of a device's memory (C12.22, 5.3.2.4: Read and Write).

What the caller may do is looked at before, and what a procedure does when ST-07 is written comes
after: both are the device's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from openami.c1222.codes import ResponseCode
from openami.c1222.services import (
    Done,
    Failure,
    Read,
    ReadIndex,
    ReadOffset,
    TableData,
    Write,
    WriteIndex,
    WriteOffset,
)
from openami.c1222.tables.ids import TableId
from openami.core.errors import DecodeError, LocalProtocolError, NotFoundError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from openami.c1222.services import Request, Response
    from openami.c1222.tables.memory import TableMemory

MAX_ANSWER: Final = 0xFFFE
"""Octets of one answer: its count has 16 bits, of which FFFF says that another chunk follows."""
_MEANT: Final = 0x1FFF
"""Bits of a table's number that mean something; with others it is no table that a device has."""


def serve(memory: TableMemory, request: Request) -> Response:
    """Return the answer to a request for a table; a write has been done then, whole or not at all.

    A table or a part that is not there is ONP and IAR, octets that are not that table are IAR, a
    part that is too long for one answer is RSTL, what is no request for a table is SNS.
    """
    handler = _HANDLERS.get(type(request))
    if handler is None:
        return Failure(ResponseCode.SNS)
    table: int = request.table  # type: ignore[attr-defined]  # all that have handlers have it
    if table & ~_MEANT:
        return Failure(ResponseCode.ONP)
    try:
        data = handler(memory, TableId.from_octets(table), request)
    except NotFoundError:
        return Failure(ResponseCode.ONP)
    except (LocalProtocolError, DecodeError):
        return Failure(ResponseCode.IAR)
    if data is None:
        return Done()
    return TableData(data) if len(data) <= MAX_ANSWER else Failure(ResponseCode.RSTL, MAX_ANSWER)


_HANDLERS: Final[Mapping[type[Request], Callable[[TableMemory, TableId, Any], bytes | None]]] = {
    Read: lambda memory, table, _: memory.read(table),
    ReadIndex: lambda memory, table, asked: memory.read_index(table, asked.path, asked.count),
    ReadOffset: lambda memory, table, asked: memory.read_offset(table, asked.offset, asked.count),
    Write: lambda memory, table, asked: memory.write(table, asked.data),
    WriteIndex: lambda memory, table, asked: memory.write_index(table, asked.path, asked.data),
    WriteOffset: lambda memory, table, asked: memory.write_offset(table, asked.offset, asked.data),
}
