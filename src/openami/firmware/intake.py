"""The checks of a release that was taken in: every reason against it, in one list."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from openami.core.errors import DecodeError, SecurityError
from openami.firmware import sbom
from openami.firmware.component import Component
from openami.firmware.image import Image
from openami.firmware.manifest import Finding, ReleaseKind, missing
from openami.firmware.packages import PackageId
from openami.firmware.releases import ReleaseState, counter_floor, too_low
from openami.firmware.verify import check_signature

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from openami.firmware.keys import ImageKey
    from openami.firmware.manifest import Fit, Manifest
    from openami.firmware.releases import Release

ITSELF: Final = 0  # the number by which an image's dependency names the image itself


def check(
    manifest: Manifest,
    files: Mapping[str, bytes],
    others: Iterable[Release],
    keys: Iterable[ImageKey],
) -> tuple[Finding, ...]:
    """Return every reason against a release that was taken in; empty: it may be verified.

    Args:
        manifest: the release's.
        files: what came with it, by name.
        others: the releases that there are of the product, but for this one.
        keys: those that the meters of the product take images by.
    """
    others = tuple(others)
    id_ = PackageId.of(manifest)
    return (
        *missing(manifest),
        *_file_findings(manifest, files),
        *_sbom_findings(manifest, files),
        *_image_findings(manifest, files, tuple(keys)),
        *_counter_findings(manifest, counter_floor(others, id_)),
        *_version_findings(id_, others),
    )


def _file_findings(manifest: Manifest, files: Mapping[str, bytes]) -> Iterator[Finding]:
    for attachment in manifest.attachments:
        data = files.get(attachment.name)
        if data is None:
            yield Finding("firmware.release.file-missing", f"{attachment.name} did not come")
        elif not attachment.matches(data):
            text = f"{attachment.name} is not the file that the manifest names"
            yield Finding("firmware.release.file-differs", text)
    named = {attachment.name for attachment in manifest.attachments}
    for name in sorted(set(files) - named):
        yield Finding("firmware.release.file-unknown", f"the manifest does not name {name[:80]!a}")


def _sbom_findings(manifest: Manifest, files: Mapping[str, bytes]) -> Iterator[Finding]:
    if manifest.sbom is None or manifest.sbom.name not in files:
        return
    problem = sbom.problem(files[manifest.sbom.name])
    if problem is not None:
        yield Finding("firmware.release.sbom", f"{manifest.sbom.name}: {problem}")


def _image_findings(
    manifest: Manifest, files: Mapping[str, bytes], keys: tuple[ImageKey, ...]
) -> Iterator[Finding]:
    """Find where a meter would refuse an image, or where it is another than the manifest says."""
    for attachment in manifest.images:
        if manifest.kind is ReleaseKind.DCU_COMPONENT and attachment.name in files:
            yield from _component_findings(manifest, attachment.name, files[attachment.name])
        if manifest.kind is not ReleaseKind.METER_IMAGE or attachment.name not in files:
            continue
        try:
            image = Image.decode(files[attachment.name])
            check_signature(image, keys)
        except (DecodeError, SecurityError) as error:
            yield Finding(error.code, f"{attachment.name}: {error.message}")
        else:
            fits = [fit for fit in manifest.fits if fit.image == attachment.name]
            for text in _contradictions(manifest, fits, image):
                yield Finding("firmware.release.image", f"{attachment.name}: {text}")


def _component_findings(manifest: Manifest, name: str, data: bytes) -> Iterator[Finding]:
    """Find where a DCU would refuse a component, or where it is another than the manifest says."""
    try:
        component = Component.decode(data)
    except DecodeError as error:
        yield Finding(error.code, f"{name}: {error.message}")
        return
    said = (component.name, component.version)
    if said != (manifest.name, manifest.version):
        text = f"{name}: it is {component.name} {component.version}"
        yield Finding("firmware.release.image", text)


def _contradictions(manifest: Manifest, fits: Sequence[Fit], image: Image) -> Iterator[str]:
    if image.version != manifest.version:
        yield f"it is of version {image.version}"
    if image.counter != manifest.counter:
        yield f"its security counter is {image.counter}"
    for hardware in sorted({fit.hardware for fit in fits} - set(image.hardware)):
        yield f"it is not for the hardware {hardware}"
    needed = max((one.version for one in image.dependencies if one.image == ITSELF), default=None)
    said = {(need.model, need.hardware): need.version for need in manifest.prerequisites or ()}
    for fit in fits:
        first = said.get((fit.model, fit.hardware))
        if needed is not None and (first is None or first < needed):
            type_ = f"{fit.model} {fit.hardware}"
            yield f"{type_} needs {needed} first, which the manifest does not say"


def _counter_findings(manifest: Manifest, floor: int) -> Iterator[Finding]:
    if manifest.counter < floor:
        yield Finding("firmware.release.counter", too_low(manifest.counter, floor))


def _version_findings(id_: PackageId, others: Iterable[Release]) -> Iterator[Finding]:
    # What was only uploaded takes no version: else two that came at once would refuse each other.
    free = {ReleaseState.UPLOADED, ReleaseState.REFUSED}
    if any(one.id == id_ and one.state not in free for one in others):
        yield Finding("firmware.release.version", f"there is a release {id_} already")
