"""Readings into the lake and out of it: uploads, octets on disk, queries, the whole pipeline."""

from __future__ import annotations

import hashlib
import statistics
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.columns import buffer_of, peer
from openami.dlms.apdu import decode_apdu
from openami.dlms.apdu.ciphered import CipheredApdu
from openami.dlms.apdu.get import GetResponseBlock
from openami.dlms.columns import decode_profiles
from openami.dlms.datetime import CosemDateTime
from openami.dlms.security import BOTH, Keys, protect, unprotect
from openami.fleet.ports import Batch, BatchStatus, ReadingFilter
from openami.mdm.readings import (
    ChannelValues,
    from_ipc,
    join,
    profile_table,
    profiles_table,
    to_ipc,
    validate_readings,
)
from openami.store.lake import Lake

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import pyarrow as pa

METERS = 200
DAYS = 90
DAY = 86_400
START = 1_704_067_200  # 2024-01-01T00:00:00Z
LOAD = "1.0.99.1.0.255"
CHANNELS = tuple(f"1.0.{c}.29.0.255" for c in (1, 2, 3, 4))
TITLE = b"OAM\0\0\0\0\1"
# Watts of a household and what it exports and draws in reactive power, on average.
LEVELS = (150, 20, 40, 0)


def dcu_day(dcu: str, day: int, meters: int = METERS) -> pa.Table:
    """Return one day of 15 minutes, four channels, of every meter of a DCU.

    A household's power swings through the day and jumps from one interval to the next, so
    that the values do not compress better than real ones do.
    """
    random = np.random.default_rng([day, int(hashlib.sha256(dcu.encode()).hexdigest()[:8], 16)])
    ends = START + day * DAY + 900 * np.arange(1, 97)
    swing = 1 + 0.6 * np.sin((np.arange(96) - 32) * np.pi / 48)
    tables = []
    for meter in range(meters):
        burst = random.gamma(0.8, 1.0, (4, 96))
        values = (np.array(LEVELS)[:, None] * swing * burst).astype(np.int64)
        channels = [
            ChannelValues(name, 0, 30, column)
            for name, column in zip(CHANNELS, values, strict=True)
        ]
        status = np.zeros(96, np.uint8)
        tables.append(
            profile_table(f"{dcu}-{meter:04}", LOAD, time=ends, status=status, channels=channels)
        )
    return join(tables)


def upload(dcu: str, day: int, body: bytes) -> Batch:
    """Do what the head-end does with a body before it commits."""
    return Batch(dcu, f"day-{day}", hashlib.sha256(body).digest(), from_ipc(body))


def commit(lake: Lake, batches: Sequence[Batch]) -> None:
    results = lake.commit(batches)
    assert all(result.status is BatchStatus.STORED for result in results)


def best(call: Callable[[], object], rounds: int = 5) -> float:
    """Return the median time of a call, in seconds."""
    times = []
    for _ in range(rounds):
        began = time.perf_counter()
        call()
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def bench_uploads(folder: Path) -> list[tuple[str, str]]:
    """Commit DCU-days as they come over the wire, one by one and in groups."""
    lines = []
    for group in (1, 8):
        lake = Lake(folder / f"uploads-{group}", threads=1)
        dcus = [f"D{n}" for n in range(group)]
        commit(lake, [upload(d, 0, to_ipc(dcu_day(d, 0))) for d in dcus])
        bodies = [[(d, day, to_ipc(dcu_day(d, day))) for d in dcus] for day in range(1, 9)]
        began, worked = time.perf_counter(), time.process_time()
        for some in bodies:
            commit(lake, [upload(*one) for one in some])
        took, worked = time.perf_counter() - began, time.process_time() - worked
        days = group * len(bodies)
        rows = days * METERS * 96 * 4
        lines.append(
            (
                f"DCU-day uploads ({METERS} meters) in groups of {group}: body to durable",
                f"{days / took:.0f} a second, {rows / worked / 1e6:.2f} M readings/s per core",
            )
        )
        lake.close()
    return lines


def ciphered_day(keys: Keys, meter: int, day: int) -> bytes:
    """Return a meter's answer with its load profile of one day, ciphered and authenticated."""
    random = np.random.default_rng([day, meter])
    row = np.dtype(
        [("head", "S2"), ("clock", "S14"), ("status", "S2")]
        + [(name, [("tag", "u1"), ("value", ">u4")]) for name in "abcd"]
    )
    rows = np.zeros(96, row)
    rows["head"], rows["status"] = b"\x02\x06", b"\x11\x00"
    for number in range(96):
        clock = CosemDateTime.from_utc(START + day * DAY + 900 * (number + 1), -540)
        rows["clock"][number] = b"\x09\x0c" + clock.encode()
    for name, level in zip("abcd", LEVELS, strict=True):
        rows[name]["tag"] = 6
        rows[name]["value"] = random.gamma(0.8, 1.0, 96) * level
    buffer = b"\x01\x60" + rows.tobytes()
    return protect(
        GetResponseBlock(0xC1, last=True, number=1, result=buffer).encode(),
        keys,
        control=BOTH,
        title=TITLE,
        counter=day * 1000 + meter,
    )


def readings_of(keys: Keys, names: Sequence[str], answers: Sequence[bytes]) -> pa.Table:
    """Decipher and decode what the meters of one DCU answered."""
    buffers = []
    for answer in answers:
        message = decode_apdu(answer)
        assert isinstance(message, CipheredApdu)
        block = decode_apdu(unprotect(message, keys, title=TITLE).apdu)
        assert isinstance(block, GetResponseBlock)
        assert isinstance(block.result, bytes)
        buffers.append(block.result)
    profile, offsets = decode_profiles(buffers)
    clock, status, *values = profile.columns
    return profiles_table(
        names,
        offsets,
        LOAD,
        time=clock.astype(np.int64),
        status=status,
        channels=[
            ChannelValues(channel, 0, 30, column)
            for channel, column in zip(CHANNELS, values, strict=True)
        ],
    )


def peers_rate() -> float:
    """Return the readings per second that gurux-dlms decodes, without deciphering or storing."""
    decode, buffers = peer(), [buffer_of(96, meter) for meter in range(8)]
    began = time.process_time()
    for buffer in buffers:
        assert len(decode(buffer)) == 96
    return len(buffers) * 96 * 4 / (time.process_time() - began)


def bench_pipeline(folder: Path) -> list[tuple[str, str]]:
    """From what meters send to what is durable: decipher, decode, validate, commit."""
    keys = Keys(guek=bytes(range(16)), gak=bytes(range(16, 32)))
    lake = Lake(folder / "pipeline", threads=1)
    dcus = [f"D{n}" for n in range(8)]
    names = {d: [f"{d}-{m:04}" for m in range(METERS)] for d in dcus}
    spent = {"decipher and decode": 0.0, "commit": 0.0}
    for day in range(6):
        answers = {
            d: [ciphered_day(keys, 1000 * n + m, day) for m in range(METERS)]
            for n, d in enumerate(dcus)
        }
        began = time.process_time()
        tables = {d: readings_of(keys, names[d], answers[d]) for d in dcus}
        for table in tables.values():
            validate_readings(table)
        decoded = time.process_time()
        commit(lake, [Batch(d, f"day-{day}", bytes(32), table) for d, table in tables.items()])
        if day:  # the first day makes the series
            spent["decipher and decode"] += decoded - began
            spent["commit"] += time.process_time() - decoded
    rows = 5 * len(dcus) * METERS * 96 * 4
    assert lake.counts().readings == rows * 6 // 5
    lake.close()
    rate, peers = rows / sum(spent.values()), peers_rate()
    return [
        *(
            (f"pipeline: {what}", f"{rows / seconds / 1e6:.2f} M readings/s per core")
            for what, seconds in spent.items()
        ),
        (
            "pipeline: ciphertext to durable",
            f"{rate / 1e6:.2f} M readings/s per core (goal: 3)",
        ),
        (
            "pipeline, against gurux-dlms that only decodes",
            f"{rate / peers:.0f} times ({peers / 1e3:.1f} k readings/s)",
        ),
    ]


def bench_lake(folder: Path) -> list[tuple[str, str]]:
    """Fill a lake with days, compact it, and ask it things."""
    lake = Lake(folder / "lake")
    for number in range(DAYS):
        commit(lake, [Batch("D1", f"day-{number}", bytes(32), dcu_day("D1", number))])
    before = lake.counts()
    began = time.perf_counter()
    lake.compact()
    took = time.perf_counter() - began
    counts = lake.counts()
    files = sum(f.stat().st_size for f in (folder / "lake").rglob("*") if f.is_file())
    assert counts.readings == METERS * DAYS * 96 * 4
    month = ReadingFilter("D1-0100", profile=LOAD, start=START + 30 * DAY, end=START + 60 * DAY)
    day = START + 45 * DAY
    region: dict[str, Any] = {"profile": LOAD, "start": day, "end": day + DAY}
    assert lake.readings(month).items[0].num_rows == 30 * 96 * 4
    lines = [
        (f"lake of {METERS} meters, {DAYS} days", f"{counts.readings / 1e6:.2f} M readings"),
        ("octets a reading on disk before compaction", f"{before.octets / counts.readings:.2f}"),
        (
            "octets a reading on disk after compaction, all files",
            f"{files / counts.readings:.2f} (goal: 3)",
        ),
        ("compaction", f"{took:.2f} s"),
        (
            f"a meter's month ({30 * 96 * 4} readings)",
            f"{best(lambda: lake.readings(month)) * 1e3:.1f} ms (goal: 50)",
        ),
        (
            f"a region's day by the hour ({METERS} meters)",
            f"{best(lambda: lake.hourly(CHANNELS[0], **region)) * 1e3:.1f} ms",
        ),
        ("latest of a meter", f"{best(lambda: lake.latest('D1-0100')) * 1e3:.1f} ms"),
        ("sums of every channel of every meter", f"{best(lake.sums) * 1e3:.1f} ms"),
        ("search for duplicates in everything", f"{best(lake.duplicates, 3) * 1e3:.0f} ms"),
    ]
    late = dcu_day("D1", 10)
    place = late.schema.get_field_index("status")
    status = late["status"].to_numpy() | 8
    commit(
        lake,
        [
            Batch(
                "D1", "late", bytes(32), late.set_column(place, late.schema.field(place), [status])
            )
        ],
    )
    lines.append(
        (
            "a meter's month where a day was corrected",
            f"{best(lambda: lake.readings(month)) * 1e3:.1f} ms",
        )
    )
    lake.close()
    return lines


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="openami-bench-") as name:
        for bench in (bench_uploads, bench_pipeline, bench_lake):
            for what, figure in bench(Path(name)):
                print(f"{what:<72} {figure}", flush=True)


if __name__ == "__main__":
    main()
