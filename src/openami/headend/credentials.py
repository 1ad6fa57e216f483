"""Meters' keys: put into the vault with a shipment, given out to the DCU that looks after one."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from openami.core.errors import NotFoundError
from openami.fleet.devices import AuditEntry
from openami.headend.registry import SHUT_OUT

if TYPE_CHECKING:
    from collections.abc import Mapping

    from openami.core.clock import Clock
    from openami.core.identifiers import SystemTitle
    from openami.fleet.ports import AuditLog, DeviceStore, Vault
    from openami.headend.ownership import Ownership

KIND: Final = "meter"  # of the vault's owners
CLIENT: Final = 1  # the management client, which HLS-5 GMAC protects
MECHANISM: Final = "hls5-gmac"

# What a DCU gets of a meter's keys: never the master key, which wraps the next ones.
GIVEN: Final = ("guek", "gak", "hls", "lls")
NEEDED: Final = ("guek", "gak")
KEY_OCTETS: Final = 16  # of suite 0


BROADCAST_CLIENT: Final = 102  # nobody associates as this one: what it says is for all meters
# What a meter hears broadcasts with, by the names of a shipment and those that a DCU is given.
BROADCAST: Final = {"gbek": "gbek", "gbak": "gak"}


@dataclass(frozen=True, slots=True)
class MeterCredentials:
    """What a DCU needs to open an association with a meter, and to speak to it with all others.

    ``broadcast`` is empty if the meter takes no broadcasts.
    """

    keys: Mapping[str, bytes] = field(repr=False)
    client: int = CLIENT
    mechanism: str = MECHANISM
    broadcast: Mapping[str, bytes] = field(default_factory=dict, repr=False)

    def told(self) -> dict[str, Any]:
        """Return what the DCU is told, keys included."""
        found = {"client": self.client, "mechanism": self.mechanism, **_hexadecimal(self.keys)}
        if not self.broadcast:
            return found
        line = {"client": BROADCAST_CLIENT, **_hexadecimal(self.broadcast)}
        return {**found, "broadcast": line}


def _hexadecimal(keys: Mapping[str, bytes]) -> dict[str, str]:
    return {name: key.hex() for name, key in keys.items()}


class Credentials:
    """Gives out meters' keys."""

    def __init__(
        self,
        devices: DeviceStore,
        vault: Vault,
        audit: AuditLog,
        ownership: Ownership,
        *,
        wall: Clock,
    ) -> None:
        self._devices = devices
        self._vault = vault
        self._audit = audit
        self._ownership = ownership
        self._wall = wall

    def known(self, serial: str) -> bool:
        """Whether there are keys of the meter with this serial number."""
        found = self._vault.find(KIND, serial)
        return all(name in found for name in NEEDED)

    def for_dcu(self, dcu: str, title: SystemTitle) -> MeterCredentials:
        """Return the keys of the meter with a system title, which is the DCU's from then on.

        A meter of another DCU, or one that is suspended or retired, is as unknown as one that
        does not exist, so that nobody learns which there are.

        Raises:
            NotFoundError: ``credentials.unknown``.
        """
        meter = self._devices.by_system_title(title)
        if meter is None:
            raise self._unknown(title)
        if meter.state in SHUT_OUT:
            raise self._unknown(title)
        found = self._ownership.sort(dcu, [meter.serial])
        keys = self._vault.find(KIND, meter.serial)
        if found.foreign or not all(name in keys for name in NEEDED):
            raise self._unknown(title)
        self._ownership.claim(dcu, found.unknown)
        entry = AuditEntry(f"dcu {dcu}", self._wall.now(), "meter.credentials given", meter.id)
        self._audit.add(entry)
        hears = all(len(keys.get(name, b"")) == KEY_OCTETS for name in BROADCAST)
        return MeterCredentials(
            {name: keys[name] for name in GIVEN if name in keys},
            broadcast={told: keys[name] for name, told in BROADCAST.items()} if hears else {},
        )

    def _unknown(self, title: SystemTitle) -> NotFoundError:
        return NotFoundError(f"no credentials for {title}", code="credentials.unknown")
