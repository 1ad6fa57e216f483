"""Whose meters are billed: each with all who had it in a span, and what their bills go by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from openami.fleet.customers import Tenancy
    from openami.fleet.ports import Page


@dataclass(frozen=True, slots=True)
class Occupancy:
    """A customer has a meter, and their bills go by a tariff, with some of its discounts."""

    tenancy: Tenancy
    tariff: str
    discounts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Billable:
    """A meter, and who had it in a span, the last of them last."""

    meter: str
    had: tuple[Occupancy, ...]


class BillableStore(Protocol):
    """Meters that are somebody's."""

    def billable(
        self, start: float, end: float, *, after: str | None = None, limit: int = 100
    ) -> Page[Billable]:
        """Return the meters that were somebody's at any time of a span, by their serials."""
        ...
