"""The manifest of a release: what a vendor says of firmware or software that it hands over.

The requirements are those of NEMA SG-AMI 1-2009 as the use cases of the upgrade management system
state them: with each version come the changes since the one before (new features, solutions of
named problems), the types of device that it fits, the types that need an earlier version first,
and a document. To these are added what an operator needs to approve and to trust a release: known
problems, expectations of the self-test, digests of the images, and a bill of materials.

``missing`` says what of it is not there; a release that lacks any of it is refused with that list.
The octets are in ``openami.firmware.manifest_codec``.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import date

    from openami.firmware.version import Version


class ReleaseKind(StrEnum):
    """What a release is for."""

    METER_IMAGE = "meter-image"
    DCU_FIRMWARE = "dcu-firmware"
    DCU_COMPONENT = "dcu-component"


class ChangeKind(StrEnum):
    """What a change is."""

    FEATURE = "feature"
    FIX = "fix"


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that is otherwise than in the version before.

    ``reference`` names the requirement or the problem report that it answers.
    """

    kind: ChangeKind
    reference: str
    text: str


@dataclass(frozen=True, slots=True)
class Problem:
    """One problem that the version is known to have."""

    reference: str
    text: str


@dataclass(frozen=True, slots=True)
class SelfTest:
    """One check of the device's own after the installation, and what it must find."""

    name: str
    expect: str


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file that comes with the manifest, named by what it is: size in octets, SHA-256 in hex."""

    name: str
    size: int
    sha256: str

    def matches(self, data: bytes) -> bool:
        """Tell whether ``data`` is this file."""
        return (len(data), sha256(data).hexdigest()) == (self.size, self.sha256)


@dataclass(frozen=True, slots=True)
class Fit:
    """A type of device, and which of the release's images it takes."""

    model: str
    hardware: str
    image: str


@dataclass(frozen=True, slots=True)
class Prerequisite:
    """A type of device on which at least ``version`` has to run before it takes this one."""

    model: str
    hardware: str
    version: Version


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a vendor says of one release.

    Args:
        kind: what it is for.
        vendor: who made it.
        name: the product; releases of one kind and name follow each other.
        version: of this release.
        counter: what devices compare against rollback; never lower than an earlier release's.
        made: the day of it.
        previous: the version that ``changes`` compares with; None: not said, or the first.
        first: there is no version before.
        fits: the types of device that it is for.
        prerequisites: the types that need an earlier version first; empty: none; None: not said.
        changes: what is otherwise than in the version before.
        problems: what it is known to get wrong; empty: nothing; None: not said.
        self_tests: what the device checks after the installation.
        images: what is installed.
        specification: the document of this version.
        sbom: its bill of materials (CycloneDX JSON).
    """

    kind: ReleaseKind
    vendor: str
    name: str
    version: Version
    counter: int
    made: date | None = None
    previous: Version | None = None
    first: bool = False
    fits: tuple[Fit, ...] = ()
    prerequisites: tuple[Prerequisite, ...] | None = None
    changes: tuple[Change, ...] = ()
    problems: tuple[Problem, ...] | None = None
    self_tests: tuple[SelfTest, ...] = ()
    images: tuple[Attachment, ...] = ()
    specification: Attachment | None = None
    sbom: Attachment | None = None

    @property
    def attachments(self) -> tuple[Attachment, ...]:
        """Every file that has to come with the manifest."""
        papers = (self.specification, self.sbom)
        return self.images + tuple(paper for paper in papers if paper is not None)

    def image_for(self, model: str, hardware: str) -> Attachment | None:
        """Return the image that a type of device takes; None: the release is not for it."""
        wanted = {fit.image for fit in self.fits if (fit.model, fit.hardware) == (model, hardware)}
        return next((image for image in self.images if image.name in wanted), None)


@dataclass(frozen=True, slots=True)
class Finding:
    """One reason against a release or an installation: a stable code, and words for a person."""

    code: str
    text: str


def missing(manifest: Manifest) -> tuple[Finding, ...]:
    """Return what a release has to say and this one does not; empty: it is complete.

    The code of each is ``firmware.manifest.missing.`` and the name of what is missing.
    """
    return tuple(
        Finding(f"firmware.manifest.missing.{name}", text)
        for name, text in (*_not_said(manifest), *_unreferenced(manifest))
    )


def _not_said(manifest: Manifest) -> Iterator[tuple[str, str]]:
    # NEMA SG-AMI 1, use case "transfer of new firmware": the first four are its least information,
    # the specification its description, the self-test the use case of that name.
    said = {
        "previous": (manifest.first or manifest.previous, "the version that it is compared with"),
        "changes": (manifest.changes, "what is otherwise than in the version before"),
        "fits": (manifest.fits, "the types of device that it fits"),
        "prerequisites": (
            manifest.prerequisites is not None,
            "the types of device that need an earlier version first, or that there are none",
        ),
        "specification": (manifest.specification, "the document of this version"),
        "self-tests": (manifest.self_tests, "what the device's self-test is to find"),
        "problems": (manifest.problems is not None, "known problems, or that there are none"),
        "images": (manifest.images, "the images with their digests"),
        "sbom": (manifest.sbom, "the bill of materials"),
        "date": (manifest.made, "the day it was made"),
    }
    for name, (value, text) in said.items():
        if not value:
            yield name, text


def _unreferenced(manifest: Manifest) -> Iterator[tuple[str, str]]:
    for number, change in enumerate(manifest.changes, 1):
        if not change.reference:
            yield "reference", f"the reference of change {number}"
    for number, problem in enumerate(manifest.problems or (), 1):
        if not problem.reference:
            yield "reference", f"the reference of known problem {number}"
