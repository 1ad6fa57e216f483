"""The plan against our own class 18 object, by values as a concentrator would pass them."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from tests.support.memory_image import MemoryImageStore, image_in_memory
from tests.support.upgrade_meters import NEW, OLD, ORDER, SimMeter, Street, serial_of

from openami.dlms import data as d
from openami.dlms.cosem.base import ActionError, Context
from openami.dlms.cosem.image import ImageInfo, ImageStatus, ImageTransfer
from openami.dlms.results import ActionResult
from openami.fleet.upgrade import (
    Accepted,
    Activate,
    Answer,
    Bits,
    Busy,
    Info,
    Initiate,
    Look,
    Looked,
    Poll,
    Polled,
    Refused,
    Stage,
    Step,
    Verify,
)

CONTEXT = Context(client=1)


@dataclass
class Installer:
    """Takes three tries to verify; activates at once."""

    tries: int = 3

    def verify(self, store: MemoryImageStore) -> tuple[ImageInfo, ...]:
        self.tries -= 1
        if self.tries > 0:
            raise ActionError(ActionResult.TEMPORARY_FAILURE, "it verifies")
        return (ImageInfo(store.size(), store.identifier()),)

    def activate(self, store: MemoryImageStore) -> None:
        assert store.size()


@dataclass
class RealMeter(SimMeter):
    """A meter whose class 18 is ours."""

    image: ImageTransfer = field(init=False)

    def __post_init__(self) -> None:
        self.image = image_in_memory(Installer(), block_size=self.block_size)

    def step(self, step: Step) -> Answer:
        match step:
            case Look():
                return self.look()
            case Poll():
                if self.image.status is ImageStatus.VERIFICATION_INITIATED:
                    self._call(3, d.i8(0))  # it goes on verifying by itself
                return Polled(self.image.status)
            case Initiate(identifier, size):
                return self._call(1, d.structure(d.octets(identifier), d.u32(size)))
            case Verify():
                return self._call(3, d.i8(0))
            case Activate():
                self.tried += 1
                self.version = NEW
                return self._call(4, d.i8(0))
        raise AssertionError(step)

    def _call(self, method: int, parameter: d.Data) -> Answer:
        try:
            self.image.METHODS[method].call(self.image, parameter, CONTEXT)
        except ActionError as error:
            busy = error.result is ActionResult.TEMPORARY_FAILURE
            return Busy() if busy else Refused(str(error.result))
        return Accepted()

    def look(self) -> Looked:
        image = self.image
        return Looked(
            self.version,
            image.block_size,
            image.status,
            self.bits(),
            image.first_gap,
            image.enabled,
            tuple(Info(info.size, info.identification) for info in image.store.to_activate),
        )

    def bits(self) -> Bits:
        value = self.image.bitmap(CONTEXT)
        assert isinstance(value, d.Data)
        bits = value.value
        assert isinstance(bits, d.BitString)
        self.has = {number for number in range(self.image.blocks) if self.image.store.has(number)}
        return Bits(bits.octets, bits.size)

    def take(self, number: int, size: int) -> bool:
        end = min(size, ORDER.size - number * self.block_size)
        answer = self._call(2, d.structure(d.u32(number), d.octets(bytes(max(end, 0)))))
        return answer == Accepted()


@pytest.mark.fums("DES-2")
@pytest.mark.parametrize("loss", [0.0, 0.2])
def test_our_own_meters_are_upgraded(loss: float) -> None:
    sizes = (100, 100, 100, 128)
    street = Street([RealMeter(serial_of(n), size) for n, size in enumerate(sizes)], loss=loss)
    assert {meter.version for meter in street.meters} == {OLD}
    street.run()
    assert {street.state(number).stage for number in range(4)} == {Stage.CONFIRMED}
    assert [meter.tried for meter in street.meters] == [1] * 4
