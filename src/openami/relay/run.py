"""Runs a relay until it is told to stop."""

from __future__ import annotations

import asyncio
import secrets
from contextlib import suppress
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, Final, Self

import structlog

from openami.c1222.codes import NodeType, SecurityMode
from openami.c1222.network.policy import KeyPolicy
from openami.c1222.network.registrations import row_of
from openami.c1222.network.relay import Relay
from openami.c1222.network.relay_config import (
    Above,
    MessageDropped,
    RelayConfig,
    RelayEvent,
    RouteLearned,
    RouteLost,
)
from openami.c1222.node import MessageRefused
from openami.c1222.node.registering import Joined, NotJoined, Parted, RegisteringConfig
from openami.c1222.repeats import counted
from openami.c1222.security import NO_KEYS, Keys
from openami.core.errors import StoreError
from openami.relay.state import load_rows, save_rows
from openami.transport.c1222 import Endpoint, EndpointConfig, Outgoing, Peer
from openami.transport.c1222.places import native_address
from openami.transport.clock import SystemClock, monotonic
from openami.transport.serving import serve_until_stopped

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Mapping
    from pathlib import Path

    from openami.c1222.native import NativeAddress
    from openami.c1222.network.registrations import Registration
    from openami.c1222.titles import ApTitle
    from openami.core.clock import Clock
    from openami.transport.c1222.url import NodeUrl

log = structlog.get_logger()

SAVE_S: Final = 1.0
"""Seconds between two looks at whether there are ways to save; and ten times what saving takes."""
_SHARE: Final = 10
_WORDS: Final[Mapping[type[RelayEvent], str]] = {
    RouteLearned: "way learned",
    RouteLost: "way lost",
    MessageDropped: "message dropped",
    MessageRefused: "message refused",
    Joined: "registered",
    NotJoined: "not registered",
    Parted: "registered no more",
}
_QUIET: Final = (MessageDropped, MessageRefused)
"""What strangers cause at will is told only to who wants to see it all."""


@dataclass(frozen=True, slots=True)
class RelaySettings:
    """What a relay runs with.

    Attributes:
        title: its ApTitle.
        sockets: where it listens, and what its sockets bear.
        master: it registers nodes itself.
        parent: where its parent is, with the title of the registrar as ``node``.
        registers: it registers itself with that registrar.
        keys: its keys.
        least: how registrations with a master, and what else is said to the relay itself, have to
            be protected.
        period: seconds that registrations last: of a master those of its nodes at most, of another
            relay its own.
        routes: ways that are configured, by the title, or the beginning of titles.
        state: the file of its ways; None: it forgets them when it stops.
        clock: the world's.
    """

    title: ApTitle
    sockets: EndpointConfig
    master: bool = False
    parent: NodeUrl | None = None
    registers: bool = True
    keys: Keys = field(default=NO_KEYS)
    least: SecurityMode = SecurityMode.CLEAR
    period: int = 3600
    routes: Mapping[ApTitle, NativeAddress] = field(default_factory=dict)
    state: Path | None = None
    clock: Clock = field(default_factory=SystemClock)


class RelayRunner:
    """A relay on its sockets; as a context manager. It is the ``Station`` of its endpoint.

    Args:
        settings: what it runs with.

    Attributes:
        relay: the machine.
        listening: where it can be reached, with the ports that it was given.
    """

    relay: Relay

    def __init__(self, settings: RelaySettings) -> None:
        self.listening: tuple[NativeAddress, ...] = ()
        self._settings = settings
        self._endpoint = Endpoint(self, settings.sockets, clock=settings.clock)
        self._saving: asyncio.Task[None] | None = None
        self._changed = False
        self._over = asyncio.Event()

    async def __aenter__(self) -> Self:
        settings = self._settings
        rows = [] if settings.state is None else load_rows(settings.state)
        heard = max((row.registered_at for row in rows), default=float("-inf"))
        self.relay = await _relay(settings, self._alive, heard=heard)
        now = settings.clock.now()
        self.relay.registrations.restore(rows, now=now)
        await self._endpoint.__aenter__()
        self.listening = self._endpoint.listening
        if settings.registers:
            self.relay.start(now=now, native=_native(self.listening))
            self._endpoint.wake()
        if settings.state is not None:
            self._saving = asyncio.ensure_future(self._save_changes(settings.state))
        log.info("relay serves", title=str(settings.title), ways=len(self.relay.registrations))
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._endpoint.__aexit__()
        if self._saving is not None:
            # A save that is under way ends first: two would write one file at a time.
            self._over.set()
            await self._saving
        log.info("relay stopped", title=str(self._settings.title))

    async def failed(self) -> None:
        """Return never, unless the relay raises what it must not: then raise that."""
        raise await self._endpoint.failed()

    # The station

    def receive(
        self, data: bytes, *, source: Hashable, now: float, largest: int | None = None
    ) -> tuple[bytes, ...]:
        """Take one message or segment; see ``Station``."""
        replies = self.relay.receive(data, source=source, now=now, largest=largest)
        self._tell()
        return replies

    def outgoing(self) -> tuple[Outgoing, ...]:
        """Return the messages for others than who has just spoken, once."""
        return self.relay.outgoing()

    def next_timer(self) -> float | None:
        """Return when ``handle_timer`` has something to do."""
        return self.relay.next_timer()

    def handle_timer(self, *, now: float) -> None:
        """Do what is due."""
        self.relay.handle_timer(now=now)
        self._tell()

    def _alive(self, source: Hashable) -> bool:
        return not isinstance(source, Peer) or self._endpoint.reaches(source)

    def _tell(self) -> None:
        while (event := self.relay.next_event()) is not None:
            self._changed |= isinstance(event, RouteLearned | RouteLost)
            quiet = isinstance(event, _QUIET) or getattr(event, "renewed", False)
            tell = log.debug if quiet else log.info
            tell(_WORDS.get(type(event), type(event).__name__), **_shown(event))

    async def _save_changes(self, path: Path) -> None:
        """Write the ways whenever they have changed, and when it is over."""
        pause, over = SAVE_S, False
        while not over:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._over.wait(), pause)
            over = self._over.is_set()
            if not (self._changed or over):
                continue
            self._changed = False
            entries, began = tuple(self.relay.registrations), monotonic()
            try:
                await asyncio.to_thread(_save, path, entries)
            except StoreError as error:  # the relay goes on, and tries again
                self._changed = True
                log.warning("ways not saved", code=error.code, why=error.message)
            pause = max(SAVE_S, _SHARE * (monotonic() - began))


def _save(path: Path, entries: Iterable[Registration]) -> None:
    """Write ways; apart from the loop, which thousands of them would hold up."""
    save_rows(path, [row_of(each) for each in entries])


def _shown(event: RelayEvent) -> dict[str, Any]:
    return {name: str(getattr(event, name)) for name in event.__slots__}


async def _relay(
    settings: RelaySettings, alive: Callable[[Hashable], bool], *, heard: float
) -> Relay:
    config = RelayConfig(
        settings.title,
        settings.keys,
        settings.least,
        settings.master,
        await _above(settings),
        settings.routes,
    )
    policy = KeyPolicy(settings.title, settings.least, settings.period)
    ids = counted(secrets.randbits(32))
    chance = secrets.SystemRandom().random
    admits = policy if settings.master else None
    return Relay(config, chance=chance, ids=ids, policy=admits, alive=alive, heard=heard)


async def _above(settings: RelaySettings) -> Above | None:
    url = settings.parent
    if url is None:
        return None
    asked = url.client_config(settings.keys)
    registering = RegisteringConfig(
        settings.title,
        asked.node,
        settings.title.absolute(),
        node_type=NodeType.RELAY,
        period=settings.period,
        keys=asked.keys,
        key_id=asked.key_id,
        mode=asked.mode,
    )
    return Above(await native_address(url), registering)


def _native(listening: tuple[NativeAddress, ...]) -> bytes:
    """Return where others reach the relay, if it listens on an address and not on all."""
    fixed = [each for each in listening if not ip_address(each.host).is_unspecified]
    return fixed[0].encode() if fixed else b""


async def run_relay(
    settings: RelaySettings, *, ready: Callable[[RelayRunner], None] | None = None
) -> None:
    """Run a relay until SIGTERM or SIGINT.

    Args:
        settings: what it runs with.
        ready: called once it can be reached.

    Raises:
        ConfigError: the settings do not fit together, or its file holds something else.
        TransportError: it cannot listen, or the name of its parent is not known.
        StoreError: its file cannot be read.
    """
    await serve_until_stopped(RelayRunner(settings), ready)
