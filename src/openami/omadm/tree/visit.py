"""What a server may do to a tree: every command, its rights and its status.

The order of the checks: the address (414, 404, 406), the node (404, 418), the ACL (425), what the
object allows (405), the value (415, 413, 500), the room (420), the device's own opinion.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import count
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from openami.core.errors import DecodeError, StoreError, StoreFullError
from openami.omadm.codes import Status
from openami.omadm.limits import DEFAULT_LIMITS, Limits
from openami.omadm.messages.model import Add, Copy, Delete, Exec, Get, Item, Replace
from openami.omadm.session.events import Outcome
from openami.omadm.tree import documents
from openami.omadm.tree.acl import Acl, Verb
from openami.omadm.tree.draft import Draft, set_property
from openami.omadm.tree.node import Format, Node, find
from openami.omadm.tree.reading import Reader
from openami.omadm.tree.refusal import TreeRefusedError
from openami.omadm.tree.tnds import read_tnds
from openami.omadm.tree.tree import Execution, ManagementTree, allowed
from openami.omadm.tree.uri import Path, Property, Uri, parse_uri

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from openami.omadm.element import Element
    from openami.omadm.messages.model import Location
    from openami.omadm.tree.schema import Rule

    Command = Add | Replace | Copy | Delete | Get | Exec

INBOX: Final = "urn:oma:mo:oma-dm-inbox:1.0"
# What a creator has of its node where the parent gives it no Replace (TND 1.2, clause 7.7.1.3).
_CREATOR: Final = (Verb.ADD, Verb.DELETE, Verb.REPLACE)
# A node from the store that no object describes any more may be seen and removed.
_LEFT_OVER: Final = frozenset({Verb.GET, Verb.DELETE})


class Visit:
    """One server's access to a tree, for one session.

    Args:
        tree: the device's.
        server: the identifier that ACLs name.
        now: UTC seconds, for TStamp.
        octets: whether the messages are WBXML, which carries octets as they are.
        limits: of documents within items.
    """

    def __init__(
        self,
        tree: ManagementTree,
        server: str,
        now: float,
        *,
        octets: bool = True,
        limits: Limits = DEFAULT_LIMITS,
    ) -> None:
        self._tree = tree
        self._server = server
        self._now = now
        self._octets = octets
        self._limits = limits
        self._atomic: Draft | None = None
        self._executed = False
        self.words = ""
        """Why the last command was refused, for a log; empty: it was not."""

    def perform(self, command: Command, item: Item) -> Outcome:
        """Do one command to one item; an item that fails has changed nothing, and says why."""
        self.words = ""
        draft = self._atomic or self._tree.draft(self._now)
        before = draft.root
        try:
            outcome = _HANDLERS[type(command)](self, draft, command, item)
            if draft is not self._atomic:
                self._tree.commit(draft)
        except (TreeRefusedError, DecodeError, StoreError) as error:
            draft.root = before
            self.words = error.message
            # RepPro 1.2, clause 5.5.16: a Status may say more in an Item.
            return Outcome(_status(error), (Item(data=error.message),))
        return outcome

    def begin(self) -> None:
        """Begin an Atomic: what follows shows to no one until ``commit``."""
        self._atomic = self._tree.draft(self._now)
        self._executed = False

    def commit(self) -> None:
        """End an Atomic.

        Raises:
            TreeRefusedError: a listener refused what came of it; nothing was changed.
            StoreError: it could not be kept; nothing was changed.
        """
        draft, self._atomic = self._atomic, None
        if draft is not None:
            self._tree.commit(draft)

    def rollback(self) -> bool:
        """Undo an Atomic; return whether that was possible: what was executed is done (516)."""
        self._atomic = None
        return not self._executed

    def _add(self, draft: Draft, command: Add, item: Item) -> Outcome:
        path = self._plain(item.target)
        told, media = documents.meta_of(item, command.meta)
        if media is not None and documents.is_subtree(media):
            self._add_subtree(draft, path, documents.subtree_of(item, told, media, self._limits))
            return Outcome(Status.OK)
        self._check_new(draft, path)
        rule = draft.rule(path)
        form = self._format(rule, told)
        if form is Format.NODE:
            if item.data:
                raise TreeRefusedError(Status.UNSUPPORTED_FORMAT, "an interior node has no value")
            node = Node(form, type=media or "")
        else:
            value = documents.incoming(item, told, form)
            node = Node(form, value, type=media or "")
        self._create(draft, path, node)
        return Outcome(Status.OK)

    @staticmethod
    def _format(rule: Rule, told: str | None) -> Format:
        if not rule.free:
            return rule.format if rule.format is not Format.NODE else _told(told, Format.NODE)
        return _told(told, Format.CHR)

    def _check_new(self, draft: Draft, path: Path) -> None:
        """Refuse an Add where something stands, or where this server may add nothing."""
        if find(draft.root, path) is not None:
            raise TreeRefusedError(Status.ALREADY_EXISTS, "there is such a node")
        top = draft.nearest(path)
        self._check_acl(draft.root, top, Verb.ADD)
        for depth in range(len(top) + 1, len(path) + 1):
            if Verb.ADD not in draft.rule(path[:depth]).access:
                raise TreeRefusedError(Status.NOT_ALLOWED, "the object allows no Add here")

    def _create(self, draft: Draft, path: Path, node: Node) -> None:
        top = draft.nearest(path)
        owned = allowed(draft.root, top, Verb.REPLACE, self._server)
        first = path[: len(top) + 1]
        inherited = _holding(draft.root, top)
        draft.add(path, node)
        made = draft.node(first)
        if made.interior and not owned and not made.acl:
            draft.set_acl(first, inherited.grant(self._server, *_CREATOR))

    def _add_subtree(self, draft: Draft, path: Path, document: Element) -> None:
        above, name, node = read_tnds(document, self._tree.limits.uri)
        rule = draft.schema.rule(path)
        if rule is not None and rule.type == INBOX:
            self._check_acl(draft.root, path, Verb.ADD)
            path = self._delivered(draft, above, name, node)
        elif name not in ("", path[-1] if path else ".") or above not in (None, path[:-1]):
            raise TreeRefusedError(Status.COMMAND_FAILED, "the document names another node")
        else:
            self._check_new(draft, path)
        self._check_subtree(draft, path, node)
        self._create(draft, path, node)

    @staticmethod
    def _check_subtree(draft: Draft, path: Path, node: Node) -> None:
        """Refuse a document with a node that could not be added alone."""
        for below, _ in node.walk(path):
            if Verb.ADD not in draft.rule(below).access:
                raise TreeRefusedError(Status.NOT_ALLOWED, "the object allows no Add here")

    @staticmethod
    def _delivered(draft: Draft, above: Path | None, name: str, node: Node) -> Path:
        """Return where an object that came to the Inbox belongs (TND 1.2: the device decides)."""
        place = draft.schema.place_of(node.type)
        if place is None:
            raise TreeRefusedError(Status.NOT_ALLOWED, "no object of this type is known here")
        if above not in (None, (), place):
            raise TreeRefusedError(Status.NOT_ALLOWED, "objects of this type stand elsewhere")
        taken = draft.node(place).children
        return (*place, name or next(n for n in map(str, count(1)) if n not in taken))

    def _replace(self, draft: Draft, command: Replace, item: Item) -> Outcome:
        uri = self._address(item.target)
        if uri.listing is not None:
            raise TreeRefusedError(Status.NOT_ALLOWED, "a listing is only read")
        node = draft.node(uri.path)
        if uri.prop is not None:
            self._replace_property(draft, uri.path, uri.prop, item)
            return Outcome(Status.OK)
        told, media = documents.meta_of(item, command.meta)
        self._check(draft, uri.path, Verb.REPLACE)
        if media is not None and documents.is_subtree(media) and node.interior:
            document = documents.subtree_of(item, told, media, self._limits)
            draft.remove(uri.path)
            _, _, new = read_tnds(document, self._tree.limits.uri)
            self._check_subtree(draft, uri.path, new)
            draft.add(uri.path, replace(new, acl=new.acl or node.acl))
            return Outcome(Status.OK)
        self._check_settable(uri.path, node)
        draft.set_value(uri.path, documents.incoming(item, told, node.format))
        return Outcome(Status.OK)

    def _check_settable(self, path: Path, node: Node) -> None:
        if node.interior or self._tree.live(path):
            raise TreeRefusedError(Status.NOT_ALLOWED, "this value is not for a server to set")

    def _replace_property(self, draft: Draft, path: Path, prop: Property, item: Item) -> None:
        node = draft.node(path)
        # TND 1.2, clause 7.7.1.3: a leaf's ACL is in the hands of those who may replace its parent.
        holder = path[:-1] if prop is Property.ACL and not node.interior else path
        self._check_acl(draft.root, holder, Verb.REPLACE)
        text = documents.incoming(item, None, Format.CHR)
        set_property(draft, path, prop, text if isinstance(text, str) else text.decode())

    def _delete(self, draft: Draft, _command: Delete, item: Item) -> Outcome:
        path = self._plain(item.target)
        draft.node(path)
        self._check(draft, path, Verb.DELETE)
        draft.remove(path)
        return Outcome(Status.OK)

    def _copy(self, draft: Draft, _command: Copy, item: Item) -> Outcome:
        source, target = self._plain(item.source), self._plain(item.target)
        old = draft.node(source)
        if old.interior:
            raise TreeRefusedError(Status.OPTIONAL_NOT_SUPPORTED, "leaves only are copied")
        self._check(draft, source, Verb.GET)
        value = self._tree.value(source, old)
        node = find(draft.root, target)
        if node is None:
            self._check_new(draft, target)
            self._create(draft, target, Node(old.format, value, type=old.type))
            return Outcome(Status.OK)
        self._check(draft, target, Verb.REPLACE)
        self._check_settable(target, node)
        if node.format is not old.format:
            raise TreeRefusedError(Status.UNSUPPORTED_FORMAT, f"the node is a {node.format}")
        draft.set_value(target, value)
        return Outcome(Status.OK)

    def _get(self, draft: Draft, _command: Get, item: Item) -> Outcome:
        uri = self._address(item.target)
        node = draft.node(uri.path)
        self._check(draft, uri.path, Verb.GET)
        reader = Reader(self._tree, draft.root, self._visible, octets=self._octets)
        return Outcome(Status.OK, reader.read(uri, node))

    def _exec(self, draft: Draft, command: Exec, item: Item) -> Outcome:
        path = self._plain(item.target)
        draft.node(path)
        self._check(draft, path, Verb.EXEC)
        executor = self._tree.executor(path)
        if executor is None:
            raise TreeRefusedError(Status.OPTIONAL_NOT_SUPPORTED, "nothing here executes it")
        data = documents.incoming(item, None, Format.CHR)
        self._executed = True
        return Outcome(executor(Execution(path, data, command.correlator, self._server)))

    def _visible(self, root: Node, path: Path) -> bool:
        return Verb.GET in self._access(path) and allowed(root, path, Verb.GET, self._server)

    def _address(self, location: Location | None) -> Uri:
        if location is None:
            raise TreeRefusedError(Status.INCOMPLETE, "the item has no address")
        return parse_uri(location.uri, self._tree.limits.uri)

    def _plain(self, location: Location | None) -> Path:
        uri = self._address(location)
        if not uri.plain:
            raise TreeRefusedError(Status.NOT_ALLOWED, "this command is for nodes")
        return uri.path

    def _access(self, path: Path) -> frozenset[Verb]:
        rule = self._tree.schema.rule(path)
        return _LEFT_OVER if rule is None else rule.access

    def _check(self, draft: Draft, path: Path, verb: Verb) -> None:
        self._check_acl(draft.root, path, verb)
        if verb not in self._access(path):
            raise TreeRefusedError(Status.NOT_ALLOWED, f"the object allows no {verb} here")

    def _check_acl(self, root: Node, path: Path, verb: Verb) -> None:
        if not allowed(root, path, verb, self._server):
            raise TreeRefusedError(Status.PERMISSION_DENIED, f"the ACL gives no {verb}")


def _told(told: str | None, default: Format) -> Format:
    if told is None:
        return default
    try:
        return Format(told)
    except ValueError as error:
        raise TreeRefusedError(Status.UNSUPPORTED_FORMAT, "no such format") from error


def _holding(root: Node, path: Path) -> Acl:
    holding, node = root.acl, root
    for name in path:
        node = node.children[name]
        holding = node.acl or holding
    return holding


def _status(error: TreeRefusedError | DecodeError | StoreError) -> Status:
    if isinstance(error, TreeRefusedError):
        return error.status
    if isinstance(error, DecodeError):
        return Status.UNSUPPORTED_FORMAT
    return Status.DEVICE_FULL if isinstance(error, StoreFullError) else Status.DATA_STORE_FAILURE


_HANDLERS: Final[Mapping[type, Callable[..., Outcome]]] = MappingProxyType(
    {
        Add: Visit._add,  # noqa: SLF001 - the table of this module's own class
        Replace: Visit._replace,
        Copy: Visit._copy,  # noqa: SLF001 - as above
        Delete: Visit._delete,  # noqa: SLF001 - as above
        Get: Visit._get,  # noqa: SLF001 - as above
        Exec: Visit._exec,  # noqa: SLF001 - as above
    }
)
