"""One look at a display, and one pairing, from the command line."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from openami.core.errors import ConfigError, TransportError, TransportTimeoutError
from openami.ihd.display import Display
from openami.ihd.run import RUNNING
from openami.store.whole import read_whole
from openami.transport.http import HttpClient
from openami.transport.tls import client_context

if TYPE_CHECKING:
    import ssl

    from openami.ihd.settings import DisplaySettings

_MOST: Final = 4096
_PARTIAL_CHAIN: Final = 0x80000  # X509_V_FLAG_PARTIAL_CHAIN: the certificate itself is the anchor


@dataclass(frozen=True, slots=True)
class Where:
    """Where a display answers, and what lets the owner of its folder in."""

    url: str
    token: str = field(repr=False)
    certificate: Path | None = None


def running(state: Path) -> Where | None:
    """Return where the display of a folder said that it answers; None: it does not run."""
    octets = read_whole(state / RUNNING, most=_MOST)
    with suppress(ValueError, KeyError, TypeError):
        found = json.loads(octets)
        certificate = found["certificate"]
        path = None if certificate is None else Path(certificate)
        return Where(found["url"], found["token"], path)
    return None


async def asked(where: Where) -> dict[str, Any] | None:
    """Return the ``state`` of a display that runs; None: nobody answers there.

    Raises:
        TransportError: it answers with something else.
    """
    headers = {"Authorization": f"Bearer {where.token}"}
    try:
        async with HttpClient(where.url, tls=_tls(where), headers=headers) as client:
            answer = await client.get("/api/v1/state")
    except TransportError:
        return None  # it was killed, and its file stayed
    if not answer.ok:
        raise TransportError(f"the display answered {answer.status}", code="home.answer")
    found: dict[str, Any] = answer.json()
    return found


def _tls(where: Where) -> ssl.SSLContext | None:
    if where.certificate is None:
        return None
    context = client_context(where.certificate)
    # It is known by its very certificate: what names are in that does not matter here.
    context.check_hostname = False
    context.verify_flags |= _PARTIAL_CHAIN
    return context


async def seen(settings: DisplaySettings, *, seconds: float) -> dict[str, Any]:
    """Return the ``state`` of a display that does not run, once its meter has pushed.

    Raises:
        ConfigError: ``home.unpaired``.
        TransportError: the meter can not be reached.
        StoreError: the folder can not be used.
    """
    async with await asyncio.to_thread(Display, settings) as display:
        if display.keeper.pairing is None:
            raise ConfigError(
                "this display is not paired", hint="openami ihd pair --help", code="home.unpaired"
            )
        try:
            async with asyncio.timeout(seconds):
                await display.pushed.wait()
                await display.filler.current.wait()
        except TimeoutError:
            reason = display.keeper.status.reason
            raise TransportTimeoutError(
                "the meter does not answer", hint=reason, code="home.lost"
            ) from None
        return await display.state()


async def pair_once(settings: DisplaySettings, code: str) -> str:
    """Pair a display that does not run; return the meter's serial number.

    Raises:
        OpenAmiError: see ``Display.pair``; ``store.busy``: it runs.
    """
    display = await asyncio.to_thread(Display, settings)
    try:
        await display.pair(code)
    finally:
        display.close()
    pairing = display.keeper.pairing
    return "" if pairing is None else pairing.paired.serial
