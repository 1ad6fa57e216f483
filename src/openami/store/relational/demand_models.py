"""The tables of demand response."""

from __future__ import annotations

from typing import Any

from sqlalchemy import JSON, BigInteger, ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from openami.store.relational.models import Base, Name, RowId, Words


class DemandProgramRow(Base):
    """A program."""

    __tablename__ = "demand_program"

    id: Mapped[str] = mapped_column(Name(36), primary_key=True)
    name: Mapped[str] = mapped_column(Name(64), unique=True)
    created: Mapped[float]
    kept: Mapped[dict[str, Any]] = mapped_column(JSON)


class DemandEventRow(Base):
    """An event, and how far it is; ``who``, ``ticket`` and ``digest`` tell one that comes again."""

    __tablename__ = "demand_event"
    __table_args__ = (
        Index("ix_demand_event_state", "state", "key"),
        Index("ix_demand_event_ticket", "who", "ticket", unique=True),
    )

    key: Mapped[int] = mapped_column(RowId, primary_key=True)
    id: Mapped[str] = mapped_column(Name(36), unique=True)
    program: Mapped[str] = mapped_column(ForeignKey("demand_program.id"))
    state: Mapped[str] = mapped_column(Name(16))
    version: Mapped[int]
    created: Mapped[float]
    who: Mapped[str] = mapped_column(Words)
    published: Mapped[float | None]
    ended: Mapped[float | None]
    meters: Mapped[int] = mapped_column(BigInteger)
    kept: Mapped[dict[str, Any]] = mapped_column(JSON)
    ticket: Mapped[str | None] = mapped_column(Name(128))
    digest: Mapped[str | None] = mapped_column(Name(64))


class DemandStandingRow(Base):
    """How an event stands at a meter of which anything is known."""

    __tablename__ = "demand_standing"
    __table_args__ = (Index("ix_demand_standing_meter", "meter", "event"),)

    event: Mapped[int] = mapped_column(ForeignKey("demand_event.key"), primary_key=True)
    meter: Mapped[str] = mapped_column(Name(32), primary_key=True)
    delivered: Mapped[float | None]
    limited: Mapped[float | None]
    restored: Mapped[float | None]
    acknowledged: Mapped[float | None]
    answer: Mapped[str | None] = mapped_column(Name(16))
    answered: Mapped[float | None]
    who: Mapped[str] = mapped_column(Words)
    refused: Mapped[float | None]
    code: Mapped[str | None] = mapped_column(Words)
    reason: Mapped[str] = mapped_column(Words)


class DemandNoticeRow(Base):
    """A notice; ``who``, ``ticket`` and ``digest`` tell one that comes again."""

    __tablename__ = "demand_notice"
    __table_args__ = (
        Index("ix_demand_notice_until", "withdrawn", "until"),
        Index("ix_demand_notice_ticket", "who", "ticket", unique=True),
    )

    key: Mapped[int] = mapped_column(RowId, primary_key=True)
    id: Mapped[str] = mapped_column(Name(36), unique=True)
    kind: Mapped[str] = mapped_column(Name(16))
    at: Mapped[int] = mapped_column(BigInteger)
    until: Mapped[int] = mapped_column(BigInteger)
    who: Mapped[str] = mapped_column(Words)
    withdrawn: Mapped[bool]
    kept: Mapped[dict[str, Any]] = mapped_column(JSON)
    ticket: Mapped[str | None] = mapped_column(Name(128))
    digest: Mapped[str | None] = mapped_column(Name(64))


class SupplyOrderRow(Base):
    """An order to switch a meter's supply; ``waits`` is the meter while it waits, else null."""

    __tablename__ = "supply_order"
    __table_args__ = (
        Index("ix_supply_order_waits", "waits", unique=True),
        Index("ix_supply_order_meter", "meter", "key"),
        Index("ix_supply_order_state", "state", "key"),
    )

    key: Mapped[int] = mapped_column(RowId, primary_key=True)
    id: Mapped[str] = mapped_column(Name(36), unique=True)
    meter: Mapped[str] = mapped_column(Name(32))
    waits: Mapped[str | None] = mapped_column(Name(32))
    wanted: Mapped[str] = mapped_column(Name(16))
    who: Mapped[str] = mapped_column(Words)
    why: Mapped[str] = mapped_column(Words)
    created: Mapped[float]
    until: Mapped[float]
    state: Mapped[str] = mapped_column(Name(16))
    found: Mapped[str] = mapped_column(Words)
    reason: Mapped[str] = mapped_column(Words)
    ended: Mapped[float | None]


class DisplayOrderRow(Base):
    """An order to have a meter forget its displays from a moment on; gone once it is done.

    ``refused`` is when its meter last refused it, by ``code`` and ``reason``.
    """

    __tablename__ = "display_order"

    key: Mapped[int] = mapped_column(RowId, primary_key=True)
    id: Mapped[str] = mapped_column(Name(36), unique=True)
    meter: Mapped[str] = mapped_column(Name(32), index=True)
    due: Mapped[float] = mapped_column(index=True)
    refused: Mapped[float | None]
    code: Mapped[str | None] = mapped_column(Words)
    reason: Mapped[str] = mapped_column(Words, default="", server_default="")
