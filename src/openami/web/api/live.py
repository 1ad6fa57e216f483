"""Live events, as a stream of server-sent events (HTML standard, section 9.2)."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import ExitStack
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Request, Response
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from openami.core.clock import isoformat
from openami.headend.bus import ALL, LiveEvent, Subscription, Topic, Wanted
from openami.headend.errors import BusyError
from openami.web.api import API
from openami.web.api.dependencies import Head, Viewer, errors
from openami.web.auth import Caller, services_of

router = APIRouter(prefix=API, tags=["live"])

# Often enough for proxies that cut silent connections at 30 s, and to notice an ended session.
HEARTBEAT_S: Final = 15.0
RETRY_MS: Final = 2000
# An eighth of what the bus has for all: one script that forgets its streams leaves others theirs.
STREAMS: Final = 64


class Streams:
    """Counts the open streams of every operator, in one event loop."""

    def __init__(self) -> None:
        self._open: Counter[str] = Counter()

    def enter(self, operator: str) -> None:
        """Count one more; BusyError ``busy.live`` if that is too many."""
        if self._open[operator] >= STREAMS:
            raise BusyError(
                f"{operator} has {STREAMS} streams open already",
                retry_after=HEARTBEAT_S,
                code="busy.live",
            )
        self._open[operator] += 1

    def leave(self, operator: str) -> None:
        """Count one less."""
        self._open[operator] -= 1
        self._open += Counter()  # drops who has none


@router.get(
    "/live",
    response_class=StreamingResponse,
    responses={
        200: {"description": "Events named by their topic.", "content": {"text/event-stream": {}}},
        **errors(503),
    },
)
async def live(
    request: Request,
    head: Head,
    caller: Viewer,
    *,
    topics: Annotated[list[Topic] | None, Query(alias="topic", max_length=16)] = None,
    meter: Annotated[str | None, Query(max_length=32)] = None,
    dcu: Annotated[str | None, Query(max_length=32)] = None,
    job: Annotated[str | None, Query(max_length=64)] = None,
) -> Response:
    """Stream what happens, from now on; `dropped` events say what a slow reader missed."""
    streams: Streams = request.app.state.streams
    closing = ExitStack()
    streams.enter(caller.name)
    closing.callback(streams.leave, caller.name)
    with closing:
        wanted = _wanted(meter, dcu, job)
        subscription = closing.enter_context(head.bus.subscribe(wanted, topics=topics or ALL))
        return LiveResponse(_stream(request, caller, subscription), closing.pop_all())


class LiveResponse(StreamingResponse):
    """A stream of events that ends its subscription, also if nobody ever took anything of it."""

    def __init__(self, stream: AsyncIterator[bytes], closing: ExitStack) -> None:
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        super().__init__(stream, media_type="text/event-stream", headers=headers)
        self._closing = closing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._closing:
            await super().__call__(scope, receive, send)


def _wanted(meter: str | None, dcu: str | None, job: str | None) -> Wanted:
    def wanted(event: LiveEvent) -> bool:
        return (
            (dcu is None or event.dcu == dcu)
            and (meter is None or _about(event, meter))
            and (job is None or (event.topic is Topic.JOB and event.subject == job))
        )

    return wanted


def _about(event: LiveEvent, meter: str) -> bool:
    if event.topic is Topic.JOB:
        return event.data.get("meter") == meter
    return meter in event.meters or (event.subject == meter and event.topic is not Topic.BATCH)


async def _stream(
    request: Request, caller: Caller, subscription: Subscription
) -> AsyncIterator[bytes]:
    yield b"retry: %d\n\n" % RETRY_MS
    loop = asyncio.get_running_loop()
    checked = loop.time()
    while True:
        event = await subscription.next(HEARTBEAT_S)
        dropped = subscription.dropped()
        if dropped:
            yield _event("dropped", {"events": dropped})
        if event is not None:
            yield _event(event.topic.value, _json(event))
        elif subscription.closed:
            return
        else:
            yield b": \n\n"
        if loop.time() - checked >= HEARTBEAT_S:
            if not await _still_open(request, caller):
                return
            checked = loop.time()


async def _still_open(request: Request, caller: Caller) -> bool:
    operators = services_of(request).operators
    return await asyncio.to_thread(operators.authenticate, caller.secret) is not None


def _json(event: LiveEvent) -> dict[str, Any]:
    return {
        "subject": event.subject,
        "dcu": event.dcu,
        "time": isoformat(event.time),
        **event.data,
    }


def _event(name: str, data: dict[str, Any]) -> bytes:
    return f"event: {name}\ndata: {json.dumps(data, separators=(',', ':'))}\n\n".encode()
