"""Meters of other makers that take images, each with a fault that is known of some."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from tests.support.dcu_other import OtherLine, other_meter
from tests.support.dlms_meter import KEYS, SERVER_TITLE
from tests.support.upgrade_line import START, Bench, Image, bench_on

from openami.core.clock import ManualClock
from openami.dcu.headend import Credentials
from openami.dcu.known import KnownMeter, MeterCounters
from openami.dcu.roster import Station
from openami.dlms import data as d
from openami.dlms.conformance import Conformance
from openami.dlms.cosem import (
    ActionError,
    AssociationLn,
    Attribute,
    DataObject,
    ImageInfo,
    ImageStatus,
    ImageTransfer,
)
from openami.dlms.results import ActionResult

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from pathlib import Path

    from tests.support.dlms_meter import Meter

    from openami.dlms.cosem import Context
    from openami.dlms.data import Encodable

BUSY = ActionError(ActionResult.TEMPORARY_FAILURE)
OLD, NEW = b"other-1", b"other-2"
SERIAL = "OTHER-{}"


@dataclass
class OtherStore:
    """An image and what runs; implements ``ImageStore``.

    Attributes:
        busy: how often the status says that it verifies.
        bad: what was verified is refused.
        forgets: the status is lost when so many blocks have come: a reboot.
        reverts: it goes back to what it ran.
    """

    image: Image
    block_size: int = 100
    busy: int = 0
    bad: bool = False
    forgets: int | None = None
    reverts: bool = False
    version: bytes = OLD
    state: ImageStatus = ImageStatus.NOT_INITIATED
    identifier: bytes = b""
    blocks: dict[int, bytes] = field(default_factory=dict)
    begun: int = 0
    length: int = 0
    activated: int = 0

    @property
    def status(self) -> ImageStatus:
        if self.state is ImageStatus.VERIFICATION_INITIATED:
            self._verify()
        elif self.state is ImageStatus.ACTIVATION_INITIATED:
            self.state = ImageStatus.ACTIVATION_SUCCESSFUL
            if self.reverts:
                self.state = ImageStatus.ACTIVATION_FAILED
            else:
                self.version = NEW
        return self.state

    @property
    def to_activate(self) -> tuple[ImageInfo, ...]:
        done = self.state is ImageStatus.VERIFICATION_SUCCESSFUL
        return (ImageInfo(self.length, self.identifier),) if done else ()

    def size(self) -> int:
        return self.length

    def begin(self, identifier: bytes, size: int) -> None:
        self.identifier, self.length, self.state = identifier, size, ImageStatus.INITIATED
        self.begun += 1
        self.blocks.clear()

    def put(self, number: int, block: bytes) -> None:
        self.blocks[number] = block
        if self.forgets == len(self.blocks):
            self.forgets, self.state = None, ImageStatus.NOT_INITIATED

    def has(self, number: int) -> bool:
        return number in self.blocks

    def verify(self) -> None:
        self.state = ImageStatus.VERIFICATION_INITIATED
        if self.busy:
            raise BUSY
        self._verify()

    def _verify(self) -> None:
        if self.busy:
            self.busy -= 1
            return
        whole = b"".join(self.blocks[number] for number in sorted(self.blocks))
        good = whole == self.image.octets and not self.bad
        found = ImageStatus.VERIFICATION_SUCCESSFUL, ImageStatus.VERIFICATION_FAILED
        self.state = found[not good]

    def activate(self) -> None:
        if self.state is not ImageStatus.VERIFICATION_SUCCESSFUL:
            raise ActionError(ActionResult.OTHER_REASON)
        self.activated += 1
        self.state = ImageStatus.ACTIVATION_INITIATED
        raise BUSY


class LastBlock(ImageTransfer):
    """Attribute 4 is the block after the last that came, whatever is missing before."""

    def _gap(self, _: Context) -> Encodable:
        return d.u32(max(getattr(self.store, "blocks"), default=-1) + 1)  # noqa: B009 - of the store above

    ATTRIBUTES: ClassVar[Mapping[int, Attribute]] = {
        **ImageTransfer.ATTRIBUTES,
        4: Attribute("image_first_not_transferred_block_number", _gap),
    }


class FromTheRight(ImageTransfer):
    """Attribute 3 counts the bits of each octet from the right."""

    def _bitmap(self, _: Context) -> Encodable:
        octets = bytearray(-(-self.blocks // 8))
        for number in range(self.blocks):
            octets[number // 8] |= self.store.has(number) << number % 8
        return d.octets(bytes(octets))

    ATTRIBUTES: ClassVar[Mapping[int, Attribute]] = {
        **ImageTransfer.ATTRIBUTES,
        3: Attribute("image_transferred_blocks_status", _bitmap),
    }


class SaysNothing(ImageTransfer):
    """It has neither a first gap nor a list of what would be activated."""

    ATTRIBUTES: ClassVar[Mapping[int, Attribute]] = {
        number: attribute
        for number, attribute in ImageTransfer.ATTRIBUTES.items()
        if number not in {4, 7}
    }


def meter_of(image: ImageTransfer) -> Meter:
    """A meter that tells what it runs, with that image transfer."""
    store = image.store
    assert isinstance(store, OtherStore)
    version = DataObject("1.0.0.2.0.255", lambda: store.version)
    return other_meter(image, version, policy=3)


def without_lists(meter: Meter) -> Meter:
    """Let its management client read attributes one by one only."""
    association = meter.objects["0.0.40.0.3.255"]
    assert isinstance(association, AssociationLn)
    association.conformance &= ~Conformance.MULTIPLE_REFERENCES
    return meter


@asynccontextmanager
async def line_of(folder: Path, *meters: Meter) -> AsyncIterator[Bench]:
    """A DCU on a line of such meters, from address 17 on."""
    async with OtherLine(**{f"at{17 + n}": meter for n, meter in enumerate(meters)}) as line:
        modem = f"hdlc+tcp://127.0.0.1:{line.port}"
        async with bench_on(folder, modem, [], ManualClock(START)) as bench:
            for number in range(len(meters)):
                serial = SERIAL.format(number)
                known = KnownMeter(
                    serial=serial, address=17 + number, system_title=str(SERVER_TITLE)
                )
                bench.stations[serial] = Station(known, MeterCounters(bench.spool, serial))
                keys = KEYS.guek or b"", KEYS.gak or b""
                bench.credentials[serial] = Credentials(1, "hls5-gmac", *keys)
            yield bench
