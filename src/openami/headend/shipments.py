"""Taking shipments: a maker's meters go into the registry, their keys into the vault."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from openami.core.errors import ConflictError, NotFoundError
from openami.fleet.devices import (
    AuditEntry,
    Device,
    DeviceKind,
    LifecycleState,
    MeterProtocol,
    Sighting,
    device_id,
)
from openami.fleet.shipment import Shipment
from openami.headend.credentials import KIND

if TYPE_CHECKING:
    from openami.core.clock import Clock
    from openami.fleet.ports import AuditLog, DeviceStore, Vault
    from openami.fleet.shipment import ShippedMeter
    from openami.headend.c1222.directory import Directory


class Imported(NamedTuple):
    """How many meters of a shipment were new and how many known."""

    added: int
    known: int


class Shipments:
    """Takes shipments. A file that was taken half is taken whole by taking it again."""

    def __init__(
        self,
        devices: DeviceStore,
        vault: Vault,
        audit: AuditLog,
        nodes: Directory,
        *,
        clock: Clock,
        wall: Clock,
    ) -> None:
        self._devices = devices
        self._vault = vault
        self._audit = audit
        self._nodes = nodes
        self._clock = clock
        self._wall = wall

    def take(self, text: bytes, *, who: str) -> Imported:
        """Put a shipment's meters into the registry and their keys into the vault.

        Raises:
            ConfigError: ``request.shipment``, that is no shipment file; nothing was taken.
            ConflictError: ``device.keys`` or ``store.conflict``, a meter of it is known with
                other keys or another title; the meters before it were taken.
        """
        meters = Shipment.decode(text).meters
        added = sum(self._take(meter, who) for meter in meters)
        what = f"shipment taken: {added} of {len(meters)} meters were new"
        self._audit.add(AuditEntry(who, self._wall.now(), what, "shipment"))
        return Imported(added, len(meters) - added)

    def _take(self, meter: ShippedMeter, who: str) -> bool:
        present, secrets = self._vault.find(KIND, meter.serial), meter.secrets()
        if any(present.get(name, secret) != secret for name, secret in secrets.items()):
            raise ConflictError(
                f"meter {meter.serial} is known with other keys",
                code="device.keys",
                hint="retire the old meter first",
            )
        for name, secret in secrets.items():
            if name not in present:
                self._vault.put(KIND, meter.serial, name, secret)
        self._nodes.take(meter)
        return self._register(meter, who)

    def _register(self, meter: ShippedMeter, who: str) -> bool:
        """Put a meter into the registry; return whether it is new there."""
        try:
            known = self._devices.get(device_id(DeviceKind.METER, meter.serial))
        except NotFoundError:
            device = Device(
                DeviceKind.METER,
                meter.serial,
                state=LifecycleState.MANUFACTURED,
                system_title=meter.system_title,
                logical_device_name=meter.logical_device_name,
                model=meter.model,
                firmware=meter.firmware,
                address=_address(meter),
                protocol=_protocol(meter),
            )
            self._devices.add(device, who=who, when=self._wall.now(), why="shipment")
            return True
        if known.system_title is None or known.protocol is not _protocol(meter):
            said = Sighting(
                DeviceKind.METER,
                meter.serial,
                system_title=meter.system_title,
                fault=known.fault,
                protocol=_protocol(meter),
            )
            known = self._devices.sight([said], now=self._clock.now())[0]
        if known.system_title != meter.system_title:
            raise ConflictError(
                f"meter {meter.serial} is known with another system title", code="device.title"
            )
        return False


def _address(meter: ShippedMeter) -> str:
    """Return where a meter is on a DCU's line; one of C12.22 says where it is when it registers."""
    return "" if meter.address is None or meter.c1222 is not None else str(meter.address)


def _protocol(meter: ShippedMeter) -> MeterProtocol:
    return MeterProtocol.DLMS if meter.c1222 is None else MeterProtocol.C1222
