"""Both sides of a chain, entry by entry: what the meters hold and what the store holds."""

from __future__ import annotations

import asyncio
import io
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa

from openami.cli.api import PREFIX, checked, connected, pages
from openami.cli.demo import audit
from openami.core.clock import isoformat, parse_utc
from openami.core.obis import Obis
from openami.dlms.columns import decode_profile
from openami.dlms.references import AttributeRef, CaptureObject

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.support.chain_bench import Bench

    from openami.transport.http import HttpClient
    from openami.transport.session import DlmsSession

PROFILES: Final = ("1.0.99.1.0.255", "1.0.99.2.0.255", "0.0.98.1.0.255")
LOGS: Final = (*(f"0.0.99.98.{log}.255" for log in (0, 1, 2, 6, 7, 8)), "1.0.99.97.0.255")
CHANNELS: Final = (1, 2, 3, 4)
AGREE_S: Final = 60.0  # real time in which the rest must have come

Reading = tuple[str, str, int]  # profile, channel, time
Event = tuple[str, int, int]  # log, time, code


@dataclass
class Side:
    """One meter, as one side knows it: values with status; ``extra`` came more than once."""

    readings: dict[Reading, tuple[int, int]] = field(default_factory=dict)
    events: Counter[Event] = field(default_factory=Counter)
    registers: dict[int, int] = field(default_factory=dict)
    extra: list[Any] = field(default_factory=list)

    def interval_sum(self, channel: int) -> int:
        """Return what the intervals of the load profile add up to."""
        name = f"1.0.{channel}.29.0.255"
        return sum(
            value
            for (profile, which, _), (value, _) in self.readings.items()
            if (profile, which) == (PROFILES[0], name)
        )


async def metered(bench: Bench) -> dict[str, Side]:
    """Return by serial number what the meters hold, read over their maintenance port."""
    return {
        meter["serial"]: await audit.ask(url, meter, side_of)
        for url, meter in audit.shipped(bench.chain)
    }


async def side_of(
    session: DlmsSession, profiles: Sequence[str] = PROFILES, logs: Sequence[str] = LOGS
) -> Side:
    """Return what a meter holds in these profiles and logs, and its registers."""
    side = Side()
    for profile in profiles:
        await _profile(session, profile, side)
    for log in logs:
        await _log(session, log, side)
    for channel in CHANNELS:
        ref = AttributeRef(3, Obis.parse(f"1.0.{channel}.8.0.255"), 2)
        side.registers[channel] = (await session.get(ref)).integer()
    return side


async def _rows(session: DlmsSession, name: str) -> tuple[list[CaptureObject], list[Any]]:
    obis = Obis.parse(name)
    captured = await session.get(AttributeRef(7, obis, 3))
    columns = [CaptureObject.of(item) for item in captured.items()]
    found = decode_profile(await session.get_raw(AttributeRef(7, obis, 2)))
    return columns, list(found.columns)


async def _profile(session: DlmsSession, name: str, side: Side) -> None:
    columns, values = await _rows(session, name)
    if not values:
        return
    times = values[0].astype(np.int64).tolist()
    status = values[1].tolist()
    for column, items in zip(columns, values, strict=True):
        if column.class_id == 3 or (column.class_id, column.attribute) == (4, 2):
            for time, mark, value in zip(times, status, items.tolist(), strict=True):
                key = (name, str(column.obis), time)
                if key in side.readings:
                    side.extra.append(key)
                side.readings[key] = (value, mark)


async def _log(session: DlmsSession, name: str, side: Side) -> None:
    columns, values = await _rows(session, name)
    if not values:
        return
    coded = columns[1].obis.groups[2:4] == (96, 11)
    times = values[0].astype(np.int64).tolist()
    codes = values[1].tolist() if coded else [0] * len(times)
    side.events.update((name, time, code) for time, code in zip(times, codes, strict=True))


async def stored(bench: Bench) -> dict[str, Side]:
    """Return by serial number what the store holds, every version of it."""
    assert bench.chain.target is not None
    found = {meter["serial"]: Side() for meter in bench.shipped()}
    async with connected(bench.chain.target) as client:
        for serial, side in found.items():
            await _stored_readings(client, serial, side)
            async for event in pages(client, "/events", most=None, meter=serial, limit=1000):
                side.events[event["log"], int(parse_utc(event["time"])), event["code"]] += 1
    return found


async def _stored_readings(client: HttpClient, serial: str, side: Side) -> None:
    after: str | None = None
    while True:
        params = {"format": "arrow", "version": "all"} | ({"after": after} if after else {})
        answer = checked(await client.get(f"{PREFIX}/meters/{serial}/readings", params=params))
        with pa.ipc.open_stream(io.BytesIO(answer.body)) as reader:
            table = reader.read_all()
        if table.num_rows:
            times = table["time"].cast(pa.timestamp("s", "UTC")).cast(pa.int64()).to_pylist()
            names = ("profile", "channel", "value", "status")
            for time, *rest in zip(times, *(table[n].to_pylist() for n in names), strict=True):
                profile, channel, value, status = rest
                key = (profile, channel, time)
                if key in side.readings:
                    side.extra.append(key)
                side.readings[key] = (value, status)
        after = answer.headers.get("openami-next")
        if after is None:
            return


def differences(meter: Side, store: Side, until: float) -> list[str]:
    """Return in words where the two differ, up to a moment; nothing if they agree."""
    lines = [f"twice in the store: {key}" for key in store.extra]
    lines += [f"twice in the meter: {key}" for key in meter.extra]
    ours = {key: value for key, value in meter.readings.items() if key[2] <= until}
    theirs = {key: value for key, value in store.readings.items() if key[2] <= until}
    for key in sorted(ours.keys() | theirs.keys()):
        if ours.get(key) != theirs.get(key):
            profile, channel, time = key
            what = f"{profile} {channel} {isoformat(time)}"
            lines.append(f"{what}: meter {ours.get(key)}, store {theirs.get(key)}")
    for event in sorted(meter.events.keys() | store.events.keys()):
        if event[1] <= until and meter.events[event] != store.events[event]:
            log, time, code = event
            counts = f"meter {meter.events[event]}, store {store.events[event]}"
            lines.append(f"event {code} of {log} {isoformat(time)}: {counts}")
    for number, register in meter.registers.items():
        if store.interval_sum(number) != register:
            sums = f"stored {store.interval_sum(number)}, register {register}"
            lines.append(f"channel {number}: {sums}")
    return lines


async def disagreement(bench: Bench, until: float) -> dict[str, list[str]]:
    """Return by meter where the sides differ once the chain has had time to settle."""
    deadline = asyncio.get_running_loop().time() + AGREE_S
    while True:
        meters, store = await metered(bench), await stored(bench)
        found = {
            serial: lines
            for serial, side in meters.items()
            if (lines := differences(side, store[serial], until))
        }
        if not found or asyncio.get_running_loop().time() > deadline:
            return found
        bench.crew.check()
        await asyncio.sleep(0.5)
