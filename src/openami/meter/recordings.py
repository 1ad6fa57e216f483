"""Recorded consumption: CSV files of this package or of anyone, as sources.

A file has a ``timestamp`` column (local time, the start of the interval, evenly spaced) and either
``kwh``; or ``consumption_kwh`` and ``solar_kwh``; or ``active_power_kw`` with, if known,
``reactive_power_kvar`` and ``voltage_v``. A voltage of 0 is none: an interruption; where its field
is empty it is not known. Numbers have at most three decimals.
"""

from __future__ import annotations

import csv
import gzip
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from importlib import resources
from io import StringIO
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from openami.core.errors import ConfigError
from openami.metrology.sources import Sample, SeriesSource, from_wh

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable
    from pathlib import Path

ROWS: Final = 2_000_000
"""The longest recording taken: nearly four years of minutes."""

_REACTIVE: Final = (3, 10)
"""Reactive power for each watt, where only active energy was recorded: a power factor of 0.96, as
homes with motors and electronics have."""

_SOURCES: Final = {"solar": "solar_home_30min.csv.gz", "minute": "house_1min.csv.gz"}
_DAY: Final = 86_400
_HOUSEHOLDS: Final = "households_30min.csv.gz"

Row = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Recording:
    """Samples of ``step`` seconds each from the local second ``start`` on."""

    samples: tuple[Sample, ...]
    step: int
    start: int

    def source(self, offset: int) -> SeriesSource:
        """Return the recording played in a place ``offset`` seconds ahead of UTC."""
        return SeriesSource(self.samples, self.step, self.start, offset)


def names() -> list[str]:
    """Return the names of the recordings that come with this package."""
    return [*(f"household:{home}" for home in homes()), *_SOURCES]


@lru_cache(maxsize=1)
def homes() -> tuple[str, ...]:
    """Return the homes of the household data, ``H01`` to ``H08``."""
    return tuple(_household_rows()[0])[1:]


@lru_cache(maxsize=16)
def recording(name: str, part: str = "") -> Recording:
    """Return a recording of this package: ``household`` and its home, ``solar``, ``minute``.

    Raises:
        ConfigError: there is none of that name.
    """
    if name == "household":
        if part not in homes():
            raise ConfigError(f"no household {part!r}", hint=f"choose from {', '.join(homes())}")
        rows = [{"timestamp": r["timestamp"], "kwh": r[part]} for r in _household_rows()]
        return _recording(rows, f"household {part}")
    if name not in _SOURCES:
        raise ConfigError(f"no recording {name!r}", hint=f"choose from {', '.join(names())}")
    return _recording(_rows(_data(_SOURCES[name])), name)


def household_energy() -> tuple[int, npt.NDArray[np.float64]]:
    """Return the first local second of the household data, and Wh by home, day and interval.

    Gaps are NaN, as they are; a last day that is not whole is left out.
    """
    rows = _household_rows()
    wh = [[float(row[home]) * 1000 if row[home] else np.nan for row in rows] for home in homes()]
    start = _local(rows[0]["timestamp"])
    intervals = _DAY // (_local(rows[1]["timestamp"]) - start)
    days = len(rows) // intervals
    return start, np.array(wh)[:, : days * intervals].reshape(len(wh), days, intervals)


def from_file(path: Path) -> Recording:
    """Return the recording in a CSV file, gzipped if its name ends in ``.gz``.

    Raises:
        ConfigError: it cannot be read, or is not such a file.
    """
    try:
        return _recording(_rows(path), str(path))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ConfigError(f"{path} cannot be read as a recording") from error


def _data(name: str) -> Traversable:
    return resources.files("openami.meter").joinpath("data", name)


@lru_cache(maxsize=1)
def _household_rows() -> Sequence[Row]:
    return _rows(_data(_HOUSEHOLDS))


def _rows(path: Traversable) -> list[Row]:
    octets = path.read_bytes()
    text = (gzip.decompress(octets) if path.name.endswith(".gz") else octets).decode("utf-8")
    return list(csv.DictReader(StringIO(text)))


def _recording(rows: Sequence[Row], what: str) -> Recording:
    if not 2 <= len(rows) <= ROWS:
        raise ConfigError(f"{what}: 2 to {ROWS} rows wanted")
    kind = next((make for columns, make in _KINDS.items() if set(columns) <= set(rows[0])), None)
    if kind is None or "timestamp" not in rows[0]:
        raise ConfigError(f"{what}: columns of a recording wanted")
    try:
        times = [_local(row["timestamp"]) for row in rows]
        step = times[1] - times[0]
        if step <= 0 or times != list(range(times[0], times[0] + step * len(rows), step)):
            raise ConfigError(f"{what}: timestamps are not evenly spaced")
        samples = _without_gaps([kind(row, step) for row in rows], step)
    except (ValueError, ArithmeticError, TypeError) as error:
        raise ConfigError(f"{what}: {error}") from error
    shared: dict[Sample, Sample] = {}
    return Recording(tuple(shared.setdefault(s, s) for s in samples), step, times[0])


def _local(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


def _without_gaps(samples: Iterable[Sample | None], step: int) -> list[Sample]:
    """Fill gaps with what was measured a week, else a day before, else with nothing."""
    filled: list[Sample] = []
    for sample in samples:
        if sample is None:
            back = (span // step for span in (7 * 86_400, 86_400))
            sample = next((filled[-n] for n in back if 0 < n <= len(filled)), Sample())  # noqa: PLW2901 - the gap's own sample
        filled.append(sample)
    return filled


def _thousandths(text: str) -> int | None:
    """Return a number in thousandths; None for an empty field."""
    if not text:
        return None
    value = Decimal(text) * 1000
    if value != int(value):
        raise ValueError(f"{text} has more than three decimals")
    return int(value)


def _of_wh(wh: int | None, step: int) -> Sample | None:
    if wh is None:
        return None
    active = from_wh(wh, step)
    return Sample(active, abs(active) * _REACTIVE[0] // _REACTIVE[1])


def _energy(row: Row, step: int) -> Sample | None:
    return _of_wh(_thousandths(row["kwh"]), step)


def _solar(row: Row, step: int) -> Sample | None:
    used, made = _thousandths(row["consumption_kwh"]), _thousandths(row["solar_kwh"])
    if used is None:
        return None
    load = _of_wh(used, step) or Sample()
    return Sample(from_wh(used - (made or 0), step), load.reactive)


def _power(row: Row, _: int) -> Sample | None:
    active = _thousandths(row["active_power_kw"])
    if active is None:
        return None
    reactive = _thousandths(row.get("reactive_power_kvar", "")) or 0
    voltage = _thousandths(row.get("voltage_v", ""))
    if voltage is not None and voltage < 0:
        raise ValueError(f"{row['voltage_v']} V is less than none")
    return Sample(active * 1000, reactive * 1000, voltage)


_KINDS: Final[Mapping[tuple[str, ...], Callable[[Row, int], Sample | None]]] = {
    ("kwh",): _energy,
    ("consumption_kwh", "solar_kwh"): _solar,
    ("active_power_kw",): _power,
}
