"""Serving until a signal or a failure, whichever comes first."""

from __future__ import annotations

import asyncio
import os
import signal
from typing import TYPE_CHECKING, Self

import pytest

from openami.core.errors import TransportError
from openami.meter.identity import generate_identity
from openami.meter.run import RunSettings, run_meter
from openami.meter.settings import MeterConfig
from openami.meter.sources import parse_source
from openami.transport.serving import serve_until_stopped

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

STOPPING = (signal.SIGTERM, signal.SIGINT)


class Shop:
    """Serves; ``opening`` is done while it starts."""

    def __init__(self, opening: Callable[[], None] = lambda: None) -> None:
        self._opening = opening
        self.done: list[str] = []
        self.broken: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def __aenter__(self) -> Self:
        self._opening()
        await asyncio.sleep(0)
        self.done.append("opened")
        return self

    async def __aexit__(self, *_: object) -> None:
        self.done.append("closed")

    async def failed(self) -> None:
        await self.broken


@pytest.mark.parametrize("number", STOPPING)
async def test_a_signal_while_it_starts_closes_it_in_good_order(number: int) -> None:
    shop = Shop(lambda: os.kill(os.getpid(), number))
    await serve_until_stopped(shop, None)
    assert shop.done == ["opened", "closed"]


async def test_a_failure_is_raised_when_all_is_closed() -> None:
    before = [signal.getsignal(number) for number in STOPPING]
    shop = Shop()

    def ready(one: Shop) -> None:
        one.broken.set_exception(TransportError("the line is gone"))

    with pytest.raises(TransportError, match="the line is gone"):
        await serve_until_stopped(shop, ready)
    assert shop.done == ["opened", "closed"]
    assert [signal.getsignal(number) for number in STOPPING] == before


async def test_a_meter_leaves_no_signal_handler(tmp_path: Path) -> None:
    before = [signal.getsignal(number) for number in STOPPING]
    config = MeterConfig(generate_identity(7, bytes))
    source = parse_source("constant:1", offset=0)
    settings = RunSettings(config, source, state=tmp_path, wrapper=(("127.0.0.1", 0),))
    await run_meter(settings, ready=lambda _: os.kill(os.getpid(), signal.SIGINT))
    assert [signal.getsignal(number) for number in STOPPING] == before
