"""What a DCU takes of DMAcc: one server, one address, one way for both ends to prove themselves.

The object has room for more. What would be taken and have no effect is refused instead, with words.

A type of proof (AAuthType, AAuthPref) names no hash: which of its schemes are used says the DCU's
own setting. No server talks a DCU down below that.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from openami.omadm.auth import AuthPolicy, AuthType, Scheme
from openami.omadm.objects.dmacc import PLACE, Level
from openami.omadm.objects.values import characters
from openami.omadm.tree.node import find

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from openami.omadm.tree.node import Node

ACCOUNT: Final = "1"
"""The node below DMAcc of the account that came by bootstrap."""
_TYPES: Final[Mapping[str, frozenset[AuthType]]] = MappingProxyType(
    {
        "HMAC": frozenset({AuthType.MAC}),
        "DIGEST": frozenset({AuthType.DIGEST_SHA256, AuthType.DIGEST}),
        "BASIC": frozenset({AuthType.BASIC}),
    }
)
_LEVELS: Final = [Level.CLIENT, Level.SERVER]


def policy_of(kind: str, allowed: AuthPolicy) -> AuthPolicy | None:
    """Return the schemes of a type (AAuthType) that are allowed; None: there is none."""
    schemes = tuple(s for s in allowed.schemes if s.type in _TYPES.get(kind, ()))
    return AuthPolicy(schemes) if schemes else None


def policy_for(kind: str, allowed: AuthPolicy) -> AuthPolicy:
    """Return how a server is spoken to by whose account an earlier setting was satisfied.

    Who installs a DCU may have raised its least since: then it is the best, as after bootstrap.
    """
    return policy_of(kind, allowed) or AuthPolicy((Scheme.MAC_SHA256,))


def objection(root: Node, allowed: AuthPolicy) -> str | None:
    """Return why a DCU could not be managed by a tree's accounts, or not as they say; None: it can.

    Args:
        root: of the tree.
        allowed: the schemes that the DCU's own settings allow.
    """
    return next(_objections(root, allowed), None)


def _objections(root: Node, allowed: AuthPolicy) -> Iterator[str]:
    place = find(root, PLACE)
    servers = {} if place is None else place.children
    if ACCOUNT not in servers:
        yield "nobody could manage this device any more"
        return
    if len(servers) > 1:
        yield f"this device has one server, that of ./DMAcc/{ACCOUNT}"
    account = servers[ACCOUNT]
    for name in ("PrefConRef", "ToConRef"):
        if name in account.children:
            yield f"{name}: this device has one connection"
    yield from _of_address(account)
    yield from _of_proofs(account, allowed)


def _of_address(account: Node) -> Iterator[str]:
    addresses = _children(account, "AppAddr")
    if len(addresses) != 1:
        yield "AppAddr: this device takes one address"
        return
    (address,) = addresses
    if characters(address, "AddrType", default="URI") != "URI":
        yield "AddrType: this device takes a URI"
    if "Port" in address.children:
        yield "Port: the port is a part of the URI"
    if not _is_https(characters(address, "Addr")):
        yield "Addr: nobody could manage this device any more: it takes https only"


def _of_proofs(account: Node, allowed: AuthPolicy) -> Iterator[str]:
    entries = _children(account, "AppAuth")
    levels = sorted(characters(entry, "AAuthLevel") for entry in entries)
    if levels != _LEVELS:
        yield "AppAuth: this device takes one CLCRED and one SRVCRED"
        return
    kinds = {characters(entry, "AAuthType") for entry in entries}
    if len(kinds) > 1:
        yield "AAuthType: both ends prove themselves in the same way here; set both in one Atomic"
        return
    (kind,) = kinds
    if kind not in _TYPES:
        yield f"AAuthType: this device knows {', '.join(_TYPES)}"
    elif policy_of(kind, allowed) is None:
        yield "AAuthType: weaker than this device's own settings allow"
    if "AAuthPref" in account.children and characters(account, "AAuthPref") != kind:
        yield "AAuthPref: this device has no credentials of that type; set AAuthType in one Atomic"


def _children(node: Node, name: str) -> tuple[Node, ...]:
    below = node.children.get(name)
    return () if below is None else tuple(below.children.values())


def _is_https(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme == "https" and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
