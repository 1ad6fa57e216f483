"""The registry: which devices there are, who looks after them, what may become of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from openami.core.errors import ConflictError, NotFoundError, SecurityError
from openami.fleet.certificates import CertificateKind
from openami.fleet.devices import (
    AuditEntry,
    Device,
    DeviceKind,
    LifecycleState,
    Sighting,
    device_id,
)
from openami.headend.bus import LiveEvent, Topic
from openami.headend.errors import RequestError

if TYPE_CHECKING:
    from collections.abc import Callable

    from openami.core.clock import Clock
    from openami.fleet.devices import Location
    from openami.fleet.ports import AuditLog, DeviceFilter, DeviceStore, Page
    from openami.headend.bus import Bus
    from openami.headend.ownership import Ownership
    from openami.headend.security.issued import DcuCredentials
    from openami.headend.security.pki import Pki
    from openami.headend.security.registrations import Registrations

WHY: Final = 500  # characters of a reason: a line or two in the audit log

# A device in one of these states has no business with the head-end.
SHUT_OUT: Final = frozenset({LifecycleState.SUSPENDED, LifecycleState.RETIRED})


@dataclass(frozen=True, slots=True)
class Description:
    """What people say of a device; None leaves as it is."""

    label: str | None = None
    region: str | None = None
    location: Location | None = None


class Registry:
    """Devices and their lifecycle; every change is in the audit log and told to who watches."""

    def __init__(
        self,
        devices: DeviceStore,
        audit: AuditLog,
        ownership: Ownership,
        *,
        bus: Bus,
        clock: Clock,
        wall: Clock,
        pki: Pki,
        registrations: Registrations | None = None,
    ) -> None:
        self._devices = devices
        self._audit = audit
        self._ownership = ownership
        self._bus = bus
        self._clock = clock
        self._wall = wall
        self._pki = pki
        self._registrations = registrations
        self._watchers: list[Callable[[Device, str | None], None]] = []

    def on_moved(self, watcher: Callable[[Device, str | None], None]) -> None:
        """Have ``watcher`` called with a device that was assigned or retired, and its last DCU."""
        self._watchers.append(watcher)

    def device(self, name: str) -> Device:
        """Return the device ``name``, such as ``meter-A1``; NotFoundError."""
        return self._devices.get(name)

    def meter(self, serial: str) -> Device:
        """Return the meter with a serial number; NotFoundError."""
        return self._devices.get(device_id(DeviceKind.METER, serial))

    def dcu(self, serial: str) -> Device:
        """Return the DCU with an id; NotFoundError."""
        return self._devices.get(device_id(DeviceKind.DCU, serial))

    def devices(
        self, which: DeviceFilter | None = None, *, after: str | None = None, limit: int = 100
    ) -> Page[Device]:
        """Return devices by kind and serial."""
        return self._devices.list(which, after=after, limit=limit)

    def audit(
        self, *, subject: str | None = None, after: str | None = None, limit: int = 100
    ) -> Page[AuditEntry]:
        """Return who did what, newest first."""
        return self._audit.list(subject=subject, after=after, limit=limit)

    def admitted(self, dcu: str) -> Device:
        """Return the DCU if it may deal with the head-end.

        Raises:
            SecurityError: ``fleet.unknown-dcu`` or ``fleet.shut-out``.
        """
        try:
            device = self.dcu(dcu)
        except NotFoundError as error:
            raise SecurityError(
                f"DCU {dcu} is not in the registry",
                code="fleet.unknown-dcu",
                hint="enroll it first",
            ) from error
        if device.state in SHUT_OUT:
            raise SecurityError(f"DCU {dcu} is {device.state}", code="fleet.shut-out")
        return device

    def move(self, name: str, to: LifecycleState, *, who: str, why: str) -> Device:
        """Move a device in its lifecycle; a DCU's registration moves along.

        What a DCU has that is retired is revoked.

        Raises:
            NotFoundError: there is no such device.
            ConflictError: ``device.transition`` or ``registration.transition``, no way leads there.
            RequestError: ``request.why``, no reason was given.
        """
        words, device = reason(why), self._devices.get(name)
        follows = self._registrations if device.kind is DeviceKind.DCU else None
        if follows is not None and follows.follow(device.serial, to, who=who, why=words):
            return self._gone(self._devices.get(name))
        device = self._devices.move(name, to, who=who, when=self._wall.now(), why=words)
        if follows is not None and to is LifecycleState.RETIRED:
            self._revoke_all(device.serial, who=who, why=words)
        self._tell(device)
        return self._gone(device)

    def _revoke_all(self, dcu: str, *, who: str, why: str) -> None:
        """Revoke what a DCU has that was enrolled by hand; it is shut out already."""
        kind, when = CertificateKind.DEVICE, self._wall.now()
        while found := self._pki.certificates(kind=kind, subject=dcu, revoked=False).items:
            for record in found:
                self._pki.revoke(record.serial, "cessationOfOperation", when=when, who=who, why=why)

    def describe(self, name: str, description: Description, *, who: str) -> Device:
        """Set what people say of a device."""
        device = self._devices.describe(
            name,
            who=who,
            when=self._wall.now(),
            label=description.label,
            region=description.region,
            location=description.location,
        )
        self._tell(device)
        return device

    def assign(self, serial: str, dcu: str, *, who: str, why: str) -> Device:
        """Give a meter to a DCU, which from then on gets its credentials.

        Raises:
            NotFoundError: there is no such meter or DCU.
            ConflictError: ``device.shut-out``, the DCU is suspended or retired.
        """
        words = reason(why)
        before, target = self.meter(serial), self.dcu(dcu)
        if target.state in SHUT_OUT:
            raise ConflictError(f"DCU {dcu} is {target.state}", code="device.shut-out")
        sighting = Sighting(DeviceKind.METER, serial, dcu=dcu, fault=before.fault)
        device = self._devices.sight([sighting], now=self._clock.now())[0]
        self._ownership.forget(before.dcu, dcu)
        what = f"device.dcu {before.dcu or 'none'} to {dcu}"
        self._audit.add(AuditEntry(who, self._wall.now(), what, device.id, words))
        self._moved(device, before.dcu)
        self._tell(device)
        return device

    def enroll_dcu(self, dcu: str, *, who: str, why: str = "") -> DcuCredentials:
        """Return new credentials for a DCU, and add it to the registry if it is new.

        A DCU that was just registered is commissioned by this: it can connect from now on.

        Raises:
            ConfigError: ``config.dcu``, that can not be an id.
            ConflictError: ``device.shut-out``, the DCU is suspended or retired.
        """
        now = self._wall.now()
        name = device_id(DeviceKind.DCU, dcu)
        try:
            device = self._devices.get(name)
        except NotFoundError:
            device = None
        if device is not None and device.state in SHUT_OUT:
            raise ConflictError(f"DCU {dcu} is {device.state}", code="device.shut-out")
        credentials = self._pki.enroll(dcu, now=now)
        if device is None:
            device = self._devices.add(Device(DeviceKind.DCU, dcu), who=who, when=now, why=why)
        if device.state is LifecycleState.REGISTERED:
            words = why or "credentials were issued"
            device = self._devices.move(
                name, LifecycleState.COMMISSIONED, who=who, when=now, why=words
            )
        self._audit.add(AuditEntry(who, now, "dcu.credentials issued", name, why))
        self._tell(device)
        return credentials

    def _gone(self, device: Device) -> Device:
        if device.state is LifecycleState.RETIRED:
            self._moved(device, device.serial if device.kind is DeviceKind.DCU else device.dcu)
        return device

    def _moved(self, device: Device, before: str | None) -> None:
        for watcher in self._watchers:
            watcher(device, before)

    def _tell(self, device: Device) -> None:
        self._bus.publish(device_news(device, self._clock.now()))


def device_news(device: Device, now: float) -> LiveEvent:
    """Return the live event for a device that has changed."""
    data = {
        "kind": device.kind.value,
        "state": device.state.value,
        "contact": device.contact.value,
        "last_read": device.last_read,
        "fault": device.fault.code if device.fault else None,
    }
    dcu = device.serial if device.kind is DeviceKind.DCU else device.dcu
    return LiveEvent(Topic.DEVICE, device.serial, now, data, dcu=dcu)


def reason(why: str) -> str:
    """Return ``why`` as it goes into the audit log; RequestError if it says nothing or too much."""
    words = " ".join(why.split())
    if not words or len(words) > WHY:
        raise RequestError(f"give a reason of 1 to {WHY} characters", code="request.why")
    return words
