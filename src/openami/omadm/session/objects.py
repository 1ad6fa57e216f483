"""Large objects as they come in (OMA-TS-DM_Protocol 1.2, clause 6.2)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from openami.omadm.codes import Status
from openami.omadm.session.budget import Budget, Share
from openami.omadm.session.outbox import data_size

if TYPE_CHECKING:
    from openami.omadm.messages.model import Item, Meta


@dataclass(frozen=True, slots=True)
class Taken:
    """What an item was.

    Attributes:
        item: it is complete now; None: it is not.
        status: of a chunk, or of an object that was refused.
    """

    item: Item | None
    status: int = Status.OK


class Assembly:
    """Put together the chunks of one object at a time.

    Args:
        largest: octets that an object may have: the MaxObjSize that was announced.
        budget: for the chunks; None: one object of the largest has room.
    """

    def __init__(self, largest: int, budget: Budget | None = None) -> None:
        self._largest = largest
        self._share = Share(budget or Budget(largest))
        self._key: tuple[str, str | None] | None = None
        self._first: Item | None = None
        self._octets = bytearray()
        self._refused: tuple[str, str | None] | None = None

    def interrupted_by(self, command: str, item: Item | None) -> Item | None:
        """Forget an unfinished object if this is no chunk of it; return what Alert 1225 names."""
        first = self._first
        if first is None or (item is not None and _key(command, item) == self._key):
            return None
        self.forget()
        return replace(first, meta=None, data=None, more_data=False)

    def take(self, command: str, item: Item) -> Taken:
        """Take one item, whole or in part."""
        key = _key(command, item)
        meta = item.meta
        if key == self._refused and (meta is None or meta.size is None):
            if not item.more_data:
                self._refused = None
            return Taken(None, Status.ENTITY_TOO_LARGE)
        self._refused = None
        if self._first is None and not item.more_data:
            if data_size(item.data) > self._largest:
                return Taken(None, Status.ENTITY_TOO_LARGE)
            return Taken(item)
        return self._chunk(key, item)

    def _chunk(self, key: tuple[str, str | None], item: Item) -> Taken:
        if self._first is None:
            self._key, self._first = key, item
        data = item.data
        if not isinstance(data, str | bytes | None):
            self.forget()
            return Taken(None, Status.BAD_REQUEST)  # a document inline cannot be a part of one
        octets = data.encode() if isinstance(data, str) else data or b""
        size = max(len(self._octets) + len(octets), _announced(self._first.meta))
        if size > self._largest or not self._share.take(len(octets)):
            self.forget()
            self._refused = key if item.more_data else None
            return Taken(None, Status.ENTITY_TOO_LARGE)
        self._octets += octets
        return Taken(None, Status.CHUNK_ACCEPTED) if item.more_data else self._finish(item)

    def _finish(self, last: Item) -> Taken:
        first = self._first or last
        octets = bytes(self._octets)
        self.forget()
        size = first.meta.size if first.meta else None
        if size is not None and size != len(octets):
            return Taken(None, Status.SIZE_MISMATCH)
        return Taken(replace(first, data=_text(octets, first), more_data=False))

    def forget(self) -> None:
        """Forget an unfinished object."""
        self._key = self._first = None
        self._octets = bytearray()
        self._share.give_back()


def _key(command: str, item: Item) -> tuple[str, str | None]:
    where = item.target or item.source
    return command, where.uri if where else None


def _announced(meta: Meta | None) -> int:
    return meta.size or 0 if meta else 0


def _text(octets: bytes, first: Item) -> str | bytes:
    """Return characters if the object began with some; a cut may have gone through one."""
    if isinstance(first.data, bytes):
        return octets
    try:
        return octets.decode()
    except UnicodeDecodeError:
        return octets
