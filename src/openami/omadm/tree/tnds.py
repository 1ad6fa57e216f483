"""Subtrees as documents: TNDS both ways (OMA-TS-DM_TND 1.2, clause 9; DDF 1.2's MgmtTree)."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from openami.core.errors import DecodeError
from openami.omadm.codes import Status
from openami.omadm.element import Element, Page
from openami.omadm.tree.acl import NO_ACL, Acl
from openami.omadm.tree.node import Format, Node, Value, size, timestamp
from openami.omadm.tree.refusal import TreeRefusedError
from openami.omadm.tree.schema import elements, text_of
from openami.omadm.tree.uri import VALUE, Path, Property, format_path, parse_path

if TYPE_CHECKING:
    from openami.omadm.tree.uri import UriLimits

MEDIA_TYPE: Final = "application/vnd.syncml.dmtnds"
Visible = Callable[[Path, Node], bool]
Live = Callable[[Path, Node], Value]


def _element(name: str, content: tuple[Element, ...] | str = ()) -> Element:
    return Element(Page.DDF, name, content or ())


def write_tnds(
    path: Path, node: Node, *, parts: frozenset[str], visible: Visible, live: Live
) -> Element:
    """Return the document of a node and all below it that is ``visible``.

    Args:
        path: of the node.
        node: the top of the subtree.
        parts: the properties to tell, ``Value`` among them.
        visible: whether a node, with what is below it, is told.
        live: gives the value of a leaf.
    """
    above = format_path(path[:-1])
    top = _written(path, node, parts, visible, live)
    content = elements(top)
    # The name of the top node is followed by where it stands (clause 9.3: Path).
    placed = _element("Node", (content[0], _element("Path", above), *content[1:]))
    return _element("MgmtTree", (_element("VerDTD", "1.2"), placed if path else top))


def _written(
    path: Path, node: Node, parts: frozenset[str], visible: Visible, live: Live
) -> Element:
    name = _element("NodeName", path[-1] if path else ".")
    content = [name, *_properties(path, node, parts)]
    if node.interior:
        content += [
            _written((*path, child), below, parts, visible, live)
            for child, below in sorted(node.children.items())
            if visible((*path, child), below)
        ]
    elif VALUE in parts:
        content.append(_element(VALUE, _text(live(path, node))))
    return _element("Node", tuple(content))


def _text(value: Value) -> str:
    return base64.b64encode(value).decode() if isinstance(value, bytes) else value


def _properties(path: Path, node: Node, parts: frozenset[str]) -> tuple[Element, ...]:
    told = tuple(
        _element(name.value, content)
        for name, tell in _TOLD.items()
        if name in parts and (content := tell(path, node))
    )
    return (_element("RTProperties", told),) if told else ()


def _told_type(_path: Path, node: Node) -> tuple[Element, ...]:
    # It is told although it may be empty (clause 9.4.2.7: DDFName of an interior node).
    return (_element("DDFName" if node.interior else "MIME", node.type),)


_TOLD: Final[Mapping[Property, Callable[[Path, Node], tuple[Element, ...] | str]]] = (
    MappingProxyType(
        {
            Property.ACL: lambda _path, node: str(node.acl),
            Property.FORMAT: lambda _path, node: (_element(node.format.value),),
            Property.NAME: lambda path, _node: path[-1] if path else ".",
            Property.SIZE: lambda _path, node: "" if node.interior else str(size(node.value)),
            Property.TITLE: lambda _path, node: node.title,
            Property.TSTAMP: lambda _path, node: timestamp(node.changed),
            Property.TYPE: _told_type,
            Property.VERNO: lambda _path, node: str(node.version),
        }
    )
)


def read_tnds(document: Element, limits: UriLimits) -> tuple[Path | None, str, Node]:
    """Read a document of one subtree.

    Returns:
        the path above it, None where the document does not say; its name; and the subtree.

    Raises:
        DecodeError: it is no TNDS document, or deeper than a path may be.
        TreeRefusedError: 415, a value is not of its format.
    """
    nodes = [element for element in elements(document) if element.name == "Node"]
    if document.name != "MgmtTree" or len(nodes) != 1:
        raise DecodeError("a TNDS document of one subtree is a MgmtTree with one Node")
    name, node = _read(nodes[0], limits.depth)
    above = _part(nodes[0], "Path")
    if above is None:
        return None, name, node
    return parse_path(text_of(above), limits), name, node


def _part(element: Element, name: str) -> Element | None:
    found = [part for part in elements(element) if part.name == name]
    if len(found) > 1:
        raise DecodeError(f"a Node has one {name}")
    return found[0] if found else None


def _read(element: Element, depth: int) -> tuple[str, Node]:
    if depth == 0:
        raise DecodeError("the document is deeper than the tree may be")
    properties = elements(_part(element, "RTProperties"))
    told = {part.name: part for part in properties}
    below = [part for part in elements(element) if part.name == "Node"]
    value = _part(element, VALUE)
    form = _format(told.get("Format"), leaf=value is not None and not below)
    if below and (value is not None or form is not Format.NODE):
        raise DecodeError("a Node has a Value or Nodes")
    children = dict(_read(part, depth - 1) for part in below)
    if len(children) != len(below):
        raise DecodeError("two Nodes have one name")
    acl = text_of(told.get("ACL"))
    node = Node(
        form,
        _value(form, value),
        type="".join(text_of(kind) for kind in elements(told.get("Type"))[:1]),
        title=text_of(told.get("Title")),
        acl=Acl.parse(acl) if acl else NO_ACL,
        children=children,
    )
    return text_of(_part(element, "NodeName")), node


def _format(told: Element | None, *, leaf: bool) -> Format:
    chosen = elements(told)
    if not chosen:
        return Format.CHR if leaf else Format.NODE
    try:
        return Format(chosen[0].name)
    except ValueError as error:
        raise DecodeError(f"{chosen[0].name} is no format") from error


def _value(form: Format, value: Element | None) -> Value:
    if value is None:
        return b"" if form is Format.BIN else ""
    content = value.content if isinstance(value.content, (str, bytes)) else ""
    if form is not Format.BIN:
        return content
    if isinstance(content, bytes):
        return content
    try:
        return base64.b64decode(content, validate=True)
    except ValueError as error:
        raise TreeRefusedError(Status.UNSUPPORTED_FORMAT, "a bin value is base64 here") from error
