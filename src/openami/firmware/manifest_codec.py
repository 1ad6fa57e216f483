"""The octets of a manifest: JSON of schema 1, one canonical form, any spelling taken.

What a vendor writes by hand may have spaces and any order of names; ``encode`` gives the one form
that is digested, signed and compared.
"""

from __future__ import annotations

from datetime import date
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

from openami.core.errors import DecodeError
from openami.firmware import documents
from openami.firmware.documents import Fields, check_sha256, check_text, check_token
from openami.firmware.image import HARDWARE_NAME
from openami.firmware.manifest import (
    Attachment,
    Change,
    ChangeKind,
    Fit,
    Manifest,
    Prerequisite,
    Problem,
    ReleaseKind,
    SelfTest,
)
from openami.firmware.version import Version

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

T = TypeVar("T")

SCHEMA: Final = 1
CODE: Final = "firmware.manifest.malformed"

MAX_SIZE: Final = 256 * 1024
"""Octets. A thousand changes of a line each are 100 KiB; a DCU keeps it whole in memory."""

MAX_ITEMS: Final = 1024  # of each list: no product line that we know has so many variants
MAX_IMAGES: Final = 32  # one for each build of a product line
MAX_IMAGE_SIZE: Final = 1 << 30  # octets: a DCU's whole file system, packed
MAX_COUNTER: Final = 0xFFFF_FFFF  # MCUboot's security counter (TLV 0x50) has 32 bits

_NO_VERSION: Final = "none"

_TOKEN: Final = check_token
_NAME: Final = partial(check_text, most=120)
_TEXT: Final = partial(check_text, most=4000, lines=True)


def version_of(text: str) -> Version:
    """Return the version that ``text`` is the one form of.

    Raises:
        ValueError: it is not.
    """
    try:
        version = Version.parse(text)
    except DecodeError as error:
        raise ValueError(error.reason) from None
    if str(version) != text:
        raise ValueError(f"a version without needless digits: {version}")
    return version


def _type(text: str) -> str:
    """Take a model or a hardware as an image's own entry names it."""
    if not HARDWARE_NAME.fullmatch(text):
        raise ValueError("1 to 64 characters of ASCII, no space at either end")
    return text


def _reference(text: str) -> str:
    return text and _NAME(text)  # an empty one is missing, not malformed


def decode(data: bytes) -> Manifest:
    """Return the manifest that ``data`` is; what is missing in it, ``missing`` says.

    Raises:
        DecodeError: it is not a manifest of schema 1 (``firmware.manifest.malformed``).
    """
    fields = documents.parse(data, most=MAX_SIZE, code=CODE)
    fields.whole("schema", least=SCHEMA, most=SCHEMA)
    previous = _optional(fields, "previous", lambda name: fields.text(name, _previous))
    manifest = Manifest(
        kind=fields.text("kind", ReleaseKind),
        vendor=fields.text("vendor", _NAME),
        name=fields.text("name", _TOKEN),
        version=fields.text("version", version_of),
        counter=fields.whole("counter", most=MAX_COUNTER),
        made=_optional(fields, "date", lambda name: fields.text(name, _day)),
        previous=previous if isinstance(previous, Version) else None,
        first=previous == _NO_VERSION,
        fits=_several(fields, "fits", _fit) or (),
        prerequisites=_several(fields, "prerequisites", _prerequisite),
        changes=_several(fields, "changes", _change) or (),
        problems=_several(fields, "problems", _problem),
        self_tests=_several(fields, "self_tests", _self_test) or (),
        images=_several(fields, "images", _attachment, most=MAX_IMAGES) or (),
        specification=_paper(fields, "specification"),
        sbom=_paper(fields, "sbom"),
    )
    fields.finish()
    _check_names(fields, manifest)
    return manifest


def encode(manifest: Manifest) -> bytes:
    """Return the canonical octets of a manifest; ``decode`` gives the same manifest back."""
    papers = {"specification": manifest.specification, "sbom": manifest.sbom}
    said: dict[str, object | None] = {
        "schema": SCHEMA,
        "kind": manifest.kind,
        "vendor": manifest.vendor,
        "name": manifest.name,
        "version": str(manifest.version),
        "counter": manifest.counter,
        "date": manifest.made and manifest.made.isoformat(),
        "previous": _NO_VERSION if manifest.first else _str_of(manifest.previous),
        "fits": _objects(manifest.fits) or None,
        "prerequisites": _objects(manifest.prerequisites),
        "changes": _objects(manifest.changes) or None,
        "problems": _objects(manifest.problems),
        "self_tests": _objects(manifest.self_tests) or None,
        "images": _objects(manifest.images) or None,
        **{name: paper and _object(paper) for name, paper in papers.items()},
    }
    return documents.canonical({name: value for name, value in said.items() if value is not None})


def _optional(fields: Fields, name: str, take: Callable[[str], T]) -> T | None:
    return take(name) if fields.has(name) else None


def _several(
    fields: Fields, name: str, take: Callable[[Fields], T], *, most: int = MAX_ITEMS
) -> tuple[T, ...] | None:
    if not fields.has(name):
        return None
    return tuple(_whole(item, take) for item in fields.items(name, most=most))


def _whole(fields: Fields, take: Callable[[Fields], T]) -> T:
    value = take(fields)
    fields.finish()
    return value


def _paper(fields: Fields, name: str) -> Attachment | None:
    return _optional(fields, name, lambda name: _whole(fields.object(name), _attachment))


def _attachment(fields: Fields) -> Attachment:
    return Attachment(
        fields.text("name", _TOKEN),
        fields.whole("size", least=1, most=MAX_IMAGE_SIZE),
        fields.text("sha256", check_sha256),
    )


def _fit(fields: Fields) -> Fit:
    model, hardware = fields.text("model", _type), fields.text("hardware", _type)
    return Fit(model, hardware, fields.text("image", _TOKEN))


def _prerequisite(fields: Fields) -> Prerequisite:
    return Prerequisite(
        fields.text("model", _type),
        fields.text("hardware", _type),
        fields.text("version", version_of),
    )


def _change(fields: Fields) -> Change:
    kind = fields.text("kind", ChangeKind)
    return Change(kind, fields.text("reference", _reference), fields.text("text", _TEXT))


def _problem(fields: Fields) -> Problem:
    return Problem(fields.text("reference", _reference), fields.text("text", _TEXT))


def _self_test(fields: Fields) -> SelfTest:
    return SelfTest(fields.text("name", _TOKEN), fields.text("expect", _TEXT))


def _previous(text: str) -> Version | str:
    return text if text == _NO_VERSION else version_of(text)


def _day(text: str) -> date:
    day = date.fromisoformat(text)
    if day.isoformat() != text:
        raise ValueError("a day such as 2026-11-21")
    return day


def _check_names(fields: Fields, manifest: Manifest) -> None:
    """Refuse files and types that stand twice: which of them holds would be a guess."""
    _once(fields, "a name of a file", (one.name for one in manifest.attachments))
    _once(fields, "fits: a type", ((fit.model, fit.hardware) for fit in manifest.fits))
    needs = ((need.model, need.hardware) for need in manifest.prerequisites or ())
    _once(fields, "prerequisites: a type", needs)
    images = {image.name for image in manifest.images}
    if any(fit.image not in images for fit in manifest.fits):
        raise fields.error("fits", "an image that is in the list of images")


def _once(fields: Fields, what: str, values: Iterable[object]) -> None:
    found = list(values)
    if len(set(found)) != len(found):
        raise fields.error("", f"{what} only once")


def _objects(values: tuple[Any, ...] | None) -> list[object] | None:
    return None if values is None else [_object(value) for value in values]


def _object(value: Any) -> dict[str, object]:
    """Return a small record as an object: its fields are texts, numbers and versions."""
    return {name: _plain(getattr(value, name)) for name in value.__slots__}


def _plain(value: object) -> object:
    return str(value) if isinstance(value, Version) else value


def _str_of(version: Version | None) -> str | None:
    return None if version is None else str(version)
