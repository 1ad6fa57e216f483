"""What messages and commands have in common: names, numbers, digests, meta information."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING

from openami.core.errors import RemoteProtocolError
from openami.omadm.messages.model import (
    Atomic,
    Command,
    Exec,
    Item,
    Meta,
    Results,
    Sequence,
    StatusReport,
    Unsupported,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from openami.omadm.messages.model import Chal, Header, Message


def digest_of(body: bytes, hmac: str | None) -> bytes:
    """Return what tells a message from every other: the same octets with the same proof."""
    return hashlib.sha256(body + b"\0" + (hmac or "").encode()).digest()


def name_of(command: Command) -> str:
    """Return what Cmd says of a command in its Status."""
    return command.name if isinstance(command, Unsupported) else type(command).__name__


def items_of(command: Command) -> tuple[Item, ...]:
    """Return the items of a command; those of the commands in it are not its own."""
    if isinstance(command, Atomic | Sequence | Unsupported):
        return ()
    return (command.item,) if isinstance(command, Exec) else command.items


def target_of(item: Item) -> str | None:
    """Return the URI of an item's target."""
    return item.target.uri if item.target else None


def walk(command: Command) -> Iterator[Command]:
    """Yield a command and all in it, in their order."""
    yield command
    if isinstance(command, Atomic | Sequence):
        for inner in command.commands:
            yield from walk(inner)


def number(command: Command, numbers: Iterator[int]) -> Command:
    """Return the command with its CmdID and those of the commands in it.

    They count in the order in which they stand, the outer one first.
    """
    own = next(numbers)
    if isinstance(command, Atomic | Sequence):
        inner = tuple(number(child, numbers) for child in command.commands)
        return replace(command, cmd_id=own, commands=inner)
    return replace(command, cmd_id=own)


def whole_item(command: Command, item: Item) -> Item:
    """Return an item with all the meta information that holds for it; its own wins."""
    outer = None if isinstance(command, Unsupported | StatusReport) else _meta(command)
    if outer is None:
        return item
    inner = item.meta
    if inner is None:
        return replace(item, meta=outer)
    merged = Meta(
        format=outer.format if inner.format is None else inner.format,
        type=outer.type if inner.type is None else inner.type,
        mark=outer.mark if inner.mark is None else inner.mark,
        size=outer.size if inner.size is None else inner.size,
        version=outer.version if inner.version is None else inner.version,
        anchor=inner.anchor,
        next_nonce=inner.next_nonce,
        emi=inner.emi,
        memory=inner.memory,
    )
    return replace(item, meta=merged)


def _meta(command: Command) -> Meta | None:
    return getattr(command, "meta", None)


def header_status(header: Header, status: int, chal: Chal | None) -> StatusReport:
    """Return the Status of a message's header: its CmdRef is 0."""
    return StatusReport(
        0,
        header.msg_id,
        0,
        "SyncHdr",
        status,
        target_refs=(header.target.uri,),
        source_refs=(header.source.uri,),
        chal=chal,
    )


def status_of(
    msg_id: int,
    command: Command,
    status: int,
    *,
    of: Item | None = None,
    items: tuple[Item, ...] = (),
) -> StatusReport:
    """Return the Status of a command, or of one item of it."""
    targets = [item.target.uri for item in ((of,) if of else items_of(command)) if item.target]
    sources = [item.source.uri for item in ((of,) if of else items_of(command)) if item.source]
    return StatusReport(
        0,
        msg_id,
        command.cmd_id,
        name_of(command),
        status,
        target_refs=tuple(targets),
        source_refs=tuple(sources),
        items=items,
    )


def refused(message: Message, status: int) -> Iterator[StatusReport]:
    """Yield a Status for every command of a message that is not looked at."""
    for command in message.commands:
        if not isinstance(command, StatusReport | Results):
            for inner in walk(command):
                yield status_of(message.header.msg_id, inner, status)


def answer_to(message: Message, msg_id: int) -> StatusReport:
    """Return the Status of one's own header, the one of message ``msg_id``.

    Raises:
        RemoteProtocolError: ``omadm.session.order``: it is that of another message;
            ``omadm.session.status``: there is none.
    """
    for command in message.commands:
        if isinstance(command, StatusReport) and command.cmd_ref == 0:
            if command.msg_ref != msg_id:
                raise RemoteProtocolError(
                    "the answer to another message", code="omadm.session.order"
                )
            return command
    raise RemoteProtocolError("no Status of the header", code="omadm.session.status")
