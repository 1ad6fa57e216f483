"""Finding the release that a campaign names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from openami.core.errors import DecodeError, NotFoundError
from openami.firmware.packages import PackageId, Place
from openami.firmware.releases import ReleaseState

if TYPE_CHECKING:
    from openami.firmware.shelf import Shelved
    from openami.headend.firmware.ports import ReleaseStore


def package_of(text: str) -> PackageId:
    """Return the package that a text such as ``meter-image/openami/1.2.3`` names; NotFoundError."""
    try:
        return Place.parse(f"{text}/manifest.json").package
    except DecodeError as error:
        raise NotFoundError(
            f"there is no release {text}", hint="such as meter-image/openami/1.2.3"
        ) from error


def find_release(releases: ReleaseStore, text: str) -> Shelved:
    """Return the release of a name: that which is offered to devices, else the latest handed over.

    Raises:
        NotFoundError: there is none.
    """
    package = package_of(text)
    found = [one for one in releases.of_product(package) if one.release.id == package]
    if not found:
        raise NotFoundError(f"there is no release {text}")
    offered = (one for one in found if one.release.state is ReleaseState.RELEASED)
    return next(offered, found[0])
