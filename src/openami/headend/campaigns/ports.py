"""What campaigns are kept in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from openami.fleet.campaigns.machine import CampaignState, Run
    from openami.fleet.campaigns.records import (
        CampaignRecord,
        Changes,
        ClassCount,
        DcuFacts,
        GroupSum,
        PlannedSite,
        SiteState,
        TaskNews,
        TaskRecord,
    )
    from openami.fleet.campaigns.timeline import Mark
    from openami.fleet.devices import AuditEntry, Device, DeviceKind
    from openami.fleet.ports import DeviceFilter, Page
    from openami.fleet.tasks import Ticket


class CampaignStore(Protocol):
    """Keeps campaigns, with the entries of the audit log, and counts the registry for them."""

    def add(
        self,
        run: Run,
        sums: Sequence[GroupSum],
        *,
        release: int,
        created: float,
        entries: Sequence[AuditEntry],
        ticket: Ticket | None = None,
    ) -> CampaignRecord:
        """Keep a campaign that was drafted.

        Returns:
            the campaign; that of before, as it is now, if the ticket has been here.

        Raises:
            ConflictError: ``campaign.key``, the ticket's key has been here with another draft.
        """
        ...

    def get(self, id_: str) -> CampaignRecord:
        """Return a campaign; NotFoundError."""
        ...

    def list(
        self, *, state: CampaignState | None = None, after: str | None = None, limit: int = 100
    ) -> Page[CampaignRecord]:
        """Return campaigns, the newest first."""
        ...

    def in_states(self, states: Collection[CampaignState]) -> Sequence[CampaignRecord]:
        """Return all campaigns in some states, the oldest first."""
        ...

    def counts(self) -> Mapping[str, int]:
        """Return how many campaigns there are in each state."""
        ...

    def epoch(self) -> int:
        """Return the fleet's epoch; 0 before the first emergency stop."""
        ...

    def keep(
        self,
        changes: Iterable[Changes],
        *,
        epoch: int | None = None,
        entries: Sequence[AuditEntry] = (),
    ) -> None:
        """Keep what has changed, all or nothing; ``epoch``: the fleet's from now on."""
        ...

    def plan(self, changes: Changes) -> None:
        """Keep a campaign with another plan, or without any; the one of before is dropped."""
        ...

    def purge(self, *, before: float, limit: int) -> int:
        """Forget some DCUs and devices of campaigns that are over since before a time.

        The campaigns stay, with the sums of their groups.

        Returns:
            How many DCUs, up to ``limit``.
        """
        ...

    def sites(self, key: int) -> Sequence[tuple[PlannedSite, SiteState | None]]:
        """Return the DCUs of a campaign by row; None: nothing has happened to it."""
        ...

    def site(self, key: int, dcu: str) -> PlannedSite | None:
        """Return a DCU of a campaign; None: it is not in it."""
        ...

    def of_dcu(self, dcu: str) -> Sequence[CampaignRecord]:
        """Return the campaigns whose plan has a DCU, the newest first."""
        ...

    def of_device(self, serial: str) -> Sequence[CampaignRecord]:
        """Return the campaigns that have marks of a device, the newest first."""
        ...

    def named(self, which: Collection[tuple[int, int]]) -> Mapping[tuple[int, int], Sequence[str]]:
        """Return the serial numbers that orders name, by campaign and row."""
        ...

    def marks(self, key: int, serials: Collection[str]) -> Mapping[str, Sequence[Mark]]:
        """Return the marks of some devices in a campaign, by attempt and state."""
        ...

    def task_news(self, *, most: int) -> Sequence[tuple[str, TaskNews]]:
        """Return open jobs of campaigns, by the ids of these, that are over or were never made."""
        ...

    def open_tasks(self) -> Sequence[tuple[str, TaskRecord]]:
        """Return all open jobs of campaigns, by the ids of these."""
        ...

    def census(
        self, kind: DeviceKind, which: DeviceFilter, *, dcus: Collection[str] | None = None
    ) -> Sequence[ClassCount]:
        """Count the devices that a filter finds, by DCU and class; those of some DCUs."""
        ...

    def members(self, which: DeviceFilter, dcus: Collection[str]) -> Sequence[Device]:
        """Return the meters of some DCUs that a filter finds and that are not retired."""
        ...

    def dcus(self, serials: Collection[str] | None = None) -> Sequence[DcuFacts]:
        """Return what the registry knows of DCUs, of all or of some."""
        ...
