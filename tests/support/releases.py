"""Releases as a vendor hands them over, and a shelf that has taken them."""

from __future__ import annotations

import hashlib
import io
import tarfile
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from tests.firmware.test_intake import BOM, KEY, MANIFEST, PLAN, image

from openami.firmware import manifest_codec
from openami.firmware.manifest import Attachment
from openami.firmware.version import Version

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from openami.firmware.manifest import Manifest
    from openami.firmware.shelf import Shelved
    from openami.headend.firmware.facade import Firmware

VENDOR_KEY = KEY.public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def handed_over(
    version: str = "1.4.0", *, counter: int = 5, **others: Any
) -> tuple[Manifest, dict[str, bytes]]:
    """Return a release of a version, and its files."""
    plan = replace(PLAN, version=Version.parse(version), counter=counter)
    files = {"a.img": image(plan), "a.pdf": b"document " + version.encode(), "a.cdx.json": BOM}
    told = {
        name: Attachment(name, len(data), hashlib.sha256(data).hexdigest())
        for name, data in files.items()
    }
    manifest = replace(
        MANIFEST, version=plan.version, counter=counter, images=(told["a.img"],),
        specification=told["a.pdf"], sbom=told["a.cdx.json"],
    )  # fmt: skip
    return replace(manifest, **others), files


def tar_of(manifest: Manifest | bytes, files: Mapping[str, bytes]) -> bytes:
    """Return what is handed over, as ``tar`` makes it."""
    text = manifest if isinstance(manifest, bytes) else manifest_codec.encode(manifest)
    octets = io.BytesIO()
    with tarfile.open(fileobj=octets, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for name, data in {"manifest.json": text, **files}.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return octets.getvalue()


def tar_in(folder: Path, manifest: Manifest | bytes, files: Mapping[str, bytes]) -> Path:
    path = folder / "release.tar"
    path.write_bytes(tar_of(manifest, files))
    return path


def trust_vendor(firmware: Firmware) -> None:
    firmware.keys.add("Maker", VENDOR_KEY, who="admin")


def approved(firmware: Firmware, folder: Path, version: str = "1.4.0", **others: Any) -> Shelved:
    """Put a release on the shelf that two operators let through."""
    shelved = firmware.shelf.upload(tar_in(folder, *handed_over(version, **others)), who="anna")
    verified = firmware.shelf.verify(shelved.number, who="anna")
    assert verified.release.state == "verified", verified.release.events[-1]
    return firmware.shelf.approve(shelved.number, who="boris", why="tried")
