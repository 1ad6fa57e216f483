"""The devices of a campaign one by one: where each is, what happened to it, and why."""

from __future__ import annotations

from bisect import bisect_left
from itertools import islice
from typing import TYPE_CHECKING, Final

import numpy as np

from openami.core.errors import NotFoundError
from openami.fleet.campaigns.allowance import Full
from openami.fleet.campaigns.dispatch import Place
from openami.fleet.campaigns.machine import OVER
from openami.fleet.campaigns.model import NOT_FETCHED, SWITCHING, StepKind
from openami.fleet.campaigns.model import DeviceState as D
from openami.fleet.campaigns.sites import NO_DEVICES, NO_GROUP
from openami.fleet.campaigns.why import Situation, Why, why
from openami.fleet.devices import DeviceKind, device_id
from openami.fleet.ports import Page
from openami.headend.campaigns.counting import verdict
from openami.headend.campaigns.release import package_of
from openami.headend.campaigns.views import DeviceView, TimelineView
from openami.store.relational.paging import bounded, decode_cursor, encode_cursor

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from openami.core.clock import Clock
    from openami.fleet.campaigns.records import CampaignRecord, PlannedSite
    from openami.fleet.campaigns.timeline import Mark
    from openami.fleet.devices import Device
    from openami.fleet.ports import DeviceStore
    from openami.headend.campaigns.fleet import Fleet
    from openami.headend.campaigns.work import AtWork

SCAN: Final = 64
"""DCUs of which devices are read for one page, so that no page takes long."""
DONE: Final = Why("campaign.confirmed", "it runs the new version", "nothing to do")
_TO_FETCH: Final = frozenset({*NOT_FETCHED, D.DOWNLOADED, D.TRANSFERRED})


class Devices:
    """Looks at devices. Calls block."""

    def __init__(self, fleet: Fleet, registry: DeviceStore, *, wall: Clock) -> None:
        self._fleet, self._registry, self._wall = fleet, registry, wall

    def list(
        self,
        id_: str,
        *,
        state: D | None = None,
        group: str | None = None,
        dcu: str | None = None,
        after: str | None = None,
        limit: int = 100,
    ) -> Page[DeviceView]:
        """Return devices of a campaign by DCU and serial number, those that are in ``state``."""
        limit = bounded(limit)
        name, serial = ("", "") if after is None else decode_cursor(after, str, str)
        with self._fleet.lock:
            return self._page(id_, (state, group, dcu), (name, serial), limit)

    def _page(
        self,
        id_: str,
        which: tuple[D | None, str | None, str | None],
        begin: tuple[str, str],
        limit: int,
    ) -> Page[DeviceView]:
        one = self._fleet.at_work(id_)
        if one is None:  # a draft has none
            return Page(())
        found: list[DeviceView] = []
        state, group, dcu = which
        for seen, name in enumerate(_dcus(one, group, dcu, state, begin[0]), 1):
            views = [
                view
                for view in self._of_dcu(one, name)
                if (name, view.serial) > begin and (state is None or view.state is state)
            ]
            found += views
            if len(found) > limit:
                last = found[limit - 1]
                return Page(tuple(found[:limit]), encode_cursor(last.dcu, last.serial))
            if seen == SCAN:  # "~" comes after all that a serial number has
                return Page(tuple(found), encode_cursor(name, "~"))
        return Page(tuple(found))

    def timeline(self, id_: str, serial: str) -> TimelineView:
        """Return what happened to a device in a campaign; NotFoundError."""
        record = self._fleet.store.get(id_)
        campaign = record.run.campaign
        marks = self._fleet.store.marks(record.key, [serial]).get(serial, ())
        try:
            device = self._registry.get(device_id(campaign.kind, serial))
        except NotFoundError:
            if not marks:
                raise
            device = None
        with self._fleet.lock:
            return self._timeline(record, serial, device, marks)

    def of_device(self, serial: str) -> Sequence[TimelineView]:
        """Return the same for each campaign that a device is or was in, the newest first."""
        records = {one.key: one for one in self._fleet.store.of_device(serial)}
        dcu, kind = self._owner(serial)
        for record in self._fleet.store.of_dcu(dcu) if dcu else ():
            if record.run.campaign.kind is kind and self._had(record, dcu or "", serial):
                records[record.key] = record
        return [
            self.timeline(records[key].run.campaign.id, serial)
            for key in sorted(records, reverse=True)
        ]

    def _owner(self, serial: str) -> tuple[str | None, DeviceKind]:
        for kind in (DeviceKind.METER, DeviceKind.DCU):
            try:
                device = self._registry.get(device_id(kind, serial))
            except NotFoundError:
                continue
            return (device.dcu if kind is DeviceKind.METER else serial), kind
        return None, DeviceKind.METER

    def _had(self, record: CampaignRecord, dcu: str, serial: str) -> bool:
        if record.run.state in OVER:
            return self._past(record, dcu, serial) is not None
        with self._fleet.lock:
            one = self._fleet.at_work(record.run.campaign.id)
            return one is not None and serial in self._members(one, dcu)

    def _past(self, record: CampaignRecord, dcu: str, serial: str) -> PlannedSite | None:
        """Return the DCU of a device that a campaign had which is over; None: it had not."""
        site = self._fleet.store.site(record.key, dcu)
        key = (record.key, -1 if site is None else site.row)
        return site if serial in self._fleet.store.named([key]).get(key, ()) else None

    def _of_dcu(self, one: AtWork, dcu: str) -> Iterator[DeviceView]:
        serials = self._members(one, dcu)
        marks = self._fleet.store.marks(one.key, serials)
        for serial in serials:
            yield self._view(one, one.rows[dcu], serial, marks.get(serial, ()))

    def _members(self, one: AtWork, dcu: str) -> Sequence[str]:
        """Return the devices that a DCU's order names, or would name now."""
        campaign = one.engine.run.campaign
        row = one.rows[dcu]
        if row in one.named:
            return sorted(self._fleet.names([(one, row)])[one.key, row])
        if campaign.kind is DeviceKind.DCU:
            return [dcu]
        return sorted(
            device.serial
            for device in self._fleet.store.members(campaign.which, [dcu])
            if verdict(one.manifest, device.model, "", device.firmware) is None
        )

    def _timeline(
        self, record: CampaignRecord, serial: str, device: Device | None, marks: Sequence[Mark]
    ) -> TimelineView:
        campaign = record.run.campaign
        dcu = serial if campaign.kind is DeviceKind.DCU else (device.dcu if device else None) or ""
        now, over = self._wall.now(), record.run.state in OVER
        past = self._past(record, dcu, serial) if over else None
        one = None if past or (marks and over) else self._fleet.at_work(campaign.id)
        if one is not None and dcu in one.rows and serial in self._members(one, dcu):
            view = self._view(one, one.rows[dcu], serial, marks)
        elif past or marks or device is None:
            group = None if past is None else campaign.groups[past.group].name
            view = _outside(record, (serial, dcu, group), marks, now, code=None)
        else:
            code = self._left_out(record, one, device, dcu)
            view = _outside(record, (serial, dcu, None), marks, now, code=code)
        return TimelineView(campaign.id, campaign.name, package_of(campaign.release), view,
                            tuple(marks))  # fmt: skip

    def _left_out(
        self, record: CampaignRecord, one: AtWork | None, device: Device, dcu: str
    ) -> str | None:
        """Return the code of why a campaign has not got a device; NotFoundError: it never would."""
        campaign, store = record.run.campaign, self._fleet.store
        if campaign.kind is DeviceKind.METER:
            found = {each.serial for each in store.members(campaign.which, [dcu])}
        else:
            found = {each.dcu for each in store.census(campaign.kind, campaign.which, dcus=[dcu])}
        if device.serial not in found:
            raise NotFoundError(f"{device.id} is not in campaign {campaign.id}")
        if one is None:
            return None
        code = verdict(one.manifest, device.model, "", device.firmware)
        return code or (NO_GROUP if dcu not in one.rows else NO_DEVICES)

    def _view(self, one: AtWork, row: int, serial: str, marks: Sequence[Mark]) -> DeviceView:
        engine, now = one.engine, self._wall.now()
        state, since, code = _state(one, row, marks)
        group = one.group_of(row)
        step = StepKind.DOWNLOAD if state in _TO_FETCH else StepKind.ACTIVATE
        position = engine.position(row, step)
        opens, _ = engine.stretch(step, now)
        situation = Situation(
            engine.run.state,
            now,
            cause=engine.run.cause,
            group=None if group is None else engine.run.groups[group].state,
            device=state,
            code=code,
            place=position.place,
            due=position.due,
            failure=position.code,
            full=self._full(one, row, step),
            opens=opens if opens > now else None,
            heard=engine.progress.heard(row),
        )
        return DeviceView(
            serial,
            one.planned[row].dcu,
            None if group is None else engine.run.campaign.groups[group].name,
            state,
            since,
            code,
            why(situation) or DONE,
        )

    def _full(self, one: AtWork, row: int, step: StepKind) -> Full | None:
        if (
            step is not StepKind.DOWNLOAD
            or one.engine.position(row, step).place is not Place.QUEUED
        ):
            return None
        if one.engine.segment_full(row, step):
            return Full.SEGMENT
        budget, used = one.engine.run.campaign.budget, self._fleet.used()
        rate = budget.rate_of(int(one.engine.sites.rate[row]))
        over = (budget.jobs is not None and used.jobs >= budget.jobs) or (
            budget.rate is not None and used.rate + rate > budget.rate
        )
        return Full.HEAD_END if over else None


def _dcus(
    one: AtWork, group: str | None, dcu: str | None, state: D | None, begin: str
) -> Iterator[str]:
    chosen = _chosen(one, group, state)
    names = one.serials if dcu is None else [dcu] * (dcu in one.rows)
    for name in islice(names, bisect_left(names, begin), None):
        if chosen is None or one.rows[name] in chosen:
            yield name


def _chosen(one: AtWork, group: str | None, state: D | None) -> frozenset[int] | None:
    """Return the rows of a group that have devices in a state; None: all."""
    if group is None and state is None:
        return None
    names = [each.name for each in one.engine.run.campaign.groups]
    rows = np.arange(len(one.planned) if group is None else 0)
    if group in names:
        rows = one.engine.plan.rows(names.index(group))
    return frozenset(rows.tolist() if state is None else one.engine.progress.having(rows, (state,)))


def _state(one: AtWork, row: int, marks: Sequence[Mark]) -> tuple[D, float | None, str | None]:
    """Return how far a device is, since when, and why it ended badly."""
    if marks:
        state, since, code = marks[-1].state, marks[-1].at, marks[-1].code
    else:
        offered = one.engine.progress.in_any(row, (D.OFFERED,))
        state, since, code = (D.OFFERED if offered else D.WAITING), None, None
    for step, waiting in ((StepKind.DOWNLOAD, NOT_FETCHED), (StepKind.ACTIVATE, SWITCHING)):
        position = one.engine.position(row, step)
        if position.place is Place.SPENT and state in waiting:
            return D.FAILED, since, position.code or "campaign.gave-up"
    return state, since, code


def _outside(
    record: CampaignRecord,
    where: tuple[str, str, str | None],
    marks: Sequence[Mark],
    now: float,
    *,
    code: str | None,
) -> DeviceView:
    """Return a device, by serial number, DCU and group, that a campaign has not got, or no more."""
    last = marks[-1] if marks else None
    state, since, failed = (D.WAITING, None, None) if last is None else (
        last.state, last.at, last.code)  # fmt: skip
    situation = Situation(
        record.run.state, now, cause=record.run.cause, excluded=code, device=state, code=failed
    )
    return DeviceView(*where, state, since, failed, why(situation) or DONE)
