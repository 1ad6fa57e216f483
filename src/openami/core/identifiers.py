"""Identifiers of devices."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Self

DCU_URN: Final = "urn:openami:dcu:"
"""What a DCU's certificate names it by: followed by its id, among the alternative names."""

_SERIAL: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,31}")


def check_serial(text: str) -> str:
    """Return ``text`` if it is a serial number: 1 to 32 letters, digits, ``.``, ``_`` and ``-``.

    Raises:
        ValueError: it can not.
    """
    if not _SERIAL.fullmatch(text):
        raise ValueError(f"{text!r} is not a serial number (letters, digits, '.', '_', '-')")
    return text


@dataclass(frozen=True, slots=True, order=True)
class SystemTitle:
    """A DLMS system title: 3 letters of the maker's FLAG id and 5 octets (Green Book 4.1.3.4)."""

    raw: bytes

    def __post_init__(self) -> None:
        if len(self.raw) != 8:
            raise ValueError("a system title has eight octets")

    @classmethod
    def of(cls, flag: str, number: int) -> Self:
        """Return the title of the maker ``flag`` (three letters) and a 40-bit ``number``."""
        return cls(flag.encode("ascii") + number.to_bytes(5, "big"))

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read 16 hexadecimal digits."""
        return cls(bytes.fromhex(text))

    @property
    def flag(self) -> str:
        """The maker's FLAG id, non-letters as ``?``."""
        return "".join(chr(o) if 0x41 <= o <= 0x5A else "?" for o in self.raw[:3])

    def __str__(self) -> str:
        return self.raw.hex().upper()
