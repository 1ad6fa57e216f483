"""Which devices are in a campaign, asked of each device as it reports.

So nobody has to look through the registry for those that have come to fit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from openami.fleet.devices import DeviceKind, LifecycleState

if TYPE_CHECKING:
    from collections.abc import Callable

    from openami.fleet.devices import Device
    from openami.fleet.ports import DeviceFilter


@dataclass(frozen=True, slots=True)
class Shift:
    """A DCU has a device more (1) or less (-1) in a campaign."""

    dcu: str
    by: int


def selects(which: DeviceFilter, device: Device) -> bool:
    """Return whether a filter finds a device, as the registry would."""
    pairs = (
        (which.kind, device.kind),
        (which.state, device.state),
        (which.dcu, device.dcu),
        (which.contact, device.contact),
        (which.region, device.region),
        (which.model, device.model),
    )
    if any(wanted is not None and wanted != found for wanted, found in pairs):
        return False
    part = (which.search or "").lower()
    return any(part in text.lower() for text in (device.serial, device.label, device.model))


def shifts(
    which: DeviceFilter,
    counted: str | None,
    device: Device | None,
    *,
    fits: Callable[[Device], bool],
) -> tuple[Shift, ...]:
    """Return what a device's report changes in a campaign.

    Who is in stays in: an upgraded device does not fit any more, and one that is out of contact for
    an hour is still to be upgraded. It leaves when it is gone, retired, or at another DCU, and is
    taken in there as any other.

    Args:
        which: the campaign's filter.
        counted: the DCU at which the device is in the campaign; None: it is not.
        device: as it is; None: it is gone.
        fits: whether the release fits a device.
    """
    now = None if device is None or device.state is LifecycleState.RETIRED else _dcu(device)
    if counted is not None and now == counted:
        return ()
    left = () if counted is None else (Shift(counted, -1),)
    comes = now is not None and device is not None and selects(which, device) and fits(device)
    return (*left, Shift(now, 1)) if comes and now is not None else left


def _dcu(device: Device) -> str | None:
    return device.serial if device.kind is DeviceKind.DCU else device.dcu
