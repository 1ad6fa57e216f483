"""The download descriptor (OMA-Download-OTA 1.0, clause 5.2): what is to come, and from where."""

from __future__ import annotations

import re
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Self
from urllib.parse import SplitResult, urlsplit

from openami.core.errors import DecodeError, LocalProtocolError
from openami.omadm.limits import Limits
from openami.omadm.xml import DECLARATION, escape, feed, new_parser

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

MEDIA_TYPE: Final = "application/vnd.oma.dd+xml"
NAMESPACE: Final = "http://www.openmobilealliance.org/xmlns/dd"

LIMITS: Final = Limits(octets=16 * 1024, depth=4, elements=64)
"""Five addresses, eight types and four texts of the lengths below, and what later versions add."""
MAX_URL: Final = 2048
"""Characters: as many as proxies and servers take."""
MAX_TEXT: Final = 512
"""Characters of what a person reads: two lines and an excuse."""
MAX_TYPES: Final = 8
"""One names the object; others what it is wrapped in."""
MAX_SIZE: Final = 2**40
"""Octets: more than any device has room for, and an exact number in every language."""

MALFORMED: Final = "omadm.descriptor"
WRONG_VERSION: Final = "omadm.descriptor.version"

_HTTPS: Final = 443
_MAJOR: Final = 1
_VERSION: Final = re.compile(r"([0-9]{1,3})\.[0-9]{1,3}")
_TYPE: Final = re.compile(r"[!#$&^_.+\-A-Za-z0-9]{1,127}/[!#$&^_.+\-A-Za-z0-9]{1,127}")
_URL: Final = re.compile(r"https?://[!-~]+", re.IGNORECASE)
_DIGITS: Final = re.compile(r"[0-9]{1,13}")


@dataclass(frozen=True, slots=True)
class Descriptor:
    """What a server says of an object (5.2.2); texts and addresses that it leaves out are None.

    Attributes:
        object_uri: where the object is.
        size: of the object, in octets.
        types: its media types; a device must know each.
        version: of the descriptor, 1.something.
        install_notify_uri: where to tell how it ended.
        install_param: for whoever installs it.
    """

    object_uri: str
    size: int
    types: tuple[str, ...]
    version: str = "1.0"
    name: str | None = None
    vendor: str | None = None
    description: str | None = None
    install_notify_uri: str | None = None
    next_url: str | None = None
    info_url: str | None = None
    icon_uri: str | None = None
    install_param: str | None = None

    def encode(self) -> bytes:
        """Return the document.

        Raises:
            LocalProtocolError: it could not be read again.
        """
        if problem := _problem(self):
            raise LocalProtocolError(f"no descriptor: {problem}")
        shown = {name: getattr(self, field) for name, field in _OPTIONAL.items()}
        pairs = [
            *((_TYPES, one) for one in self.types),
            (_SIZE, str(self.size)),
            (_OBJECT, self.object_uri),
            (_DD_VERSION, self.version),
            *((name, text) for name, text in shown.items() if text is not None),
        ]
        body = "".join(f"<{name}>{escape(text)}</{name}>" for name, text in pairs)
        return DECLARATION + f'<{_ROOT} xmlns="{NAMESPACE}">{body}</{_ROOT}>'.encode()

    @classmethod
    def decode(cls, octets: bytes) -> Self:
        """Read a document; elements that this version does not have say nothing.

        Raises:
            DecodeError: ``omadm.descriptor.version``: of another major version; anything else: no
                descriptor, or beyond a bound.
        """
        media = _Media()
        feed(media.parser, octets, LIMITS)
        version = media.values.get(_DD_VERSION, "1.0")
        found = _VERSION.fullmatch(version)
        if found is None or int(found[1]) != _MAJOR:  # 5.2.2: a new major version is not understood
            raise DecodeError(f"DDVersion {version[:20]!a}: 1 is known", code=WRONG_VERSION)
        size = media.values.get(_SIZE, "")
        descriptor = cls(
            media.values.get(_OBJECT, ""),
            int(size) if _DIGITS.fullmatch(size) else 0,
            tuple(one.lower() for one in media.types),
            version,
            **{field: media.values.get(name) for name, field in _OPTIONAL.items()},
        )
        if problem := _problem(descriptor):
            raise DecodeError(problem, code=MALFORMED)
        return descriptor


_ROOT: Final = "media"
_TYPES: Final = "type"
_SIZE: Final = "size"
_OBJECT: Final = "objectURI"
_DD_VERSION: Final = "DDVersion"
_OPTIONAL: Final[Mapping[str, str]] = MappingProxyType(
    {
        "name": "name",
        "vendor": "vendor",
        "description": "description",
        "installNotifyURI": "install_notify_uri",
        "nextURL": "next_url",
        "infoURL": "info_url",
        "iconURI": "icon_uri",
        "installParam": "install_param",
    }
)
_KNOWN: Final = frozenset({_TYPES, _SIZE, _OBJECT, _DD_VERSION, *_OPTIONAL})
_URLS: Final = frozenset({"install_notify_uri", "next_url", "info_url", "icon_uri"})


class _Media:
    """The handlers of one document: an element of elements of characters."""

    def __init__(self) -> None:
        self.values: dict[str, str] = {}
        self.types: list[str] = []
        self._path: list[str] = []
        self._text: list[str] = []
        self._left = LIMITS.elements
        self.parser = parser = new_parser()
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._text.append

    def _error(self, message: str) -> DecodeError:
        return DecodeError(message, offset=self.parser.CurrentByteIndex, code=MALFORMED)

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        self._left -= 1
        if self._left < 0 or len(self._path) == LIMITS.depth:
            raise self._error("more elements than a descriptor has")
        namespace, _, name = tag.rpartition(" ")
        known = namespace.casefold() in {NAMESPACE, ""}  # not all servers write the namespace
        if not self._path:
            if not known or name != _ROOT:
                raise self._error(f"{name[:40]!a} is no descriptor")
            if _DD_VERSION in attributes:  # as some write it
                self.values[_DD_VERSION] = attributes[_DD_VERSION].strip()
        elif len(self._path) > 1 and self._path[1] in _KNOWN:
            raise self._error(f"{self._path[1]} holds elements")
        self._path.append(name if known else "")
        self._text.clear()

    def _end(self, _tag: str) -> None:
        name = self._path.pop()
        text = "".join(self._text).strip()
        self._text.clear()
        if len(self._path) != 1 or name not in _KNOWN or not text:
            return
        if name == _TYPES:
            self.types.append(text)
        elif self.values.setdefault(name, text) != text:
            raise self._error(f"{name} is said twice")


def split_url(url: str) -> SplitResult | None:
    """Return the parts of an absolute HTTP URL that a request can be made of; None: it is none."""
    if len(url) > MAX_URL or not _URL.fullmatch(url):
        return None
    try:
        parts = urlsplit(url)
        usable = parts.hostname and parts.port != 0 and "@" not in parts.netloc
        usable = usable and not parts.path.startswith("//")  # would name a host, on its own
    except ValueError:
        return None
    return parts if usable and not parts.fragment else None


def origin_of(url: str) -> str | None:
    """Return the host and port of an HTTPS URL, as in ``headend:8443``; None: it is none."""
    parts = split_url(url)
    if parts is None or parts.scheme != "https":
        return None
    host = parts.hostname or ""
    shown = f"[{host}]" if ":" in host else host
    return f"{shown}:{parts.port or _HTTPS}"


def _problem(descriptor: Descriptor) -> str | None:
    """Say what makes a descriptor none; None: nothing does."""
    checks = (
        ("objectURI is no HTTP address", split_url(descriptor.object_uri) is not None),
        ("size is no number of octets", 0 < descriptor.size <= MAX_SIZE),
        (f"1 to {MAX_TYPES} types wanted", 0 < len(descriptor.types) <= MAX_TYPES),
        ("type is no media type", all(map(_TYPE.fullmatch, descriptor.types))),
        *((f"{name} is no HTTP address or too long", good) for name, good in _shown(descriptor)),
    )
    return next((problem for problem, good in checks if not good), None)


def _shown(descriptor: Descriptor) -> Iterator[tuple[str, bool]]:
    for name, field in _OPTIONAL.items():
        value = getattr(descriptor, field)
        if value is not None:
            is_url = split_url(value) is not None
            yield name, is_url if field in _URLS else len(value) <= MAX_TEXT
