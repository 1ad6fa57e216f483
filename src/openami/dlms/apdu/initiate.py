"""Opening an application association: xDLMS InitiateRequest and its answers (Green Book 9.5)."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING, Final, Self

from openami.dlms.apdu.common import Tag
from openami.dlms.conformance import Conformance, read_conformance, write_conformance
from openami.dlms.references import read_presence
from openami.wire.writer import Writer

if TYPE_CHECKING:
    from openami.wire.reader import Reader

VERSION: Final = 6
LN_NAME: Final = 0x0007
SN_NAME: Final = 0xFA00
NO_PDU_LIMIT: Final = 0


@dataclass(frozen=True, slots=True)
class InitiateRequest:
    """What the client proposes; a ``max_pdu`` of 0 sets no limit to what it can receive."""

    conformance: Conformance
    max_pdu: int
    dedicated_key: bytes | None = field(default=None, repr=False)
    response_allowed: bool = True
    quality_of_service: int | None = None
    version: int = VERSION

    def encode(self) -> bytes:
        w = Writer().u8(Tag.INITIATE_REQUEST)
        if self.dedicated_key is None:
            w.u8(0)
        else:
            w.u8(1).octets(self.dedicated_key)
        if self.response_allowed:  # the DEFAULT is not written
            w.u8(0)
        else:
            w.u8(1).u8(0)
        _write_quality(w, self.quality_of_service)
        w.u8(self.version)
        write_conformance(w, self.conformance)
        return w.u16(self.max_pdu).bytes()

    @classmethod
    def read(cls, r: Reader) -> Self:
        key = r.take(r.length()) if read_presence(r) else None
        allowed = r.u8() != 0 if read_presence(r) else True
        quality = r.sint(1) if read_presence(r) else None
        version = r.u8()
        return cls(read_conformance(r), r.u16(), key, allowed, quality, version)


def _write_quality(w: Writer, quality: int | None) -> None:
    if quality is None:
        w.u8(0)
    else:
        w.u8(1).sint(quality, 1)


@dataclass(frozen=True, slots=True)
class InitiateResponse:
    """What the server agrees to; ``vaa_name`` is 7 with logical names, FA00 with short ones."""

    conformance: Conformance
    max_pdu: int
    vaa_name: int = LN_NAME
    quality_of_service: int | None = None
    version: int = VERSION

    def encode(self) -> bytes:
        w = Writer().u8(Tag.INITIATE_RESPONSE)
        _write_quality(w, self.quality_of_service)
        w.u8(self.version)
        write_conformance(w, self.conformance)
        return w.u16(self.max_pdu).u16(self.vaa_name).bytes()

    @classmethod
    def read(cls, r: Reader) -> Self:
        quality = r.sint(1) if read_presence(r) else None
        version = r.u8()
        return cls(read_conformance(r), r.u16(), r.u16(), quality, version)


class ServiceErrorKind(IntEnum):
    """Choices of ServiceError that LN referencing uses."""

    APPLICATION_REFERENCE = 0
    HARDWARE_RESOURCE = 1
    VDE_STATE_ERROR = 2
    SERVICE = 3
    DEFINITION = 4
    ACCESS = 5
    INITIATE = 6
    LOAD_DATA_SET = 7
    TASK = 9


class InitiateError(IntEnum):
    """Values of ``ServiceErrorKind.INITIATE``."""

    OTHER = 0
    DLMS_VERSION_TOO_LOW = 1
    INCOMPATIBLE_CONFORMANCE = 2
    PDU_SIZE_TOO_SHORT = 3
    REFUSED_BY_THE_VDE_HANDLER = 4


INITIATE_ERROR: Final = 1


@dataclass(frozen=True, slots=True)
class ConfirmedServiceError:
    """Why a confirmed service failed.

    ``service`` is 1 for Initiate; ``kind`` and ``value`` as ``ServiceErrorKind`` and the
    enumeration of that kind.
    """

    service: int
    kind: int
    value: int

    @classmethod
    def initiate(cls, error: InitiateError) -> Self:
        """Return the refusal of an InitiateRequest."""
        return cls(INITIATE_ERROR, ServiceErrorKind.INITIATE, error)

    def encode(self) -> bytes:
        w = Writer().u8(Tag.CONFIRMED_SERVICE_ERROR)
        return w.u8(self.service).u8(self.kind).u8(self.value).bytes()

    @classmethod
    def read(cls, r: Reader) -> Self:
        return cls(r.u8(), r.u8(), r.u8())
