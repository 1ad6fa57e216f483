"""The tables of device management: accounts, sessions, trees, tasks."""

from __future__ import annotations

from typing import Any

from sqlalchemy import JSON, ForeignKey, Index, false, text
from sqlalchemy.orm import Mapped, mapped_column

from openami.store.relational.models import Base, Name, RowId, Words


class AccountRow(Base):
    """A device's account. The passwords are in the vault, under the digest of what was made.

    Attributes:
        wake_silent: nobody took the last notification.
        allows: which proofs it accepts; a device that registers anew keeps what was said of it.
    """

    __tablename__ = "dm_account"
    __table_args__ = (Index("ix_dm_account_wake", "wake_silent", "wake_due"),)

    uid: Mapped[str] = mapped_column(Name(32), primary_key=True)
    digest: Mapped[str] = mapped_column(Name(64))
    suspended: Mapped[bool]
    created: Mapped[float]
    client_nonce: Mapped[bytes]
    server_nonce: Mapped[bytes]
    last_session: Mapped[float | None]
    wake_url: Mapped[str | None] = mapped_column(Words)
    wake_due: Mapped[float | None]
    wake_failures: Mapped[int]
    wake_session: Mapped[int]
    wake_silent: Mapped[bool] = mapped_column(default=False, server_default=false())
    tree_known: Mapped[float | None]
    allows: Mapped[str] = mapped_column(Name(64), default="", server_default="")

    def __repr__(self) -> str:
        return f"AccountRow({self.uid!r})"


class DmSessionRow(Base):
    """A session with a device."""

    __tablename__ = "dm_session"
    __table_args__ = (
        Index("ix_dm_session_device", "uid", "id"),
        Index("ix_dm_session_began", "began"),
    )

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    uid: Mapped[str] = mapped_column(Name(32))
    session: Mapped[str] = mapped_column(Name(16))
    began: Mapped[float]
    ended: Mapped[float]
    end: Mapped[str] = mapped_column(Name(16))
    code: Mapped[str | None] = mapped_column(Name(64))
    message: Mapped[str] = mapped_column(Words)
    notified: Mapped[bool]
    messages: Mapped[int]
    octets: Mapped[int]
    orders: Mapped[int]


class DmMessageRow(Base):
    """A message of a session, as it was on the wire; empty where it carried passwords."""

    __tablename__ = "dm_message"

    session: Mapped[int] = mapped_column(
        ForeignKey("dm_session.id", ondelete="CASCADE"), primary_key=True
    )
    number: Mapped[int] = mapped_column(primary_key=True)
    sent: Mapped[bool]
    at: Mapped[float]
    media: Mapped[str] = mapped_column(Name(64))
    octets: Mapped[int]
    body: Mapped[bytes]


class GroupRow(Base):
    """A group of devices that is configured together: all that a filter finds."""

    __tablename__ = "dm_group"

    name: Mapped[str] = mapped_column(Name(64), primary_key=True)
    priority: Mapped[int]
    filter: Mapped[dict[str, Any]] = mapped_column(JSON)
    created: Mapped[float]
    who: Mapped[str] = mapped_column(Words)


class DesiredRow(Base):
    """What a node of the devices of a scope is to be; ``scope`` is group:NAME or device:UID."""

    __tablename__ = "dm_desired"

    scope: Mapped[str] = mapped_column(Name(80), primary_key=True)
    uri: Mapped[str] = mapped_column(Name(255), primary_key=True)
    format: Mapped[str] = mapped_column(Name(8))
    value: Mapped[str] = mapped_column(Words)
    at: Mapped[float]
    who: Mapped[str] = mapped_column(Words)


class KnownRow(Base):
    """What a node of a device was when it was last seen."""

    __tablename__ = "dm_known"
    # What was refused is forgotten for whole groups at once, and is rare.
    __table_args__ = (
        Index(
            "ix_dm_known_refused",
            "uid",
            sqlite_where=text("refused IS NOT NULL"),
            postgresql_where=text("refused IS NOT NULL"),
        ),
    )

    uid: Mapped[str] = mapped_column(Name(32), primary_key=True)
    uri: Mapped[str] = mapped_column(Name(255), primary_key=True)
    format: Mapped[str] = mapped_column(Name(8))
    value: Mapped[str] = mapped_column(Words)
    acl: Mapped[str] = mapped_column(Words)
    at: Mapped[float]
    refused: Mapped[str | None] = mapped_column(Words)
    status: Mapped[int | None]
    words: Mapped[str] = mapped_column(Words)
    bond: Mapped[str] = mapped_column(Name(255), server_default="")


class ChangeRow(Base):
    """A change of a device's tree."""

    __tablename__ = "dm_change"
    __table_args__ = (Index("ix_dm_change_device", "uid", "id"),)

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    uid: Mapped[str] = mapped_column(Name(32))
    uri: Mapped[str] = mapped_column(Name(255))
    old: Mapped[str | None] = mapped_column(Words)
    new: Mapped[str | None] = mapped_column(Words)
    status: Mapped[int]
    at: Mapped[float]
    origin: Mapped[str] = mapped_column(Words)
    words: Mapped[str] = mapped_column(Words)


class DmJobRow(Base):
    """A get, set or exec for all devices of a filter; ``key`` and ``digest`` are its ticket's."""

    __tablename__ = "dm_job"
    __table_args__ = (
        Index("ix_dm_job_created", "created"),
        Index("ix_dm_job_key", "who", "key", unique=True),
    )

    id: Mapped[str] = mapped_column(Name(64), primary_key=True)
    kind: Mapped[str] = mapped_column(Name(8))
    who: Mapped[str] = mapped_column(Words)
    why: Mapped[str] = mapped_column(Words)
    created: Mapped[float]
    expires: Mapped[float]
    filter: Mapped[dict[str, Any]] = mapped_column(JSON)
    commands: Mapped[list[Any]] = mapped_column(JSON)
    repeatable: Mapped[bool]
    key: Mapped[str | None] = mapped_column(Name(128))
    digest: Mapped[str | None] = mapped_column(Name(64))


class DmTaskRow(Base):
    """What one device has to do of a job, and what came of it."""

    __tablename__ = "dm_task"
    __table_args__ = (
        Index("ix_dm_task_device", "uid", "state"),
        Index("ix_dm_task_state", "state", "expires"),
        Index("ix_dm_task_job", "job", "state"),
    )

    job: Mapped[str] = mapped_column(ForeignKey("dm_job.id", ondelete="CASCADE"), primary_key=True)
    uid: Mapped[str] = mapped_column(Name(32), primary_key=True)
    state: Mapped[str] = mapped_column(Name(16))
    expires: Mapped[float]
    once: Mapped[bool]
    updated: Mapped[float]
    attempts: Mapped[int]
    status: Mapped[int | None]
    results: Mapped[list[Any]] = mapped_column(JSON)
