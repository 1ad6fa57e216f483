"""What holds for every request, whatever it asks for: its size, its time, the answer's headers."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from starlette.datastructures import Headers

from openami.headend.errors import RequestError
from openami.web.errors import incident, respond
from openami.web.headers import default_headers

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from openami.headend.metrics import Metrics

BODY_S: Final = 30.0  # an operator's request is small: a body that takes longer holds a slot

_HEADERS: Final = default_headers(tls=True)
METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class Guarded:
    """Adds the security headers to every answer, counts it, and makes one where there is none.

    What is not said to be kept must not be: an answer without ``Cache-Control`` is stored nowhere.
    """

    def __init__(self, app: ASGIApp, *, metrics: Metrics, listener: str) -> None:
        self._app = app
        self._metrics = metrics
        self._listener = listener

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def guard(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = message.setdefault("headers", [])
                there = {name for name, _ in headers}
                headers.extend([one for one in _HEADERS if one[0] not in there])
                method = scope["method"] if scope["method"] in METHODS else "other"
                self._metrics.request(self._listener, method, message["status"])
                started.append(True)
            await send(message)

        started: list[bool] = []
        try:
            await self._app(scope, receive, guard)
        except Exception as error:
            if started:  # half an answer is out: only cutting it off can say that it is none
                raise
            await incident(error)(scope, receive, guard)


class BoundedBody:
    """Receives a request's body before the application sees it, up to a size and for a time.

    Requests that ``apart`` names are left alone: they bound what they take by themselves.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        octets: int,
        seconds: float = BODY_S,
        tell: Callable[[Scope, RequestError], None] = lambda _scope, _error: None,
        apart: Callable[[Scope], bool] = lambda _scope: False,
    ) -> None:
        self._app = app
        self._octets = octets
        self._seconds = seconds
        self._tell = tell
        self._apart = apart

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        whole = scope["type"] == "http" and _has_body(Headers(scope=scope))
        if not whole or self._apart(scope):
            await self._app(scope, receive, send)
            return
        try:
            body = await self._timely(Headers(scope=scope), receive)
        except RequestError as error:
            self._tell(scope, error)
            await respond(error)(scope, receive, send)
            return
        if body is not None:
            await self._app(scope, _replay(body, receive), send)

    async def _timely(self, headers: Headers, receive: Receive) -> bytes | None:
        try:
            async with asyncio.timeout(self._seconds):
                return await self._collect(headers, receive)
        except TimeoutError as error:
            raise RequestError("the body came too slowly", code="request.slow") from error

    async def _collect(self, headers: Headers, receive: Receive) -> bytes | None:
        """Return the body, None if the client has gone."""
        declared = headers.get("content-length")
        if declared is not None and int(declared) > self._octets:
            raise self._too_large()
        collected = bytearray()
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return None
            collected += message.get("body", b"")
            if len(collected) > self._octets:
                raise self._too_large()
            if not message.get("more_body", False):
                return bytes(collected)

    def _too_large(self) -> RequestError:
        return RequestError(
            f"the body has more than {self._octets} octets", code="request.too-large"
        )


def _has_body(headers: Headers) -> bool:
    return "content-length" in headers or "transfer-encoding" in headers


def _replay(body: bytes, receive: Receive) -> Receive:
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return messages.pop() if messages else await receive()

    return replay
