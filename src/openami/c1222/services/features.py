"""What a node says of itself when it is asked who it is (C12.22, 5.3.2.4.1)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from openami.c1222.services import fields
from openami.c1222.services.fields import Field

if TYPE_CHECKING:
    from collections.abc import Mapping

    from openami.c1222.titles import ApTitle
    from openami.wire.reader import Reader
    from openami.wire.writer import Writer

_END: Final = 0
ASCII: Final = 1


@dataclass(frozen=True, slots=True)
class Identity:
    """A name of a device, in a character format: 1 is ASCII."""

    format: int
    name: bytes

    @property
    def content(self) -> bytes:
        """The octets: format and name."""
        return self.format.to_bytes(1) + self.name

    def __str__(self) -> str:
        return self.name.decode("ascii", "replace") if self.format == ASCII else self.name.hex()


@dataclass(frozen=True, slots=True)
class Features:
    """The features that a node names, each once at most.

    Attributes:
        mechanism: of its security.
        sessions: how many it holds at once.
        sessionless: it answers without any.
        device_class: what it is.
        identity: what it is called.
        unknown: octets from the first feature on that is none of these, up to the end.
    """

    mechanism: ApTitle | None = None
    sessions: int | None = None
    sessionless: bool = False
    device_class: ApTitle | None = None
    identity: Identity | None = None
    unknown: bytes = b""


_SESSIONLESS: Final = 0x80
_TITLE: Final = fields.title("identifier")
_IDENTITY: Final = fields.counted("identity")


def _read_control(r: Reader) -> dict[str, Any]:
    value = r.u8()
    return {"sessions": value & ~_SESSIONLESS, "sessionless": bool(value & _SESSIONLESS)}


def _read_identity(r: Reader) -> dict[str, Any]:
    content = _IDENTITY.read(r)
    if not content:
        raise r.error("an identity has a format")
    return {"identity": Identity(content[0], content[1:])}


_READERS: Final[Mapping[int, Any]] = {
    4: lambda r: {"mechanism": _TITLE.read(r)},
    5: _read_control,
    6: lambda r: {"device_class": _TITLE.read(r)},
    7: _read_identity,
}


def _read(r: Reader) -> Features:
    values: dict[str, Any] = {}
    while (tag := r.peek()) != _END:
        if tag not in _READERS:  # how long it is nobody knows
            return Features(**values, unknown=r.rest())
        r.u8()
        found = _READERS[tag](r)
        if not values.keys().isdisjoint(found):
            raise r.error(f"feature {tag:02X} comes twice")
        values |= found
    r.u8()
    return Features(**values)


def _write(w: Writer, features: Features) -> None:
    if features.mechanism is not None:
        _TITLE.put(w.u8(4), features.mechanism)
    if features.sessions is not None:
        w.u8(5).uint(features.sessions + features.sessionless * _SESSIONLESS, 1)
    if features.device_class is not None:
        _TITLE.put(w.u8(6), features.device_class)
    if features.identity is not None:
        _IDENTITY.put(w.u8(7), features.identity.content)
    w.raw(features.unknown or bytes((_END,)))


FEATURES: Final = Field("features", _read, _write)
