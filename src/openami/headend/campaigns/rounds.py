"""What campaigns do by themselves: give orders, move groups, take in devices that come."""

from __future__ import annotations

import asyncio
import math
from collections import defaultdict
from functools import partial
from typing import TYPE_CHECKING, Final

import structlog

from openami.fleet.campaigns.groups import ERRORS_REACHED, OUT_OF_REACH
from openami.fleet.campaigns.machine import CampaignState
from openami.fleet.campaigns.model import DeviceState
from openami.fleet.campaigns.plan import NOWHERE
from openami.fleet.campaigns.records import PlannedSite
from openami.fleet.campaigns.selection import shifts
from openami.fleet.campaigns.why import Situation, explain
from openami.fleet.devices import DeviceKind
from openami.fleet.ports import DeviceFilter
from openami.headend.bus import LiveEvent, Topic
from openami.headend.campaigns.counting import place_of, verdict

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from openami.core.clock import Clock
    from openami.fleet.campaigns.engine import Order
    from openami.fleet.campaigns.machine import Run
    from openami.fleet.devices import Device
    from openami.headend.bus import Bus
    from openami.headend.campaigns.counting import Rates
    from openami.headend.campaigns.errands import Errands
    from openami.headend.campaigns.fleet import Fleet
    from openami.headend.campaigns.work import AtWork
    from openami.headend.security.alarms import Alarms

log = structlog.get_logger(__name__)

ALARM: Final = "campaign.halted"
BY_ITSELF: Final = frozenset({ERRORS_REACHED, OUT_OF_REACH})
"""Causes of a pause that no operator has asked for."""
CHECK_S: Final = 60.0
"""How often is looked whether a release was withdrawn that nobody could be told of."""
SLICE: Final = 20
"""DCUs that are forgotten in one transaction, with some thousand devices and their marks."""
MOST: Final = 256
"""Orders of a campaign in one round, which is one transaction; there is a round a second."""


class Rounds:
    """Carries campaigns on."""

    def __init__(
        self,
        fleet: Fleet,
        errands: Errands,
        *,
        bus: Bus,
        alarms: Alarms,
        rates: Rates,
        wall: Clock,
        keep_s: float,
    ) -> None:
        self._fleet, self._errands = fleet, errands
        self._bus, self._alarms, self._rates, self._wall = bus, alarms, rates, wall
        self._keep_s = keep_s
        self._checked = -math.inf
        self._halted: dict[str, bool] = {}  # campaigns at work, as was last told by an alarm

    async def round(self) -> None:
        """Give orders, move groups, and tell of what has changed."""
        await asyncio.to_thread(self.go)

    async def forget(self) -> int:
        """Forget some of the devices of campaigns that were over long ago."""
        before = self._wall.now() - self._keep_s
        return await asyncio.to_thread(self._fleet.store.purge, before=before, limit=SLICE)

    def go(self) -> None:
        """Do the same, in this thread."""
        now = self._wall.now()
        if now >= self._checked + CHECK_S:
            self._fleet.check_releases()
            self._checked = now
        with self._fleet.moment() as live:
            for one in live.values():
                self._name(one, one.work(now, most=MOST))
        self._errands.go(now)
        for id_ in sorted(self._fleet.changed()):
            self._bus.publish(LiveEvent(Topic.CAMPAIGN, id_, now))
        self._call()

    def _call(self) -> None:
        """Call operators to campaigns that have paused by themselves, for as long as they do."""
        live = {id_: one.engine.run for id_, one in list(self._fleet.live.items())}
        for id_ in [*live, *(self._halted.keys() - live)]:
            run = live.get(id_)
            halted = run is not None and _halted(run)
            if self._halted.get(id_) == halted:
                continue
            if run is not None and halted:
                why = explain(run.cause or "", Situation(run.state, run.since))
                message = f"{run.campaign.name} has paused: {why.cause}; {why.step}"
                self._alarms.about(f"campaign:{id_}", ALARM, message)
            else:
                self._alarms.settle(f"campaign:{id_}", ALARM, why="it is at work, or over")
            self._halted[id_] = halted
        for id_ in self._halted.keys() - live:
            del self._halted[id_]

    def _name(self, one: AtWork, orders: Iterable[Order]) -> None:
        """Name the devices of DCUs that get their first order."""
        rows = {one.planned[order.row].dcu: order.row for order in orders}
        fresh = {dcu: row for dcu, row in rows.items() if row not in one.named}
        if not fresh:
            return
        campaign = one.engine.run.campaign
        found: defaultdict[str, list[str]] = defaultdict(list)
        if campaign.kind is DeviceKind.DCU:
            found.update({dcu: [dcu] for dcu in fresh})
        else:
            for device in self._fleet.store.members(campaign.which, list(fresh)):
                if verdict(one.manifest, device.model, "", device.firmware) is None:
                    found[device.dcu or ""].append(device.serial)
        for dcu, row in fresh.items():
            self._fleet.name(one, row, sorted(found[dcu]), recount=True)

    # Devices that come and go

    def seen(self, dcu: str, devices: Sequence[Device]) -> None:
        """Take in devices that have come to fit, as their DCU reports them."""
        if not any(_open(one) for one in list(self._fleet.live.values())):
            return
        with self._fleet.moment() as live:
            for one in [one for one in live.values() if _open(one)]:
                kind = one.engine.run.campaign.kind
                self._take_in(one, dcu, [each for each in devices if each.kind is kind])

    def moved(self, device: Device, before: str | None) -> None:
        """Let a device go that has left a DCU, or is retired; who takes it in does so.

        Args:
            device: as it is now.
            before: its DCU until now.
        """
        with self._fleet.moment() as live:
            for one in live.values():
                if one.engine.run.campaign.kind is not device.kind:
                    continue
                row = one.rows.get(before or "")
                if row is not None and row in one.named:
                    self._let_go(one, row, device)
                if _open(one) and device.dcu is not None and device.dcu != before:
                    self._take_in(one, device.dcu, [device])

    def _let_go(self, one: AtWork, row: int, device: Device) -> None:
        names = list(self._fleet.names([(one, row)])[one.key, row])
        counted = one.planned[row].dcu if device.serial in names else None
        which = one.engine.run.campaign.which
        if all(shift.by > 0 for shift in shifts(which, counted, device, fits=lambda _: False)):
            return
        marks = self._fleet.store.marks(one.key, [device.serial]).get(device.serial, ())
        state, code = (marks[-1].state, marks[-1].code) if marks else (DeviceState.WAITING, None)
        names.remove(device.serial)
        self._fleet.name(one, row, names, recount=False)
        one.leave(row, state, code)

    def _take_in(self, one: AtWork, dcu: str, devices: Sequence[Device]) -> None:
        row = one.rows.get(dcu)
        if row is not None and row not in one.named:
            return  # they are counted when they are named
        names = () if row is None else self._fleet.names([(one, row)])[one.key, row]
        there, fits = frozenset(names), partial(_fits, self._fleet, one)
        which = one.engine.run.campaign.which
        come = [
            device.serial
            for device in devices
            if device.serial not in there and shifts(which, None, device, fits=fits)
        ]
        if not come:
            return
        if row is None:
            self._extend(one, dcu, len(come))
        else:
            self._fleet.name(one, row, sorted([*names, *come]), recount=False)
            one.join(row, len(come))

    def _extend(self, one: AtWork, dcu: str, devices: int) -> None:
        known = {facts.serial: facts for facts in self._fleet.store.dcus([dcu])}
        places = place_of(known[dcu].region if dcu in known else "")
        row = len(one.planned)
        one.extend(
            PlannedSite(
                row, dcu, *places, self._rates.link, self._rates.line, devices, NOWHERE, row
            )
        )


def _halted(run: Run) -> bool:
    """Return whether a campaign has paused by itself."""
    return run.state is CampaignState.PAUSED and run.cause in BY_ITSELF


def _open(one: AtWork) -> bool:
    """Return whether a campaign takes in devices that come."""
    run = one.engine.run
    return run.campaign.dynamic and run.state in {CampaignState.RUNNING, CampaignState.PAUSED}


def _fits(fleet: Fleet, one: AtWork, device: Device) -> bool:
    """Return whether a campaign's release is for a device."""
    if device.kind is DeviceKind.METER:
        return verdict(one.manifest, device.model, "", device.firmware) is None
    which = DeviceFilter(kind=DeviceKind.DCU)
    return any(
        verdict(one.manifest, told.model, told.hardware, told.firmware) is None
        for told in fleet.store.census(DeviceKind.DCU, which, dcus=[device.serial])
    )
