"""What the heads of HTTP answers say about a file that is fetched in parts (RFC 9110).

Names of headers are in lower case.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from openami.omadm.download.ends import End

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

OK: Final = 200
PARTIAL: Final = 206
NOT_SATISFIABLE: Final = 416

MAX_VALIDATOR: Final = 256
"""Characters: an ETag is a digest, or a few numbers; a longer one is taken for none."""
MAX_RETRY_AFTER_S: Final = 3600.0
"""A server that asks for more patience gets an hour's: it may have meant less."""

_STRONG_AFTER_S: Final = 60.0
_TAG: Final = re.compile(r'"[!#-~]*"')  # 8.8.3, but for the octets that no server uses
_RANGE: Final = re.compile(r"bytes ([0-9]{1,15})-([0-9]{1,15})/(?:\*|([0-9]{1,15}))")
_OCTET_STREAM: Final = "application/octet-stream"

_AGAIN: Final[Mapping[int, End]] = MappingProxyType(
    {
        408: End.TIMEOUT,
        425: End.UNAVAILABLE,
        429: End.UNAVAILABLE,
        **dict.fromkeys(range(500, 600), End.SERVER),
        **dict.fromkeys((502, 503, 504), End.UNAVAILABLE),
    }
)
_FOR_GOOD: Final[Mapping[int, End]] = MappingProxyType(
    {
        **dict.fromkeys((401, 403, 407), End.FORBIDDEN),
        **dict.fromkeys((404, 410), End.MISSING),
    }
)


@dataclass(frozen=True, slots=True)
class Refusal:
    """What a status says that is none of success: the end, now or if no other try goes better."""

    end: End
    again: bool


def refusal(status: int) -> Refusal:
    """Return what to make of a status that the request did not ask for.

    Redirects are none of ours: where a device fetches from is said in its descriptor.
    """
    if status in _AGAIN:
        return Refusal(_AGAIN[status], again=True)
    return Refusal(_FOR_GOOD.get(status, End.SERVER), again=False)


def validator_of(headers: Mapping[str, str]) -> str:
    """Return what If-Range may compare (13.1.5): it has to be strong; ``""``: there is none."""
    tag = headers.get("etag", "").strip()
    if _TAG.fullmatch(tag) and len(tag) <= MAX_VALIDATOR:
        return tag
    text = headers.get("last-modified", "").strip()
    modified, date = _moment(text), _moment(headers.get("date", ""))
    if modified is None or date is None or len(text) > MAX_VALIDATOR or not text.isascii():
        return ""
    # 8.8.2.2: a file that is written twice within the clock's grain has one date
    return text if (date - modified).total_seconds() >= _STRONG_AFTER_S else ""


@dataclass(frozen=True, slots=True)
class ContentRange:
    """Which octets came, the last one included, and of how many; None: the server does not say."""

    first: int
    last: int
    total: int | None


def content_range(headers: Mapping[str, str]) -> ContentRange | None:
    """Return the one range that an answer holds (14.4); None: it does not say."""
    found = _RANGE.fullmatch(headers.get("content-range", "").strip())
    if found is None:
        return None
    first, last, total = found.groups()
    return ContentRange(int(first), int(last), None if total is None else int(total))


def is_plain(headers: Mapping[str, str]) -> bool:
    """Tell whether the body is the file as it is: not packed, of which ranges mean nothing here."""
    return headers.get("content-encoding", "identity").strip().lower() in {"identity", ""}


def length_of(headers: Mapping[str, str]) -> int | None:
    """Return the length that an answer states; None: none."""
    text = headers.get("content-length", "").strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) < 16 else None


def fits_types(headers: Mapping[str, str], types: tuple[str, ...]) -> bool:
    """Tell whether an answer's type is one of those; none, and octets of any kind, are."""
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    return kind in {"", _OCTET_STREAM, *types}


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds that a server asks to wait (10.2.3), by its own clock; None: none."""
    text = headers.get("retry-after", "").strip()
    if text.isascii() and text.isdigit():
        return min(float(text[:9]), MAX_RETRY_AFTER_S)
    until, date = _moment(text), _moment(headers.get("date", ""))
    if until is None or date is None:
        return None
    return min(max((until - date).total_seconds(), 0.0), MAX_RETRY_AFTER_S)


def _moment(text: str) -> datetime | None:
    if len(text) > 64 or not text.strip().endswith("GMT"):  # 5.6.7: all times are
        return None
    try:
        return parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
