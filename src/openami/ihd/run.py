"""The display as a process: its page on its listener, until it is told to stop."""

from __future__ import annotations

import asyncio
import importlib
import json
import secrets
from contextlib import AsyncExitStack
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, Final, Self

import structlog

from openami.core.errors import ConfigError
from openami.ihd.display import Display
from openami.store.whole import replace_whole
from openami.transport.serving import serve_until_stopped
from openami.transport.tls import server_context
from openami.transport.web import HttpLimits, serve

if TYPE_CHECKING:
    from collections.abc import Callable
    from ipaddress import IPv4Address, IPv6Address

    from openami.ihd.settings import DisplaySettings

log = structlog.get_logger(__name__)

WEB: Final = "openami.web.ihd.app:create_app"
RUNNING: Final = "running.json"
"""The file that says where a display answers, and holds what lets this folder's owner in."""

LIMITS: Final = HttpLimits(
    body_octets=64 * 1024,  # an answer, a code, an appliance: some hundred
    connections=128,  # 32 pages and 32 appliances that wait, and room to come and go
    drain_s=2.0,
)


class DisplayRunner:
    """A display that answers; as a context manager.

    Args:
        settings: what it runs with.
        web: ``module:function`` that makes its ASGI application out of it and a token.

    Attributes:
        display: what runs.
        url: of its page.
    """

    display: Display
    url: str

    def __init__(self, settings: DisplaySettings, *, web: str = WEB) -> None:
        check_listening(settings)
        self._settings = settings
        self._factory = load_web(web)
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        settings = self._settings
        async with AsyncExitStack() as stack:
            self.display = await asyncio.to_thread(Display, settings)
            await stack.enter_async_context(self.display)
            token = secrets.token_urlsafe(32)
            tls = None if settings.certificate is None else server_context(*settings.certificate)
            host, port = settings.listen
            app = self._factory(self.display, token)
            server = await serve(app, host=host, port=port, tls=tls, limits=LIMITS)
            stack.push_async_callback(server.stop)
            stack.callback(self.display.hub.close)
            self.url = server.url
            _say_where(settings, self.url, token)
            stack.callback((settings.state / RUNNING).unlink, missing_ok=True)
            self._stack = stack.pop_all()
        log.info("display runs", url=self.url)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()
        log.info("display has stopped")

    async def failed(self) -> None:
        """Return never, unless the display cannot go on: then raise why."""
        await self.display.failed()


def check_listening(settings: DisplaySettings) -> None:
    """Check that who may ask from elsewhere has to show that they belong to the household.

    Raises:
        ConfigError: ``home.open``, the display listens beyond this machine without TLS or PIN.
    """
    if _loopback(settings.listen[0]):
        return
    missing = [
        option
        for option, there in (
            ("--certificate", settings.certificate),
            ("--pin-file", settings.pin),
        )
        if there is None
    ]
    if missing:
        raise ConfigError(
            f"who listens beyond this machine wants {' and '.join(missing)}",
            hint="a neighbour in the same network sees when you are away; or --listen 127.0.0.1:0",
            code="home.open",
        )


def _loopback(host: str) -> bool:
    try:
        found: IPv4Address | IPv6Address = ip_address(host)
    except ValueError:
        return host == "localhost"
    return found.is_loopback


def load_web(name: str) -> Callable[[Display, str], Any]:
    """Return the function that ``module:function`` names; ConfigError: there is none."""
    module, _, function = name.partition(":")
    try:
        factory: Callable[[Display, str], Any] = getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigError(f"{name} is no web application: {error}", code="config.web") from error
    return factory


def _say_where(settings: DisplaySettings, url: str, token: str) -> None:
    certificate = None if settings.certificate is None else str(settings.certificate[0].resolve())
    said = {"url": url, "token": token, "certificate": certificate}
    replace_whole(settings.state / RUNNING, json.dumps(said).encode(), mode=0o600)


async def run_display(
    settings: DisplaySettings, *, ready: Callable[[DisplayRunner], None] | None = None
) -> None:
    """Run a display until SIGTERM or SIGINT.

    Args:
        settings: what it runs with.
        ready: called once its page answers.

    Raises:
        ConfigError: the settings do not fit together.
        StoreError: its folder can not be used.
        TransportError: it cannot listen.
    """
    await serve_until_stopped(DisplayRunner(settings), ready)
