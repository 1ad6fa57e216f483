"""The appliances of a home: who they are, what they are told, what they say they draw.

The display calls ``update`` at least once a second with what it knows of the meter and of the
utility; each appliance waits in ``work`` for its order to change, and ``report``s. What the orders
are is said in ``openami.ihd.appliance_rules``. Runs in one event loop.
"""

from __future__ import annotations

import asyncio
import hmac
import secrets
from collections import deque
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

import structlog

from openami.core.clock import isoformat
from openami.core.errors import ConfigError, NotFoundError, SecurityError, StoreFullError
from openami.ihd.appliance_records import (
    Kept,
    Record,
    digest_of,
    read_record,
    revision_of,
    shown_order,
    state_of,
)
from openami.ihd.appliance_rules import (
    FREE,
    Can,
    Claim,
    Kind,
    Mode,
    Order,
    Traits,
    Why,
    home_limit,
    share,
    wanted,
    wishes,
)
from openami.transport.clock import monotonic

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from decimal import Decimal

    from openami.core.clock import Clock
    from openami.dlms.cosem.said import Answer, Event
    from openami.ihd.appliance_rules import Wish
    from openami.ihd.ports import ApplianceStore

MOST: Final = 32
"""Appliances of a home: more than have a plug of their own; a stranger in the network cannot fill
the store."""

NEW_MOST: Final = 10
NEW_S: Final = 60.0
"""So many may register in so many seconds: each is a write to the store."""

TOKEN_OCTETS: Final = 32

LAG_S: Final = 3.0
"""For how long an appliance that draws less still counts with what it drew: the meter tells of it
a second later, or two."""

LOOKS: Final = 15
"""Over so many looks the rest of the home counts with the most that it drew."""

MARGIN: Final = (95, 100)
"""Of a limit, what is given away: a fridge that starts shall not trip the meter."""

OVERRIDE_S: Final = 4 * 3600
"""How long a household's own wish holds if it does not say: an evening."""

OVERRIDE_MOST_S: Final = 366 * 86_400
"""The longest that it may hold: a year, which is forgotten; and no time that cannot be shown."""

WAIT_S: Final = 60.0
"""The longest that an appliance can wait for news: routers forget a quiet connection soon after."""

log = structlog.get_logger("ihd.appliances")


@dataclass(frozen=True, slots=True)
class Registration:
    """What an appliance says of itself."""

    name: str
    kind: Kind
    rated_w: int
    least_w: int = 0
    can: frozenset[Can] = frozenset(Can)


@dataclass(frozen=True, slots=True)
class Situation:
    """What the display knows at a moment.

    Attributes:
        now: UTC seconds by the meter's clock.
        events: what the utility says, as the meter has it.
        answers: of the household, by event.
        import_w: what the home draws, where the meter has told it since the last time.
        limit_w: what the meter's limiter lets through; None: any power, or not known.
        usual_price: per kWh, by the tariff and without events; None: not known.
    """

    now: float
    events: Sequence[Event] = ()
    answers: Mapping[str, Answer] = field(default_factory=dict)
    import_w: float | None = None
    limit_w: int | None = None
    usual_price: Decimal | None = None


class Appliances:
    """The appliances of one home.

    Args:
        store: keeps them.
        clock: the meter's, as far as the display knows it.
        tick: seconds that never run backwards.

    Raises:
        StoreError: the store cannot be read.
    """

    def __init__(
        self,
        store: ApplianceStore,
        clock: Clock,
        *,
        tick: Callable[[], float] = monotonic,
    ) -> None:
        self._store = store
        self._clock = clock
        self._tick = tick
        self._base: deque[float] = deque(maxlen=LOOKS)
        self._registered: deque[float] = deque(maxlen=NEW_MOST)
        self._situation = Situation(clock.now())
        self._all = {name: Kept(read_record(text)) for name, text in store.appliances().items()}

    # For appliances

    def register(self, asked: Registration) -> tuple[str, str]:
        """Take up an appliance; return its id, and its token, which is told this once.

        Raises:
            SecurityError: ``appliance.throttled``: too many in a minute.
            StoreFullError: ``appliance.full``: there are 32; those that say nothing and that
                nobody has allowed make way.
            StoreError: it cannot be kept.
        """
        tick = self._tick()
        if len(self._registered) == NEW_MOST and tick - self._registered[0] < NEW_S:
            raise SecurityError("too many appliances register", code="appliance.throttled")
        self._registered.append(tick)
        self._make_room()
        name, token = secrets.token_hex(8), secrets.token_urlsafe(TOKEN_OCTETS)
        traits = Traits(asked.kind, asked.rated_w, min(asked.least_w, asked.rated_w), asked.can)
        record = Record(asked.name, traits, digest_of(token))
        self._store.keep_appliance(name, record.text())
        self._all[name] = Kept(record)
        log.info("appliance registered", appliance=name, kind=str(asked.kind))
        self._decide()
        return name, token

    def authenticate(self, appliance: str, token: str) -> None:
        """Check that ``token`` is the appliance's.

        Raises:
            SecurityError: ``appliance.token``: it is not, or there is no such appliance.
        """
        kept = self._all.get(appliance)
        known = digest_of("") if kept is None else kept.record.digest
        if not hmac.compare_digest(known, digest_of(token)) or kept is None:
            raise SecurityError("not the token of this appliance", code="appliance.token")

    async def work(
        self, appliance: str, *, revision: str | None = None, wait_s: float = 0.0
    ) -> dict[str, Any]:
        """Return what an appliance shall do; with the ``revision`` that it has, when that changes.

        A later call of the same appliance ends an earlier one.

        Raises:
            NotFoundError: there is no such appliance, or it was removed meanwhile.
        """
        kept = self._hear(appliance)
        kept.changed.set()  # for whoever waits in an earlier call
        if revision == revision_of(kept.order) and wait_s > 0:
            kept.changed = changed = asyncio.Event()
            try:
                async with asyncio.timeout(min(wait_s, WAIT_S)):
                    await changed.wait()
            except TimeoutError:
                pass  # then it is told the same again
            kept = self._hear(appliance)
        order = shown_order(kept.order)
        now = isoformat(self._clock.now())
        return {**order, "revision": revision_of(kept.order), "now": now}

    def report(self, appliance: str, power_w: float, state: str) -> None:
        """Take what an appliance draws, and what it says that it does.

        Raises:
            NotFoundError: there is no such appliance.
        """
        kept, tick = self._hear(appliance), self._tick()
        if power_w < kept.power_w:
            kept.held_w, kept.held_until = kept.drawn(tick), tick + LAG_S
        kept.power_w, kept.state = power_w, state

    # For the household

    def change(
        self,
        appliance: str,
        *,
        allow: bool | None = None,
        override: Mode | str | None = "",
        until: int | None = None,
    ) -> None:
        """Let an appliance be controlled or not; have it run as the household says, or no more.

        Args:
            appliance: its id.
            allow: None: as it was.
            override: how it shall run whatever events and prices say; None: as they say; empty:
                as it was.
            until: UTC seconds at which the override ends; None: four hours from now.

        Raises:
            NotFoundError: there is no such appliance.
            ConfigError: ``appliance.invalid``: that is longer than a year.
            StoreError: it cannot be kept.
        """
        kept = self._get(appliance)
        record = kept.record
        if allow is not None:
            record = replace(record, allow=allow)
        if override != "":
            now = int(self._clock.now())
            end = now + OVERRIDE_S if until is None else until
            if end > now + OVERRIDE_MOST_S:
                raise ConfigError("a year at most", code="appliance.invalid")
            mode = None if override is None else Mode(override)
            record = replace(record, override=mode, override_until=end if mode else 0)
        self._store.keep_appliance(appliance, record.text())
        kept.record = record
        self._decide()

    def remove(self, appliance: str) -> None:
        """Forget an appliance; its token opens nothing any more.

        Raises:
            NotFoundError: there is no such appliance.
            StoreError: it cannot be forgotten.
        """
        kept = self._get(appliance)
        self._store.forget_appliance(appliance)
        del self._all[appliance]
        kept.changed.set()
        self._decide()

    def states(self) -> list[dict[str, Any]]:
        """Return every appliance, as the API gives them."""
        tick = self._tick()
        return [state_of(name, kept, tick, self._clock.now()) for name, kept in self._all.items()]

    # For the display

    def update(self, situation: Situation) -> None:
        """Decide anew what each appliance shall do; whose order changes is told at once."""
        self._situation = situation
        if situation.import_w is not None:
            tick = self._tick()
            controlled = sum(one.drawn(tick) for one in self._all.values() if self._counts(one))
            self._base.append(max(0.0, situation.import_w - controlled))
        self._decide()

    def _counts(self, one: Kept) -> bool:
        """Whether an appliance's power is ours to give: else it is a part of the home's rest."""
        return one.record.allow and bool(one.record.traits.can) and not one.silent(self._tick())

    def _decide(self) -> None:
        situation = self._situation
        asked = wishes(situation.events, situation.answers, situation.usual_price)
        orders = {name: self._order(one.record, asked) for name, one in self._all.items()}
        limit = home_limit(asked, situation.now)
        limits = [situation.limit_w, None if limit is None else limit.limit_w]
        known = [each for each in limits if each is not None]
        if known:
            names = [name for name, one in self._all.items() if self._counts(one)]
            claims = [self._claim(self._all[name], orders[name]) for name in names]
            shared = share(self._budget(min(known)), claims, limit)
            orders.update(zip(names, shared, strict=True))
        for name, order in orders.items():
            self._tell(self._all[name], order)

    def _claim(self, one: Kept, order: Order) -> Claim:
        return Claim(one.record.traits, order, one.drawn(self._tick()))

    def _order(self, record: Record, asked: Sequence[Wish]) -> Order:
        now = self._situation.now
        if not record.allow:
            return FREE
        if record.override is not None and now < record.override_until:
            return Order(record.override, until=record.override_until, why=Why.HOUSEHOLD)
        return wanted(record.traits, asked, now)

    def _budget(self, limit_w: int) -> int:
        """Return what is left for appliances; as long as the rest is not known, it has half."""
        given = limit_w * MARGIN[0] // MARGIN[1]
        return int(given - max(self._base)) if self._base else given // 2

    def _tell(self, one: Kept, order: Order) -> None:
        if order != one.order:
            one.order = order
            one.changed.set()

    def _make_room(self) -> None:
        if len(self._all) < MOST:
            return
        for name, one in self._all.items():
            if one.silent(self._tick()) and not one.record.allow:
                self._store.forget_appliance(name)
                del self._all[name]
                return
        raise StoreFullError(f"there are {MOST} appliances", code="appliance.full")

    def _get(self, appliance: str) -> Kept:
        kept = self._all.get(appliance)
        if kept is None:
            raise NotFoundError("no such appliance", code="appliance.unknown")
        return kept

    def _hear(self, appliance: str) -> Kept:
        kept = self._get(appliance)
        kept.seen, kept.seen_at = self._tick(), self._clock.now()
        return kept
