"""Versions as MCUboot's image header holds them."""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from typing import ClassVar, Final, Self

from openami.core.errors import DecodeError

_LAYOUT: Final = struct.Struct("<BBHI")
_TEXT: Final = re.compile(r"(\d{1,3})\.(\d{1,3})\.(\d{1,5})(?:\+(\d{1,10}))?", re.ASCII)
_LIMITS: Final = (1 << 8, 1 << 8, 1 << 16, 1 << 32)


@dataclass(frozen=True, slots=True, order=True)
class Version:
    """Major, minor, revision and build number; versions are ordered by all four.

    MCUboot leaves the build number out of the comparison unless it is built with
    ``MCUBOOT_VERSION_CMP_USE_BUILD_NUMBER``: releases for such devices differ before it.

    Raises:
        DecodeError: a number is too great for the header (``firmware.version.form``).
    """

    SIZE: ClassVar[int] = _LAYOUT.size

    major: int
    minor: int = 0
    revision: int = 0
    build: int = 0

    def __post_init__(self) -> None:
        numbers = (self.major, self.minor, self.revision, self.build)
        if not all(0 <= n < most for n, most in zip(numbers, _LIMITS, strict=True)):
            raise _malformed()

    def __str__(self) -> str:
        text = f"{self.major}.{self.minor}.{self.revision}"
        return f"{text}+{self.build}" if self.build else text

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``1.2.3`` or ``1.2.3+4``, as ``str`` and imgtool write them.

        Raises:
            DecodeError: it is neither, or a number is too great (``firmware.version.form``).
        """
        found = _TEXT.fullmatch(text)
        if found is None:
            raise _malformed()
        return cls(*(int(number or 0) for number in found.groups()))

    def encode(self) -> bytes:
        return _LAYOUT.pack(self.major, self.minor, self.revision, self.build)

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Read what ``encode`` wrote; any ``SIZE`` octets are a version."""
        return cls(*_LAYOUT.unpack(data))


def _malformed() -> DecodeError:
    return DecodeError(
        "a version such as 1.2.3 or 1.2.3+4 wanted, of one, one, two and four octets",
        code="firmware.version.form",
    )
