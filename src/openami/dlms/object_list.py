"""The object list of an association, as any maker's meter gives it (Blue Book, class 15)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from openami.core.errors import DecodeError
from openami.core.obis import Obis
from openami.dlms.references import AttributeRef, obis_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from openami.dlms.data import Data

ASSOCIATION: Final = 15
CURRENT_ASSOCIATION: Final = Obis.parse("0.0.40.0.0.255")
OBJECT_LIST: Final = AttributeRef(ASSOCIATION, CURRENT_ASSOCIATION, 2)

BITS_SINCE: Final = 3
"""From this version of class 15 on an access mode is a set of bits, before that a number."""

_MODES: Final = ("-", "r", "w", "rw", "r!", "w!", "rw!")
_METHOD_MODES: Final = ("-", "x", "x!")


@dataclass(frozen=True, slots=True)
class ObjectEntry:
    """One object that the association shows, and what this client may do with it.

    Access modes are as the meter gives them: see ``attribute_text``.
    """

    class_id: int
    version: int
    obis: Obis
    attributes: Mapping[int, int]
    methods: Mapping[int, int]


def decode_object_list(data: Data) -> tuple[ObjectEntry, ...]:
    """Return the entries of attribute 2 of an association.

    Raises:
        DecodeError: it is no object list.
    """
    return tuple(_entry(item) for item in data.items())


def _entry(data: Data) -> ObjectEntry:
    class_id, version, name, rights = data.items(4)
    attributes, methods = rights.items(2)
    return ObjectEntry(
        class_id.integer(),
        version.integer(),
        obis_of(name),
        {fields[0].integer(): fields[1].integer() for fields in _rows(attributes)},
        {fields[0].integer(): _mode(fields[1]) for fields in _rows(methods)},
    )


def _rows(data: Data) -> tuple[tuple[Data, ...], ...]:
    """Return the fields of each structure, at least two; a third one (selectors) may follow."""
    rows = [row.items() for row in data.items()]
    if any(len(fields) < 2 for fields in rows):
        raise DecodeError("an access right of less than two fields")
    return tuple(rows)


def _mode(data: Data) -> int:
    """Return a method's access mode: a boolean in version 0 of class 15, a number since."""
    return int(data.value) if isinstance(data.value, bool) else data.integer()


def attribute_text(mode: int, association_version: int) -> str:
    """Return an attribute's access mode in short: r, w, rw, ``!`` for authenticated, - for none."""
    if association_version < BITS_SINCE:
        return _MODES[mode] if 0 <= mode < len(_MODES) else f"mode {mode}"
    text = ("r" if mode & 1 else "") + ("w" if mode & 2 else "") or "-"
    return text + ("!" if mode & ~3 else "")


def method_text(mode: int, association_version: int) -> str:
    """Return a method's access mode in short: x, ``!`` for authenticated, - for none."""
    if association_version < BITS_SINCE:
        return _METHOD_MODES[mode] if 0 <= mode < len(_METHOD_MODES) else f"mode {mode}"
    return ("x" if mode & 1 else "-") + ("!" if mode & ~1 else "")


def association_version(entries: tuple[ObjectEntry, ...]) -> int:
    """Return the version of class 15 that a list says it has itself; 1 if it does not say."""
    versions = [entry.version for entry in entries if entry.class_id == ASSOCIATION]
    return versions[0] if versions else 1
