"""Whose meter images are believed: the vendors' public keys."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from openami.core.errors import ConfigError
from openami.firmware.documents import check_text, check_token
from openami.firmware.keys import ImageKey
from openami.firmware.shelf import VendorKey
from openami.fleet.devices import AuditEntry
from openami.headend.errors import RequestError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from openami.core.clock import Clock
    from openami.firmware.manifest import Manifest
    from openami.headend.firmware.ports import ReleaseStore

MAX_KEYS: Final = 1024  # an image is tried with those of its vendor
MAX_PEM: Final = 4096  # octets; a key on P-256 has under 200
_NAME: Final = 120  # characters, as of a vendor in a manifest


class VendorKeys:
    """The keys. Calls block."""

    def __init__(self, store: ReleaseStore, *, wall: Clock) -> None:
        self._store = store
        self._wall = wall

    def list(self) -> Sequence[VendorKey]:
        """Return all, by vendor and product."""
        return self._store.vendor_keys()

    def of(self, manifest: Manifest) -> tuple[ImageKey, ...]:
        """Return those that the images of a release may be signed with."""
        return tuple(one.key for one in self._store.vendor_keys() if one.counts_for(manifest))

    def add(self, vendor: str, pem: bytes, *, product: str = "", who: str) -> VendorKey:
        """Believe images that are signed with a key.

        Args:
            vendor: whose key, spelt as in manifests.
            pem: the public key.
            product: only images of this one; empty: of all of the vendor's.
            who: the operator.

        Raises:
            RequestError: ``request.key``: no name can be like this, the key is none on P-256, is
                there already, or is one too many.
        """
        try:
            check_text(vendor, most=_NAME)
            product = product and check_token(product)
            key = ImageKey.from_pem(pem[:MAX_PEM])
        except (ValueError, ConfigError) as error:
            raise _wrong(str(error)) from error
        now = self._wall.now()
        made = VendorKey(key.id.hex(), vendor, product, key, now, who)
        if len(self._store.vendor_keys()) >= MAX_KEYS:
            raise _wrong(f"there are {MAX_KEYS} keys already")
        entry = AuditEntry(who, now, f"release.key.added {made.id} {product}".strip(), vendor)
        if not self._store.add_key(made, entry=entry):
            raise _wrong("this key is there already")
        return made

    def remove(self, id_: str, *, who: str) -> None:
        """Believe new images of a key no longer; what was verified stays so. NotFoundError."""
        entry = AuditEntry(who, self._wall.now(), f"release.key.removed {id_}", "vendors' keys")
        self._store.remove_key(id_, entry=entry)


def _wrong(message: str) -> RequestError:
    return RequestError(message, code="request.key")
