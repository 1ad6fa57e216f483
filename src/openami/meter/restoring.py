"""What clients had set, put back into the objects of an application that starts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from openami.dlms.cosem import AccessError
from openami.dlms.data import decode_data

if TYPE_CHECKING:
    from openami.meter.objects import ObjectModel


def restore_settings(model: ObjectModel, settings: dict[str, bytes], *, forget: bool) -> bool:
    """Write back what was kept; tell whether something was forgotten.

    Args:
        model: the objects.
        settings: attributes as ``class/obis/attribute``, encoded.
        forget: what is not taken any more is taken out of ``settings``: an older firmware took it.
    """
    objects = {(item.CLASS_ID, str(item.obis)): item for item in model.every}
    forgotten = []
    for name, octets in settings.items():
        class_id, obis, attribute = name.split("/")
        item = objects.get((int(class_id), obis))
        try:
            if item is not None:
                item.write(int(attribute), decode_data(octets))
        except AccessError:
            forgotten.append(name)
    for name in forgotten if forget else ():
        del settings[name]
    return forget and bool(forgotten)
