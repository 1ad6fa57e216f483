"""The display: the link to the meter, the history, and all that a household does with them."""

from __future__ import annotations

import asyncio
import json
import os
import random
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Self

import structlog

from openami.core.clock import isoformat
from openami.core.errors import ConfigError
from openami.core.identifiers import SystemTitle
from openami.dlms.cosem import ControlState
from openami.dlms.cosem.response import Answer
from openami.ihd.appliances import Appliances, Situation
from openami.ihd.filling import Filler
from openami.ihd.history import History
from openami.ihd.hub import Hub
from openami.ihd.keeper import CONNECTED, Keeper
from openami.ihd.meter_clock import MeterClock
from openami.ihd.pairing import Pairing, PairingFile
from openami.ihd.saying import Told
from openami.ihd.screen import Screen, live_shown
from openami.ihd.settings import Choices
from openami.mdm.tariffs.catalog import tariff_named, tariff_names
from openami.store.home import HomeStore
from openami.transport.home import HomeLink, HomeTarget, new_title, pair
from openami.transport.session import ServiceRefusedError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping

    from openami.dlms.home import Live
    from openami.ihd.keeper import Connect
    from openami.ihd.settings import DisplaySettings
    from openami.mdm.tariffs.model import Tariff

log = structlog.get_logger(__name__)

FLUSH_S: Final = 60.0
"""Real seconds between two writes, each of which wears the memory card of a tablet: a kill loses
the points of no more, and the meter's profile fills them."""
TICK_S: Final = 1.0
PRUNE_S: Final = 3600.0
_TOLD: Final = "told"
_CHOICES: Final = "settings"
_TITLE: Final = "title"


class Display:
    """One display; as a context manager it runs. All of it belongs to one event loop.

    Args:
        settings: what it runs with.
        connect: gives the link to a meter, with what keeps its counter; by default a ``HomeLink``.

    Attributes:
        pushed: is set once the meter has pushed.

    Raises:
        StoreError: its folder can not be used; ``store.busy``: another process has it.
        ConfigError: what is kept of its pairing can not be read.
    """

    def __init__(self, settings: DisplaySettings, *, connect: Connect | None = None) -> None:
        self.settings = settings
        self.clock = MeterClock(settings.clock)
        self.hub = Hub()
        self._store = HomeStore(settings.state)
        with ExitStack() as stack:
            stack.callback(self._store.close)
            self.history = History(self._store, settings.zone or settings.tariff.zone)
            self.told = Told.of(self._store.value(_TOLD))
            self.choices = Choices.of(self._store.value(_CHOICES))
            self.keeper = Keeper(
                connect or self._link,
                PairingFile(settings.state),
                self,
                clock=self.clock,
                chance=random.SystemRandom().random,
                every_s=settings.every_s,
            )
            if settings.target is not None and self.keeper.pairing is not None:
                # The meter may have got another address since.
                self.keeper.pairing = replace(self.keeper.pairing, target=settings.target)
            self.appliances = Appliances(self._store, self.clock)
            stack.pop_all()
        self._tariffs = _offered(settings.tariff)
        self.screen = Screen(self.history, settings.zone, settings.carbon)
        self.filler = Filler(self.history, self.clock)
        self.pushed = asyncio.Event()
        self._telling, self._pairing = asyncio.Lock(), asyncio.Lock()
        self._asked = asyncio.Event()
        self._answered = asyncio.Event()
        self._seen: Live | None = None
        self._shown: dict[str, Any] = {}
        self._running: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        works = (self.keeper.run(), self._tick(), self._flush(), self._prune())
        self._running = [asyncio.ensure_future(each) for each in works]
        return self

    async def __aexit__(self, *_: object) -> None:
        self.hub.close()
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)
        await self.history.flush()
        self._store.close()

    def close(self) -> None:
        """Let go of the folder of a display that was not run."""
        self._store.close()

    async def failed(self) -> None:
        """Return never, unless one of its works ended, which none may: then raise why."""
        done, _ = await asyncio.wait(self._running, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()

    # What is shown

    @property
    def tariff(self) -> Tariff:
        """The tariff that bills are made by."""
        name = self.choices.tariff
        return self.settings.tariff if name is None else tariff_named(name)

    async def state(self) -> dict[str, Any]:
        """Return the API's ``state``."""
        now, tariff = self.clock.now(), self.tariff
        await self.screen.refresh(tariff, now)
        live, left = self.history.live, self.filler.left_s
        pairing, trouble = self.keeper.pairing, self.history.trouble
        return {
            "now": isoformat(now),
            "zone": self.screen.zone(tariff).key,
            "serial": None if pairing is None else pairing.paired.serial,
            "link": {
                **self.keeper.status.shown(pairing),
                "offset_s": round(self.clock.offset, 1),
            },
            "live": None if live is None else live_shown(live),
            **self.screen.shown(tariff, self.told, now),
            "appliances": self.appliances.states(),
            "gaps": {"filling": left > 0, "left_s": left},
            "storage": None
            if trouble is None
            else {"code": trouble.code, "message": trouble.message},
            "settings": {"language": self.choices.language, "theme": self.choices.theme},
            "tariffs": self._tariffs,
        }

    async def points(self, start: int, end: int) -> dict[str, Any]:
        """Return power by five seconds, as the API gives it."""
        return await asyncio.to_thread(self.history.points, start, end)

    async def energy(self, by: str, start: int, end: int) -> dict[str, Any]:
        """Return columns of energy, as the API gives them; see ``Screen.energy``."""
        return await asyncio.to_thread(self.screen.energy, self.tariff, by, start, end)

    # What the household does

    async def pair(self, code: str, meter: str | None = None) -> None:
        """Pair with a meter, and go over to it.

        Args:
            code: of the meter's label.
            meter: where it is; None: where the settings or the last pairing say.

        Raises:
            ConfigError: ``home.where``: nobody said where it is.
            OpenAmiError: see ``openami.transport.home.pair``.
        """
        target = self._target(meter)
        # Of two codes entered at once, the second one's keys are the meter's last, and ours.
        async with self._pairing, self.keeper.pairing_up():
            old = self.keeper.pairing
            paired = await pair(
                target,
                code,
                name=self.settings.name,
                random_octets=os.urandom,
                clock=self.settings.clock,
                title=await self._own_title(),
            )
            await asyncio.to_thread(self.keeper.keep, Pairing(target, paired))
        if old is not None and old.paired.serial != paired.serial:
            self.told = Told()  # what is said comes with the meter
            await asyncio.to_thread(self.history.keep, _TOLD, self.told.text())
        self.keeper.restart()
        log.info("paired", serial=paired.serial)

    async def unpair(self, *, forget: bool = False) -> None:
        """Know no meter any more; with ``forget``, nothing of the household either.

        Raises:
            StoreError: it cannot be forgotten.
        """
        title = await self._own_title()
        self.keeper.unpair()
        self.history.parted()
        self.told = Told()
        await asyncio.to_thread(self._store.keep_value, _TOLD, self.told.text())
        if forget:
            await self.history.forget()
            await asyncio.to_thread(self._store.keep_value, _TITLE, str(title))
            for appliance in self.appliances.states():
                self.appliances.remove(appliance["id"])
            self.choices = Choices()

    async def _own_title(self) -> SystemTitle:
        """Return the title by which meters know this display, which is kept before one is told it.

        A display that is paired anew, or whose pairing was cut off, so has one place at a meter.
        """
        pairing, kept = self.keeper.pairing, await asyncio.to_thread(self._store.value, _TITLE)
        if pairing is not None:
            title = pairing.paired.title
        else:
            title = new_title(os.urandom) if kept is None else SystemTitle.parse(kept)
        if str(title) != kept:
            await asyncio.to_thread(self._store.keep_value, _TITLE, str(title))
        return title

    async def answer(self, event: str, answer: Answer) -> None:
        """Answer an event; the meter gets it as soon as it is there.

        Raises:
            NotFoundError, ConflictError: see ``Told.answered``.
            StoreError: it cannot be kept.
        """
        async with self._telling:
            told = self.told.answered(event, answer, self.clock.now())
            keep = partial(self._store.keep_answer, event, answer.value, name=_TOLD)
            await asyncio.to_thread(keep, value=told.text())
            self.told = told
        self._answered.set()

    async def read(self, notice: str) -> None:
        """Take that a notice was read; NotFoundError: there is none such; StoreError."""
        async with self._telling:
            told = self.told.has_read(notice)
            await asyncio.to_thread(self._store.keep_value, _TOLD, told.text())
            self.told = told

    async def choose(self, wanted: Mapping[str, Any]) -> None:
        """Take choices of the household; ConfigError: there is no such choice; StoreError."""
        choices = self.choices.changed(wanted)
        await asyncio.to_thread(self._store.keep_value, _CHOICES, choices.text())
        self.choices = choices

    async def reconnect(self) -> None:
        """Have the meter reconnect the supply.

        Raises:
            TransportError: the meter is not connected.
            ServiceRefusedError: it is not ready for that.
        """
        await self.keeper.link.reconnect()

    def _target(self, meter: str | None) -> HomeTarget:
        if meter is not None:
            return HomeTarget.parse(meter)
        if self.settings.target is not None:
            return self.settings.target
        if self.keeper.pairing is not None:
            return self.keeper.pairing.target
        raise ConfigError(
            "where is the meter?", hint="openami ihd run --meter tcp://HOST:PORT", code="home.where"
        )

    # What the keeper tells: its ``Follower``

    def _link(self, pairing: Pairing, keep_counter: Callable[[int], None]) -> HomeLink:
        return HomeLink(pairing.target, pairing.paired, clock=self.clock, keep_counter=keep_counter)

    async def connected(self, link: HomeLink) -> None:
        """Begin with a link."""
        await self.history.connected(link.serial, link.period)
        self._asked.set()

    def saw(self, live: Live) -> None:
        """Take a push."""
        self.clock.saw(live.at)
        self.history.saw(live)
        self.pushed.set()
        if live.revision != self.told.said.revision:
            self._asked.set()
        if self.hub:
            self.hub.give("live", json.dumps(live_shown(live)))

    def lost(self) -> None:
        """Take that pushes come no more."""
        self.clock.lost()
        self.history.lost()

    def errands(self, link: HomeLink) -> list[Coroutine[Any, Any, None]]:
        """Return what runs beside the pushes."""
        pairing = self.keeper.pairing
        direct = pairing is None or pairing.target.direct
        return [self.filler.run(link, direct=direct), self._hear(link), self._reply(link)]

    async def _hear(self, link: HomeLink) -> None:
        """Read what the utility says whenever it is new."""
        while True:
            await self._asked.wait()
            self._asked.clear()
            try:
                said = await link.said()
            except ServiceRefusedError as error:
                # Another maker's meter: it says nothing, and measures as well.
                log.info("the meter says nothing of the utility", code=error.code)
                await asyncio.Event().wait()
            async with self._telling:
                self.told = self.told.heard(said, self.clock.now())
                await asyncio.to_thread(self.history.keep, _TOLD, self.told.text())

    async def _reply(self, link: HomeLink) -> None:
        """Bring the meter the household's answers."""
        while True:
            self._answered.clear()
            for waiting in await asyncio.to_thread(self._store.answers):
                try:
                    await link.answer(waiting.event, Answer(waiting.answer))
                except ServiceRefusedError as error:
                    log.warning("answer refused", name=waiting.event, code=error.code)
                await asyncio.to_thread(self._store.drop_answer, waiting.number)
            await self._answered.wait()

    # What goes on by itself

    async def _tick(self) -> None:
        while True:
            self._control()
            if self.hub:
                await self._publish()
            await asyncio.sleep(TICK_S)

    def _control(self) -> None:
        """Decide what the appliances do."""
        now, live = self.clock.now(), self.history.live
        fresh = None if live is self._seen or live is None else _drawn(live)
        connected = self.keeper.status.state == CONNECTED
        usual = self.screen.usual(self.tariff, now)
        self._seen = live
        self.appliances.update(
            Situation(
                now,
                self.told.events,
                self.told.choices(),
                fresh,
                live.limit if connected and live is not None else None,
                None if usual is None else usual.rate,
            )
        )

    async def _publish(self) -> None:
        state = await self.state()
        what = {name: value for name, value in state.items() if name not in {"now", "live"}}
        if what.get("link") != self._shown.get("link"):
            self.hub.give("link", json.dumps(state["link"]))
        if what != self._shown:
            self._shown = what
            self.hub.give("state", json.dumps(state, ensure_ascii=False))

    async def _flush(self) -> None:
        await self.pushed.wait()
        while True:
            await self.history.flush()
            await asyncio.sleep(FLUSH_S)

    async def _prune(self) -> None:
        while True:
            await self.clock.known.wait()
            await self.history.tidy(self.clock.now())
            await asyncio.sleep(PRUNE_S)


def _offered(started: Tariff) -> list[dict[str, Any]]:
    """Return the tariffs that a household can choose: those shipped, and that of a file."""
    names = tariff_names()
    own = [] if started.name in names else [(None, started)]
    all_ = (*own, *((name, tariff_named(name)) for name in names))
    return [{"name": name, "title": one.title, "titles": dict(one.titles)} for name, one in all_]


def _drawn(live: Live) -> float | None:
    """Return what the home draws; None: it has no supply, which says nothing of what it would."""
    return live.active / 1000 if live.supply == ControlState.CONNECTED else None
