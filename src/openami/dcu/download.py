"""Fetches a file for the device: by its descriptor, over any number of cuts, onto the disk.

What is asked for and when is the machine's of ``openami.omadm.download``; here it is carried out.
Octets are on the disk before the state says so, and the state before the next request: after a
kill at any point at most ``CHUNK`` octets come twice. Which octets are the right ones is said by
the targets of a TUF repository, not by the server that they come from.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import structlog

from openami.core.errors import (
    LocalProtocolError,
    RemoteProtocolError,
    SecurityError,
    StoreError,
    StoreFullError,
    TransportError,
    TransportTimeoutError,
)
from openami.dcu.download_file import LoadedFile
from openami.omadm.download import machine
from openami.omadm.download.answers import refusal
from openami.omadm.download.descriptor import LIMITS, origin_of, split_url
from openami.omadm.download.ends import RESULTS, End
from openami.omadm.download.events import (
    Answered,
    Described,
    Failed,
    Kept,
    Refused,
    Stopped,
    Told,
)
from openami.omadm.download.machine import Action
from openami.omadm.download.pace import Bucket, Pulse
from openami.omadm.download.state import Phase, Wanted
from openami.transport.clock import monotonic

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
    from pathlib import Path

    from openami.dcu.flow import Stop
    from openami.dcu.threads import WorkThread
    from openami.firmware.target import TargetFile
    from openami.omadm.download.events import Event
    from openami.omadm.download.machine import Move, Policy
    from openami.store.partial import PartialFile
    from openami.transport.http import HttpClient, HttpStream

CHUNK: Final = 256 * 1024
"""Octets between two writes to the disk: some seconds of a good radio link, and so few writes that
flash does not wear."""
SILENCE_S: Final = 60.0
"""How long a server may take over the head of an answer, and be silent within its body."""

_TEXT: Final = {"content-type": "text/plain"}
_TOLD_OCTETS: Final = 64 * 1024  # of an answer to a status, of which nothing is read
_ENDS: Final = (
    (TransportTimeoutError, End.TIMEOUT),
    (TransportError, End.NETWORK),
    (TimeoutError, End.TIMEOUT),
    (SecurityError, End.FORBIDDEN),  # the security module has no certificate for us now
    (RemoteProtocolError, End.SERVER),
)
_FAULTS: Final = tuple(kind for kind, _ in _ENDS)

log = structlog.get_logger("dcu.download")


@dataclass(frozen=True, slots=True)
class Loaded:
    """What became of a download.

    Attributes:
        end: how it ended; None: the device ends first, and it goes on with the next ``load``.
        path: of the file, if it is the right one.
    """

    end: End | None
    path: Path | None


@dataclass(frozen=True, slots=True)
class Means:
    """What a download is carried out with.

    Attributes:
        place: where the file goes.
        thread: where the disk is waited for.
        client: returns a client of an origin as in ``https://headend:8443``, with the device's
            identity.
        policy: what is accepted, and how long is tried.
        chance: returns a number from 0 to 1.
        rate: octets a second; None: as fast as they come.
        silence_s: see ``SILENCE_S``.
        now: a clock that only goes on.
    """

    place: PartialFile
    thread: WorkThread
    client: Callable[[str], HttpClient]
    policy: Policy
    chance: Callable[[], float]
    rate: float | None = None
    silence_s: float = SILENCE_S
    now: Callable[[], float] = monotonic


class Downloader:
    """Fetches one file at a time into one place."""

    def __init__(self, means: Means) -> None:
        self._means = means
        self._cancelled: asyncio.Future[End] | None = None

    @property
    def busy(self) -> bool:
        """Whether a download is under way."""
        return self._cancelled is not None

    def cancel(self, end: End = End.CANCELLED) -> None:
        """End the download that is under way, if there is one, and remove what came of it."""
        if self._cancelled is not None and not self._cancelled.done():
            self._cancelled.set_result(end)

    async def load(
        self,
        url: str,
        target: TargetFile,
        stop: Stop,
        *,
        progress: Callable[[int, int], None] = lambda _octets, _size: None,
    ) -> Loaded:
        """Fetch a file, or go on where it was left; return when it is here, or shall not be.

        What is here already is not fetched again. Another file takes its place; one that could not
        be had is tried anew.

        Args:
            url: of the descriptor.
            target: the file, by the trusted repository.
            stop: the wish that the device ends.
            progress: is told how many octets are durable, of how many.

        Raises:
            LocalProtocolError: another download is under way.
            StoreError: the disk does not work.
        """
        if self._cancelled is not None:
            raise LocalProtocolError("another download is under way")
        cancelled = self._cancelled = asyncio.get_running_loop().create_future()
        wanted = Wanted(url, target.size, target.sha256)
        work = _Work(self._means, target, progress)
        try:
            end = await _carry_out(work, wanted, stop, cancelled)
        except StoreFullError:
            end = End.NO_ROOM  # not even for a word of it
        finally:
            self._cancelled = None
        if end is not None:
            log.info("a download is over", target=target.path, url=url, code=end.value)
        return Loaded(end, self._means.place.path if end is End.OK else None)


async def _carry_out(
    work: _Work, wanted: Wanted, stop: Stop, cancelled: asyncio.Future[End]
) -> End | None:
    """Return how it ended; None: the device does."""
    stopped = asyncio.ensure_future(stop.wait())
    try:
        await work.open(wanted)
        await _run(work.run(), stopped, cancelled)
        if cancelled.done() and work.end is None:
            await work.apply(Stopped(cancelled.result()))
            await _run(work.run(), stopped)
    finally:
        stopped.cancel()
    return work.end


async def _run(work: Awaitable[None], *enough: asyncio.Future[End] | asyncio.Future[None]) -> None:
    """Return when ``work`` is over, or cut it short when one of ``enough`` is."""
    task = asyncio.ensure_future(work)
    try:
        await asyncio.wait((task, *enough), return_when=asyncio.FIRST_COMPLETED)
    finally:
        task.cancel()
        await asyncio.wait((task,))
    if not task.cancelled():
        task.result()


@dataclass(slots=True)
class _Incoming:
    """Octets that came and are not on the disk yet, of those that are still to come."""

    left: int
    octets: bytearray = field(default_factory=bytearray)

    def take(self, piece: bytes) -> bool:
        """Take what comes; False: it is more than there can be."""
        room = self.left - len(self.octets)
        self.octets += piece[:room]
        return len(piece) <= room

    @property
    def due(self) -> bool:
        """Whether it is time to write."""
        return bool(self.octets) and len(self.octets) >= min(CHUNK, self.left)

    def give(self) -> bytes:
        octets = bytes(self.octets)
        self.octets.clear()
        self.left -= len(octets)
        return octets


class _Work:
    """One call of ``Downloader.load``."""

    def __init__(
        self, means: Means, target: TargetFile, progress: Callable[[int, int], None]
    ) -> None:
        self._means = means
        self._file = LoadedFile(means.place, target)
        self._progress = progress
        self._bucket = None if means.rate is None else Bucket(means.rate, now=means.now())
        self._move: Move
        self._actions: Mapping[Action, Callable[[], Awaitable[Event | None]]] = {
            Action.FETCH: self._fetch,
            Action.VERIFY: self._verify,
            Action.TELL: self._tell,
        }

    @property
    def end(self) -> End | None:
        return self._move.state.end

    async def open(self, wanted: Wanted) -> None:
        self._move = await self._means.thread.do(self._file.open, wanted, self._means.policy)

    async def run(self) -> None:
        """Return when there is nothing left to do."""
        while self._move.action is not Action.REST:
            await asyncio.sleep(self._move.wait_s)
            try:
                event = await self._actions[self._move.action]()
                if event is not None:
                    await self.apply(event)
            except StoreError as error:
                if self.end is not None:
                    raise
                log.warning("a download has no room", code=error.code, error=error.message)
                full = isinstance(error, StoreFullError)
                await self.apply(Stopped(End.NO_ROOM if full else End.ABORTED))

    async def apply(self, event: Event) -> None:
        """Take what happened, and make what follows durable."""
        move = machine.step(self._move.state, event, self._means.policy)
        if move.state != self._move.state:
            await self._means.thread.do(self._file.note, move.state)
        self._move = move

    async def _fetch(self) -> Event | None:
        """Send the request, and take what comes; return what happened last, if it is not told."""
        request = machine.request(self._move.state)
        try:
            async with AsyncExitStack() as stack:
                client, path = self._way(request.url)
                await stack.enter_async_context(client)
                async with asyncio.timeout(self._means.silence_s):
                    answer = await stack.enter_async_context(
                        client.stream(
                            "GET", path, headers=request.headers, timeout_s=self._means.silence_s
                        )
                    )
                await self.apply(Answered(answer.status, answer.headers, self._means.chance()))
                if self._move.action is not Action.TAKE:
                    return None
                return await self._take(answer)
        except _FAULTS as error:
            if self._move.state.phase is Phase.COMPLETE:
                return None  # all of it came before
            log.info("a download was cut", url=request.url, error=str(error))
            return Failed(_end_of(error), self._means.chance())

    def _way(self, url: str) -> tuple[HttpClient, str]:
        """Return a client for an address that the machine has approved, and the path there."""
        parts, origin = split_url(url), origin_of(url)
        if parts is None or origin is None:
            raise LocalProtocolError("the machine asks for what it refuses")
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        return self._means.client(f"https://{origin}"), path

    async def _take(self, answer: HttpStream) -> Event | None:
        if self._move.state.phase is Phase.DESCRIBING:
            return await self._take_descriptor(answer)
        return await self._take_object(answer)

    async def _take_descriptor(self, answer: HttpStream) -> Event:
        document = bytearray()
        async for piece in self._pieces(answer):
            document += piece
            if len(document) > LIMITS.octets:
                break  # the descriptor is refused for it
        room = await self._means.thread.do(self._means.place.room)
        return Described(bytes(document), room)

    async def _take_object(self, answer: HttpStream) -> Event | None:
        state = self._move.state
        await self._means.thread.do(self._file.begin, state.offset)
        incoming = _Incoming(state.wanted.size - state.offset)
        try:
            async for piece in self._pieces(answer):
                if not incoming.take(piece):
                    return Refused(End.MISMATCH)
                if incoming.due:
                    await self._keep(incoming)
        except _FAULTS:
            await self._keep(incoming)
            raise
        await self._keep(incoming)
        whole = self._move.state.phase is Phase.COMPLETE
        return None if whole else Failed(End.SERVER, self._means.chance())

    async def _keep(self, incoming: _Incoming) -> None:
        octets = incoming.give()
        if not octets:
            return
        move = machine.step(self._move.state, Kept(len(octets)), self._means.policy)
        await self._means.thread.do(self._file.keep, octets, move.state)
        self._move = move
        self._progress(move.state.offset, move.state.wanted.size)

    async def _pieces(self, answer: HttpStream) -> AsyncIterator[bytes]:
        """Give a body's pieces no faster than allowed; a sender that crawls is hung up on."""
        pulse, now = Pulse(), self._means.now
        since = now()
        async for piece in answer.pieces:
            at = now()
            if not pulse.hear(len(piece), at - since):
                raise TransportTimeoutError("too little comes in too much time")
            yield piece
            if self._bucket is not None:
                await asyncio.sleep(self._bucket.take(len(piece), now=now()))
            since = now()

    async def _verify(self) -> Event:
        return await self._means.thread.do(self._file.verify)

    async def _tell(self) -> Event:
        """Post the status; a server that does not want it is not asked again."""
        state = self._move.state
        if state.end is None or state.descriptor is None:
            raise LocalProtocolError("nothing is to be told")
        client, path = self._way(state.descriptor.install_notify_uri or "")
        body = RESULTS[state.end].install.encode()
        try:
            async with asyncio.timeout(self._means.silence_s), client:
                answer = await client.post(
                    path, content=body, headers=_TEXT, max_octets=_TOLD_OCTETS
                )
        except _FAULTS as error:
            return Failed(_end_of(error), self._means.chance())
        again = not answer.ok and refusal(answer.status).again
        return Failed(End.SERVER, self._means.chance()) if again else Told()


def _end_of(error: BaseException) -> End:
    return next(end for kind, end in _ENDS if isinstance(error, kind))
