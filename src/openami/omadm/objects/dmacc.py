"""DMAcc: the accounts of servers (``urn:oma:mo:oma-dm-dmacc:1.0``)."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from openami.omadm.objects.values import between, characters, one_of
from openami.omadm.tree.acl import Acl, Verb
from openami.omadm.tree.node import Format, Node, find

if TYPE_CHECKING:
    from collections.abc import Mapping

    from openami.omadm.tree.draft import Draft
    from openami.omadm.tree.schema import Check

URN: Final = "urn:oma:mo:oma-dm-dmacc:1.0"
PLACE: Final = ("DMAcc",)
APP_ID: Final = "w7"


class Level(StrEnum):
    """Who proves itself with credentials (AAuthLevel)."""

    CLIENT = "CLCRED"
    SERVER = "SRVCRED"
    OBEX = "OBEX"
    HTTP = "HTTP"


_TYPES: Final = ("BASIC", "DIGEST", "HMAC", "X509", "TRANSPORT", "HTTP-BASIC", "HTTP-DIGEST")


def _is_app(value: str) -> None:
    if value != APP_ID:
        raise ValueError(f"the value is {APP_ID}")


def _is_port(value: str) -> None:
    if not (value.isascii() and value.isdecimal() and len(value) <= 5):
        raise ValueError("the value is a port")
    between(1, 65535)(value)


CHECKS: Final[Mapping[str, Check]] = MappingProxyType(
    {
        "<X>/AppID": _is_app,
        "<X>/AppAddr/<X>/AddrType": one_of("URI", "IPv4", "IPv6"),
        "<X>/AppAddr/<X>/Port/<X>/PortNbr": _is_port,
        "<X>/AppAuth/<X>/AAuthLevel": one_of(*Level),
        "<X>/AppAuth/<X>/AAuthType": one_of(*_TYPES),
    }
)


@dataclass(frozen=True, slots=True)
class AppAuth:
    """One set of credentials; ``data`` is the next nonce."""

    level: Level
    type: str
    name: str = ""
    secret: str = field(default="", repr=False)
    data: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class DmAcc:
    """One account.

    Attributes:
        server_id: the one that ACLs name.
        address: the server's URL.
        name: for a person.
        preferred: the way to authenticate that the client should use (AAuthPref).
        auth: credentials.
    """

    server_id: str
    address: str
    name: str = ""
    preferred: str = ""
    auth: tuple[AppAuth, ...] = ()

    def to_node(self) -> Node:
        """Return the account as it stands below DMAcc, in the hands of its own server.

        OMA-TS-DM_Bootstrap 1.2, clause 5.4: the server gets Get, Replace and Delete.
        """
        names = {"Name": self.name, "AAuthPref": self.preferred}
        children = {
            "AppID": _leaf(APP_ID),
            "ServerID": _leaf(self.server_id),
            **{name: _leaf(value) for name, value in names.items() if value},
            "AppAddr": _below({"1": {"Addr": self.address, "AddrType": "URI"}}),
        }
        if self.auth:
            entries = {str(number): _auth(entry) for number, entry in enumerate(self.auth, 1)}
            children["AppAuth"] = Node(Format.NODE, children=entries)
        acl = Acl().grant(self.server_id, Verb.GET, Verb.REPLACE, Verb.DELETE)
        return Node(Format.NODE, type=URN, acl=acl, children=children)

    @classmethod
    def read(cls, node: Node) -> DmAcc:
        """Return one account of the tree."""
        address = next(iter(_children(node, "AppAddr")), None)
        return cls(
            characters(node, "ServerID"),
            characters(address, "Addr"),
            characters(node, "Name"),
            characters(node, "AAuthPref"),
            tuple(_credentials(entry) for entry in _children(node, "AppAuth")),
        )


def accounts(root: Node) -> Mapping[str, DmAcc]:
    """Return the accounts of a tree by their nodes' names."""
    place = find(root, PLACE)
    children = {} if place is None else place.children
    return {name: DmAcc.read(node) for name, node in sorted(children.items())}


def put_account(draft: Draft, name: str, account: DmAcc) -> None:
    """Put an account in the tree, in place of the one of the same node.

    Raises:
        TreeRefusedError: a value is none that the object allows.
    """
    path = (*PLACE, name)
    if find(draft.root, path) is not None:
        draft.remove(path)
    draft.add(path, account.to_node())


def _children(node: Node, name: str) -> tuple[Node, ...]:
    below = node.children.get(name)
    return () if below is None else tuple(child for _, child in sorted(below.children.items()))


def _leaf(value: str) -> Node:
    return Node(Format.CHR, value)


def _below(entries: Mapping[str, Mapping[str, str]]) -> Node:
    nodes = {
        name: Node(Format.NODE, children={leaf: _leaf(value) for leaf, value in entry.items()})
        for name, entry in entries.items()
    }
    return Node(Format.NODE, children=nodes)


def _auth(entry: AppAuth) -> Node:
    leaves = {
        "AAuthLevel": entry.level.value,
        "AAuthType": entry.type,
        "AAuthName": entry.name,
        "AAuthSecret": entry.secret,
    }
    children = {name: _leaf(value) for name, value in leaves.items() if value}
    if entry.data:
        children["AAuthData"] = Node(Format.BIN, entry.data)
    return Node(Format.NODE, children=children)


def _credentials(node: Node) -> AppAuth:
    data = node.children.get("AAuthData")
    return AppAuth(
        Level(characters(node, "AAuthLevel", default=Level.CLIENT)),
        characters(node, "AAuthType"),
        characters(node, "AAuthName"),
        characters(node, "AAuthSecret"),
        data.value if data is not None and isinstance(data.value, bytes) else b"",
    )
