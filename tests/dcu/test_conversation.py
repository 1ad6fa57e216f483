"""When a conversation with the head-end is held, and what cuts a wait short."""

from __future__ import annotations

import asyncio

import pytest

from openami.dcu.conversation import Conversation, tell_and_ask
from openami.dcu.flow import Patience, Stop
from openami.dcu.headend import HeadEndAwayError, HeadEndRefusalError

LONG_S = 3600.0


class Talker:
    """Has nothing to say; the head-end is away the first times."""

    def __init__(self, away: int) -> None:
        self.news = asyncio.Event()
        self.away = away
        self.times = 0
        self.held = asyncio.Event()

    def rest(self) -> float:
        return LONG_S

    async def exchange(self) -> bool:
        self.times += 1
        self.held.set()
        if self.times <= self.away:
            raise HeadEndAwayError("nobody is there")
        return False

    async def again(self) -> None:
        """Return when it was held once more."""
        await asyncio.wait_for(self.held.wait(), 10)
        self.held.clear()


async def test_who_is_woken_asks_at_once_though_the_head_end_was_away() -> None:
    talker, stop = Talker(away=1), Stop()
    patience = Patience(LONG_S, LONG_S, lambda: 0.0)
    talk = Conversation("a test", talker, patience=patience, stop=stop, eager=True)
    running = asyncio.ensure_future(talk.run())
    await talker.again()
    talk.ask()  # that something is new does not make the head-end come back
    for _ in range(5):
        await asyncio.sleep(0)
    assert talker.times == 1
    talk.hurry()
    await talker.again()
    await asyncio.sleep(0)
    talk.ask()
    await talker.again()
    assert talker.times == 3
    stop.set()
    await asyncio.wait_for(running, 60)


@pytest.mark.parametrize("refused", [False, True])
async def test_what_is_refused_keeps_nobody_from_hearing_what_holds(*, refused: bool) -> None:
    told: list[list[str]] = []

    async def ask(reports: list[str]) -> str:
        told.append(reports)
        if reports and refused:
            raise HeadEndRefusalError("not your meter", status=409)
        return "what holds"

    assert await tell_and_ask("meters", ask, ["a"]) == ("what holds", refused)
    assert told == ([["a"], []] if refused else [["a"]])


async def test_who_is_refused_with_nothing_told_is_refused() -> None:
    async def ask(_: list[str]) -> str:
        raise HeadEndRefusalError("unknown", status=403)

    with pytest.raises(HeadEndRefusalError):
        await tell_and_ask("meters", ask, [])
