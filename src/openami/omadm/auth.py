"""Authentication: basic, digest and MAC, and which of them an account accepts.

The formulas are those of OMA-TS-DM_Security 1.2, clause 5.3, where H is MD5. The standard has no
name for another H. This project's own, spoken between its own ends and preferred there:

* a digest with SHA-256 has the Type ``urn:openami:auth:sha256`` in the Meta of Cred and Chal;
* a MAC keeps the Type ``syncml:auth-MAC`` and says ``algorithm=SHA256`` in its header.

H(name:password) is not a slow hash, so a password must be as long and as random as a key.
"""

from __future__ import annotations

import binascii
import hashlib
import re
from base64 import b64decode, b64encode
from dataclasses import dataclass, field
from enum import Enum, StrEnum
from typing import TYPE_CHECKING, Final

from openami.core.errors import DecodeError, LocalProtocolError, SecurityError
from openami.crypto.compare import equal

if TYPE_CHECKING:
    from collections.abc import Collection

RESYNC_NONCE: Final = bytes(4)
"""The nonce of an end that has lost its own (``AAAAAA==``; OMA-TS-DM_Security 1.2, 5.3.3)."""
MAX_HEADER: Final = 1024
"""Characters of a MAC header; a name of 128 octets, all escaped, and a MAC need fewer than 400."""
MAX_NONCE: Final = 128
"""Octets of a nonce that a peer may give; the standard's are 16, SSMP's field has room for 128."""
HMAC_HEADER: Final = "x-syncml-hmac"


class Hash(StrEnum):
    """What stands for H, by its name in the header."""

    MD5 = "MD5"
    SHA256 = "SHA256"

    def of(self, octets: bytes) -> bytes:
        """Return the hash of some octets."""
        if self is Hash.SHA256:
            return hashlib.sha256(octets).digest()
        return hashlib.md5(octets, usedforsecurity=False).digest()


class AuthType(StrEnum):
    """The Type of a Cred or a Chal."""

    BASIC = "syncml:auth-basic"
    DIGEST = "syncml:auth-md5"
    DIGEST_SHA256 = "urn:openami:auth:sha256"
    MAC = "syncml:auth-MAC"

    @classmethod
    def of(cls, text: str | None) -> AuthType | None:
        """Return the type that a peer writes, in any case of letters; None: unknown."""
        return _TYPES.get((text or "").strip().casefold())


_TYPES: Final = {kind.value.casefold(): kind for kind in AuthType}


class Scheme(Enum):
    """One way to prove who one is: a type and what H is, the best first."""

    MAC_SHA256 = (AuthType.MAC, Hash.SHA256)
    DIGEST_SHA256 = (AuthType.DIGEST_SHA256, Hash.SHA256)
    MAC_MD5 = (AuthType.MAC, Hash.MD5)
    DIGEST_MD5 = (AuthType.DIGEST, Hash.MD5)
    BASIC = (AuthType.BASIC, Hash.MD5)

    @property
    def type(self) -> AuthType:
        return self.value[0]

    @property
    def hash(self) -> Hash:
        return self.value[1]

    @property
    def label(self) -> str:
        """What settings and people call it: ``mac-sha256`` to ``basic``."""
        return self.name.lower().replace("_", "-")


@dataclass(frozen=True, slots=True)
class AuthPolicy:
    """The schemes that an account accepts, the preferred one first.

    What is not named is refused: nobody can talk an account down to MD5 or basic whose owner has
    not said so.
    """

    schemes: tuple[Scheme, ...] = (Scheme.MAC_SHA256, Scheme.DIGEST_SHA256)

    def __post_init__(self) -> None:
        if not self.schemes:
            raise LocalProtocolError("an account accepts at least one scheme")

    @classmethod
    def of(cls, labels: Collection[str]) -> AuthPolicy:
        """Return the policy that accepts the schemes of some labels, the best first.

        Raises:
            ValueError: a label is no scheme's, or there is none.
        """
        known = [scheme.label for scheme in Scheme]
        if not labels or not set(labels) <= set(known):
            raise ValueError(f"name some of {', '.join(known)}")
        return cls(tuple(scheme for scheme in Scheme if scheme.label in labels))

    @classmethod
    def down_to(cls, least: Scheme) -> AuthPolicy:
        """Return the policy that accepts a scheme and all that are better."""
        every = list(Scheme)
        return cls(tuple(every[: every.index(least) + 1]))

    @property
    def labels(self) -> tuple[str, ...]:
        """What its schemes are called."""
        return tuple(scheme.label for scheme in self.schemes)

    @property
    def weak(self) -> bool:
        """Whether MD5, or a password as it is, does for it."""
        return any(scheme.hash is Hash.MD5 for scheme in self.schemes)

    @property
    def preferred(self) -> Scheme:
        return self.schemes[0]

    def best(self, kind: AuthType | None) -> Scheme | None:
        """Return the preferred accepted scheme of a type; None: no scheme of it is accepted."""
        return next((scheme for scheme in self.schemes if scheme.type is kind), None)

    def hashes(self) -> tuple[Hash, ...]:
        """Return every H that some accepted scheme uses; basic uses none."""
        found = (scheme.hash for scheme in self.schemes if scheme is not Scheme.BASIC)
        return tuple(dict.fromkeys(found))


@dataclass(frozen=True, slots=True)
class Credentials:
    """A name and a password of one end."""

    name: str
    password: str = field(repr=False)

    def __post_init__(self) -> None:
        # "a:b" with "c" would be "a" with "b:c" to every scheme.
        if ":" in self.name:
            raise LocalProtocolError("a name holds no colon")

    @property
    def plain(self) -> bytes:
        """``name:password``, for the formulas only."""
        return f"{self.name}:{self.password}".encode()


def basic(credentials: Credentials) -> str:
    """Return B64(name:password), what a Cred of type basic holds."""
    return b64encode(credentials.plain).decode()


def _bound(credentials: Credentials, nonce: bytes, how: Hash) -> bytes:
    return b64encode(how.of(credentials.plain)) + b":" + nonce


def digest(credentials: Credentials, nonce: bytes, how: Hash = Hash.SHA256) -> str:
    """Return B64(H(B64(H(name:password)):nonce)), what a Cred of type digest holds."""
    return b64encode(how.of(_bound(credentials, nonce, how))).decode()


def mac(credentials: Credentials, nonce: bytes, body: bytes, how: Hash = Hash.SHA256) -> bytes:
    """Return H(B64(H(name:password)):nonce:B64(H(body))).

    Plain concatenation, as the standard has it; not RFC 2104.
    """
    return how.of(_bound(credentials, nonce, how) + b":" + b64encode(how.of(body)))


def check_basic(data: str | None, credentials: Credentials) -> bool:
    """Tell whether a Cred of type basic is right, in constant time."""
    return equal((data or "").strip().encode(), basic(credentials).encode())


def check_digest(data: str | None, credentials: Credentials, nonce: bytes, how: Hash) -> bool:
    """Tell whether a Cred of type digest is right, in constant time."""
    return equal((data or "").strip().encode(), digest(credentials, nonce, how).encode())


_PART: Final = re.compile(
    r'[ \t]*([A-Za-z]{1,16})[ \t]*=[ \t]*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))[ \t]*(?:,|$)'
)


def _parts(text: str) -> dict[str, str]:
    parts: dict[str, str] = {}
    at = 0
    while at < len(text):
        part = _PART.match(text, at)
        if part is None:
            raise DecodeError("x-syncml-hmac: not name=value", offset=at)
        name = part[1].casefold()
        if name in parts:
            raise DecodeError(f"x-syncml-hmac: {name} twice", offset=at)
        parts[name] = part[3] if part[2] is None else re.sub(r"\\(.)", r"\1", part[2])
        at = part.end()
    return parts


@dataclass(frozen=True, slots=True)
class HmacHeader:
    """The header ``x-syncml-hmac`` (OMA-TS-SyncML_HTTPBinding 1.2, clause 7).

    ``str`` gives the header's value.
    """

    username: str
    mac: bytes = field(repr=False)
    algorithm: Hash = Hash.MD5

    @classmethod
    def parse(cls, text: str) -> HmacHeader:
        """Return what the header's value says; without an algorithm, it is MD5.

        Raises:
            DecodeError: a part is missing, twice or no such thing; ``omadm.hmac.algorithm``: an
                algorithm that nobody here knows.
        """
        if len(text) > MAX_HEADER:
            raise DecodeError(
                f"x-syncml-hmac: more than {MAX_HEADER} characters", offset=MAX_HEADER
            )
        parts = _parts(text)
        try:
            how = Hash(parts.get("algorithm", Hash.MD5).upper().replace("-", ""))
        except ValueError as error:
            raise DecodeError(
                "x-syncml-hmac: unknown algorithm", code="omadm.hmac.algorithm"
            ) from error
        try:
            octets = b64decode(parts["mac"], validate=True)
            return cls(parts["username"], octets, how)
        except KeyError as error:
            raise DecodeError(f"x-syncml-hmac: no {error.args[0]}") from error
        except (binascii.Error, ValueError) as error:
            raise DecodeError("x-syncml-hmac: the mac is not base64") from error

    def __str__(self) -> str:
        name = re.sub(r'(["\\])', r"\\\1", self.username)
        value = b64encode(self.mac).decode()
        return f'algorithm={self.algorithm}, username="{name}", mac={value}'

    def check(self, credentials: Credentials, nonce: bytes, body: bytes) -> bool:
        """Tell whether the MAC is that name's over that body, in constant time."""
        named = equal(self.username.encode(), credentials.name.encode())
        return equal(self.mac, mac(credentials, nonce, body, self.algorithm)) and named


def sign(credentials: Credentials, nonce: bytes, body: bytes, how: Hash) -> HmacHeader:
    """Return the header for a body.

    Raises:
        SecurityError: the name cannot stand in a header.
    """
    if not credentials.name.isprintable() or not credentials.name.isascii():
        raise SecurityError("a name in a header is of printable ASCII", code="omadm.hmac.name")
    return HmacHeader(credentials.name, mac(credentials, nonce, body, how), how)
