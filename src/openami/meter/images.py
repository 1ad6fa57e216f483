"""Class 18 over the meter's flash: the store of the next image."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from openami.core.errors import RemoteProtocolError, SecurityError, StoreFullError
from openami.dlms.cosem import ActionError, ImageInfo, ImageStatus
from openami.dlms.results import ActionResult
from openami.firmware.journal import WORN
from openami.firmware.payload import Payload
from openami.firmware.slot import Slot
from openami.firmware.transfer import Transfer
from openami.meter.board import BLOCK_SIZE
from openami.metrology.events import Event

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from openami.firmware.boot import Booted
    from openami.firmware.flash import Layout
    from openami.firmware.verify import Target
    from openami.meter.kept import UpgradeRecord

MOST_A_DAY: Final = 20
"""Transfers that are begun a day, each of which erases a slot: serial flash bears 100,000, which is
so for 13 years."""

_BUSY: Final = ActionResult.TEMPORARY_FAILURE
_OPEN: Final = frozenset({ImageStatus.INITIATED, ImageStatus.VERIFICATION_FAILED})
_SHOWN: Final = frozenset({ImageStatus.VERIFICATION_SUCCESSFUL, ImageStatus.ACTIVATION_INITIATED})


@dataclass(frozen=True, slots=True)
class Ports:
    """What the firmware's side of a meter asks of the rest.

    Args:
        log: writes an event down, now.
        day: tells the day, counted from 1970.
        ticks: tells seconds that never jump.
        restart: lets management restart, a moment after the answer to this request has gone.
    """

    log: Callable[[Event], None]
    day: Callable[[], int]
    ticks: Callable[[], float]
    restart: Callable[[], None]


class ImageBank:
    """Implements ``openami.dlms.cosem.ImageStore``; opened anew after each boot.

    Args:
        layout: the flash.
        booted: what runs.
        target: what images must fit.
        record: what is kept of upgrades.
        ports: the rest of the meter.
        check_s: seconds that a check takes; without them it is done within the request.
    """

    def __init__(
        self,
        layout: Layout,
        booted: Booted,
        target: Target,
        record: UpgradeRecord,
        ports: Ports,
        *,
        check_s: float,
    ) -> None:
        self._layout = layout
        self._target = target
        self._record = record
        self._ports = ports
        self._check_s = check_s
        self._transfer = Transfer(layout, booted, block_size=BLOCK_SIZE)
        self._rescued = booted.rescued
        self._activated = False
        self._check_at: float | None = None

    @property
    def block_size(self) -> int:
        return BLOCK_SIZE

    @property
    def identifier(self) -> bytes:
        """What the image that was begun is called."""
        return self._transfer.identifier

    @property
    def status(self) -> ImageStatus:
        if self._check_at is not None:
            return ImageStatus.VERIFICATION_INITIATED
        return ImageStatus(self._transfer.state)

    @property
    def to_activate(self) -> tuple[ImageInfo, ...]:
        slot = self._transfer.slot
        if slot is None or self.status not in _SHOWN:
            return ()
        image = Slot(self._layout.slots[slot]).image()
        return (ImageInfo(image.size, self._transfer.identifier, image.signature),)

    def size(self) -> int:
        return self._transfer.size

    def begin(self, identifier: bytes, size: int) -> None:
        transfer, record, day = self._transfer, self._record, self._ports.day()
        # What runs as the last resort never confirms: a better one must be let in.
        on_trial = self.status is ImageStatus.ACTIVATION_INITIATED and not self._rescued
        if self._check_at is not None or self._activated or on_trial:
            raise ActionError(_BUSY, "a check, an activation or a trial is under way")
        same = (transfer.identifier, transfer.size) == (identifier, size)
        if same and self.status is ImageStatus.INITIATED and not any(map(self.has, self._numbers)):
            return  # asked again, since the answer was lost: nothing is to be erased
        begun = record.begun if record.day == day else 0
        if begun >= MOST_A_DAY:
            raise ActionError(_BUSY, f"{MOST_A_DAY} transfers a day, for the flash's sake")
        with _told():
            transfer.begin(identifier, size)
        record.day, record.begun, record.refusal = day, begun + 1, ""
        self._ports.log(Event.FIRMWARE_TRANSFER_BEGAN)

    def put(self, number: int, block: bytes) -> None:
        with _told():
            self._transfer.put(number, block)

    def has(self, number: int) -> bool:
        return self._transfer.has(number)

    def verify(self) -> None:
        if self.status is ImageStatus.VERIFICATION_SUCCESSFUL:
            return
        if self._check_at is None:
            self._require_open()
            if not self._check_s:
                self._check()
                return
            self._check_at = self._ports.ticks() + self._check_s
        raise ActionError(_BUSY, "the image is being checked")

    def activate(self) -> None:
        if self._check_at is not None or self.status is ImageStatus.ACTIVATION_INITIATED:
            raise ActionError(_BUSY, "under way")
        if self.status is not ImageStatus.VERIFICATION_SUCCESSFUL:
            self._require_open()
            self._check()  # Blue Book 4.4.6.4, image_activate: what was not verified is now
        with _told():
            self._transfer.activate()
        self._activated = True
        self._ports.restart()
        # It is in service when it has been booted and has tested itself, which the status tells.
        raise ActionError(_BUSY, "the meter restarts")

    def step(self, now: float) -> None:
        """Do the check that is due."""
        if self._check_at is not None and now >= self._check_at:
            self._check_at = None
            with suppress(ActionError):  # the status tells
                self._check()

    @property
    def _numbers(self) -> range:
        return range(self._transfer.blocks)

    def _require_open(self) -> None:
        if self.status not in _OPEN:
            raise ActionError(ActionResult.OTHER_REASON, "no transfer has been initiated")

    def _check(self) -> None:
        try:
            self._transfer.verify(self._target, check=Payload.of)
        except (RemoteProtocolError, SecurityError) as error:
            self._record.refusal = error.code
            self._ports.log(Event.FIRMWARE_VERIFICATION_FAILED)
            raise ActionError(ActionResult.OTHER_REASON, error.code) from error
        self._record.refusal = ""
        self._ports.log(Event.FIRMWARE_READY)


@contextmanager
def _told() -> Iterator[None]:
    """Tell a client what it did wrong; a flash that fails is no fault of its."""
    try:
        yield
    except RemoteProtocolError as error:
        raise ActionError(ActionResult.OTHER_REASON, error.code) from error
    except StoreFullError as error:
        if error.code != WORN:
            raise
        raise ActionError(ActionResult.OTHER_REASON, error.code) from error
