"""The tables. Times are seconds since 1970-01-01T00:00:00Z."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import (
    JSON,
    BigInteger,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Text,
    TypeDecorator,
)
from sqlalchemy import UniqueConstraint as Unique
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Dialect

# SQLite counts rows up by itself only in a column that is called INTEGER.
RowId = BigInteger().with_variant(Integer, "sqlite")

_NAMES = {
    "ix": "ix_%(column_0_label)s",
    "uq": "uq_%(table_name)s_%(column_0_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s",
    "pk": "pk_%(table_name)s",
}


def _without_nul(value: str | None) -> str | None:
    return None if value is None else value.replace("\0", "\ufffd")


class Name(TypeDecorator[str]):
    """Text of a length; PostgreSQL's has no NUL, so one that a device sent becomes U+FFFD."""

    impl = String
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        del dialect
        return _without_nul(value)

    def bind_processor(self, dialect: Dialect) -> Callable[[str | None], str | None]:
        del dialect
        return _without_nul  # as it is: what a type puts around it costs as much as the rest of it


class Words(Name):
    """The same, of any length."""

    impl = Text
    cache_ok = True


class Base(DeclarativeBase):
    """Root of the models."""

    metadata = MetaData(naming_convention=_NAMES)


class DeviceRow(Base):
    """A device of the registry."""

    __tablename__ = "device"
    __table_args__ = (
        Unique("kind", "serial"),
        Index("ix_device_region", "kind", "region"),
        # All three: of a kind alone there are millions, and the meters of a DCU are asked in order.
        Index("ix_device_dcu", "dcu", "kind", "serial"),
    )

    id: Mapped[str] = mapped_column(Name(48), primary_key=True)
    kind: Mapped[str] = mapped_column(Name(16))
    serial: Mapped[str] = mapped_column(Name(32))
    state: Mapped[str] = mapped_column(Name(16))
    system_title: Mapped[str | None] = mapped_column(Name(16), unique=True)
    logical_device_name: Mapped[str] = mapped_column(Words)
    model: Mapped[str] = mapped_column(Words)
    firmware: Mapped[str] = mapped_column(Words)
    dcu: Mapped[str | None] = mapped_column(Name(32))
    address: Mapped[str] = mapped_column(Words)
    contact: Mapped[str] = mapped_column(Name(16))
    first_seen: Mapped[float | None]
    last_seen: Mapped[float | None]
    last_read: Mapped[float | None]
    clock_offset: Mapped[float | None]
    fault_code: Mapped[str | None] = mapped_column(Words)
    fault_message: Mapped[str] = mapped_column(Words)
    latitude: Mapped[float | None]
    longitude: Mapped[float | None]
    label: Mapped[str] = mapped_column(Words)
    region: Mapped[str] = mapped_column(Words)
    protocol: Mapped[str] = mapped_column(Name(16), server_default="DLMS")


class AuditRow(Base):
    """Who did what, and its place in the chain; nothing else of it is ever changed."""

    __tablename__ = "audit"
    __table_args__ = (Index("ix_audit_number", "number", unique=True),)

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    who: Mapped[str] = mapped_column(Words, index=True)
    when: Mapped[float] = mapped_column("at", index=True)
    what: Mapped[str] = mapped_column(Words)
    subject: Mapped[str] = mapped_column(Words, index=True)
    why: Mapped[str] = mapped_column(Words)
    number: Mapped[int | None] = mapped_column(BigInteger)
    hash: Mapped[bytes | None]


class AuditHeadRow(Base):
    """The newest signed head of the audit log; there is one row."""

    __tablename__ = "audit_head"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    number: Mapped[int] = mapped_column(BigInteger)
    hash: Mapped[bytes]
    when: Mapped[float] = mapped_column("at")
    key: Mapped[bytes]
    signature: Mapped[bytes]


class JobRow(Base):
    """A job; its state is moved only by ``openami.fleet.jobs``."""

    __tablename__ = "job"
    __table_args__ = (
        Index("ix_job_dcu", "dcu", "state", "created"),
        Index("ix_job_meter", "meter", "created"),
        Index("ix_job_state", "state", "expires"),
        Index("ix_job_updated", "state", "updated"),
    )

    id: Mapped[str] = mapped_column(Name(64), primary_key=True)
    kind: Mapped[str] = mapped_column(Name(16))
    meter: Mapped[str] = mapped_column(Name(32))
    dcu: Mapped[str] = mapped_column(Name(32))
    who: Mapped[str] = mapped_column(Words)
    state: Mapped[str] = mapped_column(Name(16))
    created: Mapped[float]
    updated: Mapped[float]
    expires: Mapped[float]
    lease_until: Mapped[float | None]
    offers: Mapped[int]
    progress: Mapped[float]
    targets: Mapped[list[Any]] = mapped_column(JSON)
    results: Mapped[list[Any]] = mapped_column(JSON)
    error_code: Mapped[str | None] = mapped_column(Words)
    error_message: Mapped[str] = mapped_column(Words)


class EventRow(Base):
    """An entry of a meter's event log."""

    __tablename__ = "event"
    __table_args__ = (
        Unique("meter", "log", "time", "code", "ordinal"),
        Index("ix_event_time", "time"),
    )

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    meter: Mapped[str] = mapped_column(Name(32))
    log: Mapped[str] = mapped_column(Name(24))
    time: Mapped[int] = mapped_column(BigInteger)
    code: Mapped[int]
    ordinal: Mapped[int]
    detail: Mapped[str | None] = mapped_column(Words)


class EventBatchRow(Base):
    """An upload of events that is durable."""

    __tablename__ = "event_batch"

    dcu: Mapped[str] = mapped_column(Name(32), primary_key=True)
    id: Mapped[str] = mapped_column(Name(128), primary_key=True)
    digest: Mapped[bytes]
    rows: Mapped[int]
    committed: Mapped[float]


class OperatorRow(Base):
    """An operator."""

    __tablename__ = "operator"

    name: Mapped[str] = mapped_column(Name(64), primary_key=True)
    role: Mapped[str] = mapped_column(Name(16))
    password_hash: Mapped[str] = mapped_column(Words)
    created: Mapped[float]
    last_login: Mapped[float | None]
    disabled: Mapped[bool]

    def __repr__(self) -> str:
        return f"OperatorRow({self.name!r})"


class SessionRow(Base):
    """A session or token: only its secret's digest is kept."""

    __tablename__ = "session"

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    secret_digest: Mapped[str] = mapped_column(Name(64), unique=True)
    operator: Mapped[str] = mapped_column(
        ForeignKey("operator.name", ondelete="CASCADE"), index=True
    )
    kind: Mapped[str] = mapped_column(Name(16))
    label: Mapped[str] = mapped_column(Words)
    created: Mapped[float]
    expires: Mapped[float]

    def __repr__(self) -> str:
        return f"SessionRow({self.id!r})"
