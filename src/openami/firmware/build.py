"""Building and signing of meter images; ``openami.firmware.image`` says what they are."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from openami.core.errors import SecurityError
from openami.firmware.image import (
    COUNTER_SIZE,
    FLAGS,
    HARDWARE_NAME,
    HEADER,
    HEADER_SIZE,
    MAGIC,
    MAX_PAYLOAD,
    RESERVED,
    Dependency,
)
from openami.firmware.tlv import PROTECTED, UNPROTECTED, Tlv, TlvType, encode_area

if TYPE_CHECKING:
    from openami.firmware.keys import ImageKey, Signer
    from openami.firmware.version import Version

MAX_COUNTER: Final = 0xFFFF_FFFF
_ERASED: Final = b"\xff"


@dataclass(frozen=True, slots=True)
class Plan:
    """What an image is to say of itself.

    Raises:
        ValueError: a name of hardware is not 1 to 64 characters of ASCII, the counter has more
            than 32 bits, or the header is too small.
    """

    version: Version
    counter: int
    hardware: tuple[str, ...]
    dependencies: tuple[Dependency, ...] = ()
    header_size: int = HEADER_SIZE
    flags: int = 0
    others: tuple[Tlv, ...] = ()

    def __post_init__(self) -> None:
        if not self.hardware or not all(map(HARDWARE_NAME.fullmatch, self.hardware)):
            raise ValueError("names of hardware: 1 to 64 characters of ASCII each")
        if not 0 <= self.counter <= MAX_COUNTER:
            raise ValueError("a security counter of 32 bits wanted")
        if not HEADER_SIZE <= self.header_size <= 0xFFFF or self.flags not in FLAGS:
            raise ValueError("a header of 32 to 65535 octets, with flags 0 or 1, wanted")
        if any(entry.type in RESERVED for entry in self.others):
            raise ValueError("entries of other types wanted")

    def entries(self) -> tuple[Tlv, ...]:
        """Return the protected entries, in imgtool's order."""
        return (
            Tlv(TlvType.SEC_CNT, self.counter.to_bytes(COUNTER_SIZE, "little")),
            *(Tlv(TlvType.DEPENDENCY, other.encode()) for other in self.dependencies),
            *(Tlv(TlvType.HARDWARE, name.encode()) for name in self.hardware),
            *self.others,
        )


def assemble(plan: Plan, payload: bytes) -> bytes:
    """Return what is to be signed: header, payload and protected entries.

    Raises:
        ValueError: the payload is empty or longer than ``MAX_PAYLOAD``, or there are more entries
            than fit.
    """
    if not 0 < len(payload) <= MAX_PAYLOAD:
        raise ValueError(f"a payload of 1 to {MAX_PAYLOAD} octets wanted")
    entries = encode_area(PROTECTED, plan.entries())
    header = HEADER.pack(
        MAGIC, 0, plan.header_size, len(entries), len(payload), plan.flags, plan.version.encode(), 0
    )
    return header.ljust(plan.header_size, _ERASED) + payload + entries


def sign(assembled: bytes, key: ImageKey, signer: Signer) -> bytes:
    """Return the image of what ``assemble`` returned.

    Raises:
        SecurityError: ``signer`` does not sign with ``key`` (``firmware.signature``).
    """
    digest = hashlib.sha256(assembled).digest()
    signature = signer(digest)
    if not key.verifies(digest, signature):
        raise SecurityError("what signs has another key", code="firmware.signature")
    entries = (
        Tlv(TlvType.SHA256, digest),
        Tlv(TlvType.KEYHASH, key.id),
        Tlv(TlvType.ECDSA_SIG, signature),
    )
    return assembled + encode_area(UNPROTECTED, entries)
