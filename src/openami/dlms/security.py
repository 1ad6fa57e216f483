"""Ciphering of APDUs with AES-GCM, and HLS with GMAC (Green Book 9.2.3 to 9.2.7).

Suites 0 and 1 cipher with AES-128, suite 2 with AES-256. Nothing here keeps state; invocation
counters are those of ``openami.dlms.invocation``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Self

from openami.core.errors import LocalProtocolError, SecurityError
from openami.crypto.compare import equal
from openami.crypto.gcm import TAG_SIZE, Gcm
from openami.dlms.apdu.ciphered import CipheredApdu, Form, ciphered_tag
from openami.dlms.invocation import CounterAllocator, ReplayGuard
from openami.wire.reader import Reader

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "AUTHENTICATED",
    "BOTH",
    "ENCRYPTED",
    "NOTHING",
    "TITLE_SIZE",
    "CounterAllocator",
    "Keys",
    "ReplayGuard",
    "SecurityControl",
    "Unprotected",
    "check_hls_pass",
    "check_policy",
    "hls_pass",
    "protect",
    "required_control",
    "unprotect",
]

TITLE_SIZE: Final = 8
_KEY_SIZES: Final[Mapping[int, int]] = {0: 16, 1: 16, 2: 32}

_SUITE: Final = 0x0F
_AUTHENTICATED: Final = 0x10
_ENCRYPTED: Final = 0x20
_BROADCAST: Final = 0x40
_COMPRESSED: Final = 0x80


@dataclass(frozen=True, slots=True)
class SecurityControl:
    """The octet that says how an APDU is ciphered."""

    octet: int

    @classmethod
    def of(
        cls, *, authenticated: bool, encrypted: bool, suite: int = 0, broadcast: bool = False
    ) -> Self:
        return cls(
            suite
            | (_AUTHENTICATED if authenticated else 0)
            | (_ENCRYPTED if encrypted else 0)
            | (_BROADCAST if broadcast else 0)
        )

    @property
    def suite(self) -> int:
        return self.octet & _SUITE

    @property
    def authenticated(self) -> bool:
        return bool(self.octet & _AUTHENTICATED)

    @property
    def encrypted(self) -> bool:
        return bool(self.octet & _ENCRYPTED)

    @property
    def broadcast(self) -> bool:
        """Whether the key is the broadcast one."""
        return bool(self.octet & _BROADCAST)

    @property
    def compressed(self) -> bool:
        return bool(self.octet & _COMPRESSED)

    def covers(self, other: SecurityControl) -> bool:
        """Tell whether this protects in every way that ``other`` does."""
        ways = other.octet & (_AUTHENTICATED | _ENCRYPTED)
        return self.octet & ways == ways

    def __str__(self) -> str:
        ways = {
            "authenticated": self.authenticated,
            "encrypted": self.encrypted,
            "broadcast key": self.broadcast,
            "compressed": self.compressed,
        }
        names = [name for name, is_set in ways.items() if is_set]
        return ", ".join([*names, f"suite {self.suite}"])


NOTHING: Final = SecurityControl(0x00)
AUTHENTICATED: Final = SecurityControl(_AUTHENTICATED)
ENCRYPTED: Final = SecurityControl(_ENCRYPTED)
BOTH: Final = SecurityControl(_AUTHENTICATED | _ENCRYPTED)

_POLICIES: Final[Mapping[int, SecurityControl]] = {
    0: NOTHING,
    1: AUTHENTICATED,
    2: ENCRYPTED,
    3: BOTH,
}


def required_control(policy: int) -> SecurityControl:
    """Return how a security policy (class 64 version 0, attribute 2) wants every APDU ciphered.

    Raises:
        SecurityError: there is no such policy (``security.policy``).
    """
    try:
        return _POLICIES[policy]
    except KeyError:
        raise SecurityError(f"no security policy {policy}", code="security.policy") from None


def check_policy(control: SecurityControl, policy: int) -> None:
    """Check that an APDU was ciphered as ``policy`` wants; a plain one counts as ``NOTHING``.

    Raises:
        SecurityError: it was not (``security.policy``).
    """
    required = required_control(policy)
    if not control.covers(required):
        raise SecurityError(
            f"an APDU that is {required} wanted, this is {control}", code="security.policy"
        )


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys of one meter and client; those that are None are not known.

    Args:
        guek: global unicast encryption key.
        gak: global authentication key.
        dedicated: the key of one association.
        gbek: global broadcast encryption key.

    Raises:
        SecurityError: a key has neither 16 nor 32 octets (``security.key``).
    """

    guek: bytes | None = field(default=None, repr=False)
    gak: bytes | None = field(default=None, repr=False)
    dedicated: bytes | None = field(default=None, repr=False)
    gbek: bytes | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        for key in (self.guek, self.gak, self.dedicated, self.gbek):
            if key is not None and len(key) not in _KEY_SIZES.values():
                raise SecurityError("a key of 16 or 32 octets wanted", code="security.key")

    def encryption(self, control: SecurityControl, form: Form) -> bytes:
        """Return the key that ciphers; raises ``SecurityError`` (``security.key``) without it."""
        if form.dedicated:
            return _needed(self.dedicated, "dedicated key", control)
        if control.broadcast:
            return _needed(self.gbek, "global broadcast encryption key", control)
        return _needed(self.guek, "global unicast encryption key", control)

    def authentication(self, control: SecurityControl) -> bytes:
        """Return the key that authenticates; raises ``SecurityError`` without it."""
        return _needed(self.gak, "global authentication key", control)


def _needed(key: bytes | None, what: str, control: SecurityControl) -> bytes:
    if key is None:
        raise SecurityError(f"the {what} is not known", code="security.key")
    size = _KEY_SIZES.get(control.suite)
    if size is None:
        raise SecurityError(f"no security suite {control.suite}", code="security.suite")
    if len(key) != size:
        raise SecurityError(f"the {what} is none of suite {control.suite}", code="security.key")
    return key


def _nonce(title: bytes, counter: int) -> bytes:
    if len(title) != TITLE_SIZE:
        raise SecurityError("a system title has 8 octets", code="security.title")
    return title + counter.to_bytes(4, "big")


def protect(
    apdu: bytes,
    keys: Keys,
    *,
    control: SecurityControl,
    title: bytes,
    counter: int,
    form: Form = Form.GLOBAL,
) -> bytes:
    """Return ``apdu`` ciphered.

    Args:
        apdu: a plain APDU.
        keys: the keys of the association.
        control: how to cipher.
        title: the sender's system title, 8 octets.
        counter: the invocation counter; never the same twice with one key and title.
        form: how it goes on the wire.

    Raises:
        SecurityError: a key is missing or not of the suite.
        LocalProtocolError: an APDU of this kind has no such form.
    """
    tag = ciphered_tag(form, apdu[0]) if apdu else None
    if tag is None:
        raise LocalProtocolError(f"an APDU {apdu[:1].hex()} has no form {form.value}")
    payload = _cipher(apdu, keys, control, _nonce(title, counter), form)
    return CipheredApdu(
        tag, control.octet, counter, payload, title if form.general else None
    ).encode()


def _cipher(apdu: bytes, keys: Keys, control: SecurityControl, nonce: bytes, form: Form) -> bytes:
    if not (control.authenticated or control.encrypted):
        return apdu
    gcm = Gcm(keys.encryption(control, form))
    if not control.authenticated:
        return gcm.crypt(nonce, apdu)
    aad = bytes((control.octet,)) + keys.authentication(control)
    if control.encrypted:
        return gcm.seal(nonce, apdu, aad)
    return apdu + gcm.tag(nonce, aad + apdu)


@dataclass(frozen=True, slots=True)
class Unprotected:
    """A deciphered APDU and how it came; whether that was enough is for ``check_policy``."""

    apdu: bytes = field(repr=False)
    control: SecurityControl
    counter: int
    form: Form
    title: bytes


def unprotect(message: CipheredApdu, keys: Keys, *, title: bytes | None = None) -> Unprotected:
    """Return what ``message`` ciphers.

    Its counter is not checked: give it to a ``ReplayGuard`` afterwards.

    Args:
        message: as ``decode_apdu`` gave it.
        keys: the keys of the association.
        title: the sender's system title as known from its AARQ or AARE; None if it must be in
            ``message``.

    Raises:
        SecurityError: the tag is not right, a key or a title is missing, the title is not the
            sender's, the suite is unknown, it is compressed, or it ciphers another kind of APDU
            than its tag says.
    """
    control = SecurityControl(message.security_control)
    if control.compressed:
        raise SecurityError("compressed APDUs are not supported", code="security.compression")
    sender = _sender(message, title)
    nonce = _nonce(sender, message.invocation_counter)
    apdu = _decipher(message.payload, keys, control, nonce, message.form)
    if not apdu or message.plain_tag not in (None, apdu[0]):
        raise SecurityError("not the APDU that its tag announces", code="security.content")
    return Unprotected(apdu, control, message.invocation_counter, message.form, sender)


def _sender(message: CipheredApdu, title: bytes | None) -> bytes:
    if not message.title:
        if title is None:
            raise SecurityError("the sender's system title is not known", code="security.title")
        return title
    if title not in (None, message.title):
        raise SecurityError("the system title is not the peer's", code="security.title")
    return message.title


def _decipher(
    payload: bytes, keys: Keys, control: SecurityControl, nonce: bytes, form: Form
) -> bytes:
    if not (control.authenticated or control.encrypted):
        return payload
    gcm = Gcm(keys.encryption(control, form))
    if not control.authenticated:
        return gcm.crypt(nonce, payload)
    aad = bytes((control.octet,)) + keys.authentication(control)
    if control.encrypted:
        return gcm.open(nonce, payload, aad)
    if len(payload) < TAG_SIZE:
        raise SecurityError("no authentication tag", code="security.tag")
    apdu = payload[:-TAG_SIZE]
    gcm.verify(nonce, aad + apdu, payload[-TAG_SIZE:])
    return apdu


# -- HLS with GMAC, mechanism 5 (Green Book 9.2.7.4) ----------------------------------------------

_PASS_SIZE: Final = 1 + 4 + TAG_SIZE


def _pass_tag(keys: Keys, control: SecurityControl, nonce: bytes, challenge: bytes) -> bytes:
    gcm = Gcm(keys.encryption(control, Form.GLOBAL))
    return gcm.tag(nonce, bytes((control.octet,)) + keys.authentication(control) + challenge)


def hls_pass(challenge: bytes, keys: Keys, *, title: bytes, counter: int, suite: int = 0) -> bytes:
    """Return f(challenge): SC, invocation counter and tag, for pass 3 or 4.

    Args:
        challenge: what the peer sent: the client answers StoC, the server CtoS.
        keys: guek and gak.
        title: own system title.
        counter: own invocation counter.
        suite: the security suite.
    """
    control = SecurityControl(_AUTHENTICATED | suite)
    nonce = _nonce(title, counter)
    return bytes((control.octet,)) + nonce[TITLE_SIZE:] + _pass_tag(keys, control, nonce, challenge)


def check_hls_pass(answer: bytes, challenge: bytes, keys: Keys, *, title: bytes) -> int:
    """Check the peer's f(challenge) and return its invocation counter.

    Args:
        answer: what the peer sent in pass 3 or 4.
        challenge: own challenge.
        keys: guek and gak.
        title: the peer's system title.

    Raises:
        SecurityError: it is not right (``security.hls``), or a key is missing.
    """
    if len(answer) != _PASS_SIZE:
        raise SecurityError("an answer of 17 octets wanted", code="security.hls")
    r = Reader(answer)
    control, counter, tag = SecurityControl(r.u8()), r.u32(), r.rest()
    if control.octet & ~_SUITE != _AUTHENTICATED:
        raise SecurityError("an answer that is only authenticated wanted", code="security.hls")
    if not equal(_pass_tag(keys, control, _nonce(title, counter), challenge), tag):
        raise SecurityError("the peer does not hold the keys", code="security.hls")
    return counter
