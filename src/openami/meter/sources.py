"""What a meter measures, as a text: ``--source household:H03*1.2@3600``.

============================  =======================================================
``constant:500``, ``500,120``  500 W, and 120 var
``household:H03``              one of eight homes, half-hourly, a year
``solar``                      a home with a roof of solar cells, half-hourly, a year
``minute``                     a home, every minute, two days
``file:PATH``                  a CSV file (see ``openami.meter.recordings``)
``electronics:150``            150 W in pulses at the crests, as screens and chargers draw them
``motor:400``                  400 W at a power factor of 0.75
``load:heater:1200+motor``     loads that switch by a timetable, each with its watts if given
``script:PATH``                a Python file that prints ``W [var]`` lines as it runs
``command:LINE``               any program that does so
============================  =======================================================

A ``*FACTOR`` after it scales the power, an ``@SECONDS`` plays it ahead of time. Before a program,
``A then command:LINE`` plays A until its first line comes: what a meter that began in the past has
measured since.

Loads, in local time, with the harmonics of such appliances:

===============  ======  ==================================================================
``heater``       1200 W  the paper's two steps: off, half of it, all of it; a minute each
``motor``         400 W  a compressor: ten minutes of each half hour, with its starting current
``electronics``   150 W  all the time
``solar``        3000 W  feeds in, from 6 to 19 o'clock
``vehicle``      7000 W  charges from 22 to 2 o'clock
===============  ======  ==================================================================
"""

from __future__ import annotations

import math
import re
import shlex
import sys
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Final

from openami.core.errors import ConfigError
from openami.meter.plugged import LOADS, Plugged, PluggedSource
from openami.meter.recordings import from_file, recording
from openami.metrology.adc.loads import MOTOR, PULSE_LEAD, PULSES
from openami.metrology.sources import (
    ConstantSource,
    LiveSource,
    Sample,
    ScaledSource,
    ShiftedSource,
    Source,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_FORM: Final = re.compile(
    r"(?P<what>.+?)(?:\*(?P<factor>\d+(?:\.\d+)?|\d+/[1-9]\d*))?(?:@(?P<shift>-?\d+))?"
)
# A program's own line may say `then`, as a shell's does.
_THEN: Final = re.compile(
    r"(?!(?:command|script):)(?P<before>.+?) then (?P<program>(?:command|script):.+)"
)
_HINT: Final = "such as constant:500, household:H01, load:heater, solar, minute, file:PATH"

# A script's line: two numbers as programs print them. An exponent of more digits would be computed
# for hours before it is refused.
_NUMBER: Final = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,2})?")
_SAMPLE: Final = 80

LOAD_W: Final = 100_000
"""The largest load: more than a meter of 100 A takes on three phases."""

POWER_LIMIT: Final = 1_000_000_000_000
"""Milliwatts that a sample may have, a gigawatt: no meter's register rolls over in an interval."""


@dataclass(frozen=True, slots=True)
class SourceSpec:
    """A source, and the program that feeds it if there is one.

    Args:
        source: what the engine asks.
        live: what the program's lines are pushed into.
        command: the program and its arguments.
    """

    source: Source
    live: LiveSource | None = None
    command: tuple[str, ...] = ()


def parse_source(text: str, *, offset: int = 0) -> SourceSpec:
    """Return the source that ``text`` names, in a place ``offset`` seconds ahead of UTC.

    Raises:
        ConfigError: it names none.
    """
    if both := _THEN.fullmatch(text.strip()):
        live = LiveSource(before=parse_source(both["before"], offset=offset).source)
        return SourceSpec(live, live, parse_source(both["program"], offset=offset).command)
    match = _FORM.fullmatch(text.strip())
    if match is None:
        raise ConfigError(f"{text!r} is not a source", hint=_HINT)
    kind, _, rest = match["what"].partition(":")
    make = _KINDS.get(kind)
    spec = _constant(kind) if make is None else make(rest, offset)
    source = spec.source
    if match["factor"]:
        source = ScaledSource(source, Fraction(match["factor"]))
    if match["shift"]:
        source = ShiftedSource(source, int(match["shift"]))
    return SourceSpec(source, spec.live, spec.command)


def parse_sample(text: str) -> Sample:
    """Return the sample of ``W`` or ``W var`` (or with a comma between them).

    Raises:
        ConfigError: it is not one or two numbers, or too large.
    """
    parts = text[:_SAMPLE].replace(",", " ").split()
    good = len(text) <= _SAMPLE and all(map(_NUMBER.fullmatch, parts))
    numbers = [round(Fraction(part) * 1000) for part in parts] if good else []
    if not 1 <= len(numbers) <= 2 or any(abs(number) > POWER_LIMIT for number in numbers):
        raise ConfigError(f"{text[:40]!r} is not a power in W, or in W and var")
    return Sample(*numbers)


def _constant(text: str, _: int = 0) -> SourceSpec:
    try:
        return SourceSpec(ConstantSource(parse_sample(text)))
    except ConfigError as error:
        raise ConfigError(f"{text!r} is not a source", hint=_HINT) from error


def _shaped(tangent: float, shape: tuple[float, ...]) -> Callable[[str, int], SourceSpec]:
    """Return what makes a load of so many watts, whose reactive power is ``tangent`` times that."""

    def make(text: str, offset: int) -> SourceSpec:
        power = _constant(text, offset).source.at(0).sample.active
        return SourceSpec(ConstantSource(Sample(power, round(power * tangent), shape=shape)))

    return make


def _loads(text: str, offset: int) -> SourceSpec:
    return SourceSpec(PluggedSource(tuple(map(_plugged, text.split("+"))), offset))


def _plugged(text: str) -> Plugged:
    name, colon, watts = text.strip().partition(":")
    if name not in LOADS:
        raise ConfigError(f"no load {name!r}", hint=f"choose from {', '.join(LOADS)}")
    usual, make = LOADS[name]
    size = float(watts) if _NUMBER.fullmatch(watts) else 0.0
    if colon and not 0 < size <= LOAD_W:
        raise ConfigError(f"{watts!r} is not the power of a load in W", hint=f"at most {LOAD_W} W")
    return make(size if colon else usual)


def _file(text: str, offset: int) -> SourceSpec:
    return SourceSpec(from_file(Path(text)).source(offset))


def _live(*command: str) -> SourceSpec:
    live = LiveSource()
    return SourceSpec(live, live, command)


def _script(text: str, _: int) -> SourceSpec:
    if not Path(text).is_file():
        raise ConfigError(f"there is no script {text}")
    return _live(sys.executable, "-u", text)


def _command(text: str, _: int) -> SourceSpec:
    try:
        parts = shlex.split(text)
    except ValueError as error:
        raise ConfigError(f"{text!r} is not a command line: {error}") from error
    if not parts:
        raise ConfigError("a command has no name")
    return _live(*parts)


_KINDS: Final[Mapping[str, Callable[[str, int], SourceSpec]]] = {
    "constant": _constant,
    "electronics": _shaped(-math.tan(PULSE_LEAD), PULSES),
    "load": _loads,
    "motor": _shaped(math.tan(math.acos(0.75)), MOTOR),
    "household": lambda text, offset: SourceSpec(recording("household", text).source(offset)),
    "solar": lambda _, offset: SourceSpec(recording("solar").source(offset)),
    "minute": lambda _, offset: SourceSpec(recording("minute").source(offset)),
    "file": _file,
    "script": _script,
    "command": _command,
}
