"""Unsolicited services: DataNotification and EventNotification (Green Book 9.5)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Self

from openami.dlms.apdu.common import Tag
from openami.dlms.data import Data, DataType, Encodable
from openami.dlms.datetime import CosemDateTime
from openami.dlms.references import AttributeRef, read_presence
from openami.wire.writer import Writer

if TYPE_CHECKING:
    from openami.wire.reader import Reader

_DATE_TIME: Final = 12


@dataclass(frozen=True, slots=True)
class DataNotification:
    """Data that a meter pushes.

    ``invoke_id`` is the Long-Invoke-Id-And-Priority: bits 0 to 23 the id, 28 self-descriptive,
    29 break on error, 30 confirmed, 31 high priority. ``tagged_time`` says that the date-time came
    with the tag of an octet-string before its length, as some meters write it; it is not compared.
    """

    invoke_id: int
    time: CosemDateTime | None
    body: Encodable
    tagged_time: bool = field(default=False, compare=False)

    def encode(self) -> bytes:
        w = Writer().u8(Tag.DATA_NOTIFICATION).u32(self.invoke_id)
        if self.tagged_time:
            w.u8(DataType.OCTETS)
        w.octets(b"" if self.time is None else self.time.encode())
        return w.raw(self.body.encode()).bytes()

    @classmethod
    def read(cls, r: Reader) -> Self:
        invoke_id = r.u32()
        tagged = r.peek() == DataType.OCTETS
        if tagged:
            r.u8()
        time = _read_time(r)
        return cls(invoke_id, time, Data.decode(r), tagged)


def _read_time(r: Reader) -> CosemDateTime | None:
    size = r.length()
    if size == 0:
        return None
    if size != _DATE_TIME:
        raise r.error(f"a date-time of 0 or {_DATE_TIME} octets wanted, {size} announced")
    return CosemDateTime.decode(r.take(size))


@dataclass(frozen=True, slots=True)
class EventNotification:
    """One attribute's value, sent because of an event."""

    ref: AttributeRef
    value: Encodable
    time: CosemDateTime | None = None

    def encode(self) -> bytes:
        w = Writer().u8(Tag.EVENT_NOTIFICATION)
        if self.time is None:
            w.u8(0)
        else:
            w.u8(1).octets(self.time.encode())
        self.ref.write(w)
        return w.raw(self.value.encode()).bytes()

    @classmethod
    def read(cls, r: Reader) -> Self:
        time = _read_time(r) if read_presence(r) else None
        return cls(AttributeRef.read(r), Data.decode(r), time)
