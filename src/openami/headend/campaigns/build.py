"""The services of campaigns, wired to their stores."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from openami.headend.campaigns.counting import Counting, Rates
from openami.headend.campaigns.distrust import Distrust
from openami.headend.campaigns.errands import Errands
from openami.headend.campaigns.facade import Campaigns
from openami.headend.campaigns.fleet import Fleet
from openami.headend.campaigns.rounds import Rounds
from openami.headend.campaigns.uplink import Uplink
from openami.headend.security.authorities import DAY

if TYPE_CHECKING:
    from openami.fleet.devices import ReadSchedule
    from openami.headend.security.alarms import Alarms
    from openami.headend.services import Context, Stores


@dataclass(frozen=True, slots=True)
class Upgrades:
    """Campaigns at work: what operators, DCUs and time have to do with them."""

    campaigns: Campaigns
    fleet: Fleet
    uplink: Uplink
    rounds: Rounds
    errands: Errands


def build_upgrades(
    context: Context, stores: Stores, *, alarms: Alarms, schedule: ReadSchedule
) -> Upgrades:
    """Return the services over their stores; nothing is read yet."""
    settings, wall = context.settings, context.wall
    rates = Rates(settings.link_rate, settings.line_rate)
    fleet = Fleet(stores.campaigns, stores.releases, wall=wall)
    counting = Counting(
        stores.campaigns, clock=context.clock, rates=rates,
        lost_s=schedule.period * schedule.lost_periods,
    )  # fmt: skip
    distrust = Distrust(alarms)
    errands = Errands(fleet, stores.tasks, stores.trees, distrust, wall=wall)
    return Upgrades(
        Campaigns(fleet, stores.releases, stores.devices, counting, wall=wall),
        fleet,
        Uplink(fleet, distrust, metrics=context.metrics, wall=wall),
        Rounds(
            fleet,
            errands,
            bus=context.bus,
            alarms=alarms,
            rates=rates,
            wall=wall,
            keep_s=settings.keep_campaigns_days * DAY,
        ),
        errands,
    )
