"""DCUs as columns: one row each, with how many of its devices a release fits.

Millions of meters are counted per DCU and class (model, hardware, version), and each class is
judged once. What a class is judged by, and in which words, is the caller's: here it is a code.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import numpy.typing as npt

    Ints = npt.NDArray[np.int64]

NO_DEVICES: Final = "campaign.no-devices"
NO_GROUP: Final = "campaign.no-group"


@dataclass(frozen=True, slots=True, eq=False)
class Sites:
    """Columns over DCUs; a row's number is its place in all of them.

    Attributes:
        dcu: the registry's number of the DCU, each once.
        devices: that the release fits and the filter finds: meters, or 1 for the DCU itself.
        area: number of the area; ``areas`` names some of them.
        cell: number of the communication cell; ``cells`` names some of them.
        segment: number of the network's segment between head-end and DCU.
        rate: octets a second of the DCU's link.
        line_rate: octets a second of the line to its meters; 0: nothing is carried there.
    """

    dcu: Ints
    devices: Ints
    area: Ints
    cell: Ints
    segment: Ints
    rate: Ints
    line_rate: Ints
    areas: Mapping[str, int] = field(default_factory=dict)
    cells: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for column in fields(self)[:7]:
            values = np.asarray(getattr(self, column.name), np.int64)
            if values.shape != (len(self.dcu),):
                raise ValueError("the columns of DCUs have different lengths")
            object.__setattr__(self, column.name, values)
        if len(np.unique(self.dcu)) != len(self):
            raise ValueError("a DCU stands in two rows")
        least = (
            self.devices.min(initial=0),
            self.line_rate.min(initial=0),
            self.rate.min(initial=1),
        )
        if least != (0, 0, 1):
            raise ValueError("devices and rates of lines are not negative, links carry something")

    def __len__(self) -> int:
        return len(self.dcu)

    def extended(self, more: Sites) -> Sites:
        """Return these rows, and behind them those of ``more``."""
        columns = {
            column.name: np.concatenate([getattr(self, column.name), getattr(more, column.name)])
            for column in fields(self)[:7]
        }
        areas, cells = {**self.areas, **more.areas}, {**self.cells, **more.cells}
        return replace(self, **columns, areas=areas, cells=cells)


@dataclass(frozen=True, slots=True, eq=False)
class Census:
    """How many devices of which class each DCU has: sparse, one entry per DCU and class.

    Attributes:
        row: of the DCU in ``Sites``.
        kind: number of the class.
        count: devices.
    """

    row: Ints
    kind: Ints
    count: Ints


@dataclass(frozen=True, slots=True, eq=False)
class Fitting:
    """What a release fits: devices per DCU, and what was left out by the code of the reason."""

    devices: Ints
    excluded: Mapping[str, int]
    excluded_rows: Mapping[str, Ints]


def judge(
    census: Census,
    verdicts: Sequence[str | None],
    *,
    rows: int,
    barred: Mapping[str, Iterable[int]] | None = None,
) -> Fitting:
    """Count per DCU the devices that a release fits.

    Args:
        census: what there is.
        verdicts: for each class why it is left out; None: it fits.
        rows: how many DCUs there are.
        barred: rows of DCUs that are left out whole, by the code of the reason; a DCU that two
            codes name is counted for the first.

    Returns:
        What fits; ``excluded_rows`` has the rows where something was left out for a reason.
    """
    out = np.zeros(rows, bool)
    excluded: Counter[str] = Counter()
    where: dict[str, list[Ints]] = {}

    def leave_out(code: str, mask: npt.NDArray[np.bool_]) -> None:
        excluded[code] += int(census.count[mask].sum())
        where.setdefault(code, []).append(np.unique(census.row[mask]))

    for code, some in (barred or {}).items():
        named = np.zeros(rows, bool)
        named[list(some)] = True
        leave_out(code, (named & ~out)[census.row])
        out |= named
    staying = ~out[census.row]
    fits = np.zeros(len(verdicts), bool)
    for number, verdict in enumerate(verdicts):
        if verdict is None:
            fits[number] = True
        else:
            leave_out(verdict, staying & (census.kind == number))
    kept = staying & fits[census.kind]
    devices = np.bincount(census.row[kept], census.count[kept], rows).astype(np.int64)
    joined = {code: np.unique(np.concatenate(where[code])) for code, n in excluded.items() if n}
    return Fitting(devices, {code: excluded[code] for code in joined}, joined)
