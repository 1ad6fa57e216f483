"""Load-profile tables of C12.19 to columns, against a plain loop over every field.

Both sides begin with the octets of ST-64 and end with the same: every value of every channel as a
number, the interval's end as a moment, its valid bit and its status nibbles: ours in numpy columns,
the loop's in lists. The loop is what one writes by hand: ``struct`` and an offset that moves on.
Before anything is timed the two results are compared, value by value.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.columns import Ratio, compare
from openami.c1222.tables import ProfileSet, Tables, standard

if TYPE_CHECKING:
    from collections.abc import Callable

GOAL = 100.0
MINUTES = 15
DAY = 96
CHANNELS = 4
COLUMNS = CHANNELS + 3  # with the end, the valid bit and the statuses


@dataclass(frozen=True, slots=True)
class Case:
    """A device's set of load profiles, and a table of its data."""

    name: str
    profile: ProfileSet
    octets: bytes
    loop: Callable[[bytes], dict[str, list[Any]]]


def device(blocks: int, code: int) -> Tables:
    """Return a device with one set: little-endian, times of single octets, both statuses."""
    config = bytes.fromhex("02 1A 8A") + b"OAMI" + bytes((2, 0, 20, 20, 2, 0, 9, 0, 0, 0, 0, 0))
    used = (1 | 1 << 61 | 1 << 62 | 1 << 64).to_bytes(9, "little")
    tables = Tables.of_config(config + used + bytes(9))
    size = struct.pack("<IHBHHBB", 0, 0x0C00, 0xFF, blocks, DAY, CHANNELS, MINUTES)
    control = bytes(3 * CHANNELS) + bytes((code,))
    return tables.learn(standard(61), size).learn(standard(62), control)


def table_of(blocks: int, form: str) -> bytes:
    """Return the data of so many days."""
    random = np.random.default_rng(1219)
    octets = bytearray()
    for day in range(blocks):
        end = datetime.fromisoformat("2025-07-01") + timedelta(days=day)
        octets += bytes((end.year - 2000, end.month, end.day, 0, 0))
        octets += random.bytes(DAY // 8)
        for _ in range(DAY):
            octets += random.bytes(CHANNELS // 2 + 1)
            octets += struct.pack(
                f"<{CHANNELS}{form}", *random.integers(0, 30_000, CHANNELS).tolist()
            )
    return bytes(octets)


def loop_of(form: str) -> Callable[[bytes], dict[str, list[Any]]]:
    """Return the plain loop over every field."""
    field = struct.Struct(f"<{form}")

    def decode(octets: bytes) -> dict[str, list[Any]]:
        at = 0
        found: dict[str, list[Any]] = {
            name: [] for name in ("ends", "valid", "common", "status", "values")
        }
        while at < len(octets):
            year, month, day, hour, minute = octets[at : at + 5]
            block_end = datetime(2000 + year, month, day, hour, minute)  # noqa: DTZ001 - the device's clock
            valid = octets[at + 5 : at + 5 + DAY // 8]
            at += 5 + DAY // 8
            for interval in range(DAY):
                found["ends"].append(block_end - timedelta(minutes=MINUTES * (DAY - 1 - interval)))
                found["valid"].append(bool(valid[interval // 8] >> interval % 8 & 1))
                nibbles = []
                for _ in range(CHANNELS // 2 + 1):
                    nibbles += [octets[at] >> 4, octets[at] & 0x0F]
                    at += 1
                found["common"].append(nibbles[0])
                found["status"].append(nibbles[1 : 1 + CHANNELS])
                row = []
                for _ in range(CHANNELS):
                    row.append(field.unpack_from(octets, at)[0])
                    at += field.size
                found["values"].append(row)
        return found

    return decode


def check(case: Case) -> None:
    """Raise ``AssertionError`` unless both have decoded the same."""
    ours, theirs = case.profile.decode(case.octets), case.loop(case.octets)
    np.testing.assert_array_equal(ours.ends, np.array(theirs["ends"], "M8[s]"))
    np.testing.assert_array_equal(ours.valid, theirs["valid"])
    np.testing.assert_array_equal(ours.common, theirs["common"])
    np.testing.assert_array_equal(ours.status, np.array(theirs["status"]).T)
    np.testing.assert_array_equal(ours.values, np.array(theirs["values"]).T)


def cases() -> list[Case]:
    """Return a day, months and a quarter of a year, of quarter hours."""
    return [
        Case(name, ProfileSet.of(device(days, code), 1), table_of(days, form), loop_of(form))
        for name, days, code, form in (
            ("one day, UINT16", 1, 2, "H"),
            ("30 days, UINT16", 30, 2, "H"),
            ("30 days, INT32", 30, 32, "i"),
            ("90 days, UINT32", 90, 4, "I"),
        )
    ]


def run() -> list[Ratio]:
    """Measure all cases."""
    found = []
    for case in cases():
        check(case)
        days = len(case.octets) // case.profile.block_size
        found.append(
            compare(
                case.name,
                days * DAY * COLUMNS,
                (lambda case=case: case.profile.decode(case.octets), 3000 // days),  # type: ignore[misc]  # a default binds it
                (lambda case=case: case.loop(case.octets), max(1, 30 // days)),  # type: ignore[misc]  # likewise
                GOAL if days > 1 else None,
            )
        )
    return found


def main() -> None:
    """Print the table."""
    print(f"{'case':<30}{'values':>9}{'openami /s':>15}{'loop /s':>13}{'ratio':>8}{'goal':>7}")
    for found in run():
        goal = "" if found.goal is None else f"{found.goal:.0f}"
        print(
            f"{found.name:<30}{found.values:>9,}{found.ours:>15,.0f}{found.peer:>13,.0f}"
            f"{found.ratio:>8.0f}{goal:>7}"
        )
