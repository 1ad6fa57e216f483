"""The tables. Times are seconds since 1970-01-01T00:00:00Z."""

from __future__ import annotations

from typing import Any

from sqlalchemy import JSON, BigInteger, ForeignKey, Index, Integer, MetaData, String, Text
from sqlalchemy import UniqueConstraint as Unique
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

# SQLite counts rows up by itself only in a column that is called INTEGER.
RowId = BigInteger().with_variant(Integer, "sqlite")

_NAMES = {
    "ix": "ix_%(column_0_label)s",
    "uq": "uq_%(table_name)s_%(column_0_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s",
    "pk": "pk_%(table_name)s",
}


class Base(DeclarativeBase):
    """Root of the models."""

    metadata = MetaData(naming_convention=_NAMES)


class DeviceRow(Base):
    """A device of the registry."""

    __tablename__ = "device"
    __table_args__ = (Unique("kind", "serial"), Index("ix_device_region", "kind", "region"))

    id: Mapped[str] = mapped_column(String(48), primary_key=True)
    kind: Mapped[str] = mapped_column(String(16))
    serial: Mapped[str] = mapped_column(String(32))
    state: Mapped[str] = mapped_column(String(16))
    system_title: Mapped[str | None] = mapped_column(String(16), unique=True)
    logical_device_name: Mapped[str] = mapped_column(Text)
    model: Mapped[str] = mapped_column(Text)
    firmware: Mapped[str] = mapped_column(Text)
    dcu: Mapped[str | None] = mapped_column(String(32), index=True)
    address: Mapped[str] = mapped_column(Text)
    contact: Mapped[str] = mapped_column(String(16))
    first_seen: Mapped[float | None]
    last_seen: Mapped[float | None]
    last_read: Mapped[float | None]
    clock_offset: Mapped[float | None]
    fault_code: Mapped[str | None] = mapped_column(Text)
    fault_message: Mapped[str] = mapped_column(Text)
    latitude: Mapped[float | None]
    longitude: Mapped[float | None]
    label: Mapped[str] = mapped_column(Text)
    region: Mapped[str] = mapped_column(Text)


class AuditRow(Base):
    """Who did what."""

    __tablename__ = "audit"

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    who: Mapped[str] = mapped_column(Text)
    when: Mapped[float] = mapped_column("at")
    what: Mapped[str] = mapped_column(Text)
    subject: Mapped[str] = mapped_column(Text, index=True)
    why: Mapped[str] = mapped_column(Text)


class JobRow(Base):
    """A job; its state is moved only by ``openami.fleet.jobs``."""

    __tablename__ = "job"
    __table_args__ = (
        Index("ix_job_dcu", "dcu", "state", "created"),
        Index("ix_job_meter", "meter", "created"),
        Index("ix_job_state", "state", "expires"),
        Index("ix_job_updated", "state", "updated"),
    )

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    kind: Mapped[str] = mapped_column(String(16))
    meter: Mapped[str] = mapped_column(String(32))
    dcu: Mapped[str] = mapped_column(String(32))
    who: Mapped[str] = mapped_column(Text)
    state: Mapped[str] = mapped_column(String(16))
    created: Mapped[float]
    updated: Mapped[float]
    expires: Mapped[float]
    lease_until: Mapped[float | None]
    offers: Mapped[int]
    progress: Mapped[float]
    targets: Mapped[list[Any]] = mapped_column(JSON)
    results: Mapped[list[Any]] = mapped_column(JSON)
    error_code: Mapped[str | None] = mapped_column(Text)
    error_message: Mapped[str] = mapped_column(Text)


class EventRow(Base):
    """An entry of a meter's event log."""

    __tablename__ = "event"
    __table_args__ = (
        Unique("meter", "log", "time", "code", "ordinal"),
        Index("ix_event_time", "time"),
    )

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    meter: Mapped[str] = mapped_column(String(32))
    log: Mapped[str] = mapped_column(String(24))
    time: Mapped[int] = mapped_column(BigInteger)
    code: Mapped[int]
    ordinal: Mapped[int]
    detail: Mapped[str | None] = mapped_column(Text)


class EventBatchRow(Base):
    """An upload of events that is durable."""

    __tablename__ = "event_batch"

    dcu: Mapped[str] = mapped_column(String(32), primary_key=True)
    id: Mapped[str] = mapped_column(String(128), primary_key=True)
    digest: Mapped[bytes]
    rows: Mapped[int]
    committed: Mapped[float]


class OperatorRow(Base):
    """An operator."""

    __tablename__ = "operator"

    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    role: Mapped[str] = mapped_column(String(16))
    password_hash: Mapped[str] = mapped_column(Text)
    created: Mapped[float]
    last_login: Mapped[float | None]
    disabled: Mapped[bool]

    def __repr__(self) -> str:
        return f"OperatorRow({self.name!r})"


class SessionRow(Base):
    """A session or token: only its secret's digest is kept."""

    __tablename__ = "session"

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    secret_digest: Mapped[str] = mapped_column(String(64), unique=True)
    operator: Mapped[str] = mapped_column(
        ForeignKey("operator.name", ondelete="CASCADE"), index=True
    )
    kind: Mapped[str] = mapped_column(String(16))
    label: Mapped[str] = mapped_column(Text)
    created: Mapped[float]
    expires: Mapped[float]

    def __repr__(self) -> str:
        return f"SessionRow({self.id!r})"
