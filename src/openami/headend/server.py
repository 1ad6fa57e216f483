"""The head-end as a process: its listeners and the chores, over one set of services."""

from __future__ import annotations

import asyncio
import gc
import importlib
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import structlog

from openami.core.errors import ConfigError
from openami.headend.bus import LocalBus
from openami.headend.c1222.serving import metering
from openami.headend.chores import Chores
from openami.headend.installation import open_installation, publish
from openami.headend.metrics import Metrics
from openami.headend.seldom import Seldom
from openami.headend.services import Context, build
from openami.headend.settings import address
from openami.headend.stores import open_stores
from openami.transport.clock import SystemClock
from openami.transport.descriptors import allow_descriptors
from openami.transport.signals import stop_signals
from openami.transport.tls import (
    factory_context,
    reload_identity,
    server_context,
    trust_too,
)
from openami.transport.web import HttpLimits, serve

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Callable, Iterable

    from openami.core.clock import Clock
    from openami.headend.installation import Installation
    from openami.headend.services import Services
    from openami.headend.settings import HeadendSettings
    from openami.transport.doors import Tell
    from openami.transport.web import HttpServer

log = structlog.get_logger(__name__)

BACKSTOP: Final = 64 * 2**20
LISTENERS: Final = ("operator", "device", "security")

SHARES: Final = (16, 2, 16)
"""Which part of the descriptors connections of operators, DCUs and devices that register may have:
half, a sixteenth, a sixteenth, and a sixteenth of these for handshakes. Notifications have a
quarter; the rest is for files."""

COLLECT_AT: Final = 50_000
"""Objects more than before, after which rings of rubbish are looked for: ten megabytes, if all were
such. Messages and rows leave none; at Python's 700 a tenth of the time of a busy head-end went into
looking through those under way."""

WILDCARDS: Final = frozenset({"0.0.0.0", "::"})  # noqa: S104 - compared with, not listened on

WEB: Final = "openami.web.app:create_apps"

WebFactory: TypeAlias = "Callable[[Services], tuple[Any, Any, Any]]"


@dataclass(frozen=True, slots=True)
class Running:
    """A head-end that answers.

    Attributes:
        url: of the operators' listener.
        device_url: of the DCUs'.
        security_url: of the devices' that register.
        first_password: of the first account, if it was made by chance just now.
        c1222: host and port for C12.22 meters; None: nobody listens for them.
    """

    url: str
    device_url: str
    security_url: str
    home: Installation
    services: Services
    first_password: str | None = field(repr=False)
    c1222: str | None = None


async def run(
    settings: HeadendSettings,
    *,
    web: str = WEB,
    clock: Clock | None = None,
    announce: Callable[[Running], None] | None = None,
    stop: asyncio.Event | None = None,
) -> None:
    """Run a head-end until SIGTERM, SIGINT or ``stop``; uploads that were begun are finished.

    Args:
        settings: of this head-end.
        web: ``module:function`` that makes the three ASGI applications out of the services.
        clock: the time of meters and readings; the machine's if not given.
        announce: called when all listeners answer; without it, the addresses are logged.
        stop: ends the head-end when it is set.

    Raises:
        ConfigError: a file, an address or ``web`` can not be used.
        StoreError: a store can not be opened, ``store.busy`` for a folder in use.
        TransportError: an address can not be listened on.
    """
    ending = stop or asyncio.Event()
    with stop_signals(ending.set):
        async with headend(settings, web=web, clock=clock) as running:
            (announce or _log_start)(running)
            spare_collector()
            await ending.wait()
            log.info("head-end stops")
    log.info("head-end has stopped")


def spare_collector() -> None:
    """Keep Python's collector from looking all the time through what is no rubbish.

    What was made for good is looked through no more, and the rest more seldom.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(COLLECT_AT)


@asynccontextmanager
async def headend(
    settings: HeadendSettings, *, web: str = WEB, clock: Clock | None = None
) -> AsyncIterator[Running]:
    """Run a head-end for as long as the block lasts; see ``run``."""
    factory = load_web(web)
    wall = SystemClock()
    home = open_installation(settings.state)
    async with AsyncExitStack() as stack:
        stores = stack.enter_context(open_stores(home, settings.database))
        context = Context(
            settings=settings,
            home=home,
            clock=clock or wall,
            wall=wall,
            bus=LocalBus(),
            metrics=Metrics(),
        )
        services = build(context, stores)
        password = await asyncio.to_thread(services.operators.ensure_first)
        await asyncio.to_thread(services.upgrades.fleet.open)
        await asyncio.to_thread(services.demand.open, context.clock.now())
        stack.push_async_callback(services.ingest.stop)
        stack.push_async_callback(services.upgrades.uplink.stop)
        stack.push_async_callback(services.demand.uplink.stop)
        stack.push_async_callback(services.management.stop)
        stack.push_async_callback(services.node_tests.stop)
        await asyncio.to_thread(_publish, services)
        contexts = _contexts(services)
        chores = Chores(services, stores.readings, partial(_renew, services, contexts))
        chores.start()
        stack.push_async_callback(chores.stop)
        servers = await _listen(stack, services, factory, contexts)
        services.jobs.start()
        stack.callback(_let_go, services)
        operators, devices, security = (server.url for server in servers)
        c1222 = await stack.enter_async_context(metering(services, stores))
        yield Running(operators, devices, security, home, services, password, c1222)


def _names(settings: HeadendSettings) -> tuple[str, ...]:
    """Return the names for the servers' certificate: those given, and where the listeners are."""
    listens = (settings.listen, settings.device_listen, settings.security_listen)
    hosts = {address(listen)[0] for listen in listens}
    return (*settings.names, *sorted(hosts - WILDCARDS))


def load_web(name: str) -> WebFactory:
    """Return the function that ``module:function`` names.

    Raises:
        ConfigError: there is no such function.
    """
    module, _, function = name.partition(":")
    try:
        factory: WebFactory = getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigError(f"{name} is no web application: {error}", code="config.web") from error
    return factory


def _contexts(services: Services) -> tuple[ssl.SSLContext, ssl.SSLContext, ssl.SSLContext]:
    """Return TLS for operators, for DCUs, and for devices that register."""
    home, pki = services.home, services.pki
    security = factory_context(home.server, home.server, pki.tls_authorities())
    devices = server_context(home.server, home.server, client_authority=home.clients)

    def trust() -> None:
        # Of an anchor that is taken away the application wants to know no more.
        trust_too(security, pki.tls_authorities())
        trust_too(devices, pki.devices_pem())

    pki.watch_trust(trust)
    return server_context(home.server, home.server), devices, security


def _teller(services: Services, listener: str) -> Tell:
    """Return what takes that somebody got no connection.

    Whose certificate was refused is known by the address: TLS hands over none that it refuses.
    """
    seldom = Seldom()

    def tell(peer: str, code: str, why: str) -> None:
        services.metrics.refused(code)
        if seldom.due((peer, why), services.wall.now()):
            log.warning("connection refused", listener=listener, peer=peer, message=why, code=code)

    return tell


async def _renew(services: Services, contexts: Iterable[ssl.SSLContext]) -> None:
    """Serve with the certificate in the folder, made anew if it is about to end."""
    await asyncio.to_thread(_publish, services)
    for context in contexts:
        reload_identity(context, services.home.server, services.home.server)


def _publish(services: Services) -> None:
    names = _names(services.settings)
    publish(services.home, services.pki, names=names, now=services.wall.now())


async def _listen(
    stack: AsyncExitStack,
    services: Services,
    factory: WebFactory,
    contexts: tuple[ssl.SSLContext, ssl.SSLContext, ssl.SSLContext],
) -> tuple[HttpServer, ...]:
    settings = services.settings
    servers: list[HttpServer] = []
    listens = (settings.listen, settings.device_listen, settings.security_listen)
    operators = max(settings.request_octets, settings.release_octets)
    octets = (operators, settings.batch_octets, settings.request_octets)
    each = zip(factory(services), listens, contexts, octets, connections(settings), strict=True)
    for (app, listen, tls, most, many), name in zip(each, LISTENERS, strict=True):
        host, port = address(listen)
        limits = HttpLimits(
            # The application refuses what is too large in JSON; the transport what is absurd.
            body_octets=most + BACKSTOP,
            connections=many,
            drain_s=settings.drain_s,
        )
        tell = _teller(services, name)
        server = await serve(app, host=host, port=port, tls=tls, limits=limits, tell=tell)
        stack.push_async_callback(server.stop)
        servers.append(server)
        if tls is contexts[1]:  # known before anybody can register
            url = _dm_url(settings, server.port)
            services.registrar.manage_at(url)
            services.upgrades.errands.reach_at(url)
    stack.push_async_callback(_stop_all, *servers)
    return tuple(servers)


def _dm_url(settings: HeadendSettings, port: int) -> str:
    """Return where devices find their management: on the devices' listener."""
    if settings.dm_url is not None:
        return settings.dm_url
    host = address(settings.device_listen)[0]
    if not settings.names and host in WILDCARDS:
        log.warning("devices are told to come to localhost", hint="set names, or dm_url")
    named = next(iter(settings.names), "localhost" if host in WILDCARDS else host)
    return f"https://{f'[{named}]' if ':' in named else named}:{port}/dm"


async def _stop_all(*servers: HttpServer) -> None:
    """Stop servers at the same time; stopping them again later does nothing."""
    await asyncio.gather(*(server.stop() for server in servers))


def connections(settings: HeadendSettings) -> tuple[int, ...]:
    """Return how many connections each listener takes."""
    descriptors = allow_descriptors()
    wanted = (settings.connections, settings.device_connections, settings.security_connections)
    found = tuple(
        descriptors // share if most is None else most
        for most, share in zip(wanted, SHARES, strict=True)
    )
    if sum(found) > descriptors:
        log.warning("there are more connections than file descriptors", descriptors=descriptors)
    return found


def _let_go(services: Services) -> None:
    """End what would hold a connection open: live streams and requests for work."""
    services.bus.close()
    services.jobs.stop()


def _log_start(running: Running) -> None:
    log.info(
        "head-end runs",
        console=running.url,
        devices=running.device_url,
        security=running.security_url,
        c1222=running.c1222 or "off",
    )
    if running.first_password is not None:
        log.info("first account made", password_in=str(running.home.admin_password))
