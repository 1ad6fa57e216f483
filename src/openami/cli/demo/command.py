"""The command of the demo: options, progress, result."""

from __future__ import annotations

import asyncio
import contextlib
import re
import signal
import socket
import tempfile
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from openami.cli.options import examples
from openami.cli.output import emit_json, json_option, note
from openami.core.errors import ConfigError, OpenAmiError, TransportError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from openami.cli.demo.chain import Chain
    from openami.cli.demo.stories import Story
    from openami.core.clock import Clock

SPEED: Final = 120.0
ZONE_OFFSET_S: Final = 9 * 3600  # the demo's meters live in Korea, which has no daylight saving
DAY_S: Final = 86_400
BACK_DAYS: Final = 7
AFTERNOON_S: Final = 16 * 3600  # of the day, so that the home's evening comes soon
LINE_S: Final = 2.0  # between two lines of progress
HISTORY_S: Final = DAY_S  # what the meters have measured before anybody reads them
ENDING: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_UNITS: Final = {"": 1, "s": 1, "m": 60, "min": 60, "h": 3600}
_LENGTH: Final = re.compile(r"(\d+(?:\.\d+)?)\s*(s|m|min|h)?")


@dataclass(frozen=True, slots=True)
class Size:
    """How large a demo is; see ``chain.Plan``."""

    dcus: int
    meters: int
    nodes: int
    home: bool


class DemoError(OpenAmiError):
    """The demo ended with figures that do not agree."""

    code = "demo.disagree"


def length(text: str) -> float:
    """Return the seconds of ``90``, ``120s``, ``2m`` or ``1h``.

    Raises:
        ConfigError: the text is none of them.
    """
    match = _LENGTH.fullmatch(text.strip())
    if match is None or float(match[1]) <= 0:
        raise ConfigError(f"{text!r} is no length of time", hint="such as 120s, 5m or 1h")
    return float(match[1]) * _UNITS[match[2] or ""]


@click.command(
    short_help="Run the whole chain: meters, DCUs, a head-end with its console.",
    epilog=examples(
        "openami demo", "openami demo --for 120s --json", "openami demo --state demo --meters 50"
    ),
)
@click.option(
    "--for",
    "duration",
    metavar="LENGTH",
    help="Real time to run for, such as 120s, and until all upgrades are done; else until Ctrl-C.",
)
@click.option(
    "--speed",
    type=click.FloatRange(1, 3600),
    default=SPEED,
    show_default=True,
    help="How many seconds of the demo's clock pass in a real one: 120 is a day in twelve minutes.",
)
@click.option(
    "--meters", type=click.IntRange(1, 200), default=20, show_default=True, help="How many meters."
)
@click.option(
    "--c1222",
    "nodes",
    type=click.IntRange(0, 20),
    help="How many of the meters speak ANSI C12.22 to the head-end, without a DCU. [default: one of ten]",
)
@click.option(
    "--dcus",
    type=click.IntRange(1, 8),
    default=2,
    show_default=True,
    help="How many DCUs, each with a street.",
)
@click.option(
    "--upgrades/--no-upgrades",
    default=True,
    show_default=True,
    help="Whether the first DCU and its meters are upgraded meanwhile.",
)
@click.option(
    "--home/--no-home",
    default=True,
    show_default=True,
    help="Whether there is a home with a display and simulated appliances, and a DCU of its own.",
)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8443,
    show_default=True,
    help="Of the console; 0: any.",
)
@click.option(
    "--state",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder for everything, kept at the end; else a temporary one.",
)
@json_option
def demo(
    duration: str | None,
    speed: float,
    meters: int,
    nodes: int | None,
    dcus: int,
    upgrades: bool,
    home: bool,
    port: int,
    state: Path | None,
    as_json: bool,
) -> None:
    """Run the whole chain: 21 meters, 3 DCUs, a home, a head-end with its console.

    Every part is a process of its own on real sockets; the meters play recorded consumption of
    real homes, and the clock runs fast. Two of the meters speak ANSI C12.22 to the head-end itself,
    the others DLMS to the DCUs of their two streets. Meanwhile the first DCU's meters are upgraded
    twice, the first time with a faulty image that they take back, and then the DCU itself, by
    campaigns that two operators let through. In the home a display shows what a meter measures of
    simulated appliances, which do as an event of demand response asks. At the end all supplies are switched off, the last
    intervals are collected, and the meters' registers are compared with what the store holds.
    """
    seconds = length(duration) if duration else None
    nodes = meters // 10 if nodes is None else nodes
    if meters - nodes < dcus:
        raise ConfigError(f"{dcus} DCUs want {dcus} meters or more", code="config.option")
    _check_port(port)
    with ExitStack() as stack:
        if state is None:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="openami-demo-")))
        else:
            folder = state
            folder.mkdir(parents=True, exist_ok=True)
            if any(folder.iterdir()):
                raise ConfigError(
                    f"{folder} is not empty", hint="name a new folder: the demo's clock starts anew"
                )
        size = Size(dcus, meters, nodes, home)
        result = asyncio.run(_run(folder, seconds, speed, size, port, upgrades=upgrades))
    if as_json:
        emit_json(result)
    if not result["agrees"]:
        raise DemoError("the store and the meters do not agree")


def _check_port(port: int) -> None:
    """Return if the console can listen there.

    Raises:
        TransportError: ``transport.in-use``, something else does.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise TransportError(
                f"the console can not listen on port {port}: {error.strerror}",
                hint='--port 0 takes any free one: make demo ARGS="--port 0"',
                code="transport.in-use",
            ) from error


async def _run(
    folder: Path,
    seconds: float | None,
    speed: float,
    size: Size,
    port: int,
    *,
    upgrades: bool,
) -> dict[str, Any]:
    from openami.cli.demo.chain import Chain, Plan
    from openami.cli.demo.home import living
    from openami.cli.demo.processes import Processes
    from openami.cli.demo.stories import telling
    from openami.cli.demo.upgrades import upgrading
    from openami.transport.clock import ClockSettings, SystemClock

    wall = SystemClock().now()
    midnight = (wall + ZONE_OFFSET_S) // DAY_S * DAY_S - ZONE_OFFSET_S
    start = midnight - BACK_DAYS * DAY_S + AFTERNOON_S
    settings = ClockSettings(start=start, factor=speed, origin=wall)
    since = start - HISTORY_S
    plan = Plan(
        **asdict(size), clock=str(settings), start=start, since=since, factor=speed, port=port
    )
    clock = settings.clock()
    stop, begun = asyncio.Event(), asyncio.Event()
    with _interrupts(stop, begun):
        async with Processes(folder / "logs") as processes:
            chain = Chain(plan, folder, processes, _say)
            await chain.start()
            begun.set()
            _greet(chain, folder, endless=seconds is None)
            stories = {"upgrades": upgrading(chain)} if upgrades else {}
            if chain.home is not None:
                stories["home"] = living(chain, chain.home, clock)
            async with telling(*stories.values()):
                await _watch(chain, clock, stop, seconds, tuple(stories.values()))
                came = {name: story.came for name, story in stories.items()}
            outcome = await _finish(chain, clock, since)
            note("stopping")
    note("stopped cleanly" if outcome["agrees"] else "stopped")
    return {**outcome, "upgrades": None, "home": None, **came}


@contextmanager
def _interrupts(stop: asyncio.Event, begun: asyncio.Event) -> Iterator[None]:
    """Let the first Ctrl-C end the demo in good order; a second one, or a terminal that goes, now.

    Until it has ``begun`` there is nothing to compare: then the first one ends it now.

    Raises:
        Abort: it had to end now. The other processes have been stopped, too.
    """
    loop = asyncio.get_running_loop()
    task = asyncio.current_task()
    assert task is not None

    def now() -> None:
        for number in ENDING:
            loop.add_signal_handler(number, int)  # the others are being stopped: let them be
        task.cancel()

    def in_order() -> None:
        if not begun.is_set():
            note("stopping")
            now()
            return
        for number in ENDING:
            loop.add_signal_handler(number, now)
        stop.set()
        note("ending in good order; once more ends it now")

    for number in ENDING:
        loop.add_signal_handler(number, now if number == signal.SIGHUP else in_order)
    try:
        yield
    except asyncio.CancelledError:
        raise click.Abort from None
    finally:
        for number in ENDING:
            loop.remove_signal_handler(number)


def _say(text: str) -> None:
    """Tell who does what, in two columns."""
    who, _, what = text.partition(": ")
    note(f"  {who:<9} {what}")


def _greet(chain: Chain, folder: Path, *, endless: bool) -> None:
    from openami.cli.demo.chain import REVIEWER, read

    password = read(chain.headend["admin_password"]).strip()
    reviewer = read(str(chain.reviewer_password)).strip()
    note("")
    note(
        f"  console   {chain.headend['console']}   (a certificate of its own: {chain.headend['ca']})"
    )
    note(f"  sign in   admin / {password}")
    note(f"  and as    {REVIEWER} / {reviewer}, to approve what the other wants")
    if chain.home is not None:
        note(f"  display   {chain.home.url}   on the wall of the home")
        note(f"  customer  {chain.home.link}   to choose a password, once")
    note(f"  state     {folder}")
    if endless:
        note("  Ctrl-C    ends it, and compares what was metered with what is stored")
    note("")


async def _watch(
    chain: Chain,
    clock: Clock,
    stop: asyncio.Event,
    seconds: float | None,
    stories: Sequence[Story],
) -> None:
    """Show how it goes until it is time to end, and all stories are over."""
    from openami.cli.api import connected, get_json
    from openami.cli.demo import arrival, audit

    assert chain.target is not None
    waiting = arrival.collecting(chain.plan.uids)
    loop = asyncio.get_running_loop()
    deadline = None if seconds is None else loop.time() + seconds
    serials = [meter["serial"] for _, meter in audit.shipped(chain)]
    async with connected(chain.target) as client:
        while not stop.is_set() and not _over(deadline, stories):
            chain.processes.check()
            waiting = [each for each in waiting if not await each.look(client, chain.say)]
            found = await get_json(client, "/overview")
            for story in stories:
                story.check()
                if _read(found) >= chain.plan.total:
                    story.go()
            note(_line(found, clock, sum((await audit.stored_wh(client, serials)).values())))
            left = LINE_S if deadline is None else deadline - loop.time()
            wait = min(LINE_S, left) if left > 0 else LINE_S
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait):  # wait_for loses a cancel at the very moment
                    await stop.wait()


def _over(deadline: float | None, stories: Sequence[Story]) -> bool:
    """Tell whether the time is over; no demo ends in the middle of a story by itself."""
    if deadline is None or asyncio.get_running_loop().time() < deadline:
        return False
    return all(story.came is not None for story in stories)


def _read(found: Mapping[str, Any]) -> int:
    contact = found["meters"]["by_contact"]
    return int(contact["ok"] + contact["reading"])


def _line(found: Mapping[str, Any], clock: Clock, energy: int) -> str:
    """Return one line of progress."""
    from openami.core.clock import utc

    local = utc(clock.now() + ZONE_OFFSET_S).strftime("%a %d %b %H:%M")
    return (
        f"  {local}   {_read(found):>3} of {found['meters']['total']} meters read"
        f"   {found['store']['readings']:>7,} readings   {energy / 1000:>9,.3f} kWh stored"
    )


async def _finish(chain: Chain, clock: Clock, start: float) -> dict[str, Any]:
    """Switch off, collect the rest, compare."""
    from openami.cli.demo import audit

    note("switching every supply off over DLMS, so that the registers stand still")
    await audit.switch_off(chain)
    period = audit.PERIOD_S
    # One whole interval later every meter has closed the one in which it was switched off,
    # however wrong its clock is within the DCU's threshold.
    until = (clock.now() // period + 2) * period
    note("collecting the last intervals")
    await audit.collected(chain, until)
    outcome = await audit.audit(chain, start=start, until=until)
    days = (until - start) / DAY_S
    note("")
    note(
        f"  {outcome.meters_read} of {outcome.meters} meters read over {days:.2f} days of the demo's clock"
    )
    note(f"  the meters counted   {outcome.metered_wh:>12,} Wh")
    note(
        f"  the store holds      {outcome.stored_wh:>12,} Wh in {outcome.readings:,} readings, {outcome.duplicates} twice, {outcome.gaps} gaps"
    )
    note("  they agree to the watt-hour" if outcome.agrees else "  THEY DO NOT AGREE")
    note("")
    return {
        **asdict(outcome),
        "agrees": outcome.agrees,
        "dcus": chain.plan.dcus,
        "days": round(days, 3),
        "console": chain.headend["console"],
    }
