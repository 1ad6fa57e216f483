"""What differs between two manifests, in parts and lines that are read at a glance."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from openami.firmware.manifest_diff import Difference

# A field, or of an item of a list: ``images[gw100.img].sha256``, ``sbom.size``, ``version``.
_FIELD: Final = re.compile(r"(\w+)(?:\[(.*)\])?(?:\.(\w+))?", re.DOTALL)
_NONE: Final = "none"  # a list that is said to be empty
DIGITS: Final = 16  # of a digest: as many as two that differ need
SHA256: Final = "sha256"
_RELEASE: Final = "Release"
# the parts, in the order of the page, by the field that is in them
PARTS: Final[Mapping[str, str]] = {
    "version": _RELEASE,
    "fits": "Fits",
    "prerequisites": "Needs first",
    "changes": "Changes that it lists",
    "problems": "Known problems",
    "self_tests": "Self-test",
    "images": "Images",
    "specification": "Documents",
    "sbom": "Documents",
}


@dataclass(frozen=True, slots=True)
class Line:
    """One thing that differs.

    Attributes:
        kind: ``new``, ``gone`` or ``changed``.
        tone: of a badge that says so.
    """

    what: str
    before: str | None
    after: str | None

    @property
    def kind(self) -> str:
        if self.before is None:
            return "new"
        return "gone" if self.after is None else "changed"

    @property
    def tone(self) -> str:
        return {"new": "good", "gone": "idle", "changed": "warn"}[self.kind]


@dataclass(frozen=True, slots=True)
class Part:
    """Lines that belong together."""

    title: str
    lines: tuple[Line, ...]


def parts_of(found: Iterable[Difference]) -> tuple[Part, ...]:
    """Return differences by the parts of a manifest, the fields of an item in one line."""
    lines: dict[str, dict[str, list[tuple[str, Difference]]]] = {}
    for each in found:
        name, item, field = _split(each.field)
        title = PARTS.get(name, _RELEASE)
        lines.setdefault(title, {}).setdefault(item, []).append((field, each))
    titles = [title for title in dict.fromkeys(PARTS.values()) if title in lines]
    return tuple(Part(title, tuple(_lines(lines[title]))) for title in titles)


def _split(field: str) -> tuple[str, str, str]:
    """Return the list or object that a field is of, which item, and what of that."""
    found = _FIELD.fullmatch(field)
    if found is None:
        return field, field, ""
    name, item, part = found.groups()
    return name, item or name.replace("_", " "), part or ""


def _lines(items: Mapping[str, Sequence[tuple[str, Difference]]]) -> Iterable[Line]:
    for item, fields in items.items():
        before = _words((field, each.before) for field, each in fields)
        after = _words((field, each.after) for field, each in fields)
        # That a list was or is empty goes without saying beside what it has or had.
        if not (len(items) > 1 and {before, after} == {_NONE, None}):
            yield Line(item, before, after)


def _words(fields: Iterable[tuple[str, str | None]]) -> str | None:
    said = [(field, value) for field, value in fields if value is not None]
    if len(said) == 1:
        return _short(*said[0])
    return "\n".join(f"{field}: {_short(field, value)}" for field, value in said) or None


def _short(field: str, value: str) -> str:
    return f"{value[:DIGITS]}…" if field == SHA256 else value
