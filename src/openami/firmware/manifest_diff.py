"""What one manifest says otherwise than another, field by field."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from openami.firmware import manifest_codec

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from openami.firmware.manifest import Manifest

# By which of its fields an object of a list is the same one in both manifests.
_NAMED_BY: Final[Mapping[str, tuple[str, ...]]] = {
    "fits": ("model", "hardware"),
    "prerequisites": ("model", "hardware"),
    "changes": ("kind", "reference"),
    "problems": ("reference",),
    "self_tests": ("name",),
    "images": ("name",),
}


@dataclass(frozen=True, slots=True)
class Difference:
    """One field that differs; None where a manifest does not have it."""

    field: str
    before: str | None
    after: str | None


def differences(before: Manifest, after: Manifest) -> tuple[Difference, ...]:
    """Return what differs, by the names of the fields; empty: nothing."""
    old, new = dict(_said(before)), dict(_said(after))
    return tuple(
        Difference(name, old.get(name), new.get(name))
        for name in sorted({*old, *new})
        if old.get(name) != new.get(name)
    )


def _said(manifest: Manifest) -> Iterator[tuple[str, str]]:
    for name, value in json.loads(manifest_codec.encode(manifest)).items():
        if name not in _NAMED_BY:
            yield from _fields(name, value)
            continue
        if not value:
            yield name, "none"
        yield from _items(name, value)


def _items(name: str, items: list[dict[str, Any]]) -> Iterator[tuple[str, str]]:
    """Yield the fields of each object; those of one name, as changes may have, are counted."""
    seen: dict[str, int] = {}
    for item in items:
        key = " ".join(item[part] for part in _NAMED_BY[name])
        seen[key] = seen.get(key, 0) + 1
        which = key if seen[key] == 1 else f"{key} #{seen[key]}"
        rest = {part: value for part, value in item.items() if part not in _NAMED_BY[name]}
        for part, value in rest.items():
            yield f"{name}[{which}].{part}", str(value)


def _fields(name: str, value: object) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for part, inner in value.items():
            yield f"{name}.{part}", str(inner)
    else:
        yield name, str(value)
