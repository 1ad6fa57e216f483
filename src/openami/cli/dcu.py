"""``openami dcu``: run a data concentrator."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from openami.cli.options import (
    clock_option,
    config_option,
    examples,
    log_option,
    parse_assignments,
    set_option,
    world_clock,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from openami.core.clock import Clock
    from openami.dcu.installation import Installation
    from openami.dcu.slots.launcher import Limits
    from openami.dcu.slots.store import TwoSlots


Command = Callable[..., int]

_OPTIONS: Final[tuple[Callable[[Command], Command], ...]] = (
    config_option,
    click.option(
        "--factory",
        type=click.Path(path_type=Path, file_okay=False),
        help="Folder of its factory identity, as `openami pki factory` makes it.",
    ),
    click.option(
        "--modem", help="The line: hdlc+tcp://HOST:PORT or hdlc+serial:/dev/ttyUSB0?baud=9600."
    ),
    click.option(
        "--state",
        type=click.Path(path_type=Path, file_okay=False),
        help="Folder of what must outlive a restart: management tree, keys, spool, cursors."
        " [default: openami-dcu]",
    ),
    click.option(
        "--wake",
        metavar="HOST:PORT",
        help="Where it takes the head-end's notifications; without it, it only polls.",
    ),
    click.option(
        "--home",
        metavar="HOST:PORT",
        help="Where displays come in that reach their meters through the DCU.",
    ),
    set_option,
    clock_option,
    log_option,
)


@click.group(short_help="Run a data concentrator: find, read and spool meters.")
def dcu() -> None:
    """Run a data concentrator: find, read and spool meters, upload until acknowledged."""


def _run_options(command: Command) -> Command:
    """Give a command the options of a DCU."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


@dcu.command(
    epilog=examples(
        "openami dcu run --factory factory/DCU-1 --modem hdlc+tcp://127.0.0.1:4060 \\",
        "    --state dcu-1 --wake 127.0.0.1:0",
        "openami dcu run --config dcu.toml --set stop_s=30",
    )
)
@_run_options
@click.option(
    "--slots",
    type=click.Path(path_type=Path, file_okay=False),
    hidden=True,
    help="Of the launcher: the folder of the slots.",
)
@click.option("--beat", type=int, hidden=True, help="Of the launcher: the pipe to beat into.")
def run(
    config: Path | None,
    factory: Path | None,
    modem: str | None,
    state: Path | None,
    wake: str | None,
    home: str | None,
    assignments: tuple[str, ...],
    clock: str | None,
    log_level: str,
    slots: Path | None,
    beat: int | None,
) -> int:
    """Run a DCU until SIGTERM or Ctrl-C.

    It registers with its factory identity, is managed by the head-end from then on, and collects
    as its management tree says: it probes its line for meters, reads what it does not have yet,
    and keeps it until the head-end says that it is durable.
    """
    from openami.cli.run import run_server
    from openami.dcu.installation import Installation
    from openami.dcu.managed import run_managed

    named = {"factory": factory, "modem": modem, "state": state, "wake": wake, "home": home,
             "clock": clock}  # fmt: skip
    options: dict[str, Any] = parse_assignments(assignments)
    options |= {name: value for name, value in named.items() if value is not None}
    installation = Installation.load(config, **options)
    time = world_clock(installation.clock)
    if slots is None or beat is None:
        run_server(run_managed(installation, time), log_level=log_level)
        return 0
    return run_server(_watched(installation, time, slots, beat), log_level=log_level)


async def _watched(installation: Installation, clock: Clock, slots: Path, beat: int) -> int:
    """Run a DCU that the launcher has started; return its exit status."""
    from openami.dcu.managed import run_managed
    from openami.dcu.module.keystore import type_of
    from openami.dcu.slots.health import TrialHealth
    from openami.dcu.slots.launcher import RESTART
    from openami.dcu.slots.store import RESERVE, TwoSlots
    from openami.store.folder import Folder

    two = TwoSlots(Folder(slots, reserve=RESERVE), lambda: type_of(installation.factory))
    two.check()
    health = TrialHealth(two, beat)
    async with health.beating():
        again = await run_managed(installation, clock, slots=two, health=health)
    return RESTART if again else 0


@dcu.command(
    short_help="Run a DCU whose software is in two slots.",
    epilog=examples(
        "openami dcu boot --slots dcu-1-slots --factory factory/DCU-1 \\",
        "    --modem hdlc+tcp://127.0.0.1:4060 --state dcu-1",
    ),
)
@click.option(
    "--slots",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("openami-dcu-slots"),
    show_default=True,
    help="Folder of the slots.",
)
@click.option(
    "--trial",
    type=click.FloatRange(1, 86_400),
    default=900.0,
    show_default=True,
    help="Seconds in which new software has to hold a session and to collect.",
)
@click.option(
    "--watchdog",
    type=click.FloatRange(1, 3600),
    default=120.0,
    show_default=True,
    help="Seconds without a sign of life after which the DCU is started anew.",
)
@_run_options
def boot(slots: Path, trial: float, watchdog: float, log_level: str, **_: Any) -> int:
    """Run a DCU out of the slot that is to run, and watch it, until SIGTERM or Ctrl-C.

    Its other options are those of `openami dcu run`, which it starts. New software, once it is
    downloaded and activated over OMA DM, is started on trial: if it crashes, hangs, or does not
    hold a session and collect in time, what ran before runs again. Where no slot holds anything,
    the software that is installed runs.
    """
    from openami.cli.run import run_server
    from openami.dcu.slots.launcher import LOCK_S, Limits, agent_command
    from openami.dcu.slots.store import RESERVE, TwoSlots
    from openami.store.folder import Folder

    # As Python writes the places that it imports from: an agent compares with them.
    folder = Folder(slots.resolve(), reserve=RESERVE)
    lock = folder.lock(LOCK_S)
    command = agent_command(str(slots.resolve()), _given(click.get_current_context().params))
    limits = Limits(trial=trial, hang=watchdog)
    return run_server(_launch(TwoSlots(folder), command, limits, lock), log_level=log_level)


def _given(params: Mapping[str, Any]) -> Iterator[str]:
    """Yield the options of ``run`` that were given, as they are typed."""
    for option in run.params:
        value = params.get(option.name or "")
        if value is None or option.name == "slots":
            continue
        for each in value if isinstance(value, tuple) else (value,):
            yield from (option.opts[0], str(each))


async def _launch(slots: TwoSlots, command: Sequence[str], limits: Limits, lock: int) -> int:
    from openami.dcu.slots.launcher import Launcher

    return await Launcher(slots, command, limits, lock).run()
