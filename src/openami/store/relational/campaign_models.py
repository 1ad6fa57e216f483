"""The tables of campaigns. ``campaign`` in all of them but the first is its ``key``."""

from __future__ import annotations

from typing import Any

from sqlalchemy import JSON, BigInteger, ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from openami.store.relational.models import Base, Name, RowId, Words


class CampaignRow(Base):
    """A campaign: what was drafted, how far it is, and the sums of its groups.

    ``drafter``, ``ticket`` and ``digest`` tell a draft that is sent again.
    """

    __tablename__ = "campaign"
    __table_args__ = (
        Index("ix_campaign_state", "state", "key"),
        Index("ix_campaign_ticket", "drafter", "ticket", unique=True),
    )

    key: Mapped[int] = mapped_column(RowId, primary_key=True)
    id: Mapped[str] = mapped_column(Name(32), unique=True)
    state: Mapped[str] = mapped_column(Name(24))
    release: Mapped[int] = mapped_column(BigInteger)
    created: Mapped[float]
    spec: Mapped[dict[str, Any]] = mapped_column(JSON)
    run: Mapped[dict[str, Any]] = mapped_column(JSON)
    sums: Mapped[list[Any]] = mapped_column(JSON)
    drafter: Mapped[str | None] = mapped_column(Words)
    ticket: Mapped[str | None] = mapped_column(Name(128))
    digest: Mapped[str | None] = mapped_column(Name(64))


class CampaignSiteRow(Base):
    """A DCU of a campaign as it was planned, and how far it is; ``kept`` alone ever changes."""

    __tablename__ = "campaign_site"
    __table_args__ = (Index("ix_campaign_site_dcu", "dcu", "campaign"),)

    campaign: Mapped[int] = mapped_column(ForeignKey("campaign.key"), primary_key=True)
    row: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    dcu: Mapped[str] = mapped_column(Name(32))
    area: Mapped[str] = mapped_column(Words)
    cell: Mapped[str] = mapped_column(Words)
    segment: Mapped[str] = mapped_column(Words)
    rate: Mapped[int] = mapped_column(BigInteger)
    line_rate: Mapped[int] = mapped_column(BigInteger)
    devices: Mapped[int]
    group: Mapped[int]
    place: Mapped[int]
    kept: Mapped[dict[str, Any] | None] = mapped_column(JSON)


class CampaignMetersRow(Base):
    """The serial numbers that the orders of a DCU name, one a line."""

    __tablename__ = "campaign_meters"

    campaign: Mapped[int] = mapped_column(ForeignKey("campaign.key"), primary_key=True)
    row: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    serials: Mapped[str] = mapped_column(Words)


class CampaignMarkRow(Base):
    """A device reached a state; never changed."""

    __tablename__ = "campaign_mark"

    device: Mapped[str] = mapped_column(Name(32), primary_key=True)
    campaign: Mapped[int] = mapped_column(ForeignKey("campaign.key"), primary_key=True)
    attempt: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    state: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    at: Mapped[float]
    code: Mapped[str | None] = mapped_column(Words)
    reason: Mapped[str] = mapped_column(Words)


class CampaignTaskRow(Base):
    """A job of device management that carries a part of an order to a DCU."""

    __tablename__ = "campaign_task"
    __table_args__ = (Index("ix_campaign_task_open", "open", "campaign"),)

    job: Mapped[str] = mapped_column(Name(64), primary_key=True)
    campaign: Mapped[int] = mapped_column(ForeignKey("campaign.key"))
    row: Mapped[int]
    step: Mapped[str] = mapped_column(Name(16))
    attempt: Mapped[int]
    part: Mapped[str] = mapped_column(Name(16))
    open: Mapped[bool]


class FleetEpochRow(Base):
    """How many emergency stops there were; one row, none before the first."""

    __tablename__ = "fleet_epoch"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    epoch: Mapped[int] = mapped_column(BigInteger)
