"""Whether a release is for a device, and if not, why: one cause, with a code that is counted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from openami.firmware.manifest import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from openami.firmware.manifest import Manifest
    from openami.firmware.version import Version


@dataclass(frozen=True, slots=True)
class Installed:
    """A device, as it reports itself.

    ``version`` is of the same product, None if it is not installed or not known; ``counter`` the
    lowest release counter that the device still takes.
    """

    model: str
    hardware: str
    version: Version | None = None
    counter: int = 0


def why_not(manifest: Manifest, device: Installed) -> Finding | None:
    """Return the first reason why a device must not take a release; None: it may.

    What no update changes stands first: model, hardware; then version and counter; then what an
    update changes, the version that is needed first.
    """
    return next(_reasons(manifest, device), None)


def _reasons(manifest: Manifest, device: Installed) -> Iterator[Finding]:
    if all(fit.model != device.model for fit in manifest.fits):
        yield Finding("firmware.fit.model", f"not for the model {device.model}")
    if manifest.image_for(device.model, device.hardware) is None:
        yield Finding("firmware.fit.hardware", f"not for the hardware {device.hardware}")
    if device.version == manifest.version:
        yield Finding("firmware.fit.same", f"{device.version} is installed")
    # Before the version: an emergency downgrade has a higher version and this counter.
    if manifest.counter < device.counter:
        text = f"release counter {manifest.counter}; the device takes {device.counter} or higher"
        yield Finding("firmware.fit.counter", text)
    if device.version is not None and device.version > manifest.version:
        yield Finding("firmware.fit.older", f"{device.version} is installed, which is newer")
    yield from _prerequisite(manifest, device)


def _prerequisite(manifest: Manifest, device: Installed) -> Iterator[Finding]:
    for need in manifest.prerequisites or ():
        if (need.model, need.hardware) != (device.model, device.hardware):
            continue
        if device.version is None or device.version < need.version:
            has = device.version or "no known version"
            text = f"{need.version} is needed first; {has} is installed"
            yield Finding("firmware.fit.prerequisite", text)
