"""The DM profile: one message that adds accounts (OMA-TS-DM_Bootstrap 1.2, clause 5.5).

The message has no session: it is not answered, and the device then opens a session of its own with
the server that it has learnt to know.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from openami.core.errors import DecodeError, RemoteProtocolError
from openami.omadm.bootstrap.seal import Method, check_seal, seal
from openami.omadm.codes import Status
from openami.omadm.limits import DEFAULT_LIMITS
from openami.omadm.messages.codec import decode_message, encode_message
from openami.omadm.messages.media import MediaType
from openami.omadm.messages.model import Add, Header, Item, Location, Message, Meta
from openami.omadm.objects.dmacc import PLACE, URN, DmAcc
from openami.omadm.session.numbering import whole_item
from openami.omadm.tree.documents import is_subtree, subtree_of
from openami.omadm.tree.refusal import TreeRefusedError
from openami.omadm.tree.tnds import MEDIA_TYPE, read_tnds, write_tnds
from openami.omadm.tree.uri import UriLimits
from openami.omadm.wbxml import DocumentKind, write_wbxml

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from openami.omadm.session.perform import Gate

INBOX: Final = "./Inbox"
_PARTS: Final = frozenset({"ACL", "Format", "Type", "Value"})


def build(accounts: Mapping[str, DmAcc], *, device: str, session_id: int = 0) -> bytes:
    """Return the message that adds accounts, each below a node of the name given.

    Args:
        accounts: by the names of their nodes.
        device: whom it is for.
        session_id: of the message; no session follows under it.
    """
    server = next(iter(accounts.values())).server_id if accounts else ""
    commands = tuple(
        Add(number, (_item(name, account),))
        for number, (name, account) in enumerate(accounts.items(), 1)
    )
    header = Header(f"{session_id:X}", 1, Location(device), Location(server))
    return encode_message(Message(header, commands, final=True), MediaType.WBXML)


def _item(name: str, account: DmAcc) -> Item:
    document = write_tnds(
        (*PLACE, name),
        account.to_node(),
        parts=_PARTS,
        visible=lambda _path, _node: True,
        live=lambda _path, node: node.value,
    )
    meta = Meta(format="bin", type=f"{MEDIA_TYPE}+wbxml")
    data = write_wbxml(document, kind=DocumentKind.DDF)
    return Item(Location(INBOX), meta=meta, data=data)


def build_sealed(
    accounts: Mapping[str, DmAcc], *, device: str, method: Method, key: bytes
) -> tuple[bytes, str]:
    """Return the message and the Content-Type that authenticates it."""
    body = build(accounts, device=device)
    return body, seal(MediaType.WBXML, body, method, key)


@dataclass(frozen=True, slots=True)
class Profile:
    """What a bootstrap message wants.

    Attributes:
        server: whom it says that it is from.
        adds: every Add, with each of its items.
    """

    server: str
    adds: tuple[tuple[Add, Item], ...]

    @classmethod
    def parse(cls, body: bytes) -> Profile:
        """Return what a message wants; whether it may is for the tree to say.

        Raises:
            DecodeError: it is no message, or one with something else than Add.
        """
        message = decode_message(body, MediaType.WBXML)
        adds = []
        for command in message.commands:
            if not isinstance(command, Add):
                raise DecodeError("a bootstrap message has nothing but Add")
            adds += [(command, whole_item(command, item)) for item in command.items]
        if not adds:
            raise DecodeError("a bootstrap message without an Add")
        return cls(message.header.source.uri, tuple(adds))

    @classmethod
    def parse_sealed(cls, body: bytes, content_type: str, method: Method, key: bytes) -> Profile:
        """Return what a message wants that is authentic.

        Raises:
            DecodeError: as ``parse``, or the header is none of a bootstrap message.
            SecurityError: ``omadm.bootstrap.mac``.
        """
        media_type = check_seal(content_type, body, method, key)
        if MediaType.of(media_type) is not MediaType.WBXML:
            raise DecodeError("a bootstrap message is WBXML")  # Bootstrap 1.2, clause 5.5.1
        return cls.parse(body)

    def accounts(self) -> Mapping[str, DmAcc]:
        """Return the accounts in it, by the names of their nodes.

        Raises:
            DecodeError: an item holds no account.
        """
        return dict(_account(item) for _, item in self.adds)

    def apply(self, gate: Gate) -> None:
        """Add all of it to a tree, or nothing.

        Raises:
            RemoteProtocolError: ``omadm.bootstrap.refused``: the tree refuses it.
        """
        gate.begin()
        for command, item in self.adds:
            status = gate.perform(command, item).status
            if status != Status.OK:
                gate.rollback()
                raise RemoteProtocolError(
                    f"the tree refuses the account: {status}", code="omadm.bootstrap.refused"
                )
        gate.commit()


def _account(item: Item) -> tuple[str, DmAcc]:
    meta = item.meta or Meta()
    if meta.type is None or not is_subtree(meta.type):
        raise DecodeError("an account is a TNDS document")
    try:
        document = subtree_of(item, meta.format, meta.type, DEFAULT_LIMITS)
        _, name, node = read_tnds(document, UriLimits())
        if node.type != URN:
            raise DecodeError(f"an object {node.type!r}, not an account")
        return name, DmAcc.read(node)
    except (TreeRefusedError, ValueError) as error:
        raise DecodeError("an account with a value that none has") from error


def names(accounts: Iterable[DmAcc]) -> Mapping[str, DmAcc]:
    """Return accounts under names of nodes: their numbers."""
    return {str(number): account for number, account in enumerate(accounts, 1)}
