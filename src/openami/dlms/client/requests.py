"""What a client can ask for."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from openami.dlms.data import Encodable
    from openami.dlms.references import AttributeRef, MethodRef, Selection


@dataclass(frozen=True, slots=True)
class GetAttribute:
    """Read one attribute, or the part of it that ``selection`` names."""

    ref: AttributeRef
    selection: Selection | None = None


@dataclass(frozen=True, slots=True)
class GetList:
    """Read several attributes: at once where the meter can, else one by one."""

    items: tuple[GetAttribute, ...]

    @classmethod
    def of(cls, *refs: AttributeRef) -> GetList:
        """Return the request for whole attributes."""
        return cls(tuple(GetAttribute(ref) for ref in refs))


@dataclass(frozen=True, slots=True)
class SetAttribute:
    """Write one attribute; what is written may be a secret and is not shown."""

    ref: AttributeRef
    value: Encodable = field(repr=False)


@dataclass(frozen=True, slots=True)
class SetList:
    """Write several attributes: at once where the meter can, else one by one."""

    items: tuple[SetAttribute, ...]


@dataclass(frozen=True, slots=True)
class InvokeMethod:
    """Invoke one method."""

    ref: MethodRef
    parameter: Encodable | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class InvokeList:
    """Invoke several methods: at once where the meter can, else one by one."""

    items: tuple[InvokeMethod, ...]


Request = GetAttribute | GetList | SetAttribute | SetList | InvokeMethod | InvokeList
