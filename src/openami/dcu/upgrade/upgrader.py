"""The DCU as upgrade manager of its meters, put together.

::

    head-end ◄── reports ── exchange ── orders ──► book ──► fetcher ──► images
                                                    ▲ │                   │
                          line, when it is free ──► manager ◄─────────────┘
"""

from __future__ import annotations

from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Self

from openami.dcu.conversation import NEWS_S, Conversation
from openami.dcu.upgrade.book import Book
from openami.dcu.upgrade.exchange import Exchange
from openami.dcu.upgrade.fetching import Fetcher
from openami.dcu.upgrade.manager import Manager
from openami.dcu.upgrade.parts import Patience
from openami.store.salvage import opened
from openami.store.upgrades import Upgrades

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine
    from pathlib import Path
    from typing import Any

    from openami.core.clock import Clock
    from openami.dcu.flow import Patience as Retry
    from openami.dcu.flow import Stop
    from openami.dcu.headend import HeadEnd
    from openami.dcu.ports import Packages
    from openami.dcu.roster import Roster
    from openami.dcu.upgrade.line import MeterLine

STORE: Final = "upgrades.sqlite"
IMAGES: Final = "images"


@dataclass(frozen=True, slots=True)
class Upgrading:
    """What a DCU needs besides for upgrading its meters.

    Attributes:
        packages: where images come from.
        voided: lets go of every package that is not being switched to, or of those that were
            ordered in an epoch before; it may be called again.
        wall: the true time, by which the head-end orders, whatever time the meters have.
        patience: how meters are dealt with.
        news_s: how long news for the head-end waits for more.
    """

    packages: Packages
    voided: Callable[[int | None], Awaitable[None]]
    wall: Clock
    patience: Patience = field(default_factory=Patience)
    news_s: float = NEWS_S


@dataclass(frozen=True, slots=True)
class Means:
    """What the upgrades of one line are done with.

    Attributes:
        folder: of the DCU's state.
        headend: who orders.
        line: the meters.
        roster: who they are.
        retry: makes what says how long to wait after failures.
        stop: ends what needs no line.
        nudge: lets the line's task look again for what to do.
        back: called with a meter that answers after its restart.
    """

    folder: Path
    headend: HeadEnd
    line: MeterLine
    roster: Roster
    retry: Callable[[], Retry]
    stop: Stop
    nudge: Callable[[], None]
    back: Callable[[str], None]


class Upgrader:
    """As an async context manager it opens and closes its store.

    Args:
        means: of its line.
        upgrading: of the DCU.

    Attributes:
        guest: takes the line's free time.

    Raises:
        StoreError: its state cannot be used, or another process has it.
    """

    def __init__(self, means: Means, upgrading: Upgrading) -> None:
        self._means = means
        self._upgrading = upgrading
        self._stack = AsyncExitStack()
        self.book: Book
        self.guest: Manager
        self._conversation: Conversation

    async def __aenter__(self) -> Self:
        means, file = self._means, self._means.folder / STORE
        async with AsyncExitStack() as stack:
            store = opened(lambda: Upgrades(file), file)
            stack.callback(store.close)
            self.book = Book(store, self._upgrading.wall)
            await self.book.load()
            self._stack = stack.pop_all()
        self.guest = Manager(
            self.book,
            means.line,
            means.roster,
            clock=self._upgrading.wall,
            back=means.back,
            patience=self._upgrading.patience,
        )
        exchange = Exchange(
            means.headend,
            self.book,
            voided=self._upgrading.voided,
            taken=means.nudge,
            clock=self._upgrading.wall,
        )
        self._conversation = Conversation(
            "upgrades",
            exchange,
            patience=means.retry(),
            stop=means.stop,
            news_s=self._upgrading.news_s,
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    @property
    def revision(self) -> int | None:
        """Of the head-end's orders as they came last; None: not since the start."""
        return self.book.revision

    def revised(self, revision: int) -> None:
        """Take the number that the head-end's orders have now."""
        if revision != self.book.revision:
            self._conversation.ask()

    def works(self) -> tuple[Coroutine[Any, Any, None], ...]:
        """Return the tasks that go on until ``Means.stop``."""
        means = self._means
        fetcher = Fetcher(
            self.book,
            self._upgrading.packages,
            means.folder / IMAGES,
            clock=self._upgrading.wall,
            stop=means.stop,
            patience=means.retry(),
            fetched=means.nudge,
        )
        return self._conversation.run(), fetcher.run()
