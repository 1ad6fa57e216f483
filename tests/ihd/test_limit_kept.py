"""A home with a limit: appliances share it so that the meter's limiter need not act."""

from dataclasses import dataclass

from tests.support.ihd_appliances import AT, Home

from openami.ihd.appliance_rules import Kind, Mode
from openami.ihd.appliances import Situation
from openami.ihd.simulated.physics import MODELS, Command, registration
from openami.ihd.simulated.run import Home as SimulatedHome
from openami.ihd.simulated.run import HomeSettings
from openami.metrology.sources import Sample, SeriesSource

LIMIT_W = 6000
OVER_S = 60  # min_over_threshold_duration of our meter's limiter
KINDS = (Kind.AIR_CONDITIONER, Kind.WATER_HEATER, Kind.CHARGER)


@dataclass
class Near:
    """An agent without a network: an order is obeyed the second after it was given."""

    home: Home
    name: str
    command: Command

    def says(self, power_w: float, words: str) -> None:
        self.home.appliances.report(self.name, power_w, words)

    def hear(self) -> None:
        mode, limit = self.home.mode(self.name)
        self.command = Command(Mode(mode), limit)


def kitchen() -> SeriesSource:
    """Return what is not controlled: 400 W, and every 20 minutes a kettle for three."""
    quiet, kettle = Sample(400_000), Sample(2_600_000)
    return SeriesSource([quiet] * 10 + [kettle] * 3 + [quiet] * 7, 60)


def test_two_hours_of_an_evening_stay_below_the_limit() -> None:
    home = Home()
    settings = HomeSettings(KINDS, home.clock, offset=9 * 3600, base=kitchen())
    home.clock.set(AT + 2 * 3600)  # nine in the evening in Seoul
    simulated = SimulatedHome(settings)
    near = []
    for device in simulated.devices:
        name = home.add(registration(MODELS[device.model.kind], device.name))
        agent = Near(home, name, Command())
        near.append(agent)
        device.agent = agent  # type: ignore[assignment] # in place of one behind a network
    drawn: list[float] = []
    for _ in range(2 * 3600):
        home.clock.advance(1)
        home.at += 1
        drawn.append(simulated.advance()[0])
        measured = drawn[-2] if len(drawn) > 1 else None  # a second late
        home.appliances.update(Situation(home.clock.now(), import_w=measured, limit_w=LIMIT_W))
        for agent in near:
            agent.hear()
    settled = drawn[120:]
    over = longest = 0
    for power in settled:
        over = over + 1 if power > LIMIT_W else 0
        longest = max(longest, over)
    assert longest < OVER_S / 4
    assert sum(settled) / len(settled) > LIMIT_W / 2  # and what there is is used
