"""DevInfo and DevDetail: what a device is."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from openami.omadm.messages.model import Item, Location, Meta
from openami.omadm.tree.node import find
from openami.omadm.tree.uri import format_path

if TYPE_CHECKING:
    from openami.omadm.tree.tree import ManagementTree

_NAMES = {
    "device_id": "DevInfo/DevId",
    "maker": "DevInfo/Man",
    "model": "DevInfo/Mod",
    "language": "DevInfo/Lang",
    "kind": "DevDetail/DevTyp",
    "vendor": "DevDetail/OEM",
    "firmware": "DevDetail/FwV",
    "software": "DevDetail/SwV",
    "hardware": "DevDetail/HwV",
}


@dataclass(frozen=True, slots=True)
class DeviceFacts:
    """What a device says of itself; ``device_id`` is a URN."""

    device_id: str
    maker: str
    model: str
    kind: str
    vendor: str
    firmware: str
    software: str
    hardware: str
    language: str = "en"


def bind_facts(tree: ManagementTree, facts: DeviceFacts) -> None:
    """Let DevInfo and DevDetail tell these facts, and the tree's own limits."""
    told = {_NAMES[field.name]: getattr(facts, field.name) for field in fields(facts)}
    limits = tree.limits.uri
    told["DevDetail/URI/MaxDepth"] = str(limits.depth)
    told["DevDetail/URI/MaxTotLen"] = str(limits.total)
    told["DevDetail/URI/MaxSegLen"] = str(limits.segment)
    for address, value in told.items():
        tree.bind(address, lambda value=value: value)  # type: ignore[misc]  # binds it now


def device_info(tree: ManagementTree) -> tuple[Item, ...]:
    """Return the items of the Replace that begins a session (package 1)."""
    node = find(tree.root, ("DevInfo",))
    leaves = [] if node is None else [name for name, n in node.children.items() if not n.interior]
    addresses = [format_path(("DevInfo", name)) for name in sorted(leaves)]
    return tuple(
        Item(
            source=Location(address),
            meta=Meta(format="chr", type="text/plain"),
            data=tree.text(address),
        )
        for address in addresses
    )
