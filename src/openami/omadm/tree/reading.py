"""What a Get answers: values, names, properties, whole subtrees (OMA-TS-DM_TND 1.2, clause 6.4)."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from openami.omadm.codes import Status
from openami.omadm.messages.model import Item, Location, Meta
from openami.omadm.tree import documents
from openami.omadm.tree.node import Format, Node, size, timestamp
from openami.omadm.tree.refusal import TreeRefusedError
from openami.omadm.tree.tnds import write_tnds
from openami.omadm.tree.uri import PLAIN, Listing, Path, Property, Uri, format_path

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from openami.omadm.tree.tree import ManagementTree

_PROPERTIES: Final[Mapping[Property, Callable[[Path, Node], str]]] = MappingProxyType(
    {
        Property.ACL: lambda _path, node: str(node.acl),
        Property.FORMAT: lambda _path, node: node.format.value,
        Property.NAME: lambda path, _node: path[-1] if path else ".",
        Property.TITLE: lambda _path, node: node.title,
        Property.TSTAMP: lambda _path, node: timestamp(node.changed),
        Property.TYPE: lambda _path, node: node.type,
        Property.VERNO: lambda _path, node: str(node.version),
    }
)


class Reader:
    """Answers for one Get.

    Args:
        tree: for values that the device knows better than the tree.
        root: the tree as the server sees it, within an Atomic or not.
        visible: whether the server may see a node.
        octets: as ``Visit`` says.
    """

    def __init__(
        self,
        tree: ManagementTree,
        root: Node,
        visible: Callable[[Node, Path], bool],
        *,
        octets: bool,
    ) -> None:
        self._tree = tree
        self._root = root
        self._visible = visible
        self._octets = octets

    def read(self, uri: Uri, node: Node) -> tuple[Item, ...]:
        """Return the items of the answer about a node.

        Raises:
            TreeRefusedError: 406, the node has no such property.
        """
        if uri.prop is not None:
            return (self._property(uri.path, node, uri.prop),)
        if uri.listing is Listing.TNDS:
            return (self._subtree(uri, node),)
        if uri.listing is not None:
            data = uri.listing is Listing.STRUCT_DATA
            return tuple(self._structure(uri.path, node, data=data))
        return (self._leaf(uri.path, node) if not node.interior else self._names(uri.path, node),)

    def _leaf(self, path: Path, node: Node) -> Item:
        value = self._tree.value(path, node)
        return documents.outgoing(
            format_path(path), node.format, node.type, value, octets=self._octets
        )

    def _names(self, path: Path, node: Node) -> Item:
        # Names are told as addresses have them, so that a "/" within one divides nothing.
        names = "/".join(quote(name, safe=PLAIN) for name in sorted(node.children))
        return _interior(path, node, names)

    def _property(self, path: Path, node: Node, prop: Property) -> Item:
        address = f"{format_path(path)}?prop={prop}"
        if prop is Property.SIZE:
            if node.interior:
                raise TreeRefusedError(Status.OPTIONAL_NOT_SUPPORTED, "a leaf only has a size")
            text = str(size(self._tree.value(path, node)))
        else:
            text = _PROPERTIES[prop](path, node)
        return documents.outgoing(address, Format.CHR, "text/plain", text, octets=self._octets)

    def _structure(self, path: Path, node: Node, *, data: bool) -> Iterator[Item]:
        if node.interior:
            yield _interior(path, node, None)
        elif data:
            yield self._leaf(path, node)
        else:
            meta = Meta(format=node.format.value, type=node.type or None)
            yield Item(source=Location(format_path(path)), meta=meta)
        for name, child in sorted(node.children.items()):
            if self._visible(self._root, (*path, name)):
                yield from self._structure((*path, name), child, data=data)

    def _subtree(self, uri: Uri, node: Node) -> Item:
        document = write_tnds(
            uri.path,
            node,
            parts=uri.parts,
            visible=lambda path, _node: self._visible(self._root, path),
            live=self._tree.value,
        )
        return documents.subtree_item(format_path(uri.path), document, octets=self._octets)


def _interior(path: Path, node: Node, names: str | None) -> Item:
    meta = Meta(format=Format.NODE.value, type=node.type or None)
    return Item(source=Location(format_path(path)), meta=meta, data=names)
