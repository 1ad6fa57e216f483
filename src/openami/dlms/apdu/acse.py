"""ACSE of the application association, in BER (ISO/IEC 8650-1; Green Book 9.4.2 and 9.5).

A field that the association doesn't need (titles of the called entity, implementation data, …) is
kept as octets in ``other`` and written back. Fields may come in any order, but each only once.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING, Final, Self

from openami.dlms.apdu.common import Tag
from openami.wire.ber import (
    OCTET_STRING,
    OID,
    integer,
    optional,
    read_fields,
    titled,
    unwrap,
    wrap,
    write_fields,
    write_integer,
)

if TYPE_CHECKING:
    from openami.wire.reader import Reader

# joint-iso-ccitt(2) country(16) country-name(756) identified-organization(5) DLMS-UA(8)
_DLMS_UA: Final = bytes.fromhex("60857405 08")
_CONTEXT_ARC: Final = _DLMS_UA + b"\x01"
_MECHANISM_ARC: Final = _DLMS_UA + b"\x02"

_CHARSTRING: Final = 0x80
_AUTHENTICATION_UNIT: Final = b"\x07\x80"  # a bit-string of one bit, set


class ApplicationContext(IntEnum):
    """Last arc of the application context's name."""

    LN = 1
    SN = 2
    LN_CIPHERED = 3
    SN_CIPHERED = 4


class Mechanism(IntEnum):
    """Last arc of the authentication mechanism's name."""

    NONE = 0
    LLS = 1
    HLS = 2
    HLS_MD5 = 3
    HLS_SHA1 = 4
    HLS_GMAC = 5
    HLS_SHA256 = 6
    HLS_ECDSA = 7


class AssociationResult(IntEnum):
    """What became of the request for an association."""

    ACCEPTED = 0
    REJECTED_PERMANENT = 1
    REJECTED_TRANSIENT = 2


class DiagnosticSource(IntEnum):
    """Who diagnosed: the choices of Associate-source-diagnostic."""

    USER = 1
    PROVIDER = 2


class Diagnostic(IntEnum):
    """Diagnostics of the ACSE service user."""

    NULL = 0
    NO_REASON_GIVEN = 1
    CONTEXT_NAME_NOT_SUPPORTED = 2
    CALLING_AP_TITLE_NOT_RECOGNIZED = 3
    CALLING_AP_INVOCATION_NOT_RECOGNIZED = 4
    CALLING_AE_QUALIFIER_NOT_RECOGNIZED = 5
    CALLING_AE_INVOCATION_NOT_RECOGNIZED = 6
    CALLED_AP_TITLE_NOT_RECOGNIZED = 7
    CALLED_AP_INVOCATION_NOT_RECOGNIZED = 8
    CALLED_AE_QUALIFIER_NOT_RECOGNIZED = 9
    CALLED_AE_INVOCATION_NOT_RECOGNIZED = 10
    MECHANISM_NAME_NOT_RECOGNIZED = 11
    MECHANISM_NAME_REQUIRED = 12
    AUTHENTICATION_FAILURE = 13
    AUTHENTICATION_REQUIRED = 14


class ReleaseRequestReason(IntEnum):
    """Why a client ends its association."""

    NORMAL = 0
    URGENT = 1
    USER_DEFINED = 30


class ReleaseResponseReason(IntEnum):
    """How a server answers the end of an association."""

    NORMAL = 0
    NOT_FINISHED = 1
    USER_DEFINED = 30


_CONTEXTS: Final = frozenset(ApplicationContext)
_MECHANISMS: Final = frozenset(Mechanism)
_RESULTS: Final = frozenset(AssociationResult)
_SOURCES: Final = frozenset(DiagnosticSource)
_DIAGNOSTICS: Final = frozenset(Diagnostic)


def _context(name: bytes) -> ApplicationContext | bytes:
    if name[:-1] == _CONTEXT_ARC and name[-1] in _CONTEXTS:
        return ApplicationContext(name[-1])
    return name


def _mechanism(name: bytes) -> Mechanism | bytes:
    if name[:-1] == _MECHANISM_ARC and name[-1] in _MECHANISMS:
        return Mechanism(name[-1])
    return name


def _name(arc: bytes, value: int | bytes) -> bytes:
    return value if isinstance(value, bytes) else arc + bytes((value,))


@dataclass(frozen=True, slots=True)
class _Tags:
    """Where the fields that AARQ and AARE share stand."""

    title: int
    requirements: int
    mechanism: int
    value: int


_AARQ: Final = _Tags(0xA6, 0x8A, 0x8B, 0xAC)
_AARE: Final = _Tags(0xA4, 0x88, 0x89, 0xAA)
_CONTEXT: Final = 0xA1
_RESULT: Final = 0xA2
_DIAGNOSTIC: Final = 0xA3
_USER_ID: Final = 0xA9
_USER_INFORMATION: Final = 0xBE
_REASON: Final = 0x80


class _Taken:
    """Fields taken one by one; what is left goes to ``other``."""

    def __init__(self, r: Reader) -> None:
        self._fields = read_fields(r)
        self._end = r

    def take(self, tag: int) -> Reader | None:
        return self._fields.pop(tag, None)

    def need(self, tag: int, what: str) -> Reader:
        content = self.take(tag)
        if content is None:
            raise self._end.error(f"{what} (field {tag:02X}) is missing")
        return content

    def octets(self, tag: int, inner: int, what: str) -> bytes | None:
        content = self.take(tag)
        return None if content is None else unwrap(content, inner, what)

    def rest(self) -> tuple[tuple[int, bytes], ...]:
        return tuple((tag, content.rest()) for tag, content in self._fields.items())

    def context(self) -> ApplicationContext | bytes:
        name = self.need(_CONTEXT, "application-context-name")
        return _context(unwrap(name, OID, "application-context-name"))

    def authentication(self, tags: _Tags) -> tuple[Mechanism | bytes | None, bytes | None, bool]:
        """Return mechanism, value, and whether the requirements ask for authentication."""
        requirements = self.take(tags.requirements)
        name = self.take(tags.mechanism)
        value = self.octets(tags.value, _CHARSTRING, "authentication-value")
        required = requirements is not None and requirements.rest()[1:2] >= b"\x80"
        return None if name is None else _mechanism(name.rest()), value, required

    def information(self) -> bytes | None:
        return self.octets(_USER_INFORMATION, OCTET_STRING, "user-information")


@dataclass(frozen=True, slots=True)
class Aarq:
    """A client asks for an association.

    ``context`` and ``mechanism`` are octets of an object identifier if it is none that DLMS names.
    ``requirements`` says whether the authentication functional unit is asked for; None: exactly
    if there is a mechanism. ``user_information`` is an encoded InitiateRequest, plain or ciphered.
    ``user_id`` is the calling-AE-invocation-id. ``other`` are the remaining fields, by tag.
    """

    context: ApplicationContext | bytes = ApplicationContext.LN
    title: bytes | None = None
    mechanism: Mechanism | bytes | None = None
    authentication: bytes | None = field(default=None, repr=False)
    user_information: bytes | None = field(default=None, repr=False)
    user_id: int | None = None
    requirements: bool | None = None
    other: tuple[tuple[int, bytes], ...] = field(default=(), repr=False)

    def encode(self) -> bytes:
        return write_fields(
            Tag.AARQ,
            {
                **dict(self.other),
                _CONTEXT: wrap(OID, _name(_CONTEXT_ARC, self.context)),
                **titled(_AARQ.title, self.title),
                **({} if self.user_id is None else {_USER_ID: write_integer(self.user_id)}),
                **_authentication(_AARQ, self),
                **titled(_USER_INFORMATION, self.user_information),
            },
        )

    @classmethod
    def read(cls, r: Reader) -> Self:
        taken = _Taken(r)
        context = taken.context()
        title = taken.octets(_AARQ.title, OCTET_STRING, "calling-AP-title")
        user_id = taken.take(_USER_ID)
        mechanism, value, required = taken.authentication(_AARQ)
        return cls(
            context,
            title,
            mechanism,
            value,
            taken.information(),
            None if user_id is None else integer(user_id, "calling-AE-invocation-id"),
            None if required == (mechanism is not None) else required,
            taken.rest(),
        )


@dataclass(frozen=True, slots=True)
class Aare:
    """A server's answer to an Aarq; the fields mean what they mean there.

    ``diagnostic`` is a ``Diagnostic`` if ``source`` is the user; an HLS server that awaits pass 3
    accepts with AUTHENTICATION_REQUIRED. ``user_information`` is an InitiateResponse or a
    ConfirmedServiceError, plain or ciphered.
    """

    context: ApplicationContext | bytes = ApplicationContext.LN
    result: AssociationResult = AssociationResult.ACCEPTED
    diagnostic: int = Diagnostic.NULL
    source: DiagnosticSource = DiagnosticSource.USER
    title: bytes | None = None
    mechanism: Mechanism | bytes | None = None
    authentication: bytes | None = field(default=None, repr=False)
    user_information: bytes | None = field(default=None, repr=False)
    requirements: bool | None = None
    other: tuple[tuple[int, bytes], ...] = field(default=(), repr=False)

    def encode(self) -> bytes:
        diagnostic = wrap(0xA0 | self.source, write_integer(self.diagnostic))
        return write_fields(
            Tag.AARE,
            {
                **dict(self.other),
                _CONTEXT: wrap(OID, _name(_CONTEXT_ARC, self.context)),
                _RESULT: write_integer(self.result),
                _DIAGNOSTIC: diagnostic,
                **titled(_AARE.title, self.title),
                **_authentication(_AARE, self),
                **titled(_USER_INFORMATION, self.user_information),
            },
        )

    @classmethod
    def read(cls, r: Reader) -> Self:
        taken = _Taken(r)
        context = taken.context()
        result = integer(taken.need(_RESULT, "result"), "result")
        if result not in _RESULTS:
            raise r.error(f"result has no value {result}")
        source, diagnostic = _read_diagnostic(taken.need(_DIAGNOSTIC, "diagnostic"))
        title = taken.octets(_AARE.title, OCTET_STRING, "responding-AP-title")
        mechanism, value, required = taken.authentication(_AARE)
        return cls(
            context,
            AssociationResult(result),
            diagnostic,
            source,
            title,
            mechanism,
            value,
            taken.information(),
            None if required == (mechanism is not None) else required,
            taken.rest(),
        )


def _read_diagnostic(r: Reader) -> tuple[DiagnosticSource, int]:
    tag = r.u8()
    if tag & 0xE0 != 0xA0 or tag & 0x1F not in _SOURCES:
        raise r.error(f"result-source-diagnostic has no choice {tag:02X}")
    inner = r.sub(r.length())
    r.finish()
    source = DiagnosticSource(tag & 0x1F)
    value = integer(inner, "diagnostic")
    if source is DiagnosticSource.USER and value in _DIAGNOSTICS:
        return source, Diagnostic(value)
    return source, value


def _authentication(tags: _Tags, apdu: Aarq | Aare) -> dict[int, bytes]:
    required = apdu.requirements
    if required is None:
        required = apdu.mechanism is not None
    fields = optional(tags.requirements, _AUTHENTICATION_UNIT if required else None)
    if apdu.mechanism is not None:
        fields[tags.mechanism] = _name(_MECHANISM_ARC, apdu.mechanism)
    if apdu.authentication is not None:
        fields[tags.value] = wrap(_CHARSTRING, apdu.authentication)
    return fields


@dataclass(frozen=True, slots=True)
class Rlrq:
    """A client ends its association; ``user_information`` is a ciphered InitiateRequest, if any."""

    reason: int | None = ReleaseRequestReason.NORMAL
    user_information: bytes | None = field(default=None, repr=False)
    other: tuple[tuple[int, bytes], ...] = field(default=(), repr=False)

    def encode(self) -> bytes:
        return _write_release(Tag.RLRQ, self)

    @classmethod
    def read(cls, r: Reader) -> Self:
        return cls(*_read_release(r))


@dataclass(frozen=True, slots=True)
class Rlre:
    """A server's answer to an Rlrq; ``user_information`` is a ciphered InitiateResponse, if any."""

    reason: int | None = ReleaseResponseReason.NORMAL
    user_information: bytes | None = field(default=None, repr=False)
    other: tuple[tuple[int, bytes], ...] = field(default=(), repr=False)

    def encode(self) -> bytes:
        return _write_release(Tag.RLRE, self)

    @classmethod
    def read(cls, r: Reader) -> Self:
        return cls(*_read_release(r))


def _write_release(tag: Tag, apdu: Rlrq | Rlre) -> bytes:
    reason = None if apdu.reason is None else bytes((apdu.reason,))
    return write_fields(
        tag,
        {
            **dict(apdu.other),
            **optional(_REASON, reason),
            **titled(_USER_INFORMATION, apdu.user_information),
        },
    )


def _read_release(r: Reader) -> tuple[int | None, bytes | None, tuple[tuple[int, bytes], ...]]:
    taken = _Taken(r)
    reason = taken.take(_REASON)
    value = None if reason is None else reason.u8()
    if reason is not None:
        reason.finish()
    return value, taken.information(), taken.rest()
