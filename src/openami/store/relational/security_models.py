"""The tables of registration and of certificates. Digests and serial numbers are hexadecimal."""

from __future__ import annotations

from typing import Any

from sqlalchemy import JSON, Index
from sqlalchemy.orm import Mapped, mapped_column

from openami.store.relational.models import Base, Name, RowId, Words


class AnchorRow(Base):
    """A manufacturer's certificate that is trusted to vouch for factory certificates."""

    __tablename__ = "anchor"

    fingerprint: Mapped[str] = mapped_column(Name(64), primary_key=True)
    manufacturer: Mapped[str] = mapped_column(Name(64), index=True)
    der: Mapped[bytes]
    crl: Mapped[bytes]
    listed: Mapped[str] = mapped_column(Name(64), server_default="")
    list_ends: Mapped[float | None]
    added: Mapped[float]
    who: Mapped[str] = mapped_column(Words)


class CertificateRow(Base):
    """A certificate that an authority of the head-end has issued, and what became of it."""

    __tablename__ = "certificate"
    __table_args__ = (
        Index("ix_certificate_subject", "subject", "kind"),
        Index("ix_certificate_issued", "issued", "serial"),
        Index("ix_certificate_revoked", "authority", "revoked"),
    )

    serial: Mapped[str] = mapped_column(Name(40), primary_key=True)
    authority: Mapped[str] = mapped_column(Name(16))
    kind: Mapped[str] = mapped_column(Name(16))
    subject: Mapped[str] = mapped_column(Name(64))
    der: Mapped[bytes]
    issued: Mapped[float]
    not_after: Mapped[float]
    revoked: Mapped[float | None]
    reason: Mapped[str] = mapped_column(Name(32))


class CrlRow(Base):
    """The number of the last list of revoked certificates of an authority."""

    __tablename__ = "crl"

    authority: Mapped[str] = mapped_column(Name(16), primary_key=True)
    number: Mapped[int]
    der: Mapped[bytes]
    made: Mapped[float]
    ends: Mapped[float]


class ExpectedRow(Base):
    """A device that may ask to be registered."""

    __tablename__ = "expected"

    uid: Mapped[str] = mapped_column(Name(32), primary_key=True)
    manufacturer: Mapped[str] = mapped_column(Words)
    model: Mapped[str] = mapped_column(Words)
    fingerprint: Mapped[str | None] = mapped_column(Name(64))
    approval: Mapped[str] = mapped_column(Name(16))
    region: Mapped[str] = mapped_column(Words)
    label: Mapped[str] = mapped_column(Words)


class RegistrationRow(Base):
    """How far a device's registration is; ``body`` is all of it.

    ``anew`` is when a live device last asked to register anew.
    """

    __tablename__ = "registration"
    __table_args__ = (
        Index("ix_registration_standing", "standing", "uid"),
        Index("ix_registration_anew", "anew"),
    )

    uid: Mapped[str] = mapped_column(Name(32), primary_key=True)
    standing: Mapped[str] = mapped_column(Name(16))
    version: Mapped[int]
    asked: Mapped[float]
    anew: Mapped[float | None]
    body: Mapped[dict[str, Any]] = mapped_column(JSON)


class AlarmRow(Base):
    """Something that a person must look at."""

    __tablename__ = "alarm"
    __table_args__ = (Index("ix_alarm_open", "cleared", "id"),)

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    code: Mapped[str] = mapped_column(Name(64))
    subject: Mapped[str] = mapped_column(Name(300), index=True)
    message: Mapped[str] = mapped_column(Words)
    raised: Mapped[float]
    cleared: Mapped[float | None]
    cleared_by: Mapped[str] = mapped_column(Words)
