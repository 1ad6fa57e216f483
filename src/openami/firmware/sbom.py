"""The bill of materials of a release: whether a file is one, in CycloneDX's JSON."""

from __future__ import annotations

import json
from typing import Final

MAX_SIZE: Final = 16 << 20  # octets: twenty thousand components

_VERSIONS: Final = ("1.4", "1.5", "1.6", "1.7")  # what tools write; 1.6 is ECMA-424


def problem(data: bytes) -> str | None:
    """Return what keeps ``data`` from being a bill of materials; None: nothing."""
    if len(data) > MAX_SIZE:
        return f"more than {MAX_SIZE} octets"
    try:
        bom = json.loads(data)
    except (ValueError, RecursionError):
        return "not JSON"
    if not isinstance(bom, dict) or bom.get("bomFormat") != "CycloneDX":
        return "not CycloneDX"
    if bom.get("specVersion") not in _VERSIONS:
        return f"CycloneDX of another version than {', '.join(_VERSIONS)}"
    about = bom.get("metadata")
    itself = isinstance(about, dict) and about.get("component")
    return None if itself or bom.get("components") else "it names no component"
