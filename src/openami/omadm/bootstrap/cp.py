"""The CP profile: a wap-provisioningdoc with an APPLICATION ``w7`` per account.

OMA-TS-Provisioning_Content 1.1 and OMA-TS-DM_Bootstrap 1.2, clause 5.4 (the mapping to DMAcc).
"""

from __future__ import annotations

import binascii
from base64 import b64decode, b64encode
from dataclasses import dataclass, field
from itertools import groupby
from types import MappingProxyType
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit, urlunsplit
from xml.parsers import expat
from xml.sax.saxutils import quoteattr

from openami.core.errors import DecodeError, LocalProtocolError
from openami.omadm.element import FORBIDDEN
from openami.omadm.objects.dmacc import APP_ID, AppAuth, DmAcc, Level

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

MEDIA_TYPE: Final = "text/vnd.wap.connectivity-xml"
MAX_OCTETS: Final = 65_536
"""Of a document: an account has about a thousand."""
MAX_ELEMENTS: Final = 1_024
"""Of a document, for the same reason: an account has about thirty."""
MAX_DEPTH: Final = 8
"""The deepest thing in the standard, an APPADDR's PORT, is at 5."""
_DECLARATION: Final = '<?xml version="1.0" encoding="UTF-8"?>'
_ROOT: Final = "wap-provisioningdoc"
_LEVELS: Final[Mapping[str, Level]] = MappingProxyType(
    {"APPSRV": Level.CLIENT, "CLIENT": Level.SERVER, "OBEX": Level.OBEX, "HTTP": Level.HTTP}
)
_LEVEL_NAMES: Final = MappingProxyType({level: name for name, level in _LEVELS.items()})


@dataclass(slots=True)
class _Group:
    """A characteristic: its type, its parameters, and the characteristics in it."""

    type: str
    parms: list[tuple[str, str]] = field(default_factory=list)
    groups: list[_Group] = field(default_factory=list)

    def value(self, name: str) -> str | None:
        """Return the first parameter of a name; None: there is none."""
        return next((value for key, value in self.parms if key.upper() == name), None)

    def all(self, kind: str) -> Iterator[_Group]:
        """Yield the characteristics of a type in this one."""
        return (group for group in self.groups if group.type.upper() == kind)


class _Builder:
    """The handlers of one document."""

    def __init__(self) -> None:
        self.parser = parser = expat.ParserCreate("utf-8")
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.StartDoctypeDeclHandler = self._doctype
        self.root = _Group("")
        self._stack: list[_Group] = []
        self._depth = 0
        self._left = MAX_ELEMENTS

    def _error(self, message: str) -> DecodeError:
        return DecodeError(message, offset=max(self.parser.CurrentByteIndex, 0))

    def _doctype(self, _name: str, _system: object, _public: object, subset: int) -> None:
        # The standard's own documents name its DTD, which is never fetched; what would be a danger
        # stands in the document itself.
        if subset:
            raise self._error("declarations in the document are refused")

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self._left -= 1
        self._depth += 1
        if self._left < 0 or self._depth > MAX_DEPTH:
            raise self._error("too many elements, or too deep")
        if self._depth == 1:
            if name != _ROOT:
                raise self._error(f"{_ROOT} wanted")
            self._stack.append(self.root)
        elif name == "characteristic":
            group = _Group(self._attribute(attributes, "type"))
            self._stack[-1].groups.append(group)
            self._stack.append(group)
        elif name == "parm":
            value = attributes.get("value", "")
            self._stack[-1].parms.append((self._attribute(attributes, "name"), value))
        else:
            raise self._error(f"unknown element {name[:40]}")

    def _attribute(self, attributes: dict[str, str], name: str) -> str:
        if name not in attributes:
            raise self._error(f"no {name}")
        return attributes[name]

    def _end(self, name: str) -> None:
        self._depth -= 1
        if name != "parm":
            self._stack.pop()


def _parse(octets: bytes) -> _Group:
    if len(octets) > MAX_OCTETS:
        raise DecodeError(f"more than {MAX_OCTETS} octets", offset=MAX_OCTETS)
    builder = _Builder()
    try:
        builder.parser.Parse(octets, True)
    except expat.ExpatError as error:
        raise DecodeError(
            f"not well-formed XML: {expat.ErrorString(error.code)}",
            offset=max(builder.parser.ErrorByteIndex, 0),
        ) from error
    return builder.root


def read_cp(octets: bytes) -> tuple[DmAcc, ...]:
    """Return the accounts of a document; other applications in it are not looked at.

    Raises:
        DecodeError: it is no provisioning document, or has an account that cannot be one.
    """
    groups = _parse(octets).all("APPLICATION")
    return tuple(_account(group) for group in groups if group.value("APPID") == APP_ID)


def _account(group: _Group) -> DmAcc:
    server = group.value("PROVIDER-ID")
    if not server:
        raise DecodeError("an account without a PROVIDER-ID")
    address = next((_address(part) for part in group.all("APPADDR")), group.value("ADDR"))
    if not address:
        raise DecodeError("an account without an address")
    auth: list[AppAuth] = []
    preferred = ""
    for part in group.all("APPAUTH"):
        kinds = [kind.strip() for kind in (part.value("AAUTHTYPE") or "").split(",")]
        auth += [_auth(part, kind) for kind in kinds]
        # Of several types, the first is the preferred one.
        preferred = preferred or (kinds[0] if len(kinds) > 1 else "")
    return DmAcc(server, address, group.value("NAME") or "", preferred, tuple(auth))


def _address(group: _Group) -> str:
    address = group.value("ADDR") or ""
    port = next((part.value("PORTNBR") for part in group.all("PORT")), None)
    if not port:
        return address
    try:
        url = urlsplit(address)
        if url.port is None and url.hostname:
            return urlunsplit(url._replace(netloc=f"{url.netloc}:{int(port)}"))
    except ValueError as error:
        raise DecodeError("no address, or no port") from error
    return address


def _auth(group: _Group, kind: str) -> AppAuth:
    level = _LEVELS.get((group.value("AAUTHLEVEL") or "APPSRV").upper())
    if level is None:
        raise DecodeError("unknown AAUTHLEVEL")
    try:
        data = b64decode(group.value("AAUTHDATA") or "", validate=True)
    except (binascii.Error, ValueError) as error:
        raise DecodeError("AAUTHDATA is not base64") from error
    name, secret = group.value("AAUTHNAME") or "", group.value("AAUTHSECRET") or ""
    return AppAuth(level, kind, name, secret, data)


def _parm(name: str, value: str) -> str:
    if FORBIDDEN.search(value):
        raise LocalProtocolError(f"{name}: XML has no form for a character of it")
    # An attribute's line breaks and tabs would come back as spaces (XML 1.0, 3.3.3).
    escapes = {"\n": "&#10;", "\r": "&#13;", "\t": "&#9;"}
    return f'<parm name="{name}" value={quoteattr(value, escapes)}/>'


def _characteristic(kind: str, *content: str) -> str:
    return f'<characteristic type="{kind}">{"".join(content)}</characteristic>'


def _written_auth(auth: AppAuth, kinds: str) -> str:
    parms = {
        "AAUTHLEVEL": _LEVEL_NAMES[auth.level],
        "AAUTHTYPE": kinds,
        "AAUTHNAME": auth.name,
        "AAUTHSECRET": auth.secret,
        "AAUTHDATA": b64encode(auth.data).decode(),
    }
    return _characteristic(
        "APPAUTH", *(_parm(name, value) for name, value in parms.items() if value)
    )


def _written(account: DmAcc) -> str:
    names = [("APPID", APP_ID), ("PROVIDER-ID", account.server_id)]
    names += [("NAME", account.name)] if account.name else []
    address = _parm("ADDR", account.address) + _parm("ADDRTYPE", "URI")
    parts = [_parm(name, value) for name, value in names]
    parts.append(_characteristic("APPADDR", address))
    same = groupby(account.auth, key=lambda auth: (auth.level, auth.name, auth.secret, auth.data))
    for _, group in same:
        entries = list(group)
        kinds = sorted((e.type for e in entries), key=lambda kind: kind != account.preferred)
        parts.append(_written_auth(entries[0], ",".join(kinds)))
    return _characteristic("APPLICATION", *parts)


def write_cp(*accounts: DmAcc) -> bytes:
    """Return the document that provisions accounts.

    Raises:
        LocalProtocolError: a value holds a character that XML has no form for.
    """
    content = "".join(map(_written, accounts))
    return f'{_DECLARATION}<{_ROOT} version="1.1">{content}</{_ROOT}>'.encode()
