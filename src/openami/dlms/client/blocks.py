"""What the exchanges share: their terms, lists cut to size, and blocks."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar

from openami.core.errors import LocalProtocolError, RemoteProtocolError
from openami.dlms.apdu.common import Block
from openami.dlms.association import BLOCK_OVERHEAD
from openami.dlms.client.events import Item

if TYPE_CHECKING:
    from openami.dlms.conformance import Conformance

Items = tuple[Item, ...]
Exchange = Generator[bytes, bytes, Items]
T = TypeVar("T")


class TooLongError(LocalProtocolError):
    """A request does not fit into what the meter takes, and the meter takes no blocks."""

    code = "pdu-too-long"


@dataclass(frozen=True, slots=True)
class Terms:
    """What an exchange has to keep to.

    Args:
        conformance: what was negotiated.
        room: octets that a plain APDU may have.
        max_answer: octets of the longest answer from blocks.
        invoke_id: returns the next Invoke-Id-And-Priority octet.
        progress: is told the octets so far.
    """

    conformance: Conformance
    room: int
    max_answer: int
    invoke_id: Callable[[], int]
    progress: Callable[[int], None]


def odd(what: str) -> RemoteProtocolError:
    """Return the error for an answer of another kind than the request's."""
    return RemoteProtocolError(f"an answer that does not fit the request: {what}")


def expect(apdu: Any, kind: type[T], invoke_id: int) -> T:
    """Return ``apdu`` if it is the answer awaited (Green Book 9.3.4: the invoke-id comes back).

    Errors are no exception: one with another invoke-id answers another request, and what is asked
    next would take the answer of this one for its own.
    """
    if not isinstance(apdu, kind):
        raise odd(type(apdu).__name__)
    if (getattr(apdu, "invoke_id", 0) ^ invoke_id) & 0x0F:
        raise odd("another invoke-id")
    return apdu


def check_block(
    found: int, wanted: int, block: bytes, size: int, terms: Terms, *, last: bool
) -> None:
    """Check the number of a block that came, and that the answer stays within its bound."""
    if found != wanted:
        raise RemoteProtocolError(f"block {wanted} wanted, {found} came")
    if not block and not last:
        raise RemoteProtocolError("an empty block that is not the last")
    if size + len(block) > terms.max_answer:
        raise RemoteProtocolError(f"an answer of more than {terms.max_answer} octets")


def counted(items: Items, chunk: tuple[Any, ...]) -> Items:
    """Return ``items`` if there is one for each of ``chunk``."""
    if len(items) != len(chunk):
        raise odd(f"{len(items)} results for {len(chunk)} items")
    return items


def one_by_one(
    chunk: tuple[Any, ...], single: Callable[[Any, Terms], Exchange], terms: Terms
) -> Exchange:
    """Do each of ``chunk`` by itself."""
    items: list[Item] = []
    for item in chunk:
        items += yield from single(item, terms)
    return tuple(items)


_LIST_HEAD: Final = 3 + 3  # tag, choice, invoke-id; a count of up to 3 octets


def chunks(
    items: tuple[T, ...], terms: Terms, size_of: Callable[[T], int]
) -> Iterator[tuple[T, ...]]:
    """Cut a list into parts that fit one APDU each, of one item at least."""
    chunk: list[T] = []
    size = _LIST_HEAD
    for item in items:
        needed = size_of(item)
        if chunk and size + needed > terms.room:
            yield tuple(chunk)
            chunk, size = [], _LIST_HEAD
        chunk.append(item)
        size += needed
    if chunk:
        yield tuple(chunk)


def check_taken(number: int, next_number: int) -> None:
    """Check that the meter acknowledges the block before ``next_number``."""
    if number != next_number - 1:
        raise RemoteProtocolError(f"block {next_number - 1} was sent, {number} acknowledged")


NO_BLOCK: Final = Block(last=False, number=0, octets=b"")


def require_blocks(terms: Terms, wanted: Conformance, head: bytes) -> None:
    """Raise ``TooLongError`` unless blocks may be used and have room beside ``head``."""
    if wanted not in terms.conformance or len(head) + BLOCK_OVERHEAD >= terms.room:
        raise TooLongError("the request is longer than what the meter takes")


def cut(octets: bytes, head: int, terms: Terms) -> Iterator[Block]:
    """Cut ``octets`` into blocks: the first fits beside ``head`` octets, the others alone."""
    size = terms.room - head - 2  # the block's length may have 3 octets, in ``head`` it has one
    offset, number = 0, 1
    while True:
        block = octets[offset : offset + size]
        offset += len(block)
        yield Block(offset >= len(octets), number, block)
        if offset >= len(octets):
            return
        number += 1
        size = terms.room - BLOCK_OVERHEAD
