"""Procedures: written to ST-07, answered in ST-08 (C12.19, 9.8).

What a procedure takes and answers is a record of the description, the standard's or a
manufacturer's. What is not described takes and answers octets under ``RAW``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING, Any, Final, Self

from openami.c1222.tables import layout
from openami.c1222.tables.ids import standard

if TYPE_CHECKING:
    from collections.abc import Mapping

    from openami.c1222.tables.description import ProcedureKey
    from openami.c1222.tables.tables import Tables

INITIATE: Final = standard(7)
RESPONSE: Final = standard(8)
RAW: Final = "RAW"
"""Under this name stand the octets of what nothing describes."""


class Procedure(IntEnum):
    """The standard's procedures that are described."""

    COLD_START = 0
    WARM_START = 1
    CLEAR_DATA = 3
    RESET_LIST_POINTERS = 4
    UPDATE_LAST_READ_ENTRY = 5
    REMOTE_RESET = 9
    SET_DATE_TIME = 10
    EXECUTE_DIAGNOSTICS = 11
    ACTIVATE_ALL_PENDING = 12
    ACTIVATE_PENDING = 13
    CLEAR_ALL_PENDING = 14
    CLEAR_PENDING = 15
    START_LOAD_PROFILE = 16
    STOP_LOAD_PROFILE = 17
    DIRECT_LOAD_CONTROL = 21


class EntryList(IntEnum):
    """Lists whose pointers SP-4 resets and SP-5 moves on."""

    EVENT_LOG = 1
    SELF_READS = 2
    LOAD_PROFILE_1 = 3
    LOAD_PROFILE_2 = 4
    LOAD_PROFILE_3 = 5
    LOAD_PROFILE_4 = 6


class Selector(IntEnum):
    """When ST-08 is written; the standard has four, the field has room for sixteen."""

    ON_COMPLETION = 0
    ON_EXCEPTION = 1
    NEVER = 2
    NOW_AND_ON_COMPLETION = 3


class Result(IntEnum):
    """What became of a procedure."""

    DONE = 0
    ACCEPTED = 1
    BAD_PARAMETER = 2
    CONFLICT = 3
    TIMING = 4
    NO_AUTHORIZATION = 5
    UNRECOGNIZED = 6

    @property
    def meaning(self) -> str:
        """What it says, in words."""
        return _MEANINGS[self]


_MEANINGS: Final = {
    Result.DONE: "done",
    Result.ACCEPTED: "accepted, and not yet completed",
    Result.BAD_PARAMETER: "a parameter is wrong",
    Result.CONFLICT: "in conflict with how the device is set up",
    Result.TIMING: "not at this time",
    Result.NO_AUTHORIZATION: "no authorization",
    Result.UNRECOGNIZED: "no such procedure",
}


@dataclass(frozen=True, slots=True)
class ProcedureRequest:
    """A procedure to be done: what stands in ST-07.

    Attributes:
        number: of the procedure.
        sequence: comes back in the answer.
        parameters: by name, as the procedure is described.
        manufacturer: it is the manufacturer's.
        selector: when ST-08 is written.
    """

    number: int
    sequence: int
    parameters: Mapping[str, Any] = field(default_factory=dict)
    manufacturer: bool = False
    selector: int = Selector.ON_COMPLETION

    @property
    def key(self) -> ProcedureKey:
        """Under which it is described."""
        return self.manufacturer, self.number

    def encode(self, tables: Tables) -> bytes:
        """Return the octets of ST-07.

        Raises:
            LocalProtocolError: ``c1219.value``, something does not fit.
        """
        if self.key in tables.description.procedures:
            octets = layout.encode(tables.parameters(self.key), self.parameters)
        else:
            octets = self.parameters.get(RAW, b"")
        values = {
            "PROC": _idb(self.number, self.manufacturer, int(self.selector)),
            "SEQ_NBR": self.sequence,
            "PARM": octets,
        }
        return tables.encode(INITIATE, values)

    @classmethod
    def decode(cls, tables: Tables, octets: bytes) -> Self:
        """Return the procedure that ST-07 asks for.

        Raises:
            DecodeError: it is no ST-07, or the parameters are not that procedure's: a node
                answers ``Result.BAD_PARAMETER``.
        """
        values = tables.decode(INITIATE, octets)
        proc = values["PROC"]
        key = (proc["MANUFACTURER"], proc["NUMBER"])
        if key in tables.description.procedures:
            node = tables.parameters(key)
            parameters = layout.decode(node, _unpadded(values["PARM"], node.minimum, node.size))
        else:
            parameters = {RAW: values["PARM"]}
        return cls(key[1], values["SEQ_NBR"], parameters, key[0], proc["SELECTOR"])


def _idb(number: int, manufacturer: bool, selector: int) -> dict[str, Any]:
    return {"NUMBER": number, "MANUFACTURER": manufacturer, "SELECTOR": selector}


def _unpadded(octets: bytes, minimum: int, size: int) -> bytes:
    """Return octets without the zeros that fill a table whose parameters are shorter."""
    padded = len(octets) > size and minimum == size and not any(octets[size:])
    return octets[:size] if padded else octets


@dataclass(frozen=True, slots=True)
class ProcedureResponse:
    """What became of a procedure: what stands in ST-08.

    Attributes:
        number: of the procedure.
        sequence: of the request.
        result: a ``Result``; a device may have others.
        data: by name, as the answer is described; else octets under ``RAW``.
        manufacturer: it is the manufacturer's.
        selector: as it was asked.
    """

    number: int
    sequence: int
    result: int = Result.DONE
    data: Mapping[str, Any] = field(default_factory=dict)
    manufacturer: bool = False
    selector: int = Selector.ON_COMPLETION

    @classmethod
    def to(
        cls, request: ProcedureRequest, result: Result, data: Mapping[str, Any] | None = None
    ) -> Self:
        """Return the answer to a request."""
        return cls(
            request.number,
            request.sequence,
            result,
            data or {},
            request.manufacturer,
            request.selector,
        )

    @property
    def key(self) -> ProcedureKey:
        """Under which it is described."""
        return self.manufacturer, self.number

    @property
    def meaning(self) -> str:
        """What the result says, in words."""
        known = self.result in Result.__members__.values()
        return Result(self.result).meaning if known else f"result {self.result}"

    def answers(self, request: ProcedureRequest) -> bool:
        """Return whether this is that request's answer."""
        return self.key == request.key and self.sequence == request.sequence

    def encode(self, tables: Tables) -> bytes:
        """Return the octets of ST-08.

        Raises:
            LocalProtocolError: ``c1219.value``, something does not fit.
        """
        described = self.key in tables.description.answers and RAW not in self.data and self.data
        octets = (
            layout.encode(tables.answer(self.key), self.data)
            if described
            else self.data.get(RAW, b"")
        )
        values = {
            "PROC": _idb(self.number, self.manufacturer, int(self.selector)),
            "SEQ_NBR": self.sequence,
            "RESULT_CODE": int(self.result),
            "RESP_DATA": octets,
        }
        return tables.encode(RESPONSE, values)

    @classmethod
    def decode(cls, tables: Tables, octets: bytes) -> Self:
        """Return what ST-08 says.

        An answer that is not as described, as of a procedure that was refused, stays octets.

        Raises:
            DecodeError: it is no ST-08.
        """
        values = tables.decode(RESPONSE, octets)
        proc, data = values["PROC"], values["RESP_DATA"]
        key = (proc["MANUFACTURER"], proc["NUMBER"])
        result = values["RESULT_CODE"]
        node = tables.answer(key)
        answer = _unpadded(data, node.minimum, node.size)
        fits = node.minimum <= len(answer) <= node.size and node.size > 0
        if result == Result.DONE and fits:
            found = layout.decode(node, answer)
        else:
            found = {RAW: data} if data else {}
        return cls(key[1], values["SEQ_NBR"], result, found, key[0], proc["SELECTOR"])
