"""Readable trees of messages, deciphered with the keys at hand; passwords are left out.

Offsets are those of the message also in what was deciphered, which is as long as it was before.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from enum import Flag
from typing import TYPE_CHECKING, Any, Final

from openami.c1222 import apdu as acse
from openami.c1222.apdu import Apdu, KeyUse
from openami.c1222.codes import ResponseCode, ResponseControl, SecurityMode, ServiceCode
from openami.c1222.epsem import ED_CLASS_SIZE, Epsem, check_control, mode_of, read_services
from openami.c1222.security import NO_KEYS, Keys, unprotect
from openami.c1222.services.features import Features
from openami.c1222.services.requests import MANUFACTURER, PENDING, layout
from openami.c1222.services.responses import ANSWERS, operands, response_code
from openami.c1222.titles import ApTitle
from openami.core.errors import DecodeError, SecurityError
from openami.core.inspection import Node
from openami.core.recent import Recent
from openami.crypto.eax import TAG_SIZE
from openami.wire.reader import Reader

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from openami.c1222.services.fields import Field

_MOST_REQUESTS: Final = 1024
"""Of which it is remembered what they asked: a capture has a few in flight."""
_NUMBER: Final = 0x07FF
_ANSWERS_END: Final = 0x20
_CAPITAL: Final = re.compile(r"(?<!^)(?=[A-Z])")
_NAMES: Final[Mapping[int, str]] = {
    acse.CONTEXT: "application context",
    acse.CALLED: "called ApTitle",
    acse.TOTAL: "size of the whole",
    acse.ANSWERS: "called invocation id",
    acse.CALLING: "calling ApTitle",
    acse.QUALIFIER: "calling qualifier",
    acse.INVOCATION: "calling invocation id",
    acse.MECHANISM: "security mechanism",
}
_VALUES: Final[Mapping[int, Callable[[Apdu], Any]]] = {
    acse.CONTEXT: lambda a: ApTitle(a.context or b"", relative=False),
    acse.CALLED: lambda a: a.called,
    acse.TOTAL: lambda a: a.total,
    acse.ANSWERS: lambda a: a.answers,
    acse.CALLING: lambda a: a.calling,
    acse.QUALIFIER: lambda a: a.qualifier,
    acse.INVOCATION: lambda a: a.invocation_id,
    acse.MECHANISM: lambda a: ApTitle(a.mechanism or b"", relative=False),
}


def table_name(number: int) -> str:
    """Return what a table is called: ``ST-23``, ``MT-5``, ``pending ST-7``."""
    kind = "MT" if number & MANUFACTURER else "ST"
    return f"{'pending ' if number & PENDING else ''}{kind}-{number & _NUMBER}"


def _flags(value: Flag) -> str:
    return ", ".join(str(each.name).lower().replace("_", " ") for each in value)


def _text(octets: bytes) -> str:
    printable = octets and all(0x20 <= octet < 0x7F for octet in octets)
    return f'"{octets.decode("ascii")}"' if printable else ""


def _features(value: Features) -> str:
    sessions = "" if value.sessions is None else f"{value.sessions} sessions"
    said = (value.mechanism, sessions, "sessionless" if value.sessionless else "")
    more = (value.device_class, value.identity, value.unknown.hex().upper())
    return ", ".join(str(each) for each in (*said, *more) if each)


def _shown(field: Field, value: Any) -> tuple[int | str, str]:
    """Return what a field says, and the same in words."""
    if isinstance(value, Features):
        return _features(value), ""
    if isinstance(value, Flag):
        return value.value, _flags(value)
    if isinstance(value, bytes):
        return value.hex().upper(), _text(value)
    if isinstance(value, tuple):
        return ", ".join(map(str, value)), ""
    if isinstance(value, int):
        return value, table_name(value) if field.name == "table" else ""
    return str(value), ""


def _name(kind: type) -> str:
    return _CAPITAL.sub(" ", kind.__name__).capitalize()


def _row(r: Reader, data: bytes, base: int, row: tuple[Field, ...]) -> list[Node]:
    """Dissect a row of fields."""
    found = []
    for field in row:
        start = r.offset
        value = field.take(r)
        if r.offset == start:
            continue
        octets = data[start - base : r.offset - base]
        if field.secret:
            note = f"{len(octets)} octets, not shown"
            found.append(Node(field.name, None, start, b"", (), note))
        else:
            shown, words = _shown(field, value)
            found.append(Node(field.name, shown, start, octets, (), words))
    r.finish()
    return found


def _request(data: bytes, base: int) -> Node:
    r = Reader(data, base=base)
    code = r.u8()
    kind, row = layout(code)
    head = Node("service", code, base, data[:1], (), f"{code:02X}")
    return Node(_name(kind), None, base, data, (head, *_row(r, data, base, row)))


def _response(data: bytes, base: int, request: int | None) -> Node:
    r = Reader(data, base=base)
    code = response_code(r)
    head = Node("response", code.value, base, data[:1], (), f"{code.name.lower()}: {code.meaning}")
    if code is not ResponseCode.OK:
        row = operands(code, trace=request == ServiceCode.TRACE)
        return Node("Failure", None, base, data, (head, *_row(r, data, base, row)))
    if request is None:
        rest = [Node("data", data[1:].hex().upper(), base + 1, data[1:])] if data[1:] else []
        return Node("Response", None, base, data, (head, *rest), "the request is not known")
    kind = ANSWERS[request]
    return Node(_name(kind), None, base, data, (head, *_row(r, data, base, kind.FIELDS)))


def _service(data: bytes, base: int, request: int | None) -> Node:
    try:
        if data[0] < _ANSWERS_END:
            return _response(data, base, request)
        return _request(data, base)
    except DecodeError as error:
        return Node("service", data.hex().upper(), base, data, (), error.message)


def _control(octet: int, at: int) -> Node:
    epsem = Epsem.read(octet & ~0x10, b"")
    said = [
        f"security mode {epsem.mode.value} ({epsem.mode.name.lower()})",
        f"answered {ResponseControl(epsem.respond).name.lower().replace('_', ' ')}",
        *(name for name in ("recovery", "proxy") if getattr(epsem, name)),
    ]
    return Node("control", octet, at, bytes((octet,)), (), ", ".join(said))


def _aligned(services: Sequence[bytes], asked: Sequence[int]) -> Sequence[int | None]:
    """Return what each service answers, as far as it can be told."""
    if len(services) != len(asked):  # Security is not always answered where there is no session
        asked = [code for code in asked if code != ServiceCode.SECURITY]
    if len(services) == len(asked):
        return asked
    return [None] * len(services)


class Inspector:
    """Shows messages, one after another: an answer is read by the request that came before it.

    Args:
        keys: decipher what they can.
    """

    def __init__(self, keys: Keys = NO_KEYS) -> None:
        self._keys = keys
        self._asked: Recent[tuple[bytes, int], tuple[int, ...]] = Recent(_MOST_REQUESTS)
        self._used: Recent[bytes, KeyUse] = Recent(_MOST_REQUESTS)

    def message(self, octets: bytes) -> Node:
        """Return the tree of one message, or of one segment.

        Raises:
            DecodeError: it is none.
        """
        apdu = Apdu.decode(octets)
        children = [self._part(apdu, octets, part) for part in apdu.parts]
        note = "" if apdu.total is None else "segment"
        return Node("Message", None, 0, octets, tuple(children), note)

    def _part(self, apdu: Apdu, octets: bytes, part: acse.Part) -> Node:
        whole = octets[part.start : part.end]
        if part.tag == acse.INFORMATION:
            inner = self._information(apdu, octets)
            return Node("user information", None, part.start, whole, inner)
        if part.tag == acse.AUTHENTICATION and apdu.key is not None:
            return _key(apdu.key, part, whole)
        value = _VALUES[part.tag](apdu)
        words = _flags(value) if isinstance(value, Flag) else ""
        shown = int(value) if isinstance(value, int) else str(value)
        return Node(_NAMES[part.tag], shown, part.start, whole, (), words)

    def _information(self, apdu: Apdu, octets: bytes) -> tuple[Node, ...]:
        at = len(octets) - len(apdu.information)
        if apdu.total is not None and apdu.reference is not None:
            end = apdu.reference + len(apdu.information)
            note = f"octets {apdu.reference} to {end} of {apdu.total}"
            shown = apdu.information.hex().upper()
            return (Node("segment", shown, at, apdu.information, (), note),)
        if not apdu.information:
            raise DecodeError("no EPSEM", offset=at)
        control = apdu.information[0]
        check_control(control, at)
        return (_control(control, at), *self._body(apdu, octets, at + 1))

    def _body(self, apdu: Apdu, octets: bytes, at: int) -> list[Node]:
        sender = b"" if apdu.calling is None else apdu.calling.name
        mode = mode_of(octets[at - 1])
        end = max(len(octets) - (TAG_SIZE if mode else 0), at)
        try:
            opened = unprotect(octets, self._keys, remembered=self._used.get(sender))
        except SecurityError as error:
            tag = _tag(octets, end, error.message)
            if mode is SecurityMode.ENCRYPTED:
                return [Node("sealed", octets[at:end].hex().upper(), at, octets[at:end]), *tag]
            epsem = Epsem.read(octets[at - 1], octets[at:end], base=at)
            return [*self._epsem(apdu, epsem, octets[at:end], at), *tag]
        if opened.key is not None:
            self._used[sender] = opened.key
        found = self._epsem(apdu, opened.epsem, opened.plain, at)
        return [*found, *_tag(octets, end, "right")] if mode else found

    def _epsem(self, apdu: Apdu, epsem: Epsem, plain: bytes, at: int) -> list[Node]:
        found = []
        if epsem.ed_class is not None:
            shown, text = epsem.ed_class.hex().upper(), _text(epsem.ed_class)
            found.append(Node("ED class", shown, at, epsem.ed_class, (), text))
            plain, at = plain[ED_CLASS_SIZE:], at + ED_CLASS_SIZE
        services = read_services(Reader(plain, base=at))
        pairs = zip(services, self._requests(apdu, epsem), strict=True)
        return found + [_service(data, base, request) for (base, data), request in pairs]

    def _requests(self, apdu: Apdu, epsem: Epsem) -> Sequence[int | None]:
        services = epsem.services
        if apdu.answers is None:
            sender = b"" if apdu.calling is None else apdu.calling.name
            self._asked[sender, apdu.invocation_id] = tuple(each[0] for each in services)
            return [None] * len(services)
        asker = b"" if apdu.called is None else apdu.called.name
        asked = self._asked.get((asker, apdu.answers), ())
        return _aligned(services, [code for code in asked if code in ANSWERS])


def _key(key: KeyUse, part: acse.Part, whole: bytes) -> Node:
    end = part.end
    moment = datetime.fromtimestamp(key.time, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    inner = (
        Node("key id", key.key_id, end - 7, whole[-7:-6]),
        Node("initialization vector", key.iv.hex().upper(), end - 4, key.iv, (), moment),
    )
    return Node("authentication value", None, part.start, whole, inner)


def _tag(octets: bytes, at: int, why: str) -> list[Node]:
    return [Node("tag", octets[at:].hex().upper(), at, octets[at:], (), why)]
