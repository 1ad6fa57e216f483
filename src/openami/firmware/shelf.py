"""What a release shelf holds: releases with their files, and the keys of those who make images."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from openami.firmware.keys import ImageKey
    from openami.firmware.manifest import Attachment, Manifest
    from openami.firmware.releases import Release


@dataclass(frozen=True, slots=True)
class Shelved:
    """A release on the shelf.

    Args:
        number: what it is called by: one product and version may have been handed over often.
        release: how far it is, and how it came there.
        manifest: what its vendor says of it.
        files: what came with the manifest, also what that does not name.
    """

    number: int
    release: Release
    manifest: Manifest
    files: tuple[Attachment, ...]


@dataclass(frozen=True, slots=True)
class VendorKey:
    """A key that a vendor signs meter images with.

    Args:
        id: SHA-256 of its SubjectPublicKeyInfo in hex, as images name it.
        vendor: whose it is, spelt as in manifests.
        product: the only one that it is good for; empty: all of the vendor's.
        key: the public key.
        added: when it was, in seconds since 1970-01-01T00:00:00Z.
        who: added it.
    """

    id: str
    vendor: str
    product: str
    key: ImageKey = field(repr=False, compare=False)
    added: float
    who: str

    def counts_for(self, manifest: Manifest) -> bool:
        """Tell whether the images of a release may be signed with it."""
        return self.vendor == manifest.vendor and self.product in {"", manifest.name}
