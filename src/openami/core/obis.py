"""OBIS codes (IEC 62056-61): six value groups A-B:C.D.E*F that name what is measured."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Self

_FORMS: Final = (
    re.compile(r"(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})"),
    re.compile(r"(\d{1,3})-(\d{1,3}):(\d{1,3})\.(\d{1,3})\.(\d{1,3})[*&.](\d{1,3})"),
)


@dataclass(frozen=True, slots=True, order=True)
class Obis:
    """A logical name, six octets, shown as ``1.0.1.8.0.255``."""

    raw: bytes

    def __post_init__(self) -> None:
        if len(self.raw) != 6:
            raise ValueError("a logical name has six octets")

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``1.0.1.8.0.255`` or ``1-0:1.8.0*255``.

        Raises:
            ValueError: the text has another form or a group over 255.
        """
        for form in _FORMS:
            match = form.fullmatch(text.strip())
            if match:
                return cls(bytes(int(group) for group in match.groups()))
        raise ValueError(f"{text!r} is not an OBIS code such as 1.0.1.8.0.255")

    @property
    def groups(self) -> tuple[int, ...]:
        """The value groups A to F."""
        return tuple(self.raw)

    def __str__(self) -> str:
        return ".".join(map(str, self.raw))

    def __repr__(self) -> str:
        return f"Obis({str(self)!r})"
