"""Firmware over C12.22: the same store, bootloader and states as class 18 of DLMS.

The image is written into MT-1 by offset, in whole blocks and any order; MT-0 tells which are there.
MP-0 begins with an image, MP-1 verifies it, MP-2 activates it, now or at a time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from openami.c1222.codes import ResponseCode
from openami.c1222.services import Done, Failure
from openami.c1222.tables import Result
from openami.dlms.cosem import LOCAL, AccessError, ActionError, Execution
from openami.dlms.data import array, octets, structure, u32
from openami.dlms.datetime import CosemDate, CosemTime
from openami.dlms.references import AttributeRef
from openami.dlms.results import ActionResult
from openami.meter.c1222.description import IDENTIFIER_OCTETS, REFUSAL_OCTETS
from openami.meter.c1222.moments import seconds_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from openami.c1222.services import Response
    from openami.dlms.data import Data
    from openami.meter.device import Meter

_EXECUTIONS: Final = 4  # the attribute of class 22

_RESULTS: Final = {
    ActionResult.TEMPORARY_FAILURE: Result.ACCEPTED,  # under way: MT-0 tells how it goes
    ActionResult.READ_WRITE_DENIED: Result.CONFLICT,
}


class FirmwareTables:
    """The image transfer of one meter.

    Args:
        meter: the meter.
    """

    def __init__(self, meter: Meter) -> None:
        self._meter = meter

    def status(self) -> dict[str, Any]:
        """Return MT-0."""
        meter = self._meter
        transfer, images = meter.model.images, meter.management.images
        blocks = transfer.blocks
        missing = min(transfer.first_gap * transfer.block_size, images.size())
        return {
            "STATUS": int(images.status),
            "TRIAL": int(meter.management.trial),
            "BLOCK_SIZE": images.block_size,
            "IMAGE_SIZE": images.size(),
            "FIRST_MISSING": missing,
            "BLOCKS": frozenset(number for number in range(blocks) if images.has(number)),
            "IDENTIFIER": images.identifier.ljust(IDENTIFIER_OCTETS, b"\0"),
            "RUNNING": meter.management.running.identifier[:IDENTIFIER_OCTETS],
            "REFUSAL": meter.refusal[:REFUSAL_OCTETS],
        }

    def write(self, offset: int, data: bytes) -> Response:
        """Take blocks of the image that was begun; the same ones again change nothing."""
        transfer = self._meter.model.images
        size, whole = transfer.block_size, transfer.store.size()
        end = offset + len(data)
        if offset % size or not data or end > whole or (end % size and end != whole):
            return Failure(ResponseCode.IAR)
        try:
            for at in range(0, len(data), size):
                block = structure(u32((offset + at) // size), octets(data[at : at + size]))
                with self._meter.guarded():
                    transfer.transfer(block, LOCAL)
        except ActionError as error:
            busy = error.result is ActionResult.TEMPORARY_FAILURE
            return Failure(ResponseCode.BSY if busy else ResponseCode.IAR)
        return Done()

    def initiate(self, parameters: Mapping[str, Any]) -> Result:
        """Begin with an image: what was there is forgotten."""
        wanted = structure(octets(parameters["IDENTIFIER"]), u32(parameters["SIZE"]))
        result = self._do(self._meter.model.images.initiate, wanted)
        return Result.TIMING if result is Result.ACCEPTED else result  # it is not done later

    def verify(self, _: Mapping[str, Any]) -> Result:
        """Check the image, or begin to."""
        return self._do(self._meter.model.images.verify)

    def activate(self, parameters: Mapping[str, Any]) -> Result:
        """Put the image into service, now or at a time of the meter's clock."""
        at = seconds_of(parameters["AT"])
        if not at:
            return self._do(self._meter.model.images.activate)
        if at <= self._meter.engine.seconds:
            return Result.TIMING
        return self._schedule(at)

    def _do(self, method: Callable[..., object], parameter: Data | None = None) -> Result:
        try:
            with self._meter.guarded():
                method(parameter, LOCAL)
        except ActionError as error:
            return _RESULTS.get(error.result, Result.BAD_PARAMETER)
        return Result.DONE

    def _schedule(self, at: int) -> Result:
        """Write the schedule that DLMS clients write, too; its times are local."""
        meter = self._meter
        local = meter.engine.state.zone.local(at)
        execution = Execution(
            CosemTime(local.hour, local.minute, local.second, 0),
            CosemDate(local.year, local.month, local.day),
        )
        schedule, value = meter.model.image_schedule, array(execution.encode())
        try:
            with meter.guarded():
                schedule.write(_EXECUTIONS, value)
        except AccessError:
            return Result.CONFLICT
        meter.written(AttributeRef(schedule.CLASS_ID, schedule.obis, _EXECUTIONS), value)
        return Result.DONE
