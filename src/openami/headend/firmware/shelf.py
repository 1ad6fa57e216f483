"""The release shelf: what vendors hand over, on its way to devices.

Files are on the disk before a release names them, and what is offered to devices changes in the
same transaction as the release: a kill at any point leaves files that nobody names, which are swept
away, and nothing else.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from openami.core.errors import NotFoundError
from openami.firmware import intake, manifest_codec, releases
from openami.firmware.manifest_diff import differences
from openami.firmware.packages import PackageId, Place, pack
from openami.firmware.releases import ReleaseState, counter_floor
from openami.firmware.target import TargetFile
from openami.headend.firmware.bundle import unpack
from openami.headend.security.authorities import DAY

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from openami.core.clock import Clock
    from openami.firmware.manifest import Attachment, ReleaseKind
    from openami.firmware.manifest_diff import Difference
    from openami.firmware.releases import Release
    from openami.firmware.shelf import Shelved
    from openami.fleet.ports import Page
    from openami.headend.firmware.ports import ReleaseStore
    from openami.headend.firmware.publisher import Publisher
    from openami.headend.firmware.vendor_keys import VendorKeys
    from openami.store.blobs import Blobs

DELTAS: Final = 3  # versions back: to make one takes 18 times the memory of an image
LOOSE_S: Final = DAY  # how long a file that no release names is left alone


class Shelf:
    """Releases and what operators do to them. Calls block, some for seconds.

    What a release's own rules refuse raises ``ConflictError`` (``openami.firmware.releases``).
    """

    def __init__(
        self,
        store: ReleaseStore,
        blobs: Blobs,
        publisher: Publisher,
        keys: VendorKeys,
        *,
        wall: Clock,
    ) -> None:
        self._store = store
        self._blobs = blobs
        self._publisher = publisher
        self._keys = keys
        self._wall = wall
        self._checking = threading.Lock()
        self._watchers: list[Callable[[PackageId], None]] = []

    def on_withdrawn(self, watcher: Callable[[PackageId], None]) -> None:
        """Have ``watcher`` called, in any thread, with each release that is withdrawn."""
        self._watchers.append(watcher)

    def upload(self, tar: Path, *, who: str, why: str = "") -> Shelved:
        """Take in what a vendor hands over; it is checked by ``verify``.

        Raises:
            RequestError: ``request.release``, it is no tar with a manifest.
            DecodeError: ``firmware.manifest.malformed``.
            StoreFullError: there is no room for its files.
        """
        text, files = unpack(tar, self._blobs)
        manifest = manifest_codec.decode(text)
        release = releases.upload(manifest, who=who, now=self._wall.now(), why=why)
        return self._store.add(release, manifest_codec.encode(manifest), files)

    def get(self, number: int) -> Shelved:
        """Return a release; NotFoundError."""
        return self._store.get(number)

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
        return self._store.list(state=state, kind=kind, name=name, after=after, limit=limit)

    def diff(self, before: int, after: int) -> Sequence[Difference]:
        """Return what the manifest of one release says otherwise than that of another."""
        return differences(self._store.get(before).manifest, self._store.get(after).manifest)

    def file(self, number: int, name: str) -> Path:
        """Return where a file of a release is; NotFoundError, also for one that was swept away."""
        for file in self._store.get(number).files:
            if file.name == name:
                return self._blobs.path(file.sha256)
        raise NotFoundError(f"release {number} has no file of this name")

    def verify(self, number: int, *, who: str) -> Shelved:
        """Check a release: verified, or refused with every reason against it."""
        with self._checking:  # of two that are the same version the second is refused
            shelved = self._store.get(number)
            files = _Files(self._blobs, shelved.files)
            others = [one.release for one in self._others(shelved)]
            found = intake.check(shelved.manifest, files, others, self._keys.of(shelved.manifest))
            moved = releases.verify(shelved.release, found, who=who, now=self._wall.now())
            return self._store.move(number, moved)

    def approve(self, number: int, *, who: str, why: str) -> Shelved:
        """Put a second person's word to a release."""
        release = self._store.get(number).release
        return self._store.move(
            number, releases.approve(release, who=who, now=self._wall.now(), why=why)
        )

    def refuse(self, number: int, *, who: str, why: str) -> Shelved:
        """Turn a release down."""
        release = self._store.get(number).release
        return self._store.move(
            number, releases.refuse(release, who=who, now=self._wall.now(), why=why)
        )

    def draft(self, number: int | None) -> bytes:
        """Return the list of files for keepers to sign, with an approved release's if named."""
        with self._publisher.lock:
            if number is None:
                return self._publisher.draft(self._offered(()))
            shelved = self._store.get(number)
            self._let_out(shelved, who="draft", why="")
            return self._publisher.draft(self._offered(self._packed(shelved)))

    def release(
        self, number: int, *, who: str, why: str = "", targets: bytes | None = None
    ) -> Shelved:
        """Offer a release to devices.

        Args:
            number: which.
            who: the operator.
            why: in the operator's words.
            targets: what the keepers of the list of files signed; None: the vault signs.

        Raises:
            ConflictError, SecurityError, DecodeError: as ``Publisher.with_files``, too.
        """
        with self._publisher.lock:
            shelved = self._store.get(number)
            moved = self._let_out(shelved, who=who, why=why)
            files = self._packed(shelved)
            made = self._publisher.with_files(self._offered(files), targets)
            return self._store.move(number, moved, targets=files, repository=made)

    def withdraw(self, number: int, *, who: str, why: str, targets: bytes | None = None) -> Shelved:
        """Offer a release no more; its campaigns stop.

        No device gets its files from now on. Where keepers sign elsewhere, the list still names
        them until there is another: that does not wait for keepers.
        """
        with self._publisher.lock:
            shelved = self._store.get(number)
            moved, effects = releases.withdraw(
                shelved.release, who=who, now=self._wall.now(), why=why
            )
            made = None
            if targets is not None or not self._publisher.offline:
                left = self._offered((), without=shelved.release.id)
                made = self._publisher.with_files(left, targets)
            after = self._store.move(number, moved, targets=(), repository=made)
        for effect in effects:
            for watcher in self._watchers:
                watcher(effect.id)
        return after

    def target(self, path: str) -> tuple[TargetFile, Path]:
        """Return a file that devices are offered, by where they ask for it; NotFoundError."""
        folder, _, name = path.rpartition("/")
        digest, _, image = name.partition(".")  # TUF 6.2: the digest stands before the name
        found = self._store.target(f"{folder}/{image}")
        if found.sha256 != digest:
            raise NotFoundError("devices are offered no such file")
        return found, self._blobs.path(found.sha256)

    def offered(self, package: PackageId, path: str = "") -> TargetFile:
        """Return a file of a package that devices are offered; without a path, its image.

        Raises:
            NotFoundError: there is no such file; ``firmware.withdrawn``: no longer.
        """
        try:
            return self._store.target(path or str(Place(package, self._image(package))))
        except NotFoundError:
            state = ReleaseState.WITHDRAWN
            if any(one.state is state for one in self._releases(package)):
                raise NotFoundError(f"{package} is withdrawn", code="firmware.withdrawn") from None
            raise

    def sweep(self) -> int:
        """Take away files that no release needs; return how many."""
        return self._blobs.sweep(self._store.used(), before=self._wall.now() - LOOSE_S)

    def _releases(self, package: PackageId) -> Iterator[Release]:
        product = self._store.of_product(package)
        return (one.release for one in product if one.release.id == package)

    def _image(self, package: PackageId) -> str:
        """Return the name of the image that devices are offered of a package."""
        for file in self._store.targets():
            place = Place.parse(file.path)
            if place.package == package and place.image and place.source is None:
                return place.image
        raise NotFoundError(f"devices are offered no {package}")

    def _others(self, shelved: Shelved) -> Sequence[Shelved]:
        product = self._store.of_product(shelved.release.id)
        return [one for one in product if one.number != shelved.number]

    def _let_out(self, shelved: Shelved, *, who: str, why: str) -> releases.Release:
        others = (one.release for one in self._others(shelved))
        floor = counter_floor(others, shelved.release.id)
        return releases.let_out(
            shelved.release, floor=floor, who=who, now=self._wall.now(), why=why
        )

    def _offered(
        self, files: Iterable[TargetFile], *, without: PackageId | None = None
    ) -> tuple[TargetFile, ...]:
        """Return all files that devices are offered, with some more and without a release's."""
        there = {
            file.path: file
            for file in self._store.targets()
            if Place.parse(file.path).package != without
        }
        return tuple((there | {file.path: file for file in files}).values())

    def _packed(self, shelved: Shelved) -> tuple[TargetFile, ...]:
        """Keep the files of a release's package; return what the list is to say of them."""
        manifest = shelved.manifest
        named = {image.name for image in manifest.images}
        held = {file.name: file for file in shelved.files if file.name in named}
        images = {name: self._blobs.read(file.sha256) for name, file in held.items()}
        made = pack(manifest, images, self._before(shelved))
        kept = {path: self._blobs.add(data) for path, data in made.items()}
        return tuple(TargetFile(path, blob.size, blob.sha256) for path, blob in kept.items())

    def _before(self, shelved: Shelved) -> Mapping[str, Sequence[bytes]]:
        """Return the images that devices may have by now, the latest first, for deltas."""
        out = [one for one in self._others(shelved) if one.release.state is ReleaseState.RELEASED]
        out = sorted(out, key=lambda one: one.manifest.version, reverse=True)[:DELTAS]
        return {
            image.name: [self._blobs.read(digest) for digest in _earlier(image, shelved, out)]
            for image in shelved.manifest.images
        }


def _earlier(image: Attachment, shelved: Shelved, out: Iterable[Shelved]) -> dict[str, None]:
    """Return the digests of what the types that take an image took before, each once."""
    fits = [fit for fit in shelved.manifest.fits if fit.image == image.name]
    found = (other.manifest.image_for(fit.model, fit.hardware) for other in out for fit in fits)
    return {one.sha256: None for one in found if one is not None and one.sha256 != image.sha256}


class _Files(Mapping[str, bytes]):
    """Files by their names, each read when it is asked for: one at a time is in memory."""

    def __init__(self, blobs: Blobs, files: Iterable[Attachment]) -> None:
        self._blobs = blobs
        self._files = {file.name: file for file in files}

    def __getitem__(self, name: str) -> bytes:
        return self._blobs.read(self._files[name].sha256)

    def __iter__(self) -> Iterator[str]:
        return iter(self._files)

    def __len__(self) -> int:
        return len(self._files)
