"""What waits to be sent, and how much of it fits one message.

A message holds the Status of its header first, then what answers the peer, then commands of the
own package (OMA-TS-DM_Protocol 1.2, clause 6). What does not fit waits for the next message: whole
commands as they are, a command of many items by items, an item by its data (large objects,
clause 6.2).
"""

from __future__ import annotations

from base64 import b64encode
from collections import deque
from dataclasses import dataclass, replace
from itertools import chain, count
from typing import TYPE_CHECKING, Final

from openami.core.errors import RemoteProtocolError
from openami.omadm.element import Element, Page
from openami.omadm.messages.codec import encode_message
from openami.omadm.messages.media import MediaType
from openami.omadm.messages.model import (
    Add,
    Atomic,
    Command,
    Copy,
    Delete,
    Exec,
    Get,
    Header,
    Item,
    Message,
    Meta,
    Replace,
    Results,
    Sequence,
    StatusReport,
)
from openami.omadm.session.numbering import number, walk
from openami.omadm.wbxml import DocumentKind, write_wbxml
from openami.omadm.xml import write_xml

if TYPE_CHECKING:
    from collections.abc import Sequence as Many

_LARGE: Final = (Add, Replace, Results)
_MANY: Final = (Add, Replace, Delete, Get, Copy, Results)
MAX_ANSWERS: Final = 16_384
"""Answers that wait: those of eight messages of the most commands. A peer that takes little in a
message and goes on with commands, in place of fetching its answers, would have us hold them."""
_MIN_CHUNK: Final = 64  # octets of data; less is not worth a command of its own
_WIDEST_ID: Final = 99_999  # what a command is measured with; more of them have megabytes


@dataclass(frozen=True, slots=True)
class Pending:
    """A command that waits.

    Attributes:
        command: not numbered yet.
        order: whose it is; a client's are nobody's, and what a server asks for itself.
        begun: some of its data has been sent.
    """

    command: Command
    order: str = ""
    begun: bool = False


@dataclass(frozen=True, slots=True)
class Sent:
    """A command that was sent: as it waited, as it went out, and whether more of it follows."""

    pending: Pending
    command: Command
    chunk: bool


@dataclass(frozen=True, slots=True)
class Packed:
    """A message, and what of the own package went out with it.

    Attributes:
        body: the octets.
        final: the own package is complete.
        sent: its commands.
        dropped: commands that fit no message of the peer's.
    """

    body: bytes
    final: bool
    sent: tuple[Sent, ...]
    dropped: tuple[Pending, ...]


def _idle(command: Command) -> bool:
    """Tell whether this is what every message of a package in parts has, and no more."""
    return isinstance(command, StatusReport) and command.cmd in {"SyncHdr", "Alert"}


def _no_room() -> RemoteProtocolError:
    return RemoteProtocolError(
        "MaxMsgSize has no room for a Status", code="omadm.session.max-msg-size"
    )


def data_size(data: str | bytes | Element | None) -> int:
    """Return the octets of an item's data, as Size counts them."""
    if isinstance(data, str):
        return len(data.encode())
    return len(data) if isinstance(data, bytes) else 0


def _prepare_item(item: Item, media: MediaType) -> Item:
    """Return an item in a form that the encoding has: XML has none for octets."""
    if not isinstance(item.data, bytes) or media is MediaType.WBXML:
        return item
    meta = replace(item.meta or Meta(), format="b64")
    return replace(item, meta=meta, data=b64encode(item.data).decode())


def _flat(item: Item, media: MediaType) -> Item:
    """Return an item whose inline document is characters or octets, which can be cut."""
    if not isinstance(item.data, Element):
        return item
    xml = media is MediaType.XML
    kind = DocumentKind.DDF if item.data.page is Page.DDF else DocumentKind.SYNCML
    data = write_xml(item.data).decode() if xml else write_wbxml(item.data, kind=kind)
    meta = item.meta or Meta()
    if item.data.page is Page.DDF:
        name = "application/vnd.syncml.dmtnds+" + ("xml" if xml else "wbxml")
        meta = replace(meta, format="xml" if xml else "bin", type=name)
    return replace(item, meta=meta, data=data)


class Outbox:
    """The answers and commands of one side.

    Attributes:
        media: how messages are encoded.
        room: octets of the peer's messages (MaxMsgSize); None: it has not said.
        answers: what may be sent while the peer's package is not complete, in runs of commands
            that go out in one message if any has room for them.
        commands: of the own package.
    """

    def __init__(self, media: MediaType) -> None:
        self.media = media
        self.room: int | None = None
        self.answers: deque[Many[Command]] = deque()
        self.commands: deque[Pending] = deque()

    def answer(self, *commands: Command) -> None:
        """Let answers wait that belong together.

        Raises:
            RemoteProtocolError: ``omadm.session.answers``: the peer does not fetch what it has been
                answered.
        """
        if len(self.answers) >= MAX_ANSWERS:
            raise RemoteProtocolError(
                f"more than {MAX_ANSWERS} answers wait", code="omadm.session.answers"
            )
        self.answers.append(commands)

    def fits(self, header: Header, first: Command, answers: Many[Command]) -> bool:
        """Say whether answers fit one message of the peer's together."""
        if self.room is None:
            return True
        cost = sum(self._cost(header, answer) for answer in answers)
        return self._size(header, [first]) + cost <= self.room

    def add(self, command: Command, order: str = "") -> None:
        """Let a command of the own package wait."""
        self.commands.append(Pending(self._prepared(command), order))

    def put_back(self, sent: tuple[Sent, ...]) -> None:
        """Let wait again what the peer has not looked at."""
        if sent and sent[-1].chunk:
            self.commands.popleft()
        self.commands.extendleft(entry.pending for entry in reversed(sent))

    def drop_rest(self) -> None:
        """Forget the rest of an object that the peer has refused."""
        if self.commands and self.commands[0].begun:
            self.commands.popleft()

    def pack(
        self, header: Header, first: Command | None, *, own: bool, alone: bool = False
    ) -> Packed:
        """Return the next message.

        Args:
            header: of the message.
            first: the Status of the peer's header; None: the peer has not said anything yet.
            own: the peer's package is complete, so the own one may go on.
            alone: the answers are the whole package.

        Raises:
            RemoteProtocolError: ``omadm.session.max-msg-size``: the peer's messages have no room
                for what it must be told.
        """
        waiting = self.commands if own else ()
        begin = [] if first is None else [first]
        answers = [*begin, *chain.from_iterable(self.answers)]
        commands = answers + [entry.command for entry in waiting]
        body, numbered = self._encode(header, commands, final=own or alone)
        if self.room is None or len(body) <= self.room:
            out = zip(waiting, numbered[len(answers) :], strict=True)
            sent = tuple(Sent(entry, command, chunk=False) for entry, command in out)
            packed = Packed(body, own or alone, sent, ())
            self.answers.clear()
            if own:
                self.commands.clear()
            return packed
        return self._pack_some(header, begin, self.room, own=own, alone=alone)

    def _pack_some(
        self, header: Header, chosen: list[Command], room: int, *, own: bool, alone: bool
    ) -> Packed:
        least = len(chosen)
        left = room - self._size(header, chosen)
        while self.answers and left >= 0:
            cost = sum(self._cost(header, answer) for answer in self.answers[0])
            if cost > left:
                if len(chosen) == least:
                    self._shorten_answers(header, left)
                    continue
                break
            left -= cost
            chosen.extend(self.answers.popleft())
        # Each message of a package in parts brings one more answer of this kind: where only one
        # fits, nothing else ever would.
        one = len(chosen) <= least + 1
        idle = one and all(map(_idle, chain(chosen, *self.answers)))
        if left < 0 or (self.answers and idle):
            raise _no_room()
        entries: list[tuple[Pending, Command, bool]] = []
        dropped: list[Pending] = []
        if own and not self.answers:
            self._choose(header, left, entries, dropped, alone=idle)
        final = not self.answers and (alone or (own and not self.commands))
        commands = chosen + [command for _, command, _ in entries]
        body, numbered = self._encode(header, commands, final=final)
        out = zip(entries, numbered[len(chosen) :], strict=True)
        sent = tuple(Sent(pending, command, chunk) for (pending, _, chunk), command in out)
        return Packed(body, final, sent, tuple(dropped))

    def _shorten_answers(self, header: Header, left: int) -> None:
        """Part answers that fit no message together; take the items from a Status that does not."""
        if len(self.answers[0]) > 1:
            self.answers.extendleft((answer,) for answer in reversed(self.answers.popleft()))
            return
        (answer,) = self.answers[0]
        bare = replace(answer, items=()) if isinstance(answer, StatusReport) else answer
        if bare == answer or self._cost(header, bare) > left:
            raise _no_room()
        self.answers[0] = (bare,)

    def _choose(
        self,
        header: Header,
        left: int,
        entries: list[tuple[Pending, Command, bool]],
        dropped: list[Pending],
        *,
        alone: bool,
    ) -> None:
        """Take the commands that fit, the last of them perhaps in part."""
        while self.commands:
            entry = self.commands[0]
            cost = self._cost(header, entry.command)
            if cost <= left:
                left -= cost
                entries.append((self.commands.popleft(), entry.command, False))
                continue
            if self._divide():
                continue
            chunk = self._chunk(header, left)
            if chunk is not None:
                entries.append((entry, chunk, True))
            elif not entries and alone:
                dropped.append(self.commands.popleft())
                continue
            return

    def _divide(self) -> bool:
        """Make two of a command of many items; or characters of an inline document."""
        entry = self.commands[0]
        command = entry.command
        if not isinstance(command, _MANY):
            return False
        if len(command.items) > 1:
            half = len(command.items) // 2
            self.commands.popleft()
            for items in (command.items[half:], command.items[:half]):
                self.commands.appendleft(replace(entry, command=replace(command, items=items)))
            return True
        item = _flat(command.items[0], self.media)
        if item is command.items[0]:
            return False
        self.commands[0] = replace(entry, command=replace(command, items=(item,)))
        return True

    def _chunk(self, header: Header, left: int) -> Command | None:
        """Cut off as much of the first command's data as fits; None: nothing does."""
        entry = self.commands[0]
        command = entry.command
        if not isinstance(command, _LARGE):
            return None
        item = command.items[0]
        data = item.data
        if not isinstance(data, str | bytes):
            return None
        meta = item.meta
        if not entry.begun:
            meta = replace(meta or Meta(), size=data_size(data))
        taken = min(left, len(data) - 1)
        while taken >= _MIN_CHUNK:
            part = replace(item, meta=meta, data=data[:taken], more_data=True)
            piece = replace(command, items=(part,))
            over = self._cost(header, piece) - left
            if over <= 0:
                rest = replace(item, data=data[taken:], meta=meta and replace(meta, size=None))
                self.commands[0] = Pending(replace(command, items=(rest,)), entry.order, begun=True)
                return piece
            # Characters take one octet or more, so this never cuts off more than is over by much.
            taken = min(taken - max(1, over // 4), taken * left // (left + over))
        return None

    def _prepared(self, command: Command) -> Command:
        if isinstance(command, Exec):
            return replace(command, item=_prepare_item(command.item, self.media))
        if isinstance(command, _MANY):
            if not any(isinstance(item.data, bytes) for item in command.items):
                return command
            items = tuple(_prepare_item(item, self.media) for item in command.items)
            return replace(command, items=items)
        if isinstance(command, Atomic | Sequence):
            return replace(command, commands=tuple(map(self._prepared, command.commands)))
        return command

    def _encode(
        self, header: Header, commands: list[Command], *, final: bool
    ) -> tuple[bytes, list[Command]]:
        numbers = count(1)
        numbered = [number(command, numbers) for command in commands]
        return encode_message(Message(header, tuple(numbered), final), self.media), numbered

    def _size(self, header: Header, commands: list[Command]) -> int:
        return len(self._encode(header, commands, final=True)[0])

    def _cost(self, header: Header, command: Command) -> int:
        """Return the most octets that a command adds to a message."""
        widest = (_WIDEST_ID for _ in walk(command))
        message = Message(header, (number(command, widest),), final=True)
        empty = Message(header, (), final=True)
        media = self.media
        return len(encode_message(message, media)) - len(encode_message(empty, media))
