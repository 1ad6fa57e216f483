"""What the release shelf keeps its records in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from openami.firmware.manifest import Attachment, ReleaseKind
    from openami.firmware.packages import PackageId
    from openami.firmware.releases import Release, ReleaseState
    from openami.firmware.repository import Repository
    from openami.firmware.shelf import Shelved, VendorKey
    from openami.firmware.target import TargetFile
    from openami.fleet.devices import AuditEntry
    from openami.fleet.ports import Page


class ReleaseStore(Protocol):
    """Keeps releases with the entries of the audit log, the repository, and vendors' keys.

    Files are kept elsewhere, under their digests; they are there before a release names them.
    """

    def add(self, release: Release, manifest: bytes, files: Sequence[Attachment]) -> Shelved:
        """Put a release that was uploaded on the shelf."""
        ...

    def get(self, number: int) -> Shelved:
        """Return a release; NotFoundError."""
        ...

    def list(
        self,
        *,
        state: ReleaseState | None = None,
        kind: ReleaseKind | None = None,
        name: str | None = None,
        after: str | None = None,
        limit: int = 100,
    ) -> Page[Shelved]:
        """Return releases, those uploaded last first."""
        ...

    def of_product(self, product: PackageId) -> Sequence[Shelved]:
        """Return all releases of a product (any version of it), those uploaded last first."""
        ...

    def move(
        self,
        number: int,
        release: Release,
        *,
        targets: Sequence[TargetFile] | None = None,
        repository: Repository | None = None,
    ) -> Shelved:
        """Keep a release after one more step, all of it or nothing.

        Args:
            number: which.
            release: as it is after the step.
            targets: the files of it that devices are offered from now on; None: as before.
            repository: the documents from now on; None: as before.

        Raises:
            ConflictError: ``firmware.release.transition``, somebody else moved it.
        """
        ...

    def used(self) -> Collection[str]:
        """Return the digests of all files that are needed; those of refused releases are not."""
        ...

    def targets(self) -> Sequence[TargetFile]:
        """Return the files that devices are offered."""
        ...

    def target(self, path: str) -> TargetFile:
        """Return one of them by its path; NotFoundError."""
        ...

    def repository(self) -> Repository | None:
        """Return what was published last."""
        ...

    def publish(
        self, repository: Repository, *, when: float, entry: AuditEntry | None = None
    ) -> None:
        """Keep documents that were signed anew, with an entry of the audit log."""
        ...

    def document(self, role: str, version: int | None = None) -> bytes:
        """Return a document, the last of its role if no version is given; NotFoundError."""
        ...

    def forget(self, *, before: float) -> int:
        """Drop documents that were replaced, but for roots; return how many."""
        ...

    def vendor_keys(self) -> Sequence[VendorKey]:
        """Return the vendors' keys, by vendor and product."""
        ...

    def add_key(self, key: VendorKey, *, entry: AuditEntry) -> bool:
        """Add a key; False for one that is there already."""
        ...

    def remove_key(self, id_: str, *, entry: AuditEntry) -> int:
        """Remove a key from all products; return from how many, or NotFoundError."""
        ...
