"""``openami metrology``: how exactly meters measure."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from openami.cli.options import examples
from openami.cli.output import emit_json, json_option, note, sink, table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from openami.meter.settings import MeterConfig
    from openami.meter.sources import SourceSpec
    from openami.metrology.accuracy import Accuracy

FRONT_ENDS = ("paper", "paper-100a", "paper-quiet", "sigma-delta")


@click.group(short_help="How exactly meters measure.")
def metrology() -> None:
    """How exactly meters measure."""


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
    currents and power factors; the table says how far its energy register is off, in per cent, and
    how far it may be. Points that are not kept are shown as they are.
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
        ("front end", "class", "power factor", "current (A)", "limit (%)", "error (%)", "kept"),
        (
            (
                each.front.name,
                each.front.meter_class,
                point.factor,
                round(point.current, 3),
                point.limit,
                round(point.error, 3),
                "yes" if point.kept else "NO",
            )
            for each in found
            for point in each.points
        ),
    )
    for each in found:
        note(_summary(each))


def measured(spec: SourceSpec, name: str, config: MeterConfig) -> SourceSpec:
    """Return a meter's source as its own converter, with a front end of ``FRONT_ENDS``, sees it."""
    import numpy as np

    from openami.metrology.adc import frontend
    from openami.metrology.measured import MeasuredSource

    engine = config.engine()
    front = replace(
        frontend.FRONT_ENDS[name],
        voltage=engine.nominal / 1000,
        frequency=round(engine.frequency / 100),
    )
    source = MeasuredSource(spec.source, front, np.random.default_rng(), phases=engine.phases)
    return replace(spec, source=source)


def _summary(found: Accuracy) -> str:
    kept = sum(point.kept for point in found.points)
    return (
        f"{found.front.name}: {kept} of {len(found.points)} points kept,"
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
        "points": [
            {
                "power_factor": point.factor,
                "current": point.current,
                "limit": point.limit,
                "error": point.error,
                "kept": point.kept,
            }
            for point in found.points
        ],
    }
