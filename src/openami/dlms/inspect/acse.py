"""How the ACSE APDUs look inside: their fields, by tag."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

from openami.core.inspection import Node
from openami.dlms.apdu.acse import (
    ApplicationContext,
    AssociationResult,
    Diagnostic,
    Mechanism,
    ReleaseRequestReason,
    ReleaseResponseReason,
)
from openami.dlms.apdu.common import Tag
from openami.dlms.inspect.services import words

if TYPE_CHECKING:
    from openami.dlms.inspect.scan import Scan

ApduPart = Callable[[bytes, int], Node]
_Content = Callable[[bytes], tuple[str, str]]
_Fields = Mapping[int, tuple[str, _Content]]

_CONTEXT_ARC: Final = bytes.fromhex("060760857405 0801")
_MECHANISM_ARC: Final = bytes.fromhex("60857405 0802")


def _named(prefix: bytes, name: Callable[[int], str]) -> _Content:
    """Return what names an object identifier whose last arc counts."""

    def content(octets: bytes) -> tuple[str, str]:
        known = octets[:-1] == prefix
        return octets.hex().upper(), name(octets[-1]) if known else "not of DLMS"

    return content


def _number(name: Callable[[int], str]) -> _Content:
    def content(octets: bytes) -> tuple[str, str]:
        value = octets[-1] if octets else 0
        return str(value), name(value)

    return content


def _title(octets: bytes) -> tuple[str, str]:
    return octets[2:].hex().upper(), ""


def _plain(octets: bytes) -> tuple[str, str]:
    return octets.hex().upper(), ""


def _challenge(octets: bytes) -> tuple[str, str]:
    text = octets[2:]
    printable = text and all(0x20 <= octet < 0x7F for octet in text)
    return text.hex().upper(), f'"{text.decode("ascii")}"' if printable else ""


def _requirements(octets: bytes) -> tuple[str, str]:
    return octets.hex().upper(), "authentication" if octets[1:2] >= b"\x80" else "none"


_context: Final = _named(_CONTEXT_ARC, words(ApplicationContext))
_mechanism: Final = _named(_MECHANISM_ARC, words(Mechanism))
_SECRET_MECHANISM: Final = _MECHANISM_ARC + bytes((Mechanism.LLS,))

_AARQ: Final[_Fields] = {
    0x80: ("protocol-version", _plain),
    0xA1: ("application-context-name", _context),
    0xA2: ("called-AP-title", _title),
    0xA3: ("called-AE-qualifier", _plain),
    0xA4: ("called-AP-invocation-id", _plain),
    0xA5: ("called-AE-invocation-id", _plain),
    0xA6: ("calling-AP-title", _title),
    0xA7: ("calling-AE-qualifier", _plain),
    0xA8: ("calling-AP-invocation-id", _plain),
    0xA9: ("calling-AE-invocation-id", _number(lambda _: "user")),
    0x8A: ("sender-acse-requirements", _requirements),
    0x8B: ("mechanism-name", _mechanism),
    0xAC: ("calling-authentication-value", _challenge),
    0xBD: ("implementation-information", _plain),
}
_AARE: Final[_Fields] = {
    0x80: ("protocol-version", _plain),
    0xA1: ("application-context-name", _context),
    0xA2: ("result", _number(words(AssociationResult))),
    0xA3: ("result-source-diagnostic", _number(words(Diagnostic))),
    0xA4: ("responding-AP-title", _title),
    0xA5: ("responding-AE-qualifier", _plain),
    0xA6: ("responding-AP-invocation-id", _plain),
    0xA7: ("responding-AE-invocation-id", _plain),
    0x88: ("responder-acse-requirements", _requirements),
    0x89: ("mechanism-name", _mechanism),
    0xAA: ("responding-authentication-value", _challenge),
    0xBD: ("implementation-information", _plain),
}
_RLRQ: Final = {0x80: ("reason", _number(words(ReleaseRequestReason)))}
_RLRE: Final = {0x80: ("reason", _number(words(ReleaseResponseReason)))}

ACSE: Final[Mapping[int, tuple[str, _Fields]]] = {
    Tag.AARQ: ("AARQ", _AARQ),
    Tag.AARE: ("AARE", _AARE),
    Tag.RLRQ: ("RLRQ", _RLRQ),
    Tag.RLRE: ("RLRE", _RLRE),
}
_USER_INFORMATION: Final = 0xBE
_AUTHENTICATION_VALUES: Final = frozenset({b"\xac", b"\xaa"})
_HEADS: Final = 4  # tag and length of the field, tag and length of the charstring


def dissect_acse(scan: Scan, apdu: ApduPart) -> Node:
    """Dissect an ACSE APDU; ``apdu`` dissects the user-information, given its offset.

    A password (low level security) is not shown.
    """
    start = scan.r.offset
    name, fields = ACSE[scan.r.u8()]
    scan.r.length()
    children: list[Node] = []
    while scan.r.remaining:
        part = _user_information if scan.r.peek() == _USER_INFORMATION else _field
        children.append(part(scan, fields, apdu))
    if any(node.octets[2:] == _SECRET_MECHANISM for node in children):
        children = [_hidden(node) for node in children]
    return Node(name, None, start, scan.since(start), tuple(children))


def _hidden(node: Node) -> Node:
    if node.octets[:1] not in _AUTHENTICATION_VALUES:
        return node
    size = len(node.octets) - _HEADS
    return Node(node.name, None, node.offset, b"", (), f"{size} octets, not shown")


def _field(scan: Scan, fields: _Fields, _apdu: ApduPart) -> Node:
    start = scan.r.offset
    tag = scan.r.u8()
    content = scan.r.take(scan.r.length())
    name, read = fields.get(tag, (f"field {tag:02X}", _plain))
    value, note = read(content)
    return Node(name, value, start, scan.since(start), (), note)


def _user_information(scan: Scan, _fields: _Fields, apdu: ApduPart) -> Node:
    start = scan.r.offset
    scan.r.u8()
    scan.r.length()
    scan.r.expect(0x04, "user-information")
    size = scan.r.length()
    at = scan.r.offset
    inner = apdu(scan.r.take(size), at)
    return Node("user-information", None, start, scan.since(start), (inner,))
