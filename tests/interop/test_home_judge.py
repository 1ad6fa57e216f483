"""gurux-dlms, as a maker's display would, reads what a meter pushes with a display's keys."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest
from tests.support.home import link_of, paired_with, settings, some
from tests.support.meter_bench import START

from openami.core.clock import ManualClock
from openami.dlms.wrapper import PacketReader, WrapperParameters
from openami.meter.run import MeterRunner

if TYPE_CHECKING:
    from openami.transport.home import Paired

pytestmark = pytest.mark.peer

PEER: Final = Path(__file__).with_name("gurux_push.py")
PEER_TIMEOUT_S: Final = 60.0


def read_by_gurux(paired: Paired, packet: bytes) -> list[object]:
    plan = {
        "client": paired.client,
        "title": paired.title.raw.hex(),
        "guek": (paired.keys.guek or b"").hex(),
        "gak": (paired.keys.gak or b"").hex(),
        "packet": packet.hex(),
    }
    done = subprocess.run(
        [sys.executable, str(PEER)],
        input=json.dumps(plan),
        capture_output=True,
        timeout=PEER_TIMEOUT_S,
        check=True,
        text=True,
    )
    found: list[object] = json.loads(done.stdout)
    return found


async def test_another_makers_display_reads_a_push() -> None:
    clock, pieces = ManualClock(START), []
    async with MeterRunner(settings(clock=clock)) as runner:
        clock.advance(60)
        paired = await paired_with(runner)
        async with link_of(runner, paired) as link:
            channel = link._session.channel
            feed = channel._feed

            def tap(data: bytes) -> None:
                pieces.append(data)
                feed(data)

            channel._feed = tap  # type: ignore[method-assign]
            (live,) = await some(link, 1)
    packet = next(
        packet
        for packet in PacketReader(WrapperParameters()).feed(b"".join(pieces))
        if packet.apdu[0] == 0xDB
    )
    assert read_by_gurux(paired, packet.encode()) == [
        live.at, list(live.voltage), list(live.current), live.active, live.reactive, live.apparent,
        live.factor, live.frequency, live.imported, live.exported, live.rate, live.supply, None,
        live.emergency, live.status, live.revision,
    ]  # fmt: skip
