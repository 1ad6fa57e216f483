"""Values of which there are hundreds in a moment."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeVar, dataclass_transform

T = TypeVar("T")


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def quick(cls: type[T]) -> type[T]:
    """Make a class a dataclass with slots that the type checker holds frozen, and it alone.

    A dataclass that is frozen takes three times as long to make.
    """
    return dataclass(slots=True, unsafe_hash=True)(cls)
