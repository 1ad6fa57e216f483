"""What devices answer, as values: nodes of their trees, results of tasks, ends of operations."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Final

from openami.core.errors import OpenAmiError
from openami.fleet.desired import INTERIOR, MAX_URI, KnownNode, is_secret
from openami.fleet.known import succeeded
from openami.fleet.tasks import MAX_RESULT, MAX_RESULTS, Command, Result
from openami.omadm.codes import Status
from openami.omadm.limits import DEFAULT_LIMITS
from openami.omadm.messages.model import Meta
from openami.omadm.tree.documents import is_subtree, subtree_of
from openami.omadm.tree.node import Format
from openami.omadm.tree.tnds import read_tnds
from openami.omadm.tree.uri import UriLimits, format_path, parse_path

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from openami.omadm.messages.model import Alert, Item
    from openami.omadm.session.events import OrderDone
    from openami.omadm.tree.node import Value

MAX_NODES: Final = 4096
"""Nodes of one device that are kept; a tree of 500 meters and the standard objects has 3,000."""
TREE_CHANGED: Final = "urn:openami:alert:tree-changed"
_PREFIX: Final = "Reversed-Domain-Name:"
_ITEMS: Final = 4  # of an alert: the result, its cause, and what makers add
# What says that an operation went well: these and no mark at all (DM Protocol 1.2, clause 8.7).
_HARMLESS: Final = frozenset({None, "", "informational", "harmless"})
_LIMITS: Final = UriLimits()
_FORMATS: Final = frozenset(form.value for form in Format)


def nodes_of(items: Iterable[Item]) -> Iterator[KnownNode]:
    """Yield the nodes that items tell, those of documents among them; passwords are left out.

    Raises:
        OpenAmiError: an item holds what is no document.
    """
    for item in items:
        for node in _nodes(item):
            if len(node.uri) <= MAX_URI and not is_secret(node.uri):
                yield node


def _nodes(item: Item) -> Iterator[KnownNode]:
    meta, address = item.meta or Meta(), item.source.uri if item.source else ""
    if meta.type is not None and is_subtree(meta.type):
        document = subtree_of(item, meta.format, meta.type, DEFAULT_LIMITS)
        above, name, top = read_tnds(document, _LIMITS)
        path = parse_path(address.partition("?")[0], _LIMITS) if above is None else (*above, name)
        for below, node in top.walk(path):
            value = "" if node.interior else _text(node.value)
            yield KnownNode(format_path(below), node.format.value, value, str(node.acl))
        return
    form = meta.format if meta.format in _FORMATS else Format.CHR
    data = item.data if isinstance(item.data, str | bytes) else ""
    yield KnownNode(address, str(Format.BIN if form == Format.B64 else form), _text(data))


def _text(value: Value) -> str:
    text = base64.b64encode(value).decode() if isinstance(value, bytes) else value
    return text if len(text) <= MAX_RESULT else f"{text[: MAX_RESULT - 1]}…"


def found_nodes(done: OrderDone, top: str) -> tuple[KnownNode, ...]:
    """Return what a look below ``top`` has found.

    Raises:
        OpenAmiError: a document is none.
    """
    found = {
        node.uri: node
        for node in nodes_of(done.items)
        if node.uri == top or node.uri.startswith(f"{top}/")
    }
    return tuple(found.values())[:MAX_NODES]


def results_of_get(done: OrderDone, commands: Sequence[Command]) -> tuple[Result, ...]:
    """Return what a Get has found, and what of it was refused."""
    wrong = [
        Result(uri, status)
        for uri, status in statuses(done, commands).items()
        if not succeeded(status)
    ]
    try:
        nodes = list(nodes_of(done.items))
    except OpenAmiError as error:
        uri = commands[0].uri
        return (Result(uri, Status.UNSUPPORTED_FORMAT, "chr", error.message[:MAX_RESULT]), *wrong)
    found = [Result(node.uri, Status.OK, node.format, node.value) for node in nodes]
    return tuple([*found, *wrong][:MAX_RESULTS])


def results_of_set(done: OrderDone, commands: Sequence[Command]) -> tuple[Result, ...]:
    """Return what became of each node that was set or executed."""
    told = statuses(done, commands)
    words = words_of(done, [command.uri for command in commands])
    return tuple(
        Result(
            command.uri,
            told.get(command.uri, done.status),
            "chr" if command.uri in words else "",
            words.get(command.uri),
        )
        for command in commands
    )


def statuses(done: OrderDone, commands: Sequence[Command]) -> Mapping[str, int]:
    """Return the status of every node that was told of.

    A device may leave out the target where there is but one.
    """
    only = commands[0].uri if len(commands) == 1 else None
    found = {part.target or only: part.status for part in done.parts}
    return {uri: status for uri, status in found.items() if uri is not None}


def words_of(done: OrderDone, uris: Sequence[str]) -> Mapping[str, str]:
    """Return what a device said of what it refused (RepPro 1.2, clause 5.5.16), by address.

    What it said of all together is said of each.
    """
    told = {
        part.target or uris[0]: part.items[0].data
        for part in done.parts
        if part.items and (part.target or len(uris) == 1)
    }
    of_all = [item.data for item in done.items if item.source is None and not told]
    found = {**dict.fromkeys(uris, next(iter(of_all), None)), **told}
    return {uri: data[:MAX_RESULT] for uri, data in found.items() if isinstance(data, str)}


def facts_of(info: Mapping[str, str]) -> tuple[KnownNode, ...]:
    """Return the nodes of DevInfo that began a session."""
    top = "./DevInfo"
    leaves = [
        KnownNode(uri, "chr", _text(value))
        for uri, value in info.items()
        if uri.startswith(f"{top}/") and len(uri) <= MAX_URI
    ]
    return (KnownNode(top, INTERIOR), *leaves[:MAX_RESULTS])


def kinds_of(alert: Alert) -> frozenset[str]:
    """Return the types of a generic alert, without the prefix that some devices give them."""
    types = [item.meta.type for item in alert.items if item.meta and item.meta.type]
    return frozenset(kind.removeprefix(_PREFIX).strip() for kind in types)


def conclusion_of(alert: Alert) -> Result:
    """Return how an operation has ended that an alert tells of: a code, or good and bad.

    What further items say, such as the cause, stands behind the first.
    """
    item = alert.items[0] if alert.items else None
    meta = (item.meta if item else None) or Meta()
    data = _text(item.data) if item and isinstance(item.data, str | bytes) else ""
    why = [one.data for one in alert.items[1:_ITEMS] if isinstance(one.data, str)]
    uri = item.source.uri if item and item.source else ""
    good = meta.mark in _HARMLESS
    status = int(Status.OK if good else Status.COMMAND_FAILED)
    code = data.partition(" ")[0]
    if code.isascii() and code.isdecimal() and len(code) == 3:
        status = int(code)
    form = meta.format or "chr" if not why else "chr"
    return Result(uri[:MAX_URI], status, form, _text(" ".join((data, *why))))
