"""The logical device of a meter, over the objects of the application that runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from openami.dlms.data import RawData
from openami.dlms.server import LogicalDevice

if TYPE_CHECKING:
    from openami.dlms.cosem import Context
    from openami.dlms.data import Data, Encodable
    from openami.dlms.references import AttributeRef, MethodRef, Selection
    from openami.meter.device import Meter
    from openami.meter.objects import ObjectModel


class MeterDevice(LogicalDevice):
    """The logical device of a meter, up to date and committed whenever it is looked at.

    What an application raises that it must not is the end of it, not of the meter.
    """

    def __init__(self, meter: Meter, model: ObjectModel) -> None:
        super().__init__(model.every)
        self._meter = meter

    def get(self, ref: AttributeRef, selection: Selection | None, context: Context) -> Encodable:
        self._meter.refresh()
        with self._meter.guarded():
            return RawData(super().get(ref, selection, context).encode())

    def set(self, ref: AttributeRef, value: Data, context: Context) -> None:
        self._meter.refresh()
        with self._meter.guarded():
            super().set(ref, value, context)
        self._meter.written(ref, value)

    def invoke(self, ref: MethodRef, parameter: Data | None, context: Context) -> Encodable | None:
        self._meter.refresh()
        with self._meter.guarded():
            answer = super().invoke(ref, parameter, context)
        if self._meter.due:  # what acts is in a log, and whatever is in a log is due
            self._meter.commit()
        return answer
