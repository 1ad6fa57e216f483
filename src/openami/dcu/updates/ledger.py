"""What a management object's operation is at: one under way, and how those before it ended.

It is one fact in the device's memory, replaced whole: what an operation has done and what it does
next are one, so that a cut at any point neither repeats nor forgets a step. How one ended stays
until a session has told it (OMA-TS-DM-FUMO 1.0, clause 8.2; OMA-TS-DM-SCOMO 1.0, clause 7).
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, Final, TypeVar

import structlog

from openami.core.errors import StoreError
from openami.dcu.operations import MAX_CORRELATOR
from openami.omadm.codes import AlertCode, Status
from openami.omadm.messages.model import Alert, Item, Location, Meta

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from openami.store.device_memory import DeviceMemory

CAUSE: Final = "urn:openami:alert:cause"
"""Type of the second item of an alert: a stable code, and words for a person."""
NEWS_MOST: Final = 12
"""Ends that wait for a session; with those of two objects and of AMI's operations, all fit into
the alerts that one may carry."""
MAX_WORDS: Final = 300

T = TypeVar("T")

log = structlog.get_logger("dcu.updates")


@dataclass(frozen=True, slots=True)
class Order:
    """One operation that a server has had executed.

    Attributes:
        node: address of the package's or component's node.
        operation: name of the node that was executed.
        correlator: to be told with the end.
        step: what is to be done next, in the object's own words.
        package: which, once it is known.
        tries: how often the step was begun, where that is counted.
    """

    node: str
    operation: str
    correlator: str | None = None
    step: str = ""
    package: str = ""
    tries: int = 0


@dataclass(frozen=True, slots=True)
class News:
    """How an operation ended, as its server is told.

    Attributes:
        node: as of the order.
        kind: type of the alert.
        result: the standard's number.
        words: a code and words; empty: nothing went wrong.
        correlator: of the order.
        good: whether it is what was wanted.
    """

    node: str
    kind: str
    result: int
    words: str
    correlator: str | None
    good: bool

    def alert(self) -> Alert:
        """Return the alert that says so (OMA-TS-DM_Protocol 1.2, clause 8.7)."""
        mark = "informational" if self.good else "minor"
        source = Location(self.node)
        told = Item(source=source, meta=Meta("int", self.kind, mark), data=str(self.result))
        why = Item(source=source, meta=Meta("chr", CAUSE, mark), data=self.words)
        items = (told, why) if self.words else (told,)
        return Alert(0, AlertCode.GENERIC, items, correlator=self.correlator)


@dataclass(frozen=True, slots=True)
class Page:
    """All that is kept; ``own`` is the object's."""

    order: Order | None = None
    news: tuple[News, ...] = ()
    own: Mapping[str, Any] = field(default_factory=dict)

    def encode(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def decode(cls, text: str) -> Page:
        """Return the page that ``encode`` gave.

        Raises:
            ValueError: it is none: another version's, or damaged.
        """
        try:
            kept = json.loads(text)
            order = None if kept["order"] is None else read(Order, kept["order"])
            news = tuple(read(News, one) for one in kept["news"])
            return cls(order, news, dict(kept["own"]))
        except (LookupError, TypeError, AttributeError) as error:
            raise ValueError("not what was kept") from error


def read(kind: type[T], values: Mapping[str, Any]) -> T:
    """Return what was kept, less what only a newer version knows.

    A device that goes back to the software of before goes on with what the newer one has kept: the
    end of the very update that failed is still to be told.

    Raises:
        TypeError, AttributeError: it is something else.
    """
    return kind(**{name: value for name, value in values.items() if name in _names(kind)})


def _names(kind: type) -> frozenset[str]:
    return frozenset(one.name for one in fields(kind))


class Ledger:
    """The page of one object; all of it is for one thread to call.

    Args:
        memory: where it outlives a restart.
        fact: its name there.
        tell: lets the server hear of an alert soon.
    """

    def __init__(self, memory: DeviceMemory, fact: str, tell: Callable[[Alert], None]) -> None:
        self._memory = memory
        self._fact = fact
        self._tell = tell
        self._alerts: list[tuple[Alert, News]] = []
        self.page = Page()

    @property
    def order(self) -> Order | None:
        """The operation under way."""
        return self.page.order

    def recall(self) -> None:
        """Take up what was kept, and tell what was not told yet."""
        text = self._memory.fact(self._fact)
        try:
            self.page = Page.decode(text) if text else Page()
        except ValueError as error:
            log.error("what was under way is lost", fact=self._fact, error=str(error))  # noqa: TRY400 -- not a bug of ours
        for news in self.page.news:
            self._announce(news)

    def accept(self, order: Order) -> int:
        """Take an operation; return 202, or why it is not taken.

        One that was taken already, by its correlator, is not taken twice.

        Raises:
            StoreError: it cannot be kept.
        """
        if len(order.correlator or "") > MAX_CORRELATOR:
            return Status.ENTITY_TOO_LARGE
        known = [(one.node, one.correlator) for one in (self.order, *self.page.news) if one]
        if order.correlator and (order.node, order.correlator) in known:
            return Status.ACCEPTED_FOR_PROCESSING
        if self.order is not None:  # OMA-SyncML-RepPro 1.2, clause 10: 417
            return Status.RETRY_LATER
        if len(self.page.news) >= NEWS_MOST:
            return Status.DEVICE_FULL
        self._write(replace(self.page, order=order))
        log.info("operation accepted", node=order.node, operation=order.operation)
        return Status.ACCEPTED_FOR_PROCESSING

    def note(self, order: Order | None, own: Mapping[str, Any]) -> None:
        """Keep how far the operation is, and what the object has; StoreError."""
        self._write(replace(self.page, order=order, own=own))

    def conclude(self, news: News, own: Mapping[str, Any]) -> None:
        """Keep how the operation ended, and have it told; StoreError: it goes on."""
        news = replace(news, words=news.words[:MAX_WORDS])
        self._write(replace(self.page, order=None, own=own, news=(*self.page.news, news)))
        (log.info if news.good else log.warning)(
            "operation over", node=news.node, kind=news.kind, result=news.result, why=news.words
        )
        self._announce(news)

    def told(self, alerts: Sequence[Alert]) -> None:
        """Forget the ends that a session has told."""
        known = set(map(id, alerts))
        over = [news for alert, news in self._alerts if id(alert) in known]
        if not over:
            return
        self._alerts = [one for one in self._alerts if id(one[0]) not in known]
        left = tuple(news for _, news in self._alerts)
        try:
            self._write(replace(self.page, news=left))
        except StoreError as error:  # told again after a restart, and known there
            self.page = replace(self.page, news=left)
            log.warning("not noted", code=error.code, error=error.message)

    def _announce(self, news: News) -> None:
        alert = news.alert()
        self._alerts.append((alert, news))
        self._tell(alert)

    def _write(self, page: Page) -> None:
        self._memory.put_fact(self._fact, page.encode())
        self.page = page
