"""Messages as typed values (OMA-SyncML-RepPro 1.2 and OMA-TS-DM_RepPro 1.2, clause 6).

What a value holds is what is on the wire, so that one message is the same from XML and from WBXML:
characters stay characters, a base64 text stays one, and only ``next_nonce`` is the octets that its
base64 names.
"""

from __future__ import annotations

from dataclasses import field
from typing import TYPE_CHECKING

from openami.core.quick import quick

if TYPE_CHECKING:
    from openami.omadm.element import Element


@quick
class Location:
    """A Target or a Source: LocURI and LocName."""

    uri: str
    name: str | None = None


@quick
class Anchor:
    """Synchronisation anchors (metinf); carried, not used, in device management."""

    next: str
    last: str | None = None


@quick
class Memory:
    """Room at the sender (metinf Mem), in octets and in identifiers."""

    shared: bool
    free_octets: int
    free_ids: int


@quick
class Meta:
    """Meta information (SyncML metinf 1.2); what is absent is None or empty."""

    format: str | None = None
    type: str | None = None
    mark: str | None = None
    size: int | None = None
    anchor: Anchor | None = None
    version: str | None = None
    next_nonce: bytes | None = field(default=None, repr=False)
    max_msg_size: int | None = None
    max_obj_size: int | None = None
    emi: tuple[str, ...] = ()
    memory: Memory | None = None


@quick
class Cred:
    """Credentials; their type and format are in ``meta``."""

    meta: Meta
    data: str = field(repr=False)


@quick
class Chal:
    """A challenge: type, format and next nonce are in ``meta``."""

    meta: Meta


@quick
class Item:
    """What a command acts on.

    Attributes:
        target: where.
        source: from where.
        meta: of this item; wins over the command's.
        data: characters; octets, where the format is ``bin`` and the encoding WBXML; or a
            document that stands inline, such as a TNDS tree.
        more_data: the rest follows in the next message (MoreData).
    """

    target: Location | None = None
    source: Location | None = None
    meta: Meta | None = None
    data: str | bytes | Element | None = field(default=None, repr=False)
    more_data: bool = False


@quick
class StatusReport:
    """Status: what became of one command, ``cmd_ref`` 0 being the header."""

    cmd_id: int
    msg_ref: int
    cmd_ref: int
    cmd: str
    data: int
    target_refs: tuple[str, ...] = ()
    source_refs: tuple[str, ...] = ()
    cred: Cred | None = None
    chal: Chal | None = None
    items: tuple[Item, ...] = ()


@quick
class Alert:
    """Alert: a notice, to a user or to the peer's state machine."""

    cmd_id: int
    data: int
    items: tuple[Item, ...] = ()
    correlator: str | None = None
    cred: Cred | None = None
    no_resp: bool = False


@quick
class Exec:
    """Exec: start what the target node stands for."""

    cmd_id: int
    item: Item
    meta: Meta | None = None
    correlator: str | None = None
    cred: Cred | None = None
    no_resp: bool = False


@quick
class Results:
    """Results: what a Get found."""

    cmd_id: int
    cmd_ref: int
    items: tuple[Item, ...]
    msg_ref: int | None = None
    meta: Meta | None = None
    target_ref: str | None = None
    source_ref: str | None = None


@quick
class _ItemCommand:
    cmd_id: int
    items: tuple[Item, ...]
    meta: Meta | None = None
    cred: Cred | None = None
    no_resp: bool = False


class Add(_ItemCommand):
    """Add: make nodes."""

    __slots__ = ()


class Replace(_ItemCommand):
    """Replace: give nodes new values; also how a client tells its DevInfo."""

    __slots__ = ()


class Copy(_ItemCommand):
    """Copy: give a target what a source holds."""

    __slots__ = ()


class Delete(_ItemCommand):
    """Delete: remove nodes with what is below them."""

    __slots__ = ()


class Get(_ItemCommand):
    """Get: read nodes or their properties."""

    __slots__ = ()


@quick
class Unsupported:
    """A command of data synchronisation, without a use in device management: answered 406."""

    name: str
    cmd_id: int


@quick
class Atomic:
    """Atomic: all of its commands or none."""

    cmd_id: int
    commands: tuple[Command, ...]
    meta: Meta | None = None
    no_resp: bool = False


@quick
class Sequence:
    """Sequence: its commands in their order."""

    cmd_id: int
    commands: tuple[Command, ...]
    meta: Meta | None = None
    no_resp: bool = False


Command = (
    StatusReport | Alert | Exec | Results | Add | Replace | Copy | Delete | Get | Atomic | Sequence
    | Unsupported
)  # fmt: skip


@quick
class Header:
    """SyncHdr.

    Attributes:
        session_id: as the peer writes it; ours are 1 to 4 upper-case hexadecimal digits.
        msg_id: from 1, by one for every message of one side.
        target: whom it is for.
        source: whom it is from; the name is the account's, for MAC.
    """

    session_id: str
    msg_id: int
    target: Location
    source: Location
    resp_uri: str | None = None
    no_resp: bool = False
    cred: Cred | None = None
    meta: Meta | None = None
    ver_dtd: str = "1.2"
    ver_proto: str = "DM/1.2"


@quick
class Message:
    """One SyncML message; ``final`` ends a package."""

    header: Header
    commands: tuple[Command, ...] = ()
    final: bool = False
