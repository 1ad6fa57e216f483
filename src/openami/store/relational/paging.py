"""Keyset cursors: where a page ended, as an opaque text."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any, Final, TypeVar

from openami.core.errors import ConflictError
from openami.fleet.ports import MAX_PAGE, Page

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

R = TypeVar("R")
T = TypeVar("T")

# Longer than any key of ours; a cursor comes from a URL.
_MAX_CURSOR: Final = 512


def encode_cursor(*key: str | float) -> str:
    """Return the cursor for the key of a page's last item."""
    return base64.urlsafe_b64encode(json.dumps(key).encode()).decode().rstrip("=")


def decode_cursor(cursor: str, *types: type) -> list[Any]:
    """Return the key that a cursor holds.

    Raises:
        ConflictError: ``store.cursor``, it is none of ours.
    """
    try:
        key = json.loads(base64.b64decode(cursor + "=" * (-len(cursor) % 4), b"-_", validate=True))
    except (ValueError, RecursionError):
        key = None
    if (
        len(cursor) > _MAX_CURSOR
        or not isinstance(key, list)
        or len(key) != len(types)
        or not all(_fits(value, kind) for value, kind in zip(key, types, strict=True))
    ):
        raise ConflictError("this is not the 'next' of a page", code="store.cursor")
    return key


def _fits(value: object, kind: type) -> bool:
    """Return whether the database can take ``value`` where a ``kind`` is wanted."""
    if isinstance(value, str) and not value.isprintable():
        return False
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        return False
    return isinstance(value, kind)


def bounded(limit: int) -> int:
    """Return how many items a page may have, between 1 and MAX_PAGE."""
    return min(max(limit, 1), MAX_PAGE)


def page(
    rows: Sequence[R], limit: int, item: Callable[[R], T], key: Callable[[R], tuple[Any, ...]]
) -> Page[T]:
    """Return a page of ``rows``, which were asked for with one row more than ``limit``."""
    items = tuple(item(row) for row in rows[:limit])
    more = len(rows) > limit
    return Page(items, encode_cursor(*key(rows[limit - 1])) if more else None)
