"""Runs simulated appliances beside each other, and says each second what the home draws."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from openami.ihd.appliance_rules import Kind
from openami.ihd.simulated.agent import Agent
from openami.ihd.simulated.physics import MODELS, STEP_S, Command, registration
from openami.transport.clock import monotonic
from openami.transport.http import HttpClient
from openami.transport.signals import stop_signals

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Sequence

    from openami.core.clock import Clock
    from openami.ihd.simulated.physics import Appliance
    from openami.ihd.simulated.tokens import Tokens
    from openami.metrology.sources import Source

LINE_S: Final = 1.0
MOST_S: Final = 86_400.0
"""The longest time that is made up for after a clock that jumped."""

SECOND: Final = 1_000_000
REACTIVE: Final = {Kind.AIR_CONDITIONER: 0.3}
"""Vars for each watt: a compressor's motor; heaters and chargers draw next to none."""


@dataclass(frozen=True, slots=True)
class HomeSettings:
    """What is simulated.

    Args:
        kinds: the appliances; one kind may come more than once.
        clock: the world's.
        offset: seconds that local time is ahead of UTC.
        seed: of weather and habits.
        base: what the rest of the home draws; None: nothing.
    """

    kinds: Sequence[Kind]
    clock: Clock
    offset: int = 0
    seed: int = 0
    base: Source | None = None


@dataclass(slots=True)
class _Device:
    name: str
    model: Appliance
    agent: Agent | None = None
    joules: float = 0.0


@dataclass(slots=True)
class Home:
    """The appliances of one home, and the rest of it."""

    settings: HomeSettings
    devices: list[_Device] = field(init=False)
    _at: float = field(init=False)

    def __post_init__(self) -> None:
        self._at = self.settings.clock.now()
        kinds = list(self.settings.kinds)
        self.devices = []
        for place, kind in enumerate(kinds):
            before = kinds[:place].count(kind)
            name = f"{kind}-{before + 1}" if before else str(kind)
            self.devices.append(_Device(name, MODELS[kind](seed=self.settings.seed + before)))

    def advance(self) -> tuple[float, float]:
        """Let the time pass that has passed; return the mean W and var since the last call."""
        now = self.settings.clock.now()
        begins, self._at = max(self._at, now - MOST_S), now
        if now <= begins:
            return 0.0, 0.0
        active, reactive = self._rest(begins, now)
        for device in self.devices:
            command = Command() if device.agent is None else device.agent.command
            power = self._run(device, begins, now, command) / (now - begins)
            active += power
            reactive += power * REACTIVE.get(device.model.kind, 0.0)
            if device.agent is not None:
                device.agent.says(power, device.model.words())
        return active, reactive

    def _run(self, device: _Device, begins: float, ends: float, command: Command) -> float:
        at, joules = begins, 0.0
        while at < ends:
            seconds = min(STEP_S, ends - at)
            joules += device.model.step(at + self.settings.offset, seconds, command)
            at += seconds
        device.joules += joules
        return joules

    def _rest(self, begins: float, ends: float) -> tuple[float, float]:
        source = self.settings.base
        if source is None:
            return 0.0, 0.0
        at, end = round(begins * SECOND), round(ends * SECOND)
        whole, active, reactive = max(end - at, 1), 0.0, 0.0
        while at < end:
            segment = source.at(at)
            until = end if segment.until is None else min(segment.until, end)
            active += segment.sample.active * (until - at)
            reactive += segment.sample.reactive * (until - at)
            at = until
        return active / whole / 1000, reactive / whole / 1000


async def simulate(
    settings: HomeSettings,
    tell: Callable[[str], None],
    *,
    display: str | None = None,
    tokens: Tokens,
    tls: ssl.SSLContext | None = None,
) -> None:
    """Run until SIGTERM or SIGINT.

    Args:
        settings: what is simulated.
        tell: takes a line ``W var`` each second.
        display: the display's URL; None: nobody controls the appliances.
        tokens: of the appliances.
        tls: with an ``https`` URL.

    Raises:
        ConfigError: tokens cannot be kept.
    """
    home, stop = Home(settings), asyncio.Event()
    async with AsyncExitStack() as stack:
        stack.enter_context(stop_signals(stop.set))
        works = [asyncio.create_task(_lines(home, tell)), asyncio.create_task(stop.wait())]
        stack.callback(_cancel, works)
        if display is not None:
            size = 2 * len(home.devices) + 2
            client = await stack.enter_async_context(
                HttpClient(display.rstrip("/"), tls=tls, max_connections=size)
            )
            for device in home.devices:
                asked = registration(type(device.model), f"Simulated {device.name}")
                agent = Agent(client, asked, tokens, device.name, clock=settings.clock)
                device.agent = agent
                works.append(asyncio.create_task(agent.run()))
        done, _ = await asyncio.wait(works, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()


def _cancel(works: Sequence[asyncio.Task[object]]) -> None:
    for work in works:
        work.cancel()


async def _lines(home: Home, tell: Callable[[str], None]) -> None:
    at = monotonic()
    while True:
        at = max(at + LINE_S, monotonic())
        await asyncio.sleep(at - monotonic())
        active, reactive = home.advance()
        tell(f"{active:.1f} {reactive:.1f}")
