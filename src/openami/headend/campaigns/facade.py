"""Campaigns as operators deal with them."""

from __future__ import annotations

import secrets
from dataclasses import replace
from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo

from openami.core.clock import time_zone
from openami.core.errors import ConflictError
from openami.firmware.manifest import ReleaseKind
from openami.firmware.releases import ReleaseState
from openami.fleet.campaigns.dryrun import Load, dry_run
from openami.fleet.campaigns.machine import (
    COMMANDS,
    OVER,
    TRANSITIONS,
    UNNUMBERED,
    Act,
    CampaignState,
    Command,
    Record,
    drafted,
    next_state,
)
from openami.fleet.campaigns.model import STATES
from openami.fleet.campaigns.plan import make_plan
from openami.fleet.campaigns.records import Changes, GroupSum, planned_sites
from openami.fleet.devices import AuditEntry, DeviceKind
from openami.fleet.ports import Page
from openami.headend.campaigns.devices import Devices
from openami.headend.campaigns.fleet import WHO
from openami.headend.campaigns.release import find_release
from openami.headend.campaigns.views import View, view_of
from openami.headend.errors import RequestError
from openami.headend.registry import reason
from openami.headend.tickets import check_ticket

if TYPE_CHECKING:
    from collections.abc import Sequence

    from openami.core.clock import Clock
    from openami.firmware.manifest import Manifest
    from openami.firmware.packages import PackageId
    from openami.firmware.shelf import Shelved
    from openami.fleet.campaigns.dryrun import DryRun
    from openami.fleet.campaigns.machine import Run
    from openami.fleet.campaigns.model import Campaign, DeviceState
    from openami.fleet.campaigns.records import CampaignRecord, PlannedSite
    from openami.fleet.ports import DeviceStore
    from openami.fleet.tasks import Ticket
    from openami.headend.campaigns.counting import Counting
    from openami.headend.campaigns.fleet import Fleet
    from openami.headend.campaigns.views import DeviceView, TimelineView
    from openami.headend.firmware.ports import ReleaseStore

ID_OCTETS: Final = 8
LINE_FACTOR: Final = 2.5
"""Octets on a line to meters for each of the image: framing, status reads, and blocks that go
again; twice the image and a half is what a line with a tenth of its frames lost takes."""
ORDER: Final = 50
"""DCUs whose order a dry run tells, unless more are asked for: a page."""
_KINDS: Final = {
    DeviceKind.METER: ReleaseKind.METER_IMAGE,
    DeviceKind.DCU: ReleaseKind.DCU_FIRMWARE,
}


class Campaigns:
    """What operators do with campaigns, and what they see of them. Calls block.

    A campaign's ``release`` is the text of its ``PackageId``, such as
    ``meter-image/openami/1.2.3``: the release of this name that is offered to devices. What has
    changed is told on the bus, topic ``campaign``, by the campaign's id as the subject.
    """

    def __init__(
        self,
        fleet: Fleet,
        releases: ReleaseStore,
        registry: DeviceStore,
        counting: Counting,
        *,
        wall: Clock,
    ) -> None:
        self._fleet, self._store = fleet, fleet.store
        self._releases, self._counting, self._wall = releases, counting, wall
        self._devices = Devices(fleet, registry, wall=wall)

    def draft(
        self, campaign: Campaign, *, who: str, why: str = "", ticket: Ticket | None = None
    ) -> View:
        """Keep a new campaign as a draft, under an id of ours, whatever id it has.

        Args:
            campaign: what it is.
            who: the operator.
            why: in the operator's words.
            ticket: of the request; one that has been here gives the campaign of before.

        Raises:
            NotFoundError: there is no such release.
            ConflictError: ``campaign.kind``, the release is for other devices; ``campaign.key``,
                the ticket's key was given to another draft.
            RequestError: ``request.zone``, no such time zone; ``request.key``, no key of a ticket.
        """
        check_ticket(ticket)
        shelved = self._checked(campaign)
        now = self._wall.now()
        named = replace(campaign, id=secrets.token_hex(ID_OCTETS))
        entry = AuditEntry(who, now, "campaign.drafted", f"campaign-{named.id}", why)
        record = self._store.add(
            drafted(named, who=who, now=now),
            _no_sums(named),
            release=shelved.number,
            created=now,
            entries=[entry],
            ticket=ticket,
        )
        if record.run.campaign.id == named.id:  # another is that of before
            self._fleet.adopt(record)
        return self._view(record)

    def revise(self, id_: str, campaign: Campaign, *, who: str, number: int, why: str = "") -> View:
        """Replace what a campaign is, before it is started; it is a draft again.

        Args:
            id_: of the campaign.
            campaign: what it becomes; its own id does not matter.
            who: the operator.
            number: ``run.commands + 1`` as the operator saw it.
            why: in the operator's words.

        Raises:
            NotFoundError, ConflictError, RequestError: as ``draft`` and ``command``.
        """
        shelved = self._checked(campaign)
        revised = replace(campaign, id=id_)
        command = Command(Act.REVISE, who, self._wall.now(), number, why, revised)
        with self._fleet.moment() as live:
            record = self._store.get(id_)
            if id_ in live:
                record = live[id_].record
            run, entries = _moved(record.run, command)
            record = replace(record, run=run, release=shelved.number, sums=_no_sums(revised))
            self._store.plan(Changes(record, entries=entries))
            self._fleet.forget(id_)
        return self._view(record)

    def list(
        self, *, state: CampaignState | None = None, after: str | None = None, limit: int = 100
    ) -> Page[View]:
        """Return campaigns, the newest first."""
        found = self._store.list(state=state, after=after, limit=limit)
        return Page(tuple(self._view(one) for one in found.items), found.next)

    def get(self, id_: str) -> View:
        """Return a campaign; NotFoundError."""
        return self._view(self._store.get(id_))

    def dry_run(self, campaign: Campaign, *, after: int = 0, limit: int = ORDER) -> DryRun:
        """Return what a campaign would do if it were started now, by the registry as it is.

        Args:
            campaign: what is tried.
            after: how many DCUs are passed over in ``order``.
            limit: how many it has at most.

        Raises:
            NotFoundError, ConflictError, RequestError: as ``draft``.
        """
        manifest = self._checked(campaign).manifest
        counted = self._counting.count(campaign, manifest)
        plan = make_plan(campaign, counted.sites)
        found = dry_run(
            campaign,
            counted.sites,
            plan,
            _load(campaign, manifest),
            now=self._wall.now(),
            tz=ZoneInfo(campaign.zone),
            fitting=counted.fitting,
        )
        order = planned_sites(counted.sites, plan, counted.serials, counted.names)
        return replace(found, order=order[after : after + limit])

    def command(
        self, id_: str, act: Act, *, who: str, number: int | None = None, why: str = ""
    ) -> View:
        """Plan, approve, start, pause, resume or stop a campaign.

        Args:
            id_: of the campaign.
            act: what to do; not ``REVISE``.
            who: the operator.
            number: ``run.commands + 1`` as the operator saw it; None: to stop needs none.
            why: in the operator's words.

        Raises:
            NotFoundError: there is no such campaign.
            ConflictError: ``campaign.four-eyes``, ``campaign.malformed``; ``campaign.transition``,
                it can not be done in this state; ``campaign.number``, somebody else was first;
                ``campaign.release``, the release is not offered to devices;
                ``campaign.no-devices``, it is for no device.
        """
        command = Command(act, who, self._wall.now(), number or 0, why)
        if act not in COMMANDS:
            raise ConflictError(f"nobody commands {act}", code="campaign.malformed")
        planned = self._drawn(id_, command) if act is Act.PLAN else None
        with self._fleet.moment() as live:
            record = live[id_].record if id_ in live else self._store.get(id_)
            if act is Act.STOP and record.run.state in OVER:
                return self._view(record)  # twice is as once
            if act is Act.START:
                self._check_offered(record)
                command = replace(command, epoch=self._fleet.epoch)
            if id_ in live:
                if not live[id_].command(command):
                    raise _refused(record.run, command)
                record = live[id_].record
            else:
                record = self._at_rest(record, command, planned)
        return self._view(record)

    def emergency(self, *, who: str, why: str) -> int:
        """Stop all campaigns that are approved or at work; each DCU is told with its next poll.

        Returns:
            How many campaigns were stopped. The fleet's epoch rises in any case.

        Raises:
            RequestError: ``request.why``, no reason was given.
        """
        now = self._wall.now()
        words = reason(why)
        entry = AuditEntry(who, now, "fleet.emergency stop", "fleet", words)
        with self._fleet.moment(entry) as live:
            command = Command(Act.EMERGENCY, who, now, 0, words, epoch=self._fleet.epoch + 1)
            return sum(one.command(command) for one in list(live.values()))

    def withdraw(self, package: PackageId) -> None:
        """Stop the campaigns of a release that is offered no more."""
        now = self._wall.now()
        command = Command(Act.WITHDRAW, WHO, now, 0)
        with self._fleet.moment() as live:
            for one in list(live.values()):
                if one.engine.run.campaign.release == str(package):
                    one.command(command)
            for record in self._store.in_states((CampaignState.DRAFT, CampaignState.PLANNED)):
                if record.run.campaign.release == str(package):
                    self._at_rest(record, command)

    def devices(
        self,
        id_: str,
        *,
        state: DeviceState | None = None,
        group: str | None = None,
        dcu: str | None = None,
        after: str | None = None,
        limit: int = 100,
    ) -> Page[DeviceView]:
        """Return devices of a campaign, by DCU and serial number; NotFoundError.

        A page may have fewer than ``limit`` and still a next one.
        """
        return self._devices.list(id_, state=state, group=group, dcu=dcu, after=after, limit=limit)

    def timeline(self, id_: str, serial: str) -> TimelineView:
        """Return what happened to a device in a campaign; NotFoundError."""
        return self._devices.timeline(id_, serial)

    def of_device(self, serial: str) -> Sequence[TimelineView]:
        """Return the same for each campaign that a device is or was in, the newest first."""
        return self._devices.of_device(serial)

    def epoch(self) -> int:
        """Return the fleet's epoch: each emergency stop adds one."""
        return self._fleet.epoch

    # Campaigns without an engine

    def _drawn(self, id_: str, command: Command) -> Sequence[PlannedSite]:
        """Plan a campaign before anybody has to wait for it: a country takes a minute.

        If it is another when that is kept, the command's number is not that of the next.
        """
        record = self._store.get(id_)
        _moved(record.run, command)
        return self._planned(record.run.campaign, self._release(record).manifest)

    def _at_rest(
        self,
        record: CampaignRecord,
        command: Command,
        planned: Sequence[PlannedSite] | None = None,
    ) -> CampaignRecord:
        run, entries = _moved(record.run, command)
        record = replace(record, run=run)
        if planned is not None:
            record = replace(record, sums=_sums(run.campaign, planned))
            self._store.plan(Changes(record, more=planned, entries=entries))
        else:
            self._store.keep([Changes(record, entries=entries)])
        self._fleet.adopt(record)
        return record

    def _planned(self, campaign: Campaign, manifest: Manifest) -> Sequence[PlannedSite]:
        counted = self._counting.count(campaign, manifest)
        plan = make_plan(campaign, counted.sites)
        planned = planned_sites(counted.sites, plan, counted.serials, counted.names)
        if not planned and not campaign.dynamic:
            raise ConflictError(
                "the campaign is for no device",
                code="campaign.no-devices",
                hint="a dry run says what is left out and why",
            )
        return planned

    def _checked(self, campaign: Campaign) -> Shelved:
        try:
            time_zone(campaign.zone)
        except ValueError as error:
            raise RequestError(str(error), code="request.zone") from error
        shelved = find_release(self._releases, campaign.release)
        if shelved.manifest.kind is not _KINDS[campaign.kind]:
            raise ConflictError(
                f"{campaign.release} is not for {campaign.kind}s", code="campaign.kind"
            )
        return shelved

    def _release(self, record: CampaignRecord) -> Shelved:
        return self._releases.get(record.release)

    def _check_offered(self, record: CampaignRecord) -> None:
        state = self._release(record).release.state
        if state is not ReleaseState.RELEASED:
            raise ConflictError(
                f"{record.run.campaign.release} is {state}: devices are not offered it",
                code="campaign.release",
            )

    # What is seen

    def _view(self, record: CampaignRecord) -> View:
        with self._fleet.lock:
            live = self._fleet.live.get(record.run.campaign.id)
            return view_of(record, live, self._wall.now())


def _moved(run: Run, command: Command) -> tuple[Run, tuple[AuditEntry, ...]]:
    """Return a campaign without an engine after a command; ConflictError: it changes nothing."""
    moved, effects = next_state(run, command)
    if moved is run:
        raise _refused(run, command)
    return moved, tuple(effect.entry for effect in effects if isinstance(effect, Record))


def _refused(run: Run, command: Command) -> ConflictError:
    if (run.state, command.act) not in TRANSITIONS:
        return ConflictError(
            f"the campaign is {run.state}: {command.act} is not possible",
            code="campaign.transition",
        )
    if command.act not in UNNUMBERED and command.number != run.commands + 1:
        return ConflictError(
            "somebody else was first, or it moved by itself: look at the campaign again",
            code="campaign.number",
        )
    return ConflictError(f"{command.act} is not possible now", code="campaign.transition")


def _load(campaign: Campaign, manifest: Manifest) -> Load:
    octets = max((image.size for image in manifest.images), default=0)
    on_line = int(octets * LINE_FACTOR) if campaign.kind is DeviceKind.METER else 0
    return Load(octets, on_line)


def _no_sums(campaign: Campaign) -> tuple[GroupSum, ...]:
    return tuple(GroupSum() for _ in campaign.groups)


def _sums(campaign: Campaign, planned: Sequence[PlannedSite]) -> tuple[GroupSum, ...]:
    dcus, devices = [0] * len(campaign.groups), [0] * len(campaign.groups)
    for one in planned:
        dcus[one.group] += 1
        devices[one.group] += one.devices
    rest = (0,) * (len(STATES) - 1)
    return tuple(
        GroupSum(count, (waiting, *rest)) for count, waiting in zip(dcus, devices, strict=True)
    )
