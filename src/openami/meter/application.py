"""The management application with which a meter leaves the factory.

The source of this module is the payload of the factory's image: the meter does not import it, but
runs it out of its flash after the boot code has verified the image. What it may touch is what
``start`` is given, and the library that is in the meter's ROM: this package.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from openami.meter.objects import build_objects

if TYPE_CHECKING:
    from collections.abc import Generator

    from openami.meter.objects import Hooks, ObjectModel


class ManagementApplication:
    """The COSEM objects of the management logical device, and their self-test."""

    def __init__(self, model: ObjectModel) -> None:
        self.model = model

    def self_test(self) -> Generator[None, None, bool]:
        """Read all that a manager may read, one object at a turn."""
        for item in self.model.every:
            for index, attribute in item.attributes().items():
                if attribute.get is not None:
                    item.read(index).encode()
            yield
        return True


def start(hardware: Hooks) -> ManagementApplication:
    """Return the application over the meter's hardware."""
    return ManagementApplication(build_objects(hardware))
