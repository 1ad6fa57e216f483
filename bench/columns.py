"""Load profiles to columns, against gurux-dlms.

Both sides begin with the octets of a profile's buffer and end with every value as a number and
every clock as a moment in UTC's terms: ours in numpy columns (datetime64), gurux-dlms's in its
rows (datetime with a zone), as ``GXDLMSClient.getValue`` and ``updateValue`` leave them. A
profile has 15-minute rows of a clock, a status octet and four double-long-unsigned channels.
Before anything is timed the two results are compared, value by value.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC
from typing import TYPE_CHECKING, Any

import numpy as np
from gurux_dlms import GXByteBuffer, GXDLMSClient
from gurux_dlms.objects import (
    GXDLMSClock,
    GXDLMSData,
    GXDLMSProfileGeneric,
    GXDLMSRegister,
)

from openami.dlms import data as d
from openami.dlms.columns import ProfileColumns, decode_profile, decode_profiles
from openami.dlms.datetime import CosemDateTime

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

PERIOD = 900
DAY = 96
METERS = 200
CHANNELS = 4
COLUMNS = CHANNELS + 2
START = 1_752_505_200  # 2025-07-14T15:00:00Z, midnight in Korea
KOREA = -540
ROUNDS = 9


@dataclass(frozen=True, slots=True)
class Ratio:
    """What was measured of one case: the medians' values per second, and how many times as fast."""

    name: str
    values: int
    ours: float
    peer: float
    ratio: float
    goal: float | None = None


def buffer_of(rows: int, meter: int = 0) -> bytes:
    """Return a buffer such as a meter in Korea gives."""
    random = np.random.default_rng(meter)
    values = random.gamma(0.8, 150.0, (rows, CHANNELS)).astype(int).tolist()
    return d.array(
        *(
            d.structure(
                d.octets(CosemDateTime.from_utc(START + PERIOD * row, KOREA).encode()),
                d.u8(8),
                *(d.u32(value) for value in channels),
            )
            for row, channels in enumerate(values)
        )
    ).encode()


def peer() -> Callable[[bytes], list[list[Any]]]:
    """Return what a user of gurux-dlms does with a buffer that has been read."""
    client = GXDLMSClient(True)
    profile = GXDLMSProfileGeneric("1.0.99.1.0.255")
    profile.capturePeriod = PERIOD
    profile.addCaptureObject(GXDLMSClock(), 2, 0)
    profile.addCaptureObject(GXDLMSData("0.0.96.10.1.255"), 2, 0)
    for channel in range(1, CHANNELS + 1):
        profile.addCaptureObject(GXDLMSRegister(f"1.0.{channel}.29.0.255"), 2, 0)

    def decode(buffer: bytes) -> list[list[Any]]:
        profile.buffer = []
        client.updateValue(profile, 2, GXDLMSClient.getValue(GXByteBuffer(buffer), False))
        rows: list[list[Any]] = profile.buffer
        return rows

    return decode


def check(ours: ProfileColumns, theirs: Sequence[Sequence[Any]]) -> None:
    """Raise ``AssertionError`` unless both have decoded the same values."""
    moments = [row[0].value.astimezone(UTC).replace(tzinfo=None) for row in theirs]
    expected = [np.array(moments, "datetime64[s]"), *np.array([row[1:] for row in theirs]).T]
    if ours.rows != len(theirs) or len(ours.columns) != len(expected):
        raise AssertionError("different shapes")
    for column, values in zip(ours.columns, expected, strict=True):
        np.testing.assert_array_equal(column, values)


def seconds(work: Callable[[], object], times: int) -> float:
    """Return what ``work`` takes, on average of so many times."""
    start = time.perf_counter()
    for _ in range(times):
        work()
    return (time.perf_counter() - start) / times


def compare(
    name: str,
    values: int,
    ours: tuple[Callable[[], object], int],
    theirs: tuple[Callable[[], object], int],
    goal: float | None,
) -> Ratio:
    """Time both in turn, a number of rounds, and compare the medians."""
    rounds = [(seconds(*ours), seconds(*theirs)) for _ in range(ROUNDS)]
    our_time, peer_time = (float(np.median(times)) for times in zip(*rounds, strict=True))
    return Ratio(name, values, values / our_time, values / peer_time, peer_time / our_time, goal)


def run() -> list[Ratio]:
    """Measure one day of one meter, of many meters joined, and thirty days."""
    decode = peer()
    day, month = buffer_of(DAY), buffer_of(30 * DAY)
    days = [buffer_of(DAY, meter) for meter in range(METERS)]
    check(decode_profile(day), decode(day))
    check(decode_profile(month), decode(month))
    check(decode_profiles(days)[0], [row for buffer in days for row in decode(buffer)])

    def decode_each() -> None:
        for buffer in days:
            decode(buffer)

    return [
        compare(
            "one meter's day",
            DAY * COLUMNS,
            (lambda: decode_profile(day), 300),
            (lambda: decode(day), 10),
            50.0,
        ),
        compare(
            f"a day of {METERS} meters, joined",
            METERS * DAY * COLUMNS,
            (lambda: decode_profiles(days), 10),
            (decode_each, 1),
            300.0,
        ),
        compare(
            "one meter's 30 days",
            30 * DAY * COLUMNS,
            (lambda: decode_profile(month), 50),
            (lambda: decode(month), 1),
            None,
        ),
    ]


def main() -> None:
    """Print the table."""
    print(f"{'case':<30}{'values':>9}{'openami /s':>15}{'gurux /s':>13}{'ratio':>8}{'goal':>7}")
    for found in run():
        goal = "" if found.goal is None else f"{found.goal:.0f}"
        print(
            f"{found.name:<30}{found.values:>9,}{found.ours:>15,.0f}{found.peer:>13,.0f}"
            f"{found.ratio:>8.0f}{goal:>7}"
        )
