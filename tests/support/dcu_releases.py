"""Releases for DCUs, on the shelf of a real head-end."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tests.firmware.test_intake import BOM, MANIFEST
from tests.support.releases import tar_in

from openami.firmware.manifest import Attachment, Fit, ReleaseKind
from openami.firmware.packages import PackageId
from openami.firmware.version import Version

if TYPE_CHECKING:
    from pathlib import Path

    from openami.firmware.manifest import Manifest
    from openami.headend.server import Running

MODEL, HARDWARE = "M1", "rev A"  # as DCUs of tests are made


def dcu_release(
    image: bytes,
    version: str = "1.0.0",
    *,
    kind: ReleaseKind = ReleaseKind.DCU_FIRMWARE,
    name: str = "openami-dcu",
    **others: Any,
) -> tuple[Manifest, dict[str, bytes]]:
    """Return a release for DCUs with one image, and its files."""
    files = {"image": image, "a.pdf": b"document " + version.encode(), "a.cdx.json": BOM}
    told = {
        file: Attachment(file, len(data), hashlib.sha256(data).hexdigest())
        for file, data in files.items()
    }
    manifest = replace(
        MANIFEST,
        kind=kind,
        name=name,
        version=Version.parse(version),
        counter=1,
        fits=(Fit(MODEL, HARDWARE, "image"),),
        prerequisites=(),
        images=(told["image"],),
        specification=told["a.pdf"],
        sbom=told["a.cdx.json"],
    )
    return replace(manifest, **others), files


def offer(
    running: Running, folder: Path, image: bytes, version: str = "1.0.0", **others: Any
) -> PackageId:
    """Offer a release to DCUs: two operators let it through; return its package."""
    manifest, files = dcu_release(image, version, **others)
    shelf = running.services.firmware.shelf
    shelved = shelf.upload(tar_in(folder, manifest, files), who="anna")
    verified = shelf.verify(shelved.number, who="anna")
    assert verified.release.state == "verified", verified.release.events[-1]
    shelf.approve(shelved.number, who="boris", why="tried")
    shelf.release(shelved.number, who="anna")
    return PackageId.of(manifest)


def withdraw(running: Running, package: PackageId) -> None:
    """Offer a package no more."""
    shelf = running.services.firmware.shelf
    number = next(one.number for one in shelf.list().items if one.release.id == package)
    shelf.withdraw(number, who="anna", why="it loses readings")
