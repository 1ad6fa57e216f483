"""``openami metrology``: the measuring part of a meter, and how exactly it measures."""

from __future__ import annotations

from dataclasses import astuple
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from openami.cli.meter_options import (
    FRONT_ENDS,
    adc_option,
    front_end,
    grid_option,
    phases_option,
    source_option,
    wanted_grid,
)
from openami.cli.options import clock_option, examples, log_option, world_clock
from openami.cli.output import emit_json, json_option, note, sink, table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from openami.meter.measuring import MeasuringRunner, MeasuringSettings
    from openami.metrology.accuracy import Accuracy, Point


@click.group(short_help="Run a meter's measuring part apart, and test how exactly it measures.")
def metrology() -> None:
    """Run a meter's measuring part apart, and test how exactly it measures."""


@metrology.command(
    short_help="Measure in a process apart from the meter's management.",
    epilog=examples(
        "openami metrology run --state part --source household:H01 --line pty",
        "openami metrology run --state part --adc paper-100a --line tcp:127.0.0.1:4065",
        "openami meter run --state meter --metrology tcp:127.0.0.1:4065",
    ),
)
@click.option(
    "--state",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    help="Folder of its calibration and registers; made at the first start.",
)
@source_option("What flows; see `openami meter run --help`.")
@adc_option(
    "Its front end; a part that is not new keeps the one that it was calibrated with.",
    default="sigma-delta",
)
@click.option(
    "--line",
    default="pty",
    show_default=True,
    metavar="LINE",
    help="Where management finds it: pty, serial:DEVICE[,BAUD], tcp:HOST:PORT (port 0: any).",
)
@phases_option("Of a new part.")
@grid_option("a new part")
@clock_option
@log_option
@json_option
def run(*, log_level: str, as_json: bool, **options: Any) -> None:
    """Measure until SIGTERM or Ctrl-C, whether or not management listens.

    Each second energy is kept in STATE and then told with the powers of the second; a power cut
    costs the second that was not told. The first line says where `openami meter run --metrology`
    finds it.
    """
    from openami.cli.run import run_server
    from openami.meter.measuring import run_measuring

    ready = partial(_announce, as_json=as_json)
    run_server(run_measuring(_settings(**options), ready=ready), log_level=log_level)


@metrology.command(
    short_help="Calibrate a measuring part on a bench, or show its constants.",
    epilog=examples(
        "openami metrology calibrate --state part",
        "openami metrology calibrate --state part --show",
    ),
)
@click.option(
    "--state",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    required=True,
    help="Folder of a part that is not running.",
)
@click.option("--show", is_flag=True, help="Only show the constants that it has.")
@json_option
def calibrate(state: Path, *, show: bool, as_json: bool) -> None:
    """Calibrate a measuring part that is not running, in the two steps of a bench.

    Nominal voltage without a current gives the noise of the current's channel, a known sine of
    both all the rest. The constants go into STATE; registers stay as they are.
    """
    from openami.meter.calibrating import calibrate_part, constants_of

    found = constants_of(state) if show else calibrate_part(state, front_end)
    names = ("phase", "volt", "amp", "delay", "volt_noise", "amp_noise")
    rows = [(place, *astuple(one)) for place, one in enumerate(found.phases, 1)]
    if as_json:
        phases = [dict(zip(names, row, strict=True)) for row in rows]
        emit_json({"front_end": found.front, "grid": str(found.grid), "phases": phases})
        return
    table(
        ("phase", "nV a code", "nA a code", "delay (ns)", "noise V (1/65536)", "noise A (1/65536)"),
        rows,
    )
    note(f"{found.front}, at {found.grid}")


def _announce(runner: MeasuringRunner, *, as_json: bool) -> None:
    """Tell which part it is, and where management finds it."""
    record = runner.part.record
    if as_json:
        emit_json({"part": record.part, "life": record.life, "line": runner.listening})
        return
    note(f"measuring part {record.part}, life {record.life}")
    note(f"  line  {runner.listening}")


def _settings(
    *,
    state: Path,
    source: str,
    adc: str,
    line: str,
    phases: str,
    grid: str | None,
    clock: str | None,
) -> MeasuringSettings:
    """Return what the measuring part runs with.

    Raises:
        ConfigError: an option has a wrong value.
    """
    from openami.meter.calibrating import grid_in
    from openami.meter.line import LineSpec
    from openami.meter.measuring import MeasuringSettings
    from openami.meter.settings import DEFAULT_ZONE, zone_of
    from openami.meter.sources import parse_source

    time = world_clock(clock)
    offset = zone_of(DEFAULT_ZONE).offset(int(time.now()))
    spec = parse_source(source, offset=offset)
    place = LineSpec.parse(line, pty=True)
    front = front_end(adc, grid_in(state, wanted_grid(grid)))
    state.mkdir(mode=0o700, parents=True, exist_ok=True)
    return MeasuringSettings(state, spec, front, place, int(phases), time)


@metrology.command(
    short_help="Test front ends against the limits of their class.",
    epilog=examples(
        "openami metrology accuracy",
        "openami metrology accuracy --front-end sigma-delta --json",
        "openami metrology accuracy --plot accuracy.svg",
    ),
)
@click.option(
    "--front-end",
    "names",
    type=click.Choice(FRONT_ENDS),
    multiple=True,
    help="Only this front end; repeatable.",
)
@click.option(
    "--seconds",
    type=click.IntRange(1, 3600),
    default=60,
    show_default=True,
    help="How long each point is measured.",
)
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True, help="Of the noise.")
@click.option(
    "--plot",
    "picture",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Also draw the errors, as SVG.",
)
@json_option
def accuracy(
    names: Sequence[str], seconds: int, seed: int, picture: Path | None, as_json: bool
) -> None:
    """Test meters with each front end against IEC 62053-21 (class 1) and IEC 62053-22 (0.5S).

    A meter is calibrated once and fed sines of known power, sample by sample, at the standards'
    currents and power factors, single-phase, and three-phase with a load on one phase alone; the
    table says how far its energy register is off, in per cent, and how far it may be. Points that
    are not kept are shown as they are.
    """
    import numpy as np

    from openami.metrology.accuracy import verify
    from openami.metrology.accuracy_plot import plot
    from openami.metrology.adc import frontend

    found = [
        verify(frontend.FRONT_ENDS[name], np.random.default_rng(seed), seconds=seconds)
        for name in names or FRONT_ENDS
    ]
    if picture is not None:
        with sink(picture) as file:
            file.write(plot(found).encode())
    if as_json:
        emit_json([_as_dict(each) for each in found])
        return
    table(
        ("front end", "class", "load", "PF", "current (A)", "limit (%)", "error (%)", "kept"),
        (
            (
                each.front.name,
                each.front.meter_class,
                load,
                point.factor,
                round(point.current, 3),
                point.limit,
                round(point.error, 3),
                "yes" if point.kept else "NO",
            )
            for each in found
            for load, points in (("all", each.points), ("1 of 3", each.alone))
            for point in points
        ),
    )
    for each in found:
        note(_summary(each))


def _summary(found: Accuracy) -> str:
    points = (*found.points, *found.alone)
    kept = sum(point.kept for point in points)
    return (
        f"{found.front.name}: {kept} of {len(points)} points kept,"
        f" {'starts' if found.starts else 'does not start'} at its starting current,"
        f" {'stands still' if found.stands_still else 'CREEPS'} without a load"
    )


def _as_dict(found: Accuracy) -> dict[str, object]:
    return {
        "front_end": found.front.name,
        "class": found.front.meter_class,
        "kept": found.kept,
        "starts": found.starts,
        "stands_still": found.stands_still,
        "points": _points(found.points),
        "one_phase_loaded": _points(found.alone),
    }


def _points(points: Sequence[Point]) -> list[dict[str, object]]:
    return [
        {
            "power_factor": point.factor,
            "current": point.current,
            "limit": point.limit,
            "error": point.error,
            "kept": point.kept,
        }
        for point in points
    ]
