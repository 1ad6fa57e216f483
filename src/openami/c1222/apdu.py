"""The envelope of a message: ACSE as C12.22 uses it (C12.22, 5.3.4).

``60 length``, then fields in the order of their numbers, each once: A1 context, A2 called title,
A3 size of what was cut into segments, A4 invocation id that is answered, A6 calling title,
A7 qualifier, A8 invocation id, 8B mechanism, AC key and time, BE user information, which is the
EPSEM. There is no other framing: on a stream the length says where the next message begins.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self

from openami.c1222.codes import Qualifier
from openami.c1222.limits import MAX_APDU
from openami.c1222.titles import ApTitle
from openami.core.errors import DecodeError, LocalProtocolError
from openami.wire import ber, oid
from openami.wire.reader import Reader

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

TAG: Final = 0x60
CONTEXT: Final = 0xA1
CALLED: Final = 0xA2
TOTAL: Final = 0xA3
ANSWERS: Final = 0xA4
CALLING: Final = 0xA6
QUALIFIER: Final = 0xA7
INVOCATION: Final = 0xA8
MECHANISM: Final = 0x8B
AUTHENTICATION: Final = 0xAC
INFORMATION: Final = 0xBE
_NUMBER: Final = 0x1F
_EXTERNAL: Final = 0x28
_OCTETS: Final = 0x81
_IV: Final = 0x81
_KEY_ID: Final = 0x80
_CHOICE: Final = 0xA2
_SINGLE: Final = 0xA0
_C1222: Final = 0xA1
_ID_BITS: Final = 32
_MOST_KEY_ID: Final = 0xFF
_LONGEST_LENGTH: Final = 5
_LONG: Final = 0x80
IV_SIZE: Final = 4
_KEY_HEAD: Final = bytes((_CHOICE, 13, _SINGLE, 11, _C1222, 9, _KEY_ID, 1))
_KEY_TAIL: Final = bytes((_IV, IV_SIZE))
_NONE: Final = Qualifier(0)


@dataclass(frozen=True, slots=True)
class KeyUse:
    """Which key protects a message, and the four octets that make the use unique.

    Attributes:
        key_id: the key, 0 to 255.
        iv: seconds of UTC when the message was made, as four octets.
    """

    key_id: int
    iv: bytes

    @classmethod
    def at(cls, key_id: int, seconds: float) -> Self:
        """Return the use of a key at a time, in seconds since 1970 UTC."""
        return cls(key_id, (int(seconds) & 0xFFFF_FFFF).to_bytes(4))

    @property
    def time(self) -> int:
        """When the message was made: seconds of UTC, modulo 2 ** 32."""
        return int.from_bytes(self.iv)


class Part(NamedTuple):
    """Where a field of a message stands: its tag, its content, its end."""

    tag: int
    start: int
    content: int
    end: int


@dataclass(frozen=True, slots=True)
class Apdu:
    """One message, or one segment of one.

    Attributes:
        invocation_id: what the sender calls the message by, 0 to 2 ** 32 - 1.
        called: whom it is for.
        calling: who sent it.
        answers: the invocation id of the request that it answers; None: it is a request.
        qualifier: test, urgent, notification.
        key: what protects it; within a session it may be left out after its first use.
        information: octets of EPSEM, as protected; of a segment, its slice.
        total: of a segment: octets of the whole.
        reference: of a segment: where its slice begins; otherwise it means nothing.
        context: of an application context's identifier, if it is written.
        mechanism: of a security mechanism's identifier, if it is written.
        octets: what it was read from; nothing is written from it.
        parts: where its fields stand in that.
    """

    invocation_id: int
    called: ApTitle | None = None
    calling: ApTitle | None = None
    answers: int | None = None
    qualifier: Qualifier = _NONE
    key: KeyUse | None = None
    information: bytes = field(default=b"", repr=False)
    total: int | None = None
    reference: int | None = None
    context: bytes | None = None
    mechanism: bytes | None = None
    octets: bytes = field(default=b"", repr=False, compare=False)
    parts: tuple[Part, ...] = field(default=(), repr=False, compare=False)

    def encode(self) -> bytes:
        """Return the octets.

        Raises:
            LocalProtocolError: an id does not fit, or there is too much of it.
        """
        octets = ber.wrap(TAG, b"".join(self.pieces().values()))
        if len(octets) > MAX_APDU:
            raise LocalProtocolError(f"a message has {MAX_APDU} octets at most")
        return octets

    def pieces(self) -> dict[int, bytes]:
        """Return the octets of each field, by its tag, in the order of their numbers.

        Raises:
            LocalProtocolError: an id does not fit.
        """
        ids = (self.invocation_id, self.answers or 0)
        if any(number < 0 or number >> _ID_BITS for number in ids):
            raise LocalProtocolError(f"an invocation id has {_ID_BITS} bits")
        found: dict[int, bytes] = {}
        if self.context is not None:
            found[CONTEXT] = ber.wrap(CONTEXT, ber.wrap(ber.OID, self.context))
        if self.called is not None:
            found[CALLED] = ber.wrap(CALLED, self.called.element)
        if self.total is not None:
            found[TOTAL] = ber.wrap(TOTAL, ber.write_integer(self.total))
        if self.answers is not None:
            found[ANSWERS] = ber.wrap(ANSWERS, ber.write_unsigned(self.answers))
        if self.calling is not None:
            found[CALLING] = ber.wrap(CALLING, self.calling.element)
        if self.qualifier:
            found[QUALIFIER] = ber.wrap(QUALIFIER, ber.write_unsigned(self.qualifier))
        found[INVOCATION] = ber.wrap(INVOCATION, ber.write_unsigned(self.invocation_id))
        if self.mechanism is not None:
            found[MECHANISM] = ber.wrap(MECHANISM, self.mechanism)
        if self.key is not None:
            found[AUTHENTICATION] = ber.wrap(AUTHENTICATION, _write_key(self.key))
        reference = b"" if self.reference is None else ber.write_integer(self.reference)
        external = reference + ber.wrap(_OCTETS, self.information)
        found[INFORMATION] = ber.wrap(INFORMATION, ber.wrap(_EXTERNAL, external))
        return found

    @classmethod
    def decode(cls, octets: bytes) -> Self:
        """Return the one message that ``octets`` are.

        Raises:
            DecodeError: they are none.
        """
        values: dict[str, Any] = {}
        fields = parts(octets)
        for part in fields:
            content = Reader(octets[part.content : part.end], base=part.content)
            values |= _READERS[part.tag](content)
            content.finish()
        if "information" not in values or "invocation_id" not in values:
            raise DecodeError("an invocation id and user information wanted", offset=len(octets))
        found = cls(**values, octets=octets, parts=fields)
        if found.total is not None and found.reference is None:
            raise DecodeError("a segment says where it begins", offset=len(octets))
        return found


def parts(octets: bytes) -> tuple[Part, ...]:
    """Return the fields of a message, in the order of their numbers.

    Raises:
        DecodeError: there are others, or octets that belong to none.
    """
    if len(octets) > MAX_APDU:
        raise DecodeError(f"more than {MAX_APDU} octets", offset=MAX_APDU)
    r = Reader(octets)
    r.expect(TAG, "message of C12.22")
    if r.length() != r.remaining:
        raise r.error("the length is not that of the message")
    found = []
    start, end, last = r.offset, len(octets), 0
    while start < end:
        tag = octets[start]
        if tag not in _READERS or tag & _NUMBER <= last:  # ITU-T X.227: a SEQUENCE
            raise DecodeError(f"no field {tag:02X} here", offset=start)
        last = tag & _NUMBER
        size = octets[start + 1] if start + 1 < end else _LONG
        content = start + 2
        if size >= _LONG:
            head = Reader(octets[start + 1 : start + 1 + _LONGEST_LENGTH], base=start + 1)
            size = head.length()
            content = head.offset
        if size > end - content:
            raise DecodeError(f"{size} octets wanted, {end - content} left", offset=content)
        found.append(Part(tag, start, content, content + size))
        start = content + size
    return tuple(found)


def _write_key(key: KeyUse) -> bytes:
    if not 0 <= key.key_id <= _MOST_KEY_ID or len(key.iv) != IV_SIZE:
        raise LocalProtocolError(f"a key has an id of one octet, its use {IV_SIZE} octets")
    # Each of its elements always has the same length.
    return _KEY_HEAD + bytes((key.key_id, _IV, IV_SIZE)) + key.iv


def _read_key(r: Reader) -> dict[str, Any]:
    at, whole = r.offset, r.rest()
    id_at, iv_at = len(_KEY_HEAD), len(whole) - IV_SIZE
    if whole[:id_at] == _KEY_HEAD and whole[id_at + 1 : iv_at] == _KEY_TAIL:  # as all write it
        return {"key": KeyUse(whole[id_at], whole[iv_at:])}
    r = _inside(Reader(whole, base=at), _CHOICE)
    if r.remaining and r.peek() == ber.INTEGER:  # an indirect reference, which says nothing
        ber.element(r, ber.INTEGER, "reference")
    for tag in (_SINGLE, _C1222):  # a key is named by C12.22's own kind; A0, C12.21's, has none
        r = _inside(r, tag)
    key_id = ber.element(r, _KEY_ID, "key id")
    iv = ber.unwrap(r, _IV, "initialization vector")
    if len(key_id) != 1 or len(iv) != IV_SIZE:
        raise r.error(f"a key's id of 1 octet and {IV_SIZE} octets of its use wanted")
    return {"key": KeyUse(key_id[0], iv)}


def _inside(r: Reader, tag: int) -> Reader:
    r.expect(tag, "authentication value")
    inner = r.sub(r.length())
    r.finish()
    return inner


def _read_information(r: Reader) -> dict[str, Any]:
    r.expect(_EXTERNAL, "user information")
    inner = r.sub(r.length())
    r.finish()
    numbered = inner.remaining and inner.peek() == ber.INTEGER
    reference = ber.unsigned(inner, "reference") if numbered else None
    information = ber.unwrap(inner, _OCTETS, "user information")
    return {"reference": reference, "information": information}


def _read_identifier(r: Reader) -> dict[str, Any]:
    at = r.offset
    content = ber.unwrap(r, ber.OID, "application context")
    oid.check(content, at)
    return {"context": content}


def _read_mechanism(r: Reader) -> dict[str, Any]:
    at = r.offset
    content = r.rest()
    oid.check(content, at)
    return {"mechanism": content}


_READERS: Final[Mapping[int, Callable[[Reader], dict[str, Any]]]] = {
    CONTEXT: _read_identifier,
    CALLED: lambda r: {"called": ApTitle.read(r)},
    TOTAL: lambda r: {"total": ber.unsigned(r, "size of the whole")},
    ANSWERS: lambda r: {"answers": ber.unsigned(r, "called invocation id")},
    CALLING: lambda r: {"calling": ApTitle.read(r)},
    QUALIFIER: lambda r: {"qualifier": Qualifier(ber.unsigned(r, "qualifier"))},
    INVOCATION: lambda r: {"invocation_id": ber.unsigned(r, "calling invocation id")},
    MECHANISM: _read_mechanism,
    AUTHENTICATION: _read_key,
    INFORMATION: _read_information,
}
