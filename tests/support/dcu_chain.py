"""A street, a DCU and a head-end in one process, over real sockets and TLS, on one slow clock."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections import Counter
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.support.abandoned import Abandoned
from tests.support.dcu_headend import Certificates, FakeHeadEnd

from openami.core.clock import ManualClock
from openami.dcu.agent import Dcu
from openami.dcu.settings import DcuSettings
from openami.meter.identity import BroadcastKeys, MeterIdentity, generate_identity, seeded
from openami.meter.settings import MeterConfig
from openami.meter.sources import parse_source
from openami.meter.street import StreetMeter, StreetRunner, StreetSettings
from openami.metrology.energy import Channel
from openami.transport.medium import LineProfile

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from openami.dcu.gateway.gateway import Gateway
    from openami.dcu.upgrade.upgrader import Upgrading
    from openami.meter.device import Meter
    from openami.meter.maker import Maker

LOAD = "1.0.99.1.0.255"
CHANNELS = {
    "1.0.1.29.0.255": Channel.IMPORT,
    "1.0.2.29.0.255": Channel.EXPORT,
    "1.0.3.29.0.255": Channel.REACTIVE_IMPORT,
    "1.0.4.29.0.255": Channel.REACTIVE_EXPORT,
}
START = 1_718_000_100 // 900 * 900  # a Monday in June
HOUR = 3600.0
PERIOD = 900


LINE_KEYS = BroadcastKeys(b"L" * 16, b"A" * 16)


def identity(number: int, *, address: int | None = None) -> MeterIdentity:
    made = generate_identity(
        number, seeded(f"dcu {number}"), address=address or 16 + number, broadcast=LINE_KEYS
    )
    return made.with_home(seeded(f"label {number}"))


@dataclass
class Chain:
    """The three of them; parts can be stopped and started again."""

    folder: Path
    certificates: Certificates
    numbers: tuple[int, ...] = (0, 1, 2)
    history_s: float = 6 * HOUR
    options: dict[str, Any] = field(default_factory=dict)
    medium: LineProfile = field(default_factory=LineProfile)
    meter_options: dict[int, dict[str, Any]] = field(default_factory=dict)
    maker: Maker | None = None
    upgrading: Upgrading | None = None
    gateway: Gateway | None = None
    clock: ManualClock = field(default_factory=lambda: ManualClock(START + 30.0))
    headend: FakeHeadEnd = field(init=False)
    street: StreetRunner | None = None
    dcu: Dcu | None = None
    modem_port: int = 0
    abandoned: Abandoned = field(default_factory=Abandoned)
    _task: asyncio.Task[None] | None = None

    def __post_init__(self) -> None:
        self.headend = FakeHeadEnd(self.certificates, clock=self.clock)
        for number in self.numbers:
            self.deliver(identity(number))

    def deliver(self, who: MeterIdentity) -> None:
        """Let the head-end have a meter's keys."""
        self.headend.credentials[str(who.system_title)] = {
            "client": 1,
            "mechanism": "hls5-gmac",
            "guek": who.keys.guek.hex(),
            "gak": who.keys.gak.hex(),
            "hls": None,
            "broadcast": {
                "client": 102,
                "gbek": LINE_KEYS.gbek.hex(),
                "gak": LINE_KEYS.gbak.hex(),
            },
        }

    # Meters

    async def start_street(self, *numbers: int, **addresses: int) -> None:
        meters = []
        for number in numbers or self.numbers:
            who = identity(number, address=addresses.get(f"n{number}"))
            config = MeterConfig(
                who,
                started=self.clock.now() - self.history_s,
                **self.meter_options.get(number, {}),
            )
            seed = hashlib.sha256(str(number).encode()).digest()[0]
            meters.append(StreetMeter(config, parse_source(f"constant:{500 + seed},{30 + seed}")))
        settings = StreetSettings(
            tuple(meters),
            modem=("127.0.0.1", self.modem_port),
            state=self.folder / "street",
            line=self.medium,
            clock=self.clock,
            maker=self.maker,
        )
        (self.folder / "street").mkdir(exist_ok=True)
        self.street = await StreetRunner(settings).__aenter__()
        self.modem_port = self.street.listening.hdlc[0][1]

    async def stop_street(self) -> None:
        if self.street is not None:
            await self.street.__aexit__(None, None, None)
            self.street = None

    def meter(self, number: int) -> Meter:
        assert self.street is not None
        serial = identity(number).serial
        return next(m for m in self.street.meters.values() if m.serial == serial)

    # The DCU

    def settings(self, **options: Any) -> DcuSettings:
        values: dict[str, Any] = {
            "id": "dcu-1",
            "state": self.folder / "dcu",
            "modem": f"hdlc+tcp://127.0.0.1:{self.modem_port}",
            "addresses": "16-20",
            "headend": self.headend.url,
            "response_timeout_s": 2.0,
            "probe_timeout_s": 0.3,
            "probe_rest_s": 0.5,
            "reconnect_first_s": 0.02,
            "reconnect_most_s": 0.1,
            "retry_first_s": 0.02,
            "retry_most_s": 0.1,
            "backoff_first_s": 0.05,
            "backoff_most_s": 0.5,
            "report_every_s": 0.3,
            "long_poll_s": 1.0,
            "batch_age_s": 0.05,
            "introduction_s": 20.0,
            "settle_s": 5.0,
            "spread_s": 0.0,
            "timezone": "Asia/Seoul",
            "stop_s": 20.0,
        }
        return DcuSettings(**{**values, **self.options, **options})

    async def start_dcu(self, **options: Any) -> Dcu:
        self.dcu = await Dcu(
            self.settings(**options),
            self.clock,
            connect=self.certificates.client,
            upgrading=self.upgrading,
            gateway=self.gateway,
        ).__aenter__()
        self._task = asyncio.ensure_future(self.dcu.run())
        return self.dcu

    async def stop_dcu(self) -> None:
        """End it in good order."""
        if self.dcu is not None and self._task is not None:
            self.abandoned.expect()  # its long poll is cancelled, in a handshake maybe
            self.dcu.stop()
            await self._task
            await self._close()

    async def kill_dcu(self) -> None:
        """End it at once, wherever it is: what is not on the disk is gone."""
        if self._task is not None:
            self.abandoned.expect()
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
            await self._close()

    async def _close(self) -> None:
        if self.dcu is not None:
            await self.dcu.__aexit__(None, None, None)
        self.dcu = self._task = None

    def advance(self, seconds: float) -> None:
        """Let time pass for everybody."""
        self.clock.advance(seconds)
        if self.street is not None:
            for meter in self.street.meters.values():
                meter.refresh()
        if self.dcu is not None:
            self.dcu.collector.nudge.set()

    async def until(self, reached: Callable[[], bool], timeout: float = 60.0) -> None:
        """Return when something is so; a DCU that ends meanwhile is a failure."""
        async with asyncio.timeout(timeout):
            while not reached():
                if self._task is not None and self._task.done():
                    self._task.result()
                await asyncio.sleep(0.01)

    # What came of it

    def stored(self, number: int, profile: str = LOAD) -> dict[str, dict[int, int]]:
        """Return by channel and time what the head-end has of a meter; nothing came twice."""
        serial = identity(number).serial
        found: dict[str, dict[int, int]] = {}
        for row in self.headend.rows():
            if (row["meter"], row["profile"]) == (serial, profile):
                channel, time = found.setdefault(row["channel"], {}), int(row["time"].timestamp())
                assert time not in channel, f"{serial} {row['channel']} {row['time']} came twice"
                channel[time] = row["value"]
        return found

    def caught_up(self) -> bool:
        """Whether the DCU's last visits brought every meter's load profile up to now."""
        assert self.dcu is not None
        latest = self.clock.now() // PERIOD * PERIOD
        seen = [self.dcu.line.progress(serial).get(LOAD) for serial in self.dcu.line.meters()]
        return all(progress is not None and progress.cursor == latest for progress in seen)

    def complete(self, *numbers: int) -> bool:
        """Whether what the head-end has of the meters adds up to their own registers."""
        return all(self.sums(number) == self.registers(number) for number in numbers)

    def sums(self, number: int) -> dict[str, int]:
        return {name: sum(rows.values()) for name, rows in self.stored(number).items()}

    def registers(self, number: int) -> dict[str, int]:
        meter = self.meter(number)
        return {name: meter.captured(channel) for name, channel in CHANNELS.items()}

    def states(self) -> dict[str, str]:
        """Return the states of the last report."""
        if not self.headend.reports:
            return {}
        return {meter["serial"]: meter["state"] for meter in self.headend.reports[-1]["meters"]}

    def told(self, number: int) -> dict[str, Any]:
        """Return what the last report says of a meter."""
        serial = identity(number).serial
        found = [m for m in self.headend.reports[-1]["meters"] if m["serial"] == serial]
        return dict(found[0]) if found else {}

    def counted(self) -> Counter[str]:
        """Return how often each path was asked for."""
        return Counter(self.headend.requests)


@asynccontextmanager
async def chain(folder: Path, certificates: Certificates, **options: Any) -> AsyncIterator[Chain]:
    """Run street and head-end, and end whatever runs at the end."""
    made = Chain(folder, certificates, **options)
    await made.headend.start()
    try:
        await made.start_street()
        yield made
    finally:
        await made.kill_dcu()
        await made.stop_street()
        await made.headend.stop()
        made.abandoned.collect()
