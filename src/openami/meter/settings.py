"""How a meter is set up: its identity, its place, and how it measures."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from openami.core.errors import ConfigError
from openami.metrology.config import EngineConfig, Grid
from openami.metrology.tariff import TIME_OF_USE, Tariff
from openami.metrology.zone import ZONES, Zone

if TYPE_CHECKING:
    from openami.meter.identity import MeterIdentity

PERSIST_S: Final = 10
RESTART_S: Final = 5.0
CHECK_S: Final = 1.0  # as a meter's controller takes to hash and verify 256 KiB
DEFAULT_ZONE: Final = "Asia/Seoul"

HERTZ: Final = (50, 60)
LEAST_V: Final = 100
MOST_V: Final = 240
"""Nominal voltages to neutral of the world's grids; the front ends end at 264 V."""

_GRID: Final = re.compile(r"(\d{3})/(\d\d)")
_OFFSET: Final = re.compile(r"UTC([+-])(\d\d):(\d\d)")


@dataclass(frozen=True, slots=True)
class MeterConfig:
    """One meter's settings.

    Args:
        identity: who it is.
        zone: local time at birth; a client can set another.
        period: seconds between captures of the load profile.
        persist_s: seconds of the meter's time after which the registers are kept at the latest:
            what a power cut can make it forget.
        public_reads: whether the public client reads everything that the reader does.
        plain_management: whether the management client may also talk in the clear once it has
            authenticated itself: for laboratories only.
        drift_ppm: how much the clock gains, in millionths.
        offset_s: how wrong the clock is at birth, in seconds.
        tariff: which rate energy is counted under.
        started: when it begins to measure, UTC seconds, if it is new; now if not given.
        restart_s: real seconds, whatever the clock, that management is away when it restarts.
        check_s: real seconds that the check of a new firmware takes.
        limit_w: import above which the supply is cut off after a minute, 0 for no limit.
    """

    identity: MeterIdentity
    zone: Zone = field(default_factory=lambda: ZONES[DEFAULT_ZONE])
    period: int = 900
    persist_s: float = PERSIST_S
    public_reads: bool = False
    plain_management: bool = False
    drift_ppm: float = 0.0
    offset_s: float = 0.0
    tariff: Tariff = TIME_OF_USE
    started: float | None = None
    restart_s: float = RESTART_S
    check_s: float = CHECK_S
    limit_w: int = 0

    @property
    def grid(self) -> Grid:
        """The voltage and the frequency that it is made for."""
        return self.identity.grid

    def engine(self) -> EngineConfig:
        """Return how the engine measures.

        Raises:
            ConfigError: it cannot measure like that.
        """
        try:
            return EngineConfig(
                zone=self.zone,
                period=self.period,
                phases=self.identity.phases,
                drift_ppb=round(self.drift_ppm * 1000),
                offset=self.offset_s,
                grid=self.grid,
                tariff=self.tariff,
            )
        except ValueError as error:
            raise ConfigError(str(error)) from error


def zone_of(name: str) -> Zone:
    """Return the zone called ``name``, or ``UTC+HH:MM`` for one without daylight saving.

    Raises:
        ConfigError: there is none.
    """
    if name in ZONES:
        return ZONES[name]
    match = _OFFSET.fullmatch(name)
    minutes = int(match[2]) * 60 + int(match[3]) if match else -1
    try:
        return Zone(-minutes if match and match[1] == "-" else minutes)
    except ValueError:
        hint = f"one of {', '.join(sorted(ZONES))}, or such as UTC+09:00"
        raise ConfigError(f"no time zone {name!r}", hint=hint) from None


def grid_of(text: str) -> Grid:
    """Return the grid of ``VOLTS/HERTZ``, such as ``220/60``.

    Raises:
        ConfigError: it is none.
    """
    match = _GRID.fullmatch(text)
    volts, hertz = (int(match[1]), int(match[2])) if match else (0, 0)
    if not LEAST_V <= volts <= MOST_V or hertz not in HERTZ:
        hint = f"such as 220/60: {LEAST_V} to {MOST_V} V, 50 or 60 Hz"
        raise ConfigError(f"{text!r} is not a grid", hint=hint, code="config.grid")
    return Grid(volts * 1000, hertz * 100)


def check_grid(made_for: Grid, wanted: Grid | None) -> None:
    """Let something that is made for a grid run on none but that.

    Raises:
        ConfigError: another one is wanted.
    """
    if wanted not in {None, made_for}:
        raise ConfigError(
            f"it was made for {made_for}, not for {wanted}",
            hint=f"leave --grid {wanted} out, or take another --state",
            code="config.grid",
        )
