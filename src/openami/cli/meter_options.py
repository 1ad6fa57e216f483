"""What the commands have in common that run meters, and measuring parts of meters."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import click

if TYPE_CHECKING:
    from collections.abc import Callable

    from openami.meter.settings import MeterConfig
    from openami.meter.sources import SourceSpec
    from openami.metrology.adc.frontend import FrontEnd
    from openami.metrology.config import Grid

    Option = Callable[[Callable[..., Any]], Callable[..., Any]]

FRONT_ENDS: Final = ("paper", "paper-100a", "paper-quiet", "sigma-delta")
SOURCE: Final = "household:H01"


def source_option(words: str, *, default: str | None = SOURCE) -> Option:
    """Return the option of what flows."""
    return click.option("--source", default=default, show_default=True, help=words)


def adc_option(words: str, *, default: str | None = None) -> Option:
    """Return the option of the front end that it is measured with."""
    return click.option(
        "--adc", type=click.Choice(FRONT_ENDS), default=default, show_default=True, help=words
    )


def phases_option(words: str) -> Option:
    """Return the option of one or three phases."""
    return click.option(
        "--phases", type=click.Choice(["1", "3"]), default="1", show_default=True, help=words
    )


def grid_option(whose: str) -> Option:
    """Return the option of the mains; what is not new keeps its own."""
    return click.option(
        "--grid",
        metavar="VOLTS/HERTZ",
        help=f"Nominal voltage and frequency of the mains that {whose} is made for; Korea's are"
        " 220/60. [default: 230/50]",
    )


zone_option = click.option(
    "--zone",
    default="Asia/Seoul",
    show_default=True,
    help="Local time of a new meter: Asia/Seoul, UTC+HH:MM, ….",
)
baud_option = click.option(
    "--baud",
    type=click.IntRange(300, 4_000_000),
    default=9600,
    show_default=True,
    help="Speed of serial lines.",
)


def wanted_grid(text: str | None) -> Grid | None:
    """Return the grid of ``--grid``, if it was given.

    Raises:
        ConfigError: it is none.
    """
    from openami.meter.settings import grid_of

    return None if text is None else grid_of(text)


def measured(spec: SourceSpec, name: str | None, config: MeterConfig) -> SourceSpec:
    """Return a meter's source as its own converter, with a front end of ``FRONT_ENDS``, sees it.

    Without a name the meter has no converter, and the source is what it was.
    """
    if name is None:
        return spec
    import numpy as np

    from openami.metrology.measured import MeasuredSource

    chance, phases = np.random.default_rng(), config.identity.phases
    front = front_end(name, config.grid)
    return replace(spec, source=MeasuredSource(spec.source, front, chance, phases=phases))


def front_end(name: str, grid: Grid) -> FrontEnd:
    """Return a front end at a grid's voltage and frequency."""
    from openami.metrology.adc import frontend

    voltage, hertz = grid.nominal / 1000, round(grid.frequency / 100)
    return replace(frontend.FRONT_ENDS[name], voltage=voltage, frequency=hertz)
