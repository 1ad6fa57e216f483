"""TUF metadata as octets: one signed document of one role, read within bounds.

The format, the canonical form and the signatures are python-tuf's (its Metadata API). What is
checked here is what that library leaves to its callers: how much of it is looked at, that every
key is ECDSA on P-256, and that a threshold cannot be met by one key under several names.

Clauses are of the TUF specification 1.0.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_public_key,
)
from securesystemslib.signer import SSlibKey
from tuf.api.exceptions import RepositoryError
from tuf.api.metadata import Key, Metadata, Root, Signature, Signed, Snapshot, Targets, Timestamp

from openami.core.errors import DecodeError, SecurityError

if TYPE_CHECKING:
    from collections.abc import Mapping

S = TypeVar("S", Root, Timestamp, Snapshot, Targets)

MAX_SIZE: Final[Mapping[str, int]] = {
    Root.type: 64 * 1024,  # 64 keys of 400 octets with their signatures
    Timestamp.type: 16 * 1024,  # one entry
    Snapshot.type: 64 * 1024,  # one entry for each document of targets
    Targets.type: 2 * 1024 * 1024,  # 5,000 files: ten years of releases with deltas
}
"""Octets of each role's document. A client stops to read there (5.3.3, 5.4.1, 5.5.1, 5.6.1)."""

MAX_KEYS: Final = 64  # keepers of all roles together
MAX_VERSION: Final = 2**53 - 1  # what every JSON reader keeps exactly

_KEYTYPE: Final = "ecdsa"
_SCHEME: Final = "ecdsa-sha2-nistp256"


@dataclass(frozen=True, slots=True)
class Document(Generic[S]):
    """One document as it came: equal to another of the same octets.

    Args:
        data: its octets.
        signed: what it says.
        payload: the octets that are signed.
        signatures: by the name of the key.
    """

    data: bytes = field(repr=False)
    signed: S = field(compare=False)
    payload: bytes = field(compare=False, repr=False)
    signatures: Mapping[str, Signature] = field(compare=False, repr=False)


def read(data: bytes, role: type[S]) -> Document[S]:
    """Return the document of ``role`` that ``data`` is; its signatures are not looked at.

    Raises:
        SecurityError: it is longer than a document of the role may be (``firmware.trust.endless``).
        DecodeError: it is not such a document (``firmware.trust.malformed``).
    """
    check_size(len(data), MAX_SIZE[role.type], role.type)
    try:
        metadata: Metadata[S] = Metadata.from_bytes(data)
        payload = metadata.signed_bytes
    except RepositoryError as error:
        raise _not_metadata(error, role.type) from None
    if not isinstance(metadata.signed, role):  # a document of another role under this one's name
        raise _malformed(role, f"is of the role {metadata.signed.type}")
    _check_numbers(metadata, role)
    if isinstance(metadata.signed, Root):
        _check_keys(metadata.signed)
    return Document(data, metadata.signed, payload, metadata.signatures)


def read_any(data: bytes) -> Document[Any]:
    """Return the document of any role that ``data`` is.

    Raises:
        SecurityError, DecodeError: as ``read``.
    """
    check_size(len(data), max(MAX_SIZE.values()), "metadata")
    try:
        metadata: Metadata[Any] = Metadata.from_bytes(data)
    except RepositoryError as error:
        raise _not_metadata(error, "the document") from None
    return read(data, type(metadata.signed))


def check_size(size: int, most: int, what: str) -> None:
    """Refuse more octets than were to come (endless data, 1.5.2).

    Raises:
        SecurityError: ``firmware.trust.endless``.
    """
    if size > most:
        raise SecurityError(
            f"{what} has more than the {most} octets that it may have",
            code="firmware.trust.endless",
        )


def key_of(public: ec.EllipticCurvePublicKey) -> Key:
    """Return a public key as TUF names it: the name is a digest of the key (4.2)."""
    return SSlibKey.from_crypto(public)


def signers_of(document: Document[S], role: str, root: Root) -> int:
    """Return how many of the role's keys have signed a document, and rightly."""
    result = root.get_verification_result(role, document.payload, dict(document.signatures))
    return len(result.signed)


def is_signed(document: Document[S], root: Root) -> bool:
    """Tell whether a document has as many signatures as ``root`` demands of its role."""
    role = document.signed.type
    return signers_of(document, role, root) >= root.roles[role].threshold


def _check_numbers(metadata: Metadata[S], role: type[S]) -> None:
    if type(metadata.signed.version) is not int or metadata.signed.version > MAX_VERSION:
        raise _malformed(role, "has no whole number as its version")
    if len(metadata.signatures) > MAX_KEYS:
        raise _malformed(role, f"has more than {MAX_KEYS} signatures")


def _check_keys(root: Root) -> None:
    if len(root.keys) > MAX_KEYS:
        raise _malformed(Root, f"has more than {MAX_KEYS} keys")
    if any(type(role.threshold) is not int for role in root.roles.values()):
        raise _malformed(Root, "has a threshold that is no whole number")
    # 4.2: one key has one name, or one signer could meet a threshold of two.
    if len({_identity(key) for key in root.keys.values()}) != len(root.keys):
        raise _malformed(Root, "has one key under two names")


def _identity(key: Key) -> bytes:
    if (key.keytype, key.scheme) != (_KEYTYPE, _SCHEME):
        raise _malformed(Root, f"has a key that is not {_SCHEME}")
    try:
        public = load_pem_public_key(key.keyval["public"].encode())
    except (ValueError, UnsupportedAlgorithm):
        raise _malformed(Root, "has a key that is not in PEM") from None
    if not (
        isinstance(public, ec.EllipticCurvePublicKey) and isinstance(public.curve, ec.SECP256R1)
    ):
        raise _malformed(Root, "has a key that is not on P-256")
    return public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _not_metadata(error: RepositoryError, what: str) -> DecodeError:
    reason = ascii(str(error.__cause__ or error)[:200])  # it may quote the document
    return DecodeError(f"{what} is not TUF metadata: {reason}", code="firmware.trust.malformed")


def _malformed(role: type[Signed], message: str) -> DecodeError:
    return DecodeError(f"{role.type} {message}", code="firmware.trust.malformed")
