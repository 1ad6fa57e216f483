"""The physics of three appliances: heat, water and charge, in steps of seconds.

Everything is deterministic: weather and habits are functions of the time and of a seed. Energies
are in joules, and add up: what a store holds changes by what went in and what came out.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, field
from typing import ClassVar, Final, Protocol

from openami.ihd.appliance_rules import Can, Kind, Mode
from openami.ihd.appliances import Registration

DAY_S: Final = 86_400
HOUR_S: Final = 3600.0
STEP_S: Final = 10.0
"""The longest step: a thermostat's reaction, and a shower in parts."""

WATER: Final = 4186.0
"""Joules that a litre of water takes for a kelvin."""


@dataclass(frozen=True, slots=True)
class Command:
    """How an appliance shall run: what an order of the display comes to for it."""

    mode: Mode = Mode.NORMAL
    limit_w: float | None = None
    prepare: bool = False


class Appliance(Protocol):
    """What a simulated appliance has in common with the others."""

    kind: ClassVar[Kind]
    rated_w: ClassVar[int]
    least_w: ClassVar[int]
    can: ClassVar[frozenset[Can]]

    def step(self, local: float, seconds: float, command: Command) -> float:
        """Let ``seconds`` pass from the local time on; return the joules that it took."""
        ...

    def words(self) -> str:
        """Return what it says of itself."""
        ...


def _chance(seed: int, what: str, local: float) -> random.Random:
    """Return the chance of one day."""
    return random.Random(f"{seed} {what} {int(local // DAY_S)}")  # noqa: S311 - a simulation


def _allowed(wanted: float, least: float, command: Command) -> float:
    """Return the power that an appliance draws which would like ``wanted``."""
    if command.mode is Mode.OFF:
        return 0.0
    power = wanted if command.limit_w is None else min(wanted, command.limit_w)
    return power if power >= least else 0.0


@dataclass(slots=True)
class AirConditioner:
    """Cools a room: a thermostat at 26 °C; set back, at 28 °C.

    Attributes:
        temperature: of the room, °C.
        gained_j: heat that came in: through walls and windows, and from people and things.
        removed_j: heat that was pumped out.
        used_j: electricity.
    """

    kind: ClassVar = Kind.AIR_CONDITIONER
    rated_w: ClassVar = 1800
    least_w: ClassVar = 400
    can: ClassVar = frozenset({Can.OFF, Can.REDUCE})

    CAPACITY: ClassVar[float] = 3.0e6  # J/K: air, furniture and the inside of walls
    LOSS: ClassVar[float] = 160.0  # W/K to the outside
    GAINS: ClassVar[float] = 450.0  # W of people, a fridge, the sun
    COP: ClassVar[float] = 3.2
    TARGET: ClassVar[float] = 26.0
    BAND: ClassVar[float] = 0.5
    SETBACK: ClassVar[float] = 2.0

    seed: int = 0
    temperature: float = 26.0
    gained_j: float = 0.0
    removed_j: float = 0.0
    used_j: float = 0.0
    _on: bool = False

    def outside(self, local: float) -> float:
        """Return the temperature outside: a summer day's, highest at three in the afternoon."""
        mean = 29.0 + _chance(self.seed, "weather", local).uniform(-1.5, 1.5)
        return mean + 4.0 * math.cos(2 * math.pi * (local / DAY_S - 15 / 24))

    def step(self, local: float, seconds: float, command: Command) -> float:
        """See ``Appliance``."""
        target = self.TARGET + (self.SETBACK if command.mode is Mode.REDUCE else 0.0)
        if self.temperature > target + self.BAND:
            self._on = True
        elif self.temperature < target - self.BAND:
            self._on = False
        power = _allowed(float(self.rated_w), self.least_w, command) if self._on else 0.0
        gained = (self.LOSS * (self.outside(local) - self.temperature) + self.GAINS) * seconds
        removed = self.COP * power * seconds
        self.temperature += (gained - removed) / self.CAPACITY
        self.gained_j += gained
        self.removed_j += removed
        self.used_j += power * seconds
        return power * seconds

    def words(self) -> str:
        """See ``Appliance``."""
        return f"room {self.temperature:.1f} °C, {'cooling' if self._on else 'idle'}"


_DRAWS: Final = ((6.8, 45.0), (7.6, 30.0), (12.5, 10.0), (18.7, 20.0), (22.0, 55.0))
"""Hours of a day at which hot water is drawn, and litres as they leave the tank."""


@dataclass(slots=True)
class WaterHeater:
    """Keeps 150 litres at 60 °C; reduced, it only keeps 45 °C; told to prepare, it goes to 72 °C.

    Attributes:
        temperature: of the tank, °C.
        lost_j: heat that went through its jacket.
        drawn_j: heat that left with the water.
        used_j: electricity, all of which becomes heat.
        litres: drawn so far.
    """

    kind: ClassVar = Kind.WATER_HEATER
    rated_w: ClassVar = 2000
    least_w: ClassVar = 500
    can: ClassVar = frozenset(Can)

    LITRES: ClassVar[float] = 150.0
    COLD: ClassVar[float] = 15.0
    ROOM: ClassVar[float] = 22.0
    LOSS: ClassVar[float] = 1.8  # W/K through the jacket
    TARGET: ClassVar[float] = 60.0
    REDUCED: ClassVar[float] = 45.0
    PREPARED: ClassVar[float] = 72.0
    BAND: ClassVar[float] = 2.0
    FLOW: ClassVar[float] = 0.12  # litres a second: a shower

    seed: int = 0
    temperature: float = 60.0
    lost_j: float = 0.0
    drawn_j: float = 0.0
    used_j: float = 0.0
    litres: float = 0.0
    _on: bool = False

    @property
    def capacity(self) -> float:
        """Joules that heat the tank by a kelvin."""
        return self.LITRES * WATER

    def drawing(self, local: float) -> bool:
        """Whether hot water flows at a moment."""
        chance, hour = _chance(self.seed, "water", local), local % DAY_S / HOUR_S
        for at, litres in _DRAWS:
            begins = at + chance.uniform(-0.4, 0.4)
            lasts = litres * chance.uniform(0.7, 1.2) / self.FLOW / HOUR_S
            if begins <= hour < begins + lasts:
                return True
        return False

    def step(self, local: float, seconds: float, command: Command) -> float:
        """See ``Appliance``."""
        target = self._target(command)
        if self.temperature < target - self.BAND:
            self._on = True
        elif self.temperature >= target:
            self._on = False
        power = _allowed(float(self.rated_w), self.least_w, command) if self._on else 0.0
        lost = self.LOSS * (self.temperature - self.ROOM) * seconds
        drawn = 0.0
        if self.drawing(local):
            litres = self.FLOW * seconds
            drawn = litres * WATER * (self.temperature - self.COLD)
            self.litres += litres
        self.temperature += (power * seconds - lost - drawn) / self.capacity
        self.lost_j += lost
        self.drawn_j += drawn
        self.used_j += power * seconds
        return power * seconds

    def _target(self, command: Command) -> float:
        if command.prepare:
            return self.PREPARED
        return self.REDUCED if command.mode is Mode.REDUCE else self.TARGET

    def words(self) -> str:
        """See ``Appliance``."""
        return f"tank {self.temperature:.0f} °C, {'heating' if self._on else 'idle'}"


@dataclass(slots=True)
class Charger:
    """Charges a car that comes home in the evening, has driven, and leaves in the morning.

    Attributes:
        charge_j: what the battery holds.
        used_j: electricity out of the wall.
        stored_j: what of it went into the battery.
        driven_j: what was driven.
    """

    kind: ClassVar = Kind.CHARGER
    rated_w: ClassVar = 7000
    least_w: ClassVar = 1400  # IEC 61851-1: 6 A at least
    can: ClassVar = frozenset(Can)

    CAPACITY: ClassVar[float] = 58e3 * HOUR_S
    FULL: ClassVar[float] = 0.9
    EFFICIENCY: ClassVar[float] = 0.92
    COMES: ClassVar[float] = 18.5
    LEAVES: ClassVar[float] = 7.5
    JITTER: ClassVar[float] = 0.5

    seed: int = 0
    charge_j: float = 0.65 * 58e3 * HOUR_S
    used_j: float = 0.0
    stored_j: float = 0.0
    driven_j: float = 0.0
    _home: bool = True
    _power: float = field(default=0.0)

    @property
    def share(self) -> float:
        """How full the battery is, 0 to 1."""
        return self.charge_j / self.CAPACITY

    def at_home(self, local: float) -> bool:
        """Whether the car is plugged in at a moment."""
        chance, hour = _chance(self.seed, "car", local), local % DAY_S / HOUR_S
        leaves = self.LEAVES + chance.uniform(-self.JITTER, self.JITTER)
        comes = self.COMES + chance.uniform(-self.JITTER, self.JITTER)
        return not leaves <= hour < comes

    def step(self, local: float, seconds: float, command: Command) -> float:
        """See ``Appliance``."""
        home = self.at_home(local)
        if home and not self._home:
            self._drive(local)
        self._home = home
        room = self.FULL * self.CAPACITY - self.charge_j
        wanted = float(self.rated_w) if home and room > 0 else 0.0
        self._power = _allowed(wanted, self.least_w, command)
        stored = min(self._power * seconds * self.EFFICIENCY, max(room, 0.0))
        used = stored / self.EFFICIENCY
        self.charge_j += stored
        self.stored_j += stored
        self.used_j += used
        return used

    def _drive(self, local: float) -> None:
        """Take what was driven since the morning: 6 to 14 kWh, and a tenth stays in the battery."""
        wanted = _chance(self.seed, "way", local).uniform(6e3, 14e3) * HOUR_S
        driven = min(wanted, max(self.charge_j - 0.1 * self.CAPACITY, 0.0))
        self.charge_j -= driven
        self.driven_j += driven

    def words(self) -> str:
        """See ``Appliance``."""
        if not self._home:
            return "car away"
        doing = "charging" if self._power else "waiting" if self.share < self.FULL else "full"
        return f"battery {self.share:.0%}, {doing}"


MODELS: Final = {model.kind: model for model in (AirConditioner, WaterHeater, Charger)}


def registration(model: type[Appliance], name: str) -> Registration:
    """Return what a model says of itself when it registers."""
    return Registration(name, model.kind, model.rated_w, model.least_w, model.can)
