"""What can happen to a chain: each fault makes it worse for a while, and ends as it began."""

from __future__ import annotations

import asyncio
import shutil
from typing import TYPE_CHECKING, Final

from tests.support.chain_bench import DCU, HEADEND, PARTS, STREET, Bench

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping

HOURS_AWAY: Final = (2.0, 4.0)  # of the chain's clock


async def a_while(bench: Bench, least: float = 0.2, most: float = 1.5) -> None:
    """Let real time pass."""
    await asyncio.sleep(bench.chance.uniform(least, most))


async def kill_dcu(bench: Bench) -> None:
    await bench.restart(DCU)


async def kill_headend(bench: Bench) -> None:
    await bench.restart(HEADEND)


async def kill_street(bench: Bench) -> None:
    await bench.restart(STREET)


async def kill_everything(bench: Bench) -> None:
    """A power failure everywhere, which ends here sooner than there."""
    parts = list(PARTS)
    bench.chance.shuffle(parts)
    for part in parts:
        await bench.kill(part)
    await a_while(bench, 0, 0.5)
    bench.chance.shuffle(parts)
    for part in parts:
        await bench.start(part)


async def cut_line(bench: Bench) -> None:
    bench.note("the line to the modem is cut")
    for _ in range(bench.chance.randint(1, 4)):
        bench.modem.down()
        await a_while(bench, 0, 0.5)
        bench.modem.heal()
        await a_while(bench, 0.05, 0.3)


async def swallow_octets(bench: Bench) -> None:
    bench.note("the line to the modem loses octets")
    for _ in range(bench.chance.randint(5, 15)):
        way = bench.chance.choice(("down", "up"))
        bench.modem.swallow(bench.chance.choice((1, 2, 10, 300, 2000)), way)
        await a_while(bench, 0, 0.2)
    bench.modem.heal()


async def headend_away(bench: Bench) -> None:
    """Hours without a head-end; the DCU's small spool may be full before it is back."""
    hours = bench.chance.uniform(*HOURS_AWAY)
    bench.note(f"the head-end is out of reach for {hours:.1f} hours")
    bench.wan.down()
    await asyncio.sleep(hours * 3600 / bench.speed / 2)
    if bench.chance.random() < 0.5:
        await bench.restart(DCU)
    await asyncio.sleep(hours * 3600 / bench.speed / 2)
    bench.wan.heal()


async def cut_uploads(bench: Bench) -> None:
    """Requests that may or may not have been done: their answers are lost."""
    bench.note("the way to the head-end is cut again and again")
    for _ in range(bench.chance.randint(4, 10)):
        bench.wan.cut()
        await a_while(bench, 0.01, 0.3)


async def forget_dcu(bench: Bench) -> None:
    """Another DCU takes the place of a broken one: its spool and all it knew are gone."""
    await bench.kill(DCU)
    bench.note("the DCU's state is lost")
    await bench.reopen()
    for path in bench.folder.joinpath(DCU).iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    await bench.start(DCU)


async def _full(bench: Bench, part: str) -> None:
    """A disk that is full for a while; often the power fails meanwhile."""
    bench.fill(part)
    await a_while(bench, 0.5, 2.5)
    runs = True
    if bench.chance.random() < 0.6:
        await bench.kill(part)
        runs = bench.chance.random() < 0.5 and await bench.start_in_vain(part)
        await a_while(bench, 0, 0.5)
    bench.empty(part)
    if not runs:
        await bench.start(part)


async def fill_dcu(bench: Bench) -> None:
    await _full(bench, DCU)


async def fill_headend(bench: Bench) -> None:
    await _full(bench, HEADEND)


async def fill_street(bench: Bench) -> None:
    await _full(bench, STREET)


FAULTS: Final[Mapping[str, Callable[[Bench], Awaitable[None]]]] = {
    fault.__name__: fault
    for fault in (
        kill_dcu,
        kill_headend,
        kill_street,
        kill_everything,
        cut_line,
        swallow_octets,
        headend_away,
        cut_uploads,
        forget_dcu,
        fill_dcu,
        fill_headend,
        fill_street,
    )
}


async def misfortune(bench: Bench, rounds: int, kinds: Iterable[str] = tuple(FAULTS)) -> None:
    """Let ``rounds`` faults happen, each of ``kinds`` before any comes again."""
    deck: list[str] = []
    for number in range(rounds):
        if not deck:
            deck = sorted(kinds)
            bench.chance.shuffle(deck)
        name = deck.pop()
        bench.note(f"{number + 1}: {name}")
        await FAULTS[name](bench)
        await a_while(bench, 0, 1)
    bench.modem.heal()
    bench.wan.heal()
