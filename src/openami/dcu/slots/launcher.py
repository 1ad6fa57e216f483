"""Runs the DCU's agent out of the slot that is to run, watches it, and starts it again.

The launcher is the factory's code for ever: no image replaces it. The agent is a child that cannot
outlive it. What ends how:

- 0, or 2 (a mistake in options or settings): the launcher ends with it;
- 75: the agent wants to be started anew, on trial where an image is armed;
- all else: a crash.

An agent on trial that crashes, stops beating, or is not confirmed in time is given up, and the
software before runs. Any other is started again, after a rest that grows.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import random
import signal
import sys
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import structlog

from openami.core.backoff import backoff
from openami.core.errors import ConfigError, StoreError
from openami.dcu.slots.health import CONFIRMED
from openami.transport.clock import monotonic
from openami.transport.signals import stop_signals

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from openami.dcu.slots.store import Start, TwoSlots

RESTART: Final = 75
"""Exit status of an agent that wants to be started anew; EX_TEMPFAIL of sysexits.h."""
FIRST_REST_S: Final = 1.0
MOST_REST_S: Final = 60.0
"""The agent rests by itself, too, up to five minutes, where it comes so far."""
STEADY_S: Final = 600.0
"""A crash after so long is not one of a row."""
LOCK_S: Final = 5.0
"""For the agent of a launcher that was killed: it is killed with it."""

_PIECE: Final = 4096
_PR_SET_PDEATHSIG: Final = 1  # prctl(2)
_prctl: Final = ctypes.CDLL(None).prctl

log = structlog.get_logger("dcu.slots")


@dataclass(frozen=True, slots=True)
class Limits:
    """How long is waited, in seconds.

    Attributes:
        trial: for an agent on trial to be confirmed.
        hang: for a beat.
        stop: for an agent that was asked to end.
    """

    trial: float = 900.0
    hang: float = 120.0
    stop: float = 120.0


@dataclass(frozen=True, slots=True)
class Ended:
    """How a run of the agent ended: its status (of a signal negative), and what was wrong."""

    status: int
    lived: float
    code: str
    words: str


class Agent:
    """One run of the agent.

    Args:
        process: the child.
        pipe: the end of the pipe that it beats into.
    """

    def __init__(self, process: asyncio.subprocess.Process, pipe: int) -> None:
        self.process = process
        self.began = self.last = monotonic()
        self.said = asyncio.Event()  # that it is confirmed
        self._pipe = pipe
        asyncio.get_running_loop().add_reader(pipe, self._read)

    def _read(self) -> None:
        data = os.read(self._pipe, _PIECE)
        if not data:
            asyncio.get_running_loop().remove_reader(self._pipe)
        self.last = monotonic()
        if CONFIRMED in data:
            self.said.set()

    def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self._pipe)
        os.close(self._pipe)

    def kill(self) -> None:
        """End it and whatever it has started."""
        if self.process.returncode is not None:
            return
        with suppress(ProcessLookupError):  # it has ended this moment
            os.killpg(self.process.pid, signal.SIGKILL)


class Launcher:
    """Starts agents, one after another.

    Args:
        slots: what to start.
        command: of the agent, but for the descriptor that it beats into, which is added.
        limits: how long is waited.
        lock: a descriptor that every agent inherits.
    """

    def __init__(self, slots: TwoSlots, command: Sequence[str], limits: Limits, lock: int) -> None:
        self._slots = slots
        self._command = command
        self._limits = limits
        self._lock = lock
        self._stop = asyncio.Event()
        self._bad = 0
        self._chance = random.SystemRandom().random

    async def run(self) -> int:
        """Keep the agent running until SIGTERM or SIGINT, or until it ends in good order.

        Returns:
            The exit status of the last agent.
        """
        with stop_signals(self._stop.set):
            while True:
                start = self._slots.begin()
                ended = await self._live(start)
                if self._stop.is_set():
                    return max(ended.status, 0)
                if self._judge(start, ended):
                    continue
                if ended.status in {0, ConfigError.exit_status}:
                    return ended.status
                await self._rest(ended.lived)
                if self._stop.is_set():
                    return 0

    async def _live(self, start: Start) -> Ended:
        log.info("starts", version=start.version, image=start.image, on_trial=start.on_trial)
        agent = await self._started(start)
        if agent is None:
            return Ended(0, 0.0, "", "")
        try:
            ended = await self._watch(agent, start)
        finally:
            agent.kill()
            agent.close()
        log.info("ended", status=ended.status, version=start.version)
        return ended

    def _judge(self, start: Start, ended: Ended) -> bool:
        """Tell whether the next start is at once: this one was a trial, or a trial is to be."""
        if ended.status == RESTART:
            self._slots.look()
            return self._slots.waiting
        try:
            return start.on_trial and self._slots.revert(ended.code, ended.words)
        except StoreError as error:  # its tries are counted
            log.error("not noted", code=error.code, error=error.message)  # noqa: TRY400 -- not a bug of ours
            return False

    async def _started(self, start: Start) -> Agent | None:
        """Return a run of the agent, once there is one; None: there shall be none any more."""
        while not self._stop.is_set():
            try:
                return await self._spawn(start)
            except OSError as error:  # no memory, no process: it is not the software's fault
                log.error("not started", error=str(error))  # noqa: TRY400 -- not a bug of ours
            await self._rest(0.0)
        return None

    async def _spawn(self, start: Start) -> Agent:
        ours, theirs = os.pipe2(os.O_CLOEXEC)
        try:
            process = await asyncio.create_subprocess_exec(
                *self._command,
                str(theirs),
                env=_environment(start),
                stdin=asyncio.subprocess.DEVNULL,
                pass_fds=(theirs, self._lock),
                start_new_session=True,  # Ctrl-C is the launcher's, which hands it on
                preexec_fn=_die_with_parent,
            )
        except BaseException:
            os.close(ours)
            raise
        finally:
            os.close(theirs)
        return Agent(process, ours)

    async def _watch(self, agent: Agent, start: Start) -> Ended:
        """Return when the agent has ended, by itself or by us."""
        over = asyncio.ensure_future(agent.process.wait())
        wishes = [asyncio.ensure_future(event.wait()) for event in (self._stop, agent.said)]
        given_up = None
        try:
            while not over.done():
                left, code, words = self._due(agent, start)
                if self._stop.is_set():
                    await self._end(agent, over)
                elif left <= 0:
                    log.error("gives the agent up", code=code, reason=words)
                    given_up = code, words
                    agent.kill()
                    await over
                else:
                    waits = [over, *(wish for wish in wishes if not wish.done())]
                    await asyncio.wait(waits, timeout=left, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wish in wishes:
                wish.cancel()
        status = over.result()
        code, words = given_up or ("slots.crashed", f"ended with status {status}")
        return Ended(status, monotonic() - agent.began, code, words)

    def _due(self, agent: Agent, start: Start) -> tuple[float, str, str]:
        """Return in how many seconds it is given up, and why then."""
        now, limits = monotonic(), self._limits
        ends = [(agent.last + limits.hang - now, "slots.hung", f"no beat for {limits.hang:g} s")]
        if start.on_trial and not agent.said.is_set():
            words = f"no session and collection within {limits.trial:g} s"
            ends.append((agent.began + limits.trial - now, "slots.health", words))
        return min(ends)

    async def _end(self, agent: Agent, over: asyncio.Future[int]) -> None:
        """Ask the agent to end, and see that it does."""
        if agent.process.returncode is None:
            agent.process.send_signal(signal.SIGTERM)
        await asyncio.wait([over], timeout=self._limits.stop)
        if not over.done():
            log.error("the agent does not end")
            agent.kill()
            await over

    async def _rest(self, lived: float) -> None:
        """Wait before the next start, longer each time in a row."""
        self._bad = 1 if lived >= STEADY_S else self._bad + 1
        wait = backoff(self._bad, first=FIRST_REST_S, most=MOST_REST_S, jitter=self._chance())
        log.warning("starts again", wait_s=round(wait, 1))
        try:
            async with asyncio.timeout(wait):
                await self._stop.wait()
        except TimeoutError:
            return


def agent_command(slots: str, arguments: Iterable[str]) -> tuple[str, ...]:
    """Return the command of an agent, as ``Launcher`` takes it."""
    run = ("-m", "openami", "dcu", "run", *arguments)
    return (sys.executable, *run, "--slots", slots, "--beat")


def _environment(start: Start) -> dict[str, str]:
    """Return the environment in which Python finds an image before the factory's software."""
    if start.image is None:
        return dict(os.environ)
    path = [str(start.image), os.environ.get("PYTHONPATH", "")]
    # Neither the agent nor what it starts looks in the folder that it happens to be in.
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, path)),
        "PYTHONSAFEPATH": "1",
    }


def _die_with_parent() -> None:
    """Have the kernel kill this process when the launcher ends, whatever code it will run."""
    _prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
