"""Who may do what with which object: the access rights of association LN's ``object_list``.

A right is what the table of the object grants to the client's kind, less what the object is able
to do: an attribute without a setter is never writable, whatever was granted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import Final


class ClientKind(StrEnum):
    """What kind of client an association serves."""

    PUBLIC = "public"
    READER = "reader"
    MANAGEMENT = "management"
    BROADCAST = "broadcast"
    HOME = "home"


class AttributeMode(IntEnum):
    """Attribute access_mode of class 15 version 1 (Blue Book, association LN, access_rights)."""

    NO_ACCESS = 0
    READ = 1
    WRITE = 2
    READ_WRITE = 3
    AUTHENTICATED_READ = 4
    AUTHENTICATED_WRITE = 5
    AUTHENTICATED_READ_WRITE = 6

    @property
    def readable(self) -> bool:
        return self in _READABLE

    @property
    def writable(self) -> bool:
        return self in _WRITABLE

    @property
    def authenticated(self) -> bool:
        """Only APDUs that carry an authentication tag are let through."""
        return self >= AttributeMode.AUTHENTICATED_READ

    def within(self, *, read: bool, write: bool) -> AttributeMode:
        """Return what is left of this mode where only ``read`` and ``write`` are possible."""
        return _MODES[(self.readable and read, self.writable and write, self.authenticated)]


_READABLE: Final = frozenset({1, 3, 4, 6})
_WRITABLE: Final = frozenset({2, 3, 5, 6})
_MODES: Final[Mapping[tuple[bool, bool, bool], AttributeMode]] = {
    (False, False, False): AttributeMode.NO_ACCESS,
    (True, False, False): AttributeMode.READ,
    (False, True, False): AttributeMode.WRITE,
    (True, True, False): AttributeMode.READ_WRITE,
    (False, False, True): AttributeMode.NO_ACCESS,
    (True, False, True): AttributeMode.AUTHENTICATED_READ,
    (False, True, True): AttributeMode.AUTHENTICATED_WRITE,
    (True, True, True): AttributeMode.AUTHENTICATED_READ_WRITE,
}


class MethodMode(IntEnum):
    """Method access_mode of class 15 version 1."""

    NO_ACCESS = 0
    ACCESS = 1
    AUTHENTICATED = 2

    @property
    def authenticated(self) -> bool:
        """Only APDUs that carry an authentication tag are let through."""
        return self is MethodMode.AUTHENTICATED


@dataclass(frozen=True, slots=True)
class Rights:
    """What one kind of client may do with one object.

    Args:
        attributes: the mode of every attribute that ``attribute`` does not name.
        methods: the mode of every method that ``method`` does not name.
        attribute: attribute index to mode.
        method: method index to mode.
    """

    attributes: AttributeMode = AttributeMode.NO_ACCESS
    methods: MethodMode = MethodMode.NO_ACCESS
    attribute: Mapping[int, AttributeMode] = field(default_factory=dict)
    method: Mapping[int, MethodMode] = field(default_factory=dict)

    def of_attribute(self, index: int) -> AttributeMode:
        return self.attribute.get(index, self.attributes)

    def of_method(self, index: int) -> MethodMode:
        return self.method.get(index, self.methods)


AccessTable = Mapping[ClientKind, Rights]

NOTHING: Final = Rights()
READ_ONLY: Final = Rights(AttributeMode.READ)
FULL: Final = Rights(AttributeMode.READ_WRITE, MethodMode.ACCESS)

FOR_MANAGEMENT: Final[AccessTable] = {ClientKind.MANAGEMENT: FULL}
"""Only the management client sees the object."""

FOR_READERS: Final[AccessTable] = {ClientKind.READER: READ_ONLY, ClientKind.MANAGEMENT: FULL}
"""Readers read, the management client does all: the default of every object."""

FOR_ALL: Final[AccessTable] = {ClientKind.PUBLIC: READ_ONLY, **FOR_READERS}
"""The public client reads too: identity objects, clock, invocation counters."""
