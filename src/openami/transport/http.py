"""An HTTP client that says what went wrong in our own terms, and bounds what it takes."""

from __future__ import annotations

import json
import re
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Self

import httpx

from openami.core.errors import (
    DecodeError,
    RemoteProtocolError,
    TransportError,
    TransportTimeoutError,
)
from openami.transport.failures import transport_error

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterable, AsyncIterator, Mapping

CONNECT_TIMEOUT_S: Final = 10.0
"""Longer than a SYN repeated twice and a TLS handshake on a bad radio link."""

ANSWER_TIMEOUT_S: Final = 60.0
"""Longer than a head-end takes to make a batch durable when it is busy."""

MAX_ANSWER_OCTETS: Final = 16 * 1024 * 1024
"""The largest answer taken: the cursors of 10,000 meters have a few MiB."""

_CUT_OFF: Final = re.compile("disconnected|closed connection")
"""How h11 and httpcore say that an answer ended early; they have no class of error for it."""


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """What a server answered.

    Attributes:
        status: the HTTP status.
        headers: names in lower case.
        body: whole.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)

    @property
    def ok(self) -> bool:
        """Whether the status is 2xx."""
        return 200 <= self.status < 300

    def json(self) -> Any:
        """Return the body as JSON.

        Raises:
            DecodeError: it is none.
        """
        try:
            return json.loads(self.body)
        except RecursionError:
            raise DecodeError("JSON nested too deeply", code="http.json") from None
        except ValueError as exc:
            raise DecodeError(f"no JSON: {exc}", code="http.json") from None


@dataclass(frozen=True, slots=True)
class HttpStream:
    """An answer whose body comes while it is read.

    Attributes:
        status: the HTTP status.
        headers: names in lower case.
        pieces: of the body as it was sent, whatever its Content-Encoding.
    """

    status: int
    headers: Mapping[str, str]
    pieces: AsyncIterator[bytes] = field(repr=False)


class HttpClient:
    """A client of one server, its connections kept; as a context manager it closes them.

    Args:
        base_url: as in ``https://headend:8443``.
        tls: with ``https``: see ``tls.client_context``.
        headers: sent with each request.
        timeout_s: how long the server may be silent, unless a request says otherwise.
        max_connections: to this server at a time.
        uds: reach it through this unix socket; ``base_url`` still names it.
    """

    def __init__(
        self,
        base_url: str,
        *,
        tls: ssl.SSLContext | None = None,
        headers: Mapping[str, str] | None = None,
        timeout_s: float = ANSWER_TIMEOUT_S,
        max_connections: int = 8,
        uds: str | None = None,
    ) -> None:
        self.base_url = base_url
        self._timeout_s = timeout_s
        limits = httpx.Limits(max_connections=max_connections)
        self._client = httpx.AsyncClient(
            base_url=base_url,
            verify=tls if tls is not None else True,
            headers=headers,
            limits=limits,
            transport=None if uds is None else httpx.AsyncHTTPTransport(uds=uds, limits=limits),
            trust_env=False,  # a device's way to its server is configured here, nowhere else
            follow_redirects=False,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close every connection."""
        await self._client.aclose()

    async def request(
        self,
        method: str,
        path: str,
        *,
        content: bytes | AsyncIterable[bytes] | None = None,
        json_body: Any = None,
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, str] | None = None,
        timeout_s: float | None = None,
        max_octets: int = MAX_ANSWER_OCTETS,
    ) -> HttpAnswer:
        """Ask, and return the whole answer, whatever its status.

        Args:
            method: of HTTP.
            path: below ``base_url``.
            content: the body, or pieces of it that are read while they are sent.
            json_body: the body as JSON, in place of ``content``.
            headers: besides the client's own.
            params: the query.
            timeout_s: how long the server may be silent; None: as the client's.
            max_octets: of the answer's body.

        Raises:
            TransportError: the answer did not come: ``transport.refused``, ``transport.closed``,
                ``transport.tls``, ``transport.timeout``, …; whether the server did what was asked
                is not known.
            RemoteProtocolError: ``http.too-large``, or what came is not HTTP.
        """
        what = f"{method} {self.base_url}{path}"
        request = self._client.build_request(
            method,
            path,
            content=content,
            json=json_body,
            headers=headers,
            params=params,
            timeout=self._timeout(timeout_s),
        )
        async with self._sent(request, what) as response:
            body = await _body(response, max_octets, what)
        return HttpAnswer(response.status_code, dict(response.headers), body)

    @asynccontextmanager
    async def stream(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        timeout_s: float | None = None,
    ) -> AsyncIterator[HttpStream]:
        """Ask, and give the answer while it comes; leaving the context hangs up.

        Raises:
            TransportError, RemoteProtocolError: as of ``request``; of ``pieces``, too.
        """
        request = self._client.build_request(
            method, path, headers=headers, timeout=self._timeout(timeout_s)
        )
        what = f"{method} {self.base_url}{path}"
        async with self._sent(request, what) as response:
            yield HttpStream(response.status_code, dict(response.headers), _raw(response, what))

    @asynccontextmanager
    async def _sent(self, request: httpx.Request, what: str) -> AsyncIterator[httpx.Response]:
        try:
            response = await self._client.send(request, stream=True)
            try:
                yield response
            finally:
                await response.aclose()
        except httpx.HTTPError as exc:
            raise _error(exc, what) from exc

    def _timeout(self, seconds: float | None) -> httpx.Timeout:
        wait = self._timeout_s if seconds is None else seconds
        return httpx.Timeout(wait, connect=CONNECT_TIMEOUT_S)

    async def get(self, path: str, **options: Any) -> HttpAnswer:
        """See ``request``."""
        return await self.request("GET", path, **options)

    async def post(self, path: str, **options: Any) -> HttpAnswer:
        """See ``request``."""
        return await self.request("POST", path, **options)


async def _raw(response: httpx.Response, what: str) -> AsyncIterator[bytes]:
    """Give the body as it comes, its errors ours to who reads it."""
    try:
        async for piece in response.aiter_raw():
            yield piece
    except httpx.HTTPError as exc:
        raise _error(exc, what) from exc


async def _body(response: httpx.Response, most: int, what: str) -> bytes:
    """Return the body, its size bounded after decompression too."""
    body = bytearray()
    async for piece in response.aiter_bytes():
        body += piece
        if len(body) > most:
            raise RemoteProtocolError(
                f"{what}: the answer has more than {most} octets", code="http.too-large"
            )
    return bytes(body)


def _error(exc: httpx.HTTPError, what: str) -> TransportError | RemoteProtocolError:
    if isinstance(exc, httpx.TimeoutException):
        return TransportTimeoutError(f"{what}: no answer in time")
    if isinstance(exc, httpx.RemoteProtocolError) and _CUT_OFF.search(str(exc)):
        return TransportError(f"{what}: the server closed", code="transport.closed")
    if isinstance(exc, httpx.RemoteProtocolError | httpx.DecodingError):
        return RemoteProtocolError(f"{what}: {exc}", code="http")
    return transport_error(_cause(exc), what)


def _cause(exc: BaseException) -> BaseException:
    """Return the error of the system below an error of the library's."""
    below: BaseException | None = exc
    for _ in range(8):  # httpx over httpcore over anyio over asyncio: four or five
        if isinstance(below, BaseExceptionGroup):
            below = below.exceptions[0]
        if below is None or (isinstance(below, OSError) and below.errno is not None):
            break
        below = below.__cause__ or below.__context__
    return exc if below is None else below
