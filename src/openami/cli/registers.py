"""The classes, scalers and units of the attributes that a meter is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from openami.core.errors import ConfigError
from openami.core.obis import Obis
from openami.dlms.references import AttributeRef

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from openami.dlms.client import Item
    from openami.transport.session import DlmsSession

VALUE: Final = 2
# The attribute that holds scaler and unit, by class (register, extended and demand register).
SCALER_UNIT: Final[Mapping[int, int]] = {3: 3, 4: 3, 5: 4}
VALUES_SCALED: Final[Mapping[int, frozenset[int]]] = {
    3: frozenset({2}),
    4: frozenset({2}),
    5: frozenset({2, 3}),
}


async def resolve(session: DlmsSession, names: Sequence[AttributeRef | Obis]) -> list[AttributeRef]:
    """Return the attributes; the classes of bare names come from the meter's object list.

    Raises:
        ConfigError: ``meter.unknown-object``, the meter does not show a name.
    """
    from openami.dlms.object_list import OBJECT_LIST, decode_object_list

    classes: dict[Obis, int] = {}
    if any(isinstance(name, Obis) for name in names):
        entries = decode_object_list(await session.get(OBJECT_LIST))
        classes = {entry.obis: entry.class_id for entry in entries}
    missing = [str(name) for name in names if isinstance(name, Obis) and name not in classes]
    if missing:
        raise ConfigError(
            f"the meter does not show this client {', '.join(missing)}",
            hint="openami scan lists what it shows; CLASS/LOGICAL_NAME/ATTRIBUTE asks anyway",
            code="meter.unknown-object",
        )
    return [
        AttributeRef(classes[name], name, VALUE) if isinstance(name, Obis) else name
        for name in names
    ]


async def scalers(
    session: DlmsSession, refs: Sequence[AttributeRef]
) -> dict[Obis, tuple[int, int]]:
    """Return scaler and unit by logical name, of those attributes that have them."""
    wanted = {
        ref.obis: AttributeRef(ref.class_id, ref.obis, SCALER_UNIT[ref.class_id])
        for ref in refs
        if ref.attribute in VALUES_SCALED.get(ref.class_id, frozenset())
    }
    if not wanted:
        return {}
    items = await session.get_list(wanted.values())
    return {
        obis: scaler_unit
        for obis, item in zip(wanted, items, strict=True)
        if (scaler_unit := _scaler_unit(item)) is not None
    }


def _scaler_unit(item: Item) -> tuple[int, int] | None:
    if not item.ok:
        return None
    scaler, unit = item.data.items(2)
    return scaler.integer(), unit.integer()
