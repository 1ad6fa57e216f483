"""What is new, as it comes: server-sent events (WHATWG HTML, 9.2)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from starlette.responses import StreamingResponse

from openami.ihd.screen import live_shown

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from starlette.requests import Request

    from openami.ihd.display import Display
    from openami.ihd.hub import Watcher

QUIET_S: Final = 15.0
"""Seconds without news after which the page is told that the line is whole: routers give up later,
and a page that hears nothing for longer opens another."""
RETRY_MS: Final = 2_000
"""Milliseconds after which a browser comes again."""


def stream(display: Display) -> Callable[[Request], Awaitable[StreamingResponse]]:
    """Return the endpoint that streams what is new at a display."""

    async def endpoint(request: Request) -> StreamingResponse:
        del request
        display.hub.check()  # before the answer begins: who gets no place is told so

        async def told() -> AsyncIterator[str]:
            with display.hub.watch() as watcher:
                yield f"retry: {RETRY_MS}\n\n"
                async for text in _first(display):
                    yield text
                async for text in _news(watcher):
                    yield text

        return StreamingResponse(told(), media_type="text/event-stream")

    return endpoint


async def _first(display: Display) -> AsyncIterator[str]:
    """Yield how all stands now: who comes again has missed something."""
    state = await display.state()
    yield _event("state", json.dumps(state, ensure_ascii=False))
    if display.history.live is not None:
        yield _event("live", json.dumps(live_shown(display.history.live)))


async def _news(watcher: Watcher) -> AsyncIterator[str]:
    while (found := await watcher.take(QUIET_S)) is not None:
        for kind, text in found or [("alive", "{}")]:
            yield _event(kind, text)


def _event(kind: str, text: str) -> str:
    return f"event: {kind}\ndata: {text}\n\n"
