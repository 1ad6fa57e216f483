"""Calibration: constants that turn codes into volts and amperes, as a meter's memory has them.

A meter is calibrated on a bench in two steps: nominal voltage without a current gives the noise of
the current's channel; a known sine of both, at a known angle, gives all the rest. There is no
offset: what is constant is taken out of every pass.
"""

from __future__ import annotations

import struct
from dataclasses import astuple, dataclass
from typing import TYPE_CHECKING, Final, Self

import numpy as np

from openami.core.errors import DecodeError
from openami.metrology.adc.sums import add_up
from openami.wire.crc import crc16_x25

if TYPE_CHECKING:
    from collections.abc import Sequence

    from openami.metrology.adc.frontend import Codes
    from openami.metrology.adc.sums import Plan, Sums
    from openami.metrology.adc.waves import Floats

_LAYOUT: Final = struct.Struct(">BIIiII")
_VERSION: Final = 1
_NOISE: Final = 1 << 16
NANO: Final = 1_000_000_000

_BOUNDS: Final = ((1, 0xFFFFFFFF), (1, 0xFFFFFFFF), (-0x80000000, 0x7FFFFFFF)) + 2 * (
    (0, 0xFFFFFFFF),
)


@dataclass(frozen=True, slots=True)
class Calibration:
    """The constants of one phase.

    Args:
        volt: nanovolts of a code.
        amp: nanoamperes of a code.
        delay: nanoseconds that the current lags the voltage in the front end.
        volt_noise: of the voltage's channel, mean square in 65536ths of a code.
        amp_noise: of the current's.
    """

    volt: int
    amp: int
    delay: int = 0
    volt_noise: int = 0
    amp_noise: int = 0

    def __post_init__(self) -> None:
        for value, (least, most) in zip(astuple(self), _BOUNDS, strict=True):
            if not least <= value <= most:
                raise ValueError("a constant of the calibration does not fit its four octets")

    def encode(self) -> bytes:
        """Return the octets of the non-volatile memory: version, constants, check."""
        body = _LAYOUT.pack(_VERSION, *astuple(self))
        return body + crc16_x25(body).to_bytes(2, "big")

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Return the constants of a memory.

        Raises:
            DecodeError: it is damaged, or of another version.
        """
        body, check = data[:-2], data[-2:]
        if len(data) != SIZE or crc16_x25(body) != int.from_bytes(check, "big"):
            raise DecodeError("a calibration is damaged", code="metrology.calibration")
        version, *constants = _LAYOUT.unpack(body)
        try:
            found = cls(*constants)
        except ValueError as error:
            raise DecodeError(str(error), code="metrology.calibration") from error
        if version != _VERSION:
            raise DecodeError("a calibration of another version", code="metrology.calibration")
        return found


SIZE: Final = _LAYOUT.size + 2
"""Octets of an encoded calibration."""


@dataclass(frozen=True, slots=True, eq=False)
class Constants:
    """The calibrations of many meters as arrays (meters, phases), in SI units and codes."""

    volt: Floats
    amp: Floats
    delay: Floats
    volt_noise: Floats
    amp_noise: Floats

    @classmethod
    def of(cls, meters: Sequence[Sequence[Calibration]]) -> Self:
        """Return those of meters, each with one calibration of every phase."""
        table = np.array([[astuple(phase) for phase in meter] for meter in meters], float)
        return cls(*np.moveaxis(table / (NANO, NANO, NANO, _NOISE, _NOISE), -1, 0))


def calibrate(
    plan: Plan, no_load: Codes, reference: Codes, *, volts: float, amps: float, angle: float = 0.0
) -> tuple[tuple[Calibration, ...], ...]:
    """Return each meter's calibrations, phase by phase.

    Args:
        plan: how samples are cut.
        no_load: samples (2, meters, phases, count) at a voltage, without a current.
        reference: samples of sines at the nominal frequency.
        volts: r.m.s. value of the reference.
        amps: its current.
        angle: radians that its current lags.

    Raises:
        ValueError: there is no voltage or no current on a phase, or one that makes no sense.
    """
    quiet, known = add_up(no_load, plan), add_up(reference, plan)
    amplitude = np.sqrt((np.abs(known.phasors) ** 2).mean(-1))
    if not amplitude.all():
        raise ValueError("a phase has no reference")
    cross = (known.phasors[0] * known.phasors[1].conj()).mean(-1)
    lag = np.angle(cross * np.exp(-1j * angle)) / (2 * np.pi * plan.frequency)
    noise = _spread(known)[0] - amplitude[0] ** 2, _spread(quiet)[1]
    columns = (
        volts / amplitude[0] * NANO,
        amps / amplitude[1] * NANO,
        lag * NANO,
        *(each.clip(0, _NOISE - 1) * _NOISE for each in noise),
    )
    table = np.rint(np.stack(columns, axis=-1)).astype(np.int64).tolist()
    return tuple(tuple(Calibration(*phase) for phase in meter) for meter in table)


def _spread(sums: Sums) -> Floats:
    """Return the mean squares of volts and amperes without their offsets."""
    return np.asarray(sums.means[2:4] - sums.means[:2] ** 2)
