"""What the REST API takes and gives about releases."""

import json
from datetime import datetime
from typing import Annotated, Any, Self

from pydantic import Field

from openami.core.clock import utc
from openami.firmware import manifest_codec
from openami.firmware.manifest import Attachment, Finding, ReleaseKind
from openami.firmware.manifest_diff import Difference
from openami.firmware.releases import TRANSITIONS, Act, ReleaseEvent, ReleaseState
from openami.firmware.shelf import Shelved, VendorKey
from openami.headend.firmware.vendor_keys import MAX_PEM
from openami.web.api.models.common import Cursor, Model

MAX_DOCUMENT: int = 900_000  # characters of a signed document, within a request's own bound

Why = Annotated[str, Field(max_length=500, description="In words, for the audit log.")]
Signed = Annotated[
    str | None,
    Field(max_length=MAX_DOCUMENT, description="The list of files, signed by its keepers."),
]


class FindingModel(Model):
    """One reason against a release."""

    code: str = Field(examples=["firmware.manifest.missing.sbom"])
    text: str

    @classmethod
    def of(cls, finding: Finding) -> Self:
        """Return the model of a finding."""
        return cls(code=finding.code, text=finding.text)


class ReleaseEventModel(Model):
    """One step of a release: who took it, when and why."""

    act: Act
    who: str
    time: datetime
    why: str
    before: ReleaseState | None
    after: ReleaseState
    digest: str = Field(description="SHA-256 of the manifest that was acted on.")
    findings: list[FindingModel] = Field(description="Why the checks refused it.")

    @classmethod
    def of(cls, event: ReleaseEvent) -> Self:
        """Return the model of an event."""
        return cls(
            act=event.act,
            who=event.who,
            time=utc(event.when),
            why=event.why,
            before=event.before,
            after=event.after,
            digest=event.digest,
            findings=[FindingModel.of(finding) for finding in event.findings],
        )


class FileModel(Model):
    """A file that came with a release."""

    name: str
    size: int
    sha256: str

    @classmethod
    def of(cls, file: Attachment) -> Self:
        """Return the model of a file."""
        return cls(name=file.name, size=file.size, sha256=file.sha256)


class ReleaseModel(Model):
    """A release on the shelf."""

    number: int = Field(description="What it is called by.", examples=[7])
    kind: ReleaseKind
    name: str = Field(description="The product.")
    version: str
    vendor: str
    counter: int = Field(description="What devices compare against rollback.")
    state: ReleaseState
    uploader: str = Field(description="Who may not approve it.")
    uploaded: datetime
    digest: str = Field(description="SHA-256 of the manifest: what is approved.")
    next: list[Act] = Field(description="The steps that may follow.")

    @classmethod
    def of(cls, shelved: Shelved) -> Self:
        """Return the model of a release."""
        return cls(**cls.fields(shelved))

    @staticmethod
    def fields(shelved: Shelved) -> dict[str, Any]:
        """Return the fields of a release."""
        release = shelved.release
        return {
            "number": shelved.number,
            "kind": release.id.kind,
            "name": release.id.name,
            "version": str(release.id.version),
            "vendor": shelved.manifest.vendor,
            "counter": release.counter,
            "state": release.state,
            "uploader": release.uploader,
            "uploaded": utc(release.events[0].when),
            "digest": release.digest,
            "next": [act for state, act in TRANSITIONS if state is release.state],
        }


class ReleaseDetail(ReleaseModel):
    """A release with its manifest, its files, and what was done to it."""

    manifest: dict[str, Any] = Field(description="As the reference of releases says.")
    files: list[FileModel]
    events: list[ReleaseEventModel]

    @classmethod
    def of(cls, shelved: Shelved) -> Self:
        """Return the model of a release."""
        return cls(
            **cls.fields(shelved),
            manifest=json.loads(manifest_codec.encode(shelved.manifest)),
            files=[FileModel.of(file) for file in shelved.files],
            events=[ReleaseEventModel.of(event) for event in shelved.release.events],
        )


class ReleasePage(Model):
    """A page of releases."""

    items: list[ReleaseModel]
    next: Cursor


class DifferenceModel(Model):
    """One field that two manifests differ in."""

    field: str = Field(examples=["images[gw100.img].sha256"])
    before: str | None = Field(description="null: it is not there.")
    after: str | None

    @classmethod
    def of(cls, found: Difference) -> Self:
        """Return the model of a difference."""
        return cls(field=found.field, before=found.before, after=found.after)


class Word(Model):
    """Why an operator does it."""

    why: Why


class LettingOut(Model):
    """Why a release is offered, and what its keepers signed."""

    why: Why = ""
    targets: Signed = None


class Withdrawal(Model):
    """Why a release is offered no more, and what keepers signed."""

    why: Why
    targets: Signed = None


class NewVendorKey(Model):
    """A key that a vendor signs images with."""

    vendor: str = Field(max_length=120, description="Spelt as in manifests.")
    product: str = Field("", max_length=64, description="The only one; empty: all of the vendor's.")
    key: str = Field(max_length=MAX_PEM, description="The public key on P-256, in PEM.")


class VendorKeyModel(Model):
    """A key that a vendor signs images with."""

    id: str = Field(description="SHA-256 of its SubjectPublicKeyInfo, as images name it.")
    vendor: str
    product: str
    added: datetime
    who: str
    key: str = Field(description="In PEM.")

    @classmethod
    def of(cls, key: VendorKey) -> Self:
        """Return the model of a key."""
        return cls(
            id=key.id,
            vendor=key.vendor,
            product=key.product,
            added=utc(key.added),
            who=key.who,
            key=key.key.pem().decode(),
        )


class DocumentEnd(Model):
    """A document of the repository."""

    role: str = Field(examples=["timestamp"])
    version: int
    ends: datetime


class RepositoryModel(Model):
    """What devices verify packages by."""

    offline: bool = Field(description="Whether keepers elsewhere sign root and list of files.")
    documents: list[DocumentEnd] = Field(description="Empty: nothing is published yet.")
    online_keys: dict[str, str] = Field(
        description="Public keys of snapshot and timestamp, in PEM, for a root to name."
    )


class RootDraft(Model):
    """Whose signatures a root is to demand."""

    root: list[str] = Field(min_length=1, max_length=32, description="Public keys in PEM.")
    root_threshold: int = Field(1, ge=1, le=32)
    targets: list[str] = Field(min_length=1, max_length=32, description="Public keys in PEM.")
    targets_threshold: int = Field(1, ge=1, le=32)
    days: float = Field(3650, ge=1, le=36500, description="For how long it is good.")


class SignedDocuments(Model):
    """What keepers signed."""

    root: str | None = Field(None, max_length=MAX_DOCUMENT)
    targets: Signed = None
