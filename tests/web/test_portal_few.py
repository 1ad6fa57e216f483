"""Heavy pages are made a few at a time; whoever comes then is told so, in their language."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

import pytest
from tests.support.portal import KIM, home_of, signed_in, two_homes

from openami.headend.errors import BusyError
from openami.headend.homes import Homes
from openami.web.portal.few import OF_ONE, Few

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import Any

PATIENCE_S = 30


def at_work(release: threading.Event) -> Callable[[], None]:
    """Return what lasts until it is let go."""

    def work() -> None:
        assert release.wait(PATIENCE_S)

    return work


async def test_a_few_are_made_at_once_and_a_few_wait() -> None:
    release, lock, most = threading.Event(), threading.Lock(), [0, 0]
    few = Few(at_once=2, waiting=3)

    def work() -> None:
        with lock:
            most[0] += 1
            most[1] = max(most)
        assert release.wait(PATIENCE_S)
        with lock:
            most[0] -= 1

    tasks = [asyncio.create_task(few.make(f"home {place}", work)) for place in range(6)]
    done, _ = await asyncio.wait(tasks, timeout=PATIENCE_S, return_when="FIRST_COMPLETED")
    [last] = done
    assert last is tasks[5]
    error = last.exception()
    assert isinstance(error, BusyError)
    assert (error.code, error.retry_after > 0) == ("busy.pages", True)
    release.set()
    await asyncio.gather(*tasks[:5])
    assert most == [0, 2]
    assert await few.make("home 5", lambda: "made") == "made"


async def test_one_does_not_take_the_turns_of_others() -> None:
    release = threading.Event()
    few = Few(at_once=1, waiting=2 * OF_ONE)
    tasks = [asyncio.create_task(few.make("one", at_work(release))) for _ in range(OF_ONE)]
    await asyncio.sleep(0)  # all have come
    with pytest.raises(BusyError):
        await few.make("one", at_work(release))
    other = asyncio.create_task(few.make("other", at_work(release)))
    release.set()
    await asyncio.gather(*tasks, other)


async def test_what_fails_frees_its_place() -> None:
    few = Few(at_once=1, waiting=0)

    def work() -> None:
        raise ZeroDivisionError

    for _ in range(OF_ONE + 1):
        with pytest.raises(ZeroDivisionError):
            await few.make("one", work)


@pytest.mark.parametrize("path", ["?by=year", "/days.csv", "/bill"])
async def test_who_comes_when_too_many_wait_is_told_to_come_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    release, measured = threading.Event(), Homes.measured

    def slow(self: Homes, *args: Any) -> Any:
        assert release.wait(PATIENCE_S)
        return measured(self, *args)

    monkeypatch.setattr(Homes, "measured", slow)
    async with two_homes(tmp_path) as running, signed_in(running, KIM) as kim:
        home = home_of(running, KIM) + path
        korean = {"Accept-Language": "ko"}
        tasks = [
            asyncio.create_task(kim.get(home, headers=korean)) for _ in range(OF_ONE + 1)
        ]  # fmt: skip
        done, waiting = await asyncio.wait(tasks, timeout=PATIENCE_S, return_when="FIRST_COMPLETED")
        release.set()
        [refused] = [task.result() for task in done]
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "5")
        assert "지금은 볼 수 없습니다" in refused.text
        assert [(await task).status_code for task in waiting] == [200] * OF_ONE
