"""ExceptionResponse: the server could not treat an APDU at all (Green Book 9.5)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Self

from openami.dlms.apdu.common import Tag, read_enum
from openami.wire.writer import Writer

if TYPE_CHECKING:
    from openami.wire.reader import Reader


class StateError(IntEnum):
    """What is wrong with the moment."""

    SERVICE_NOT_ALLOWED = 1
    SERVICE_UNKNOWN = 2


class ServiceError(IntEnum):
    """What is wrong with the service."""

    OPERATION_NOT_POSSIBLE = 1
    SERVICE_NOT_SUPPORTED = 2
    OTHER_REASON = 3
    PDU_TOO_LONG = 4
    DECIPHERING_ERROR = 5
    INVOCATION_COUNTER_ERROR = 6


@dataclass(frozen=True, slots=True)
class ExceptionResponse:
    """The refusal; with an invocation-counter-error comes the counter that the server expects."""

    state: StateError
    service: ServiceError
    invocation_counter: int = 0

    def encode(self) -> bytes:
        w = Writer().u8(Tag.EXCEPTION_RESPONSE).u8(self.state).u8(self.service)
        if self.service is ServiceError.INVOCATION_COUNTER_ERROR:
            w.u32(self.invocation_counter)
        return w.bytes()

    @classmethod
    def read(cls, r: Reader) -> Self:
        state = read_enum(r, StateError, "state-error")
        service = read_enum(r, ServiceError, "service-error")
        if service is ServiceError.INVOCATION_COUNTER_ERROR:
            return cls(state, service, r.u32())
        return cls(state, service)
