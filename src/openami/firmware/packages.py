"""Packages: a release as files of a TUF repository, from which a DCU takes the least it needs.

A package is a folder ``<kind>/<name>/<version>``; in it are

- ``manifest.json``, in its canonical form;
- ``full/<image>``, one for each image of the manifest;
- ``delta/<SHA-256 of the file it is for>/<image>``, for each version before that is worth it.

Documents and bills of materials stay with the head-end: no device reads them.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

from openami.core.errors import DecodeError, SecurityError
from openami.firmware import delta, manifest_codec
from openami.firmware.documents import check_sha256, check_token
from openami.firmware.manifest import ReleaseKind
from openami.firmware.target import TargetFile

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from openami.firmware.manifest import Attachment, Manifest
    from openami.firmware.version import Version

MAX_PATH: Final = 320
"""Characters: two names of 64, a kind of 16, a version of 24, a digest of 64, and words."""

MAX_DELTAS: Final = 8
"""Of each image: devices that are further behind take it whole. Each costs a repository the time of
making it and every DCU a line of targets."""

_MANIFEST: Final = "manifest.json"
_PATH: Final = re.compile(
    r"([^/]+)/([^/]+)/([^/]+)/(?:manifest\.json|full/([^/]+)|delta/([^/]+)/([^/]+))"
)


@dataclass(frozen=True, slots=True, order=True)
class PackageId:
    """Which release of which product."""

    kind: ReleaseKind
    name: str
    version: Version

    def __str__(self) -> str:
        return f"{self.kind}/{self.name}/{self.version}"

    @classmethod
    def of(cls, manifest: Manifest) -> Self:
        """Return the id of a release."""
        return cls(manifest.kind, manifest.name, manifest.version)


@dataclass(frozen=True, slots=True)
class Place:
    """What a path says: the package; the image, but for a manifest; what a delta is for."""

    package: PackageId
    image: str | None = None
    source: str | None = None

    def __str__(self) -> str:
        if self.image is None:
            return f"{self.package}/{_MANIFEST}"
        way = "full" if self.source is None else f"delta/{self.source}"
        return f"{self.package}/{way}/{self.image}"

    @classmethod
    def parse(cls, path: str) -> Self:
        """Return the place that ``str`` of it is.

        Raises:
            DecodeError: no file of a package has this path (``firmware.package.path``).
        """
        found = _PATH.fullmatch(path) if len(path) <= MAX_PATH else None
        if found is None:
            raise _not_a_place(path)
        kind, name, version, full, source, patched = found.groups()
        image = full or patched
        try:
            return cls(
                PackageId(ReleaseKind(kind), check_token(name), manifest_codec.version_of(version)),
                image and check_token(image),
                source and check_sha256(source),
            )
        except ValueError:
            raise _not_a_place(path) from None


@dataclass(frozen=True, slots=True)
class Package:
    """The files of one release, as a repository's targets name them.

    ``full`` is by the name of the image, ``deltas`` by the SHA-256 of what it is for and the name.
    """

    id: PackageId
    manifest: TargetFile
    full: Mapping[str, TargetFile]
    deltas: Mapping[tuple[str, str], TargetFile]

    def read_manifest(self, data: bytes) -> Manifest:
        """Return the manifest of the package.

        Raises:
            SecurityError: it is another file (``firmware.trust.payload``,
                ``firmware.trust.endless``), or a manifest of another release or of other images
                than those of the package (``firmware.package.manifest``).
            DecodeError: it is no manifest.
        """
        manifest = manifest_codec.decode(self.manifest.check(data))
        images = {image.name: (image.size, image.sha256) for image in manifest.images}
        files = {name: (file.size, file.sha256) for name, file in self.full.items()}
        if PackageId.of(manifest) != self.id or images != files:
            raise SecurityError(
                f"the manifest in {self.id} is of something else", code="firmware.package.manifest"
            )
        return manifest

    def least(self, image: Attachment, installed: str | None) -> TargetFile:
        """Return the file to fetch: a delta for what is installed if there is one that is smaller.

        Args:
            image: the one wanted, of this package's manifest.
            installed: the SHA-256 of the file that the device has.
        """
        full = self.full[image.name]
        patch = self.deltas.get((installed or "", image.name))
        return patch if patch is not None and patch.size < full.size else full


def packages(files: Iterable[TargetFile]) -> dict[PackageId, Package]:
    """Return the packages among a repository's files; files of other kinds are left out."""
    found: dict[PackageId, list[tuple[Place, TargetFile]]] = {}
    for file in files:
        try:
            place = Place.parse(file.path)
        except DecodeError:
            continue  # a later version of this program may keep other things in a repository
        found.setdefault(place.package, []).append((place, file))
    made = (_package(id_, placed) for id_, placed in found.items())
    return {package.id: package for package in made if package is not None}


def pack(
    manifest: Manifest,
    images: Mapping[str, bytes],
    before: Mapping[str, Sequence[bytes]],
) -> dict[str, bytes]:
    """Return the files of a package by their paths.

    Args:
        manifest: the release's.
        images: its images by their names.
        before: earlier files by the name of the image, the likeliest first, for deltas.

    Raises:
        SecurityError: an image is not as the manifest says (``firmware.package.image``).
    """
    id_ = PackageId.of(manifest)
    files = {str(Place(id_)): manifest_codec.encode(manifest)}
    for image in manifest.images:
        data = check_image(image, images.get(image.name, b""))
        files[str(Place(id_, image.name))] = data
        for source in before.get(image.name, ())[:MAX_DELTAS]:
            if max(len(source), len(data)) > delta.MAX_FILE:
                continue
            patch = delta.make(source, data)
            if len(patch) < len(data):
                digest = hashlib.sha256(source).hexdigest()
                files[str(Place(id_, image.name, digest))] = patch
    return files


def list_files(files: Mapping[str, bytes]) -> tuple[TargetFile, ...]:
    """Return what targets are to say of files by their paths."""
    return tuple(
        TargetFile(path, len(data), hashlib.sha256(data).hexdigest())
        for path, data in files.items()
    )


def unpack(file: TargetFile, data: bytes, image: Attachment, installed: bytes | None) -> bytes:
    """Return the image out of the file that was fetched, full or delta.

    Args:
        file: what ``Package.least`` returned.
        data: what came.
        image: what is to come out.
        installed: the file that the device has, for a delta.

    Raises:
        SecurityError: the file or the image is another (``firmware.trust.payload``,
            ``firmware.trust.endless``, ``firmware.delta.source``, ``firmware.delta.result``,
            ``firmware.package.image``).
        DecodeError: the file is no delta (``firmware.delta.malformed``).
    """
    file.check(data)
    if Place.parse(file.path).source is not None:
        data = delta.apply(installed or b"", data, most=image.size)
    return check_image(image, data)


def check_image(image: Attachment, data: bytes) -> bytes:
    """Return ``data`` if it is the image that a manifest names.

    Raises:
        SecurityError: it is not (``firmware.package.image``).
    """
    if not image.matches(data):
        raise SecurityError(
            f"{image.name} is not the file that the manifest names", code="firmware.package.image"
        )
    return data


def _package(id_: PackageId, placed: list[tuple[Place, TargetFile]]) -> Package | None:
    files = {(place.image, place.source): file for place, file in placed}
    manifest = files.get((None, None))
    if manifest is None:
        return None
    full = {image: file for (image, source), file in files.items() if image and source is None}
    deltas = {(source, image): file for (image, source), file in files.items() if image and source}
    return Package(id_, manifest, full, deltas)


def _not_a_place(path: str) -> DecodeError:
    return DecodeError(f"not a file of a package: {path[:80]!a}", code="firmware.package.path")
