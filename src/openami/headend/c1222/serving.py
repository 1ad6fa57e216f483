"""The metering server as a part of the head-end's process: opened, watched, closed."""

from __future__ import annotations

import asyncio
import secrets
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Final

import structlog

from openami.c1222.codes import SecurityMode
from openami.c1222.network.host import Host, HostConfig
from openami.c1222.network.registrations import Registrations
from openami.c1222.titles import ApTitle
from openami.fleet.collection import ClockRule
from openami.headend.c1222.collector import Collector
from openami.headend.c1222.front import Front
from openami.headend.c1222.meters import Meters
from openami.headend.c1222.models import Models
from openami.headend.c1222.rounds import Pace
from openami.headend.settings import address
from openami.transport.c1222 import Endpoint, EndpointConfig

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from openami.c1222.network.registrations import Row
    from openami.headend.services import Services, Stores
    from openami.headend.settings import HeadendSettings

log = structlog.get_logger(__name__)

ID_BITS: Final = 32
DAY_S: Final = 86_400
IDLE_S: Final = 900.0
"""A connection that nobody uses is closed after so long: longer than a period of reading, so that
meters behind an address translator stay within reach."""


@asynccontextmanager
async def metering(services: Services, stores: Stores) -> AsyncIterator[str | None]:
    """Run the metering server while the block lasts; give where it listens, None: it does not.

    Raises:
        TransportError: the address can not be listened on.
    """
    settings = services.settings
    rows = await asyncio.to_thread(services.nodes.load)
    if settings.c1222_listen is None:
        yield None
        return
    host = _host(services, rows)
    services.metrics.watch_c1222(lambda: len(host.registrations))
    async with AsyncExitStack() as stack:
        front = Front(
            host,
            services.nodes,
            stores.nodes,
            alarms=services.alarms,
            metrics=services.metrics,
            wall=services.wall,
        )
        stack.push_async_callback(front.stop)
        endpoint = Endpoint(front, _config(settings), clock=services.wall)
        await stack.enter_async_context(endpoint)
        front.wake = endpoint.wake
        watching = asyncio.create_task(_watch(endpoint, services), name="c1222 endpoint")
        stack.callback(watching.cancel)
        collector = _collector(services, stores, front)
        collector.start()
        stack.push_async_callback(collector.stop)
        services.supply.way = collector.way
        stack.callback(setattr, services.supply, "way", None)
        where = str(endpoint.listening[0])
        services.health.note("c1222", ok=True, detail=f"listens on {where}")
        yield where


def _host(services: Services, rows: Sequence[Row]) -> Host:
    """Return the station, which knows who registered before it was stopped."""
    registrations = Registrations(services.nodes)
    registrations.restore(rows, now=services.wall.now())
    title = ApTitle.parse(services.settings.c1222_title)
    timeout = services.settings.c1222_timeout_s
    return Host(
        # RFC 6142, 5: who faces the internet takes nothing in clear, and tells strangers nothing.
        HostConfig(title, timeout=timeout, least=SecurityMode.AUTHENTICATED),
        registrations,
        services.nodes.partner_of,
        chance=lambda: secrets.randbits(ID_BITS),
        heard=max((row.registered_at for row in rows), default=float("-inf")),
    )


def _config(settings: HeadendSettings) -> EndpointConfig:
    assert settings.c1222_listen is not None
    return EndpointConfig(
        listen=(address(settings.c1222_listen),),
        connections=settings.c1222_connections,
        of_address=settings.c1222_connections,
        idle_s=max(IDLE_S, 2 * settings.c1222_read_every_s),
    )


async def _watch(endpoint: Endpoint, services: Services) -> None:
    error = await endpoint.failed()
    log.error("the metering server failed", error=str(error), code="internal")
    services.health.note("c1222", ok=False, detail="see the log")


def _collector(services: Services, stores: Stores, front: Front) -> Collector:
    settings = services.settings
    spread = settings.c1222_spread_s
    pace = Pace(
        settings.c1222_read_every_s,
        settings.c1222_settle_s,
        settings.c1222_read_every_s if spread is None else spread,
        first=settings.c1222_backoff_s,
    )
    meters = Meters(
        stores.devices,
        stores.nodes,
        stores.readings,
        services.ingest,
        bus=services.bus,
        clock=services.clock,
    )
    return Collector(
        front,
        services.nodes,
        meters,
        Models(),
        services.jobs,
        pace=pace,
        rule=clock_rule(settings),
        clock=services.clock,
        metrics=services.metrics,
        at_once=settings.c1222_visits,
        history=int(settings.c1222_history_days * DAY_S),
    )


def clock_rule(settings: HeadendSettings) -> ClockRule | None:
    """Return when meters' clocks are set."""
    if not settings.c1222_set_clocks:
        return None
    return ClockRule(
        threshold_s=settings.c1222_clock_threshold_s,
        max_step_s=settings.c1222_clock_max_step_s,
        margin_s=settings.c1222_clock_margin_s,
    )
