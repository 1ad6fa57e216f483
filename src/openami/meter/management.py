"""Management: the application out of the flash, its boots, trials and restarts.

Metrology goes on whatever happens here. Management runs, or is away for a time; it goes away when
an image has been activated and when the application fails, and comes back through the boot code,
which decides what runs::

    runs ──(activated, failed)──▶ away ──(restart_s)──▶ boot ──▶ runs, on trial or not
"""

from __future__ import annotations

import hashlib
import traceback
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

import structlog

from openami.core.errors import OpenAmiError, SecurityError, StoreError
from openami.firmware.boot import BootEvent, boot, confirm
from openami.firmware.payload import Payload
from openami.firmware.slot import Slot
from openami.firmware.verify import Target
from openami.meter.images import ImageBank, Ports
from openami.meter.loader import LOADER
from openami.meter.objects import Running
from openami.meter.trial import Trial, TrialState
from openami.metrology.events import Event

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from openami.dlms.cosem import ImageStore
    from openami.firmware.boot import Booted
    from openami.meter.board import Board
    from openami.meter.identity import MeterIdentity
    from openami.meter.kept import UpgradeRecord
    from openami.meter.loader import Application, Start

NOTICE_S: Final = 1.0
"""Seconds between an activation and the restart: the answer must get through first, on a slow line
and asked for again."""

FIRST_BOOTS: Final = 3
"""At a meter's start: the image on trial, what it goes back to, and that once more."""

_FAULTS: Final = (Exception, SystemExit)
_EVENTS: Final = {
    BootEvent.TRIAL_BEGAN: (Event.FIRMWARE_ACTIVATED, Event.FIRMWARE_TRIAL_BEGAN),
    BootEvent.REVERTED: (Event.FIRMWARE_REVERTED,),
    BootEvent.REFUSED: (Event.FIRMWARE_REFUSED,),
    BootEvent.DISCARDED: (Event.FIRMWARE_DISCARDED,),
    BootEvent.RESCUED: (Event.FIRMWARE_RESCUED,),
}
_WATCHDOG: Final = "firmware.watchdog"

log = structlog.get_logger()


class Host(Protocol):
    """The rest of the meter."""

    def install(
        self, start: Start, running: Running, images: ImageStore, *, on_trial: bool
    ) -> Application:
        """Start an application and put its objects in the place of those before."""
        ...

    def record(self, event: Event) -> None:
        """Write an event down, now."""

    def commit(self) -> None:
        """Commit now; raises ``StoreError`` if that cannot be."""

    def day(self) -> int:
        """Return the day, counted from 1970."""
        ...


@dataclass(frozen=True, slots=True)
class Times:
    """Seconds that a restart and a check take, and what tells seconds that never jump."""

    restart_s: float
    check_s: float
    ticks: Callable[[], float]


class Management:
    """One meter's; it does nothing by itself: call ``step``.

    Args:
        host: the meter.
        identity: who it is; its model is the hardware that images name.
        board: its flash and keys.
        record: what is kept of upgrades.
        times: how long things take.

    Attributes:
        restarts: counts up when management goes away and when it is back.
        away: whether it is away.
        running: what runs, or ran until management went away.
        images: takes the next image.
    """

    def __init__(
        self,
        host: Host,
        identity: MeterIdentity,
        board: Board,
        *,
        record: UpgradeRecord,
        times: Times,
    ) -> None:
        self.restarts = 0
        self._watchers: set[Callable[[], None]] = set()
        self._host = host
        self._layout = board.layout()
        self._target = Target(board.keys, identity.model)
        self._record = record
        self._times = times
        self._ports = Ports(host.record, host.day, times.ticks, self.restart)
        self._log = log.bind(serial=identity.serial)
        self._up_at: float | None = None
        self._down_at: float | None = None
        self._booted: Booted
        self.running: Running
        self.images: ImageBank
        self._trial: Trial | None = None
        self._faulty = False

    @property
    def away(self) -> bool:
        return self._up_at is not None

    @property
    def trial(self) -> TrialState:
        """How far the trial of what runs is."""
        return TrialState.NONE if self._trial is None else self._trial.state

    def power_up(self) -> None:
        """Boot, and start the application.

        Raises:
            SecurityError: nothing verifies (``firmware.none``), or nothing that does starts
                (``firmware.application``).
            StoreError: the flash cannot be used.
        """
        for _ in range(FIRST_BOOTS):
            self._boot()
            if self._start():
                self._settle()
                return
        raise SecurityError("the application does not start", code="firmware.application")

    def step(self) -> None:
        """Do what is due: restart, check, try."""
        now = self._times.ticks()
        if self._up_at is not None:
            if now >= self._up_at:
                self._come_up(now)
            return
        try:
            self.images.step(now)
        except StoreError as error:  # the check is to be asked for again
            self._log.error("image not checked", code=error.code, reason=error.message)
        if self._down_at is not None and now >= self._down_at:
            self._go_down(now)
        elif self._trial is not None:
            self._try(self._trial, now)

    @contextmanager
    def watched(self, watcher: Callable[[], None]) -> Iterator[None]:
        """Have ``watcher`` called, while the block lasts, when management goes and comes back."""
        self._watchers.add(watcher)
        try:
            yield
        finally:
            self._watchers.discard(watcher)

    def restart(self) -> None:
        """Restart the application, a moment after the answer to this request has gone.

        What is on trial would not be confirmed by that, but given up.
        """
        self._down_at = self._times.ticks() + NOTICE_S

    def failed(self, error: BaseException) -> None:
        """Take note that the application raised what it must not: it is restarted."""
        self._fault(error)

    # Restarts.

    def _go_down(self, now: float) -> None:
        self._trial = self._down_at = None
        self._up_at = now + self._times.restart_s
        self._changed()

    def _come_up(self, now: float) -> None:
        self._up_at = now + self._times.restart_s  # again, if it comes to nothing
        try:
            self._boot()
        except OpenAmiError as error:
            self._log.error("not booted", code=error.code, reason=error.message)
            return
        if self._start():
            self._settle()
            self._changed()

    def _settle(self) -> None:
        self._up_at = self._down_at = None
        self._faulty = False

    def _changed(self) -> None:
        self.restarts += 1
        for watcher in tuple(self._watchers):
            watcher()

    # Boot and start.

    def _boot(self) -> None:
        self._booted = booted = boot(self._layout, self._target)
        record, digest = self._record, booted.digest.hex()
        for event in booted.events:
            version = str(event.version or "unknown")
            tell = self._log.debug if event.kind is BootEvent.BOOTED else self._log.info
            tell("boot", what=event.kind.value, slot=event.slot, version=version, code=event.code)
            for code in _EVENTS.get(event.kind, ()):
                self._host.record(code)
            record.refusal = event.code or record.refusal
        # A newer one: what was run as the last resort goes, too, when there is a better one.
        discarded = any(
            event.kind is BootEvent.DISCARDED
            and (event.version is None or event.version > booted.version)
            for event in booted.events
        )
        trying, on_trial = record.trying, booted.on_trial and not booted.rescued
        record.trying = digest if on_trial else ""
        if discarded or trying not in {"", digest}:
            record.refusal = record.refusal or "firmware.trial"  # the power went meanwhile
            self._host.record(Event.FAILED_UPGRADE_PROCESS)
        elif trying and not booted.on_trial:  # the power went before this was written down
            self._host.record(Event.FIRMWARE_CONFIRMED)
        if trying or on_trial or discarded:
            self._commit()

    def _start(self) -> bool:
        booted = self._booted
        try:
            program = LOADER.load(booted.digest, self._payload)
            self.running = running = Running(program.about.identifier, booted.digest)
            self.images = ImageBank(
                self._layout,
                booted,
                self._target,
                self._record,
                self._ports,
                check_s=self._times.check_s,
            )
            on_trial = booted.on_trial and not booted.rescued
            application = self._host.install(program.start, running, self.images, on_trial=on_trial)
            now = self._times.ticks()
            self._trial = Trial(application, program.about.self_test, now) if on_trial else None
        except _FAULTS as error:
            self._fault(error)
            return False
        self._log.debug("application runs", firmware=running.identifier, on_trial=on_trial)
        return True

    def _payload(self) -> Payload:
        image = Slot(self._layout.slots[self._booted.slot]).image()
        if hashlib.sha256(image.signed).digest() != self._booted.digest:
            raise SecurityError("not the image that was booted", code="firmware.hash")
        return Payload.of(image)

    # Trial.

    def _try(self, trial: Trial, now: float) -> None:
        passed = trial.passed_at
        try:
            keep = trial.step(now)
            if passed is None and trial.passed_at is not None:
                self._host.record(Event.FIRMWARE_SELF_TEST_PASSED)
            if keep:
                self._confirm()
        except _FAULTS as error:
            self._fault(error)

    def _confirm(self) -> None:
        self._booted = confirm(self._layout, self._booted)
        self._trial = None
        self._record.trying = self._record.refusal = ""
        self._log.info("firmware confirmed", version=str(self._booted.version))
        self._host.record(Event.FIRMWARE_CONFIRMED)
        self._commit()

    # Faults.

    def _fault(self, error: BaseException) -> None:
        if self._faulty:
            return  # it goes down already, for the first of its faults
        self._faulty = True
        code = error.code if isinstance(error, OpenAmiError) else "firmware.application"
        frame = traceback.extract_tb(error.__traceback__)[-1:]
        self._log.error(
            "application failed",
            code=code,
            what=type(error).__name__,
            where=[f"{each.filename}:{each.lineno}" for each in frame],
        )
        if self._booted.on_trial:
            self._record.refusal = code
        watchdog = code == _WATCHDOG
        self._host.record(Event.WATCHDOG_ERROR if watchdog else Event.APPLICATION_FAILED)
        self._down_at = self._times.ticks()

    def _commit(self) -> None:
        with suppress(StoreError):  # the memory has told; it is tried again at the next tick
            self._host.commit()
