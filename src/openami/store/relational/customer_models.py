"""The tables of customers; none of them has to do with those of operators."""

from __future__ import annotations

from sqlalchemy import JSON, ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from openami.store.relational.models import Base, Name, RowId, Words


class CustomerRow(Base):
    """A customer; of an invitation only the digest of its code is kept."""

    __tablename__ = "customer"

    login: Mapped[str] = mapped_column(Name(254), primary_key=True)
    language: Mapped[str | None] = mapped_column(Name(8))
    tariff: Mapped[str] = mapped_column(Name(64))
    discounts: Mapped[list[str]] = mapped_column(JSON)
    password_hash: Mapped[str | None] = mapped_column(Words)
    created: Mapped[float]
    last_login: Mapped[float | None]
    disabled: Mapped[bool]
    invitation_digest: Mapped[str | None] = mapped_column(Name(64), unique=True)
    invited_until: Mapped[float | None]

    def __repr__(self) -> str:
        return f"CustomerRow({self.login!r})"


class TenancyRow(Base):
    """A meter is a customer's from when until when."""

    __tablename__ = "customer_meter"
    __table_args__ = (Index("ix_customer_meter_meter", "meter", "starts"),)

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    customer: Mapped[str] = mapped_column(
        ForeignKey("customer.login", ondelete="CASCADE"), index=True
    )
    meter: Mapped[str] = mapped_column(Name(32))
    starts: Mapped[float]
    ends: Mapped[float | None]


class CustomerSessionRow(Base):
    """A session of a customer: only its secret's digest is kept."""

    __tablename__ = "customer_session"

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    secret_digest: Mapped[str] = mapped_column(Name(64), unique=True)
    customer: Mapped[str] = mapped_column(
        ForeignKey("customer.login", ondelete="CASCADE"), index=True
    )
    label: Mapped[str] = mapped_column(Words)
    created: Mapped[float]
    expires: Mapped[float]

    def __repr__(self) -> str:
        return f"CustomerSessionRow({self.id!r})"
