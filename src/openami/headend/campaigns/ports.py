"""What other parts of the head-end ask of campaigns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from openami.fleet.campaigns.dryrun import DryRun
    from openami.fleet.campaigns.machine import Act, CampaignState
    from openami.fleet.campaigns.model import Campaign, DeviceState
    from openami.fleet.ports import Page
    from openami.headend.campaigns.views import DeviceView, TimelineView, View


class CampaignDesk(Protocol):
    """What operators do with campaigns; ``headend.campaigns.facade.Campaigns`` is one.

    Calls block. A campaign's ``release`` is the text of its ``PackageId``, such as
    ``meter-image/openami/1.2.3``: the release of this name that is offered to devices. What has
    changed is told on the bus, topic ``campaign``, by the campaign's id as the subject.
    """

    def draft(self, campaign: Campaign, *, who: str, why: str = "") -> View:
        """Keep a new campaign as a draft, under an id of ours, whatever id it has.

        Raises:
            NotFoundError: there is no such release.
            ConflictError: ``campaign.kind``, the release is for other devices.
            RequestError: ``request.zone``, no such time zone.
        """
        ...

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
        ...

    def list(
        self, *, state: CampaignState | None = None, after: str | None = None, limit: int = 100
    ) -> Page[View]:
        """Return campaigns, the newest first."""
        ...

    def get(self, id_: str) -> View:
        """Return a campaign; NotFoundError."""
        ...

    def dry_run(self, campaign: Campaign) -> DryRun:
        """Return what a campaign would do if it were started now, by the registry as it is.

        Raises:
            NotFoundError, ConflictError, RequestError: as ``draft``.
        """
        ...

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
        ...

    def emergency(self, *, who: str, why: str) -> int:
        """Stop all campaigns that are approved or at work; each DCU is told with its next poll.

        Returns:
            How many campaigns were stopped. The fleet's epoch rises in any case.
        """
        ...

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
        ...

    def timeline(self, id_: str, serial: str) -> TimelineView:
        """Return what happened to a device in a campaign; NotFoundError."""
        ...

    def of_device(self, serial: str) -> Sequence[TimelineView]:
        """Return the same for each campaign that a device was in, the newest first."""
        ...

    def epoch(self) -> int:
        """Return the fleet's epoch: each emergency stop adds one."""
        ...
