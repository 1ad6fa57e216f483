"""The services of firmware, wired to their stores."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from openami.headend.firmware.endings import Endings
from openami.headend.firmware.publisher import Publisher
from openami.headend.firmware.shelf import Shelf
from openami.headend.firmware.vendor_keys import VendorKeys
from openami.headend.security.authorities import DAY
from openami.store.blobs import Blobs

if TYPE_CHECKING:
    from openami.core.clock import Clock
    from openami.fleet.ports import Vault
    from openami.headend.firmware.ports import ReleaseStore
    from openami.headend.installation import Installation
    from openami.headend.security.alarms import Alarms
    from openami.headend.settings import HeadendSettings


@dataclass(frozen=True, slots=True)
class Firmware:
    """What a head-end does about firmware."""

    shelf: Shelf
    publisher: Publisher
    keys: VendorKeys
    endings: Endings
    blobs: Blobs


def build_firmware(
    store: ReleaseStore,
    vault: Vault,
    home: Installation,
    *,
    alarms: Alarms,
    settings: HeadendSettings,
    wall: Clock,
) -> Firmware:
    """Return the services over a store, a vault and the installation's folder of releases."""
    blobs = Blobs(home.releases, most=settings.shelf_octets)
    offline = settings.release_keys == "offline"
    publisher = Publisher(store, vault, wall=wall, offline=offline)
    keys = VendorKeys(store, wall=wall)
    endings = Endings(publisher, alarms, wall=wall, ahead_s=settings.release_warn_days * DAY)
    shelf = Shelf(store, blobs, publisher, keys, wall=wall)
    return Firmware(shelf, publisher, keys, endings, blobs)
