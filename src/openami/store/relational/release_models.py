"""The tables of releases and of the repository. Digests are SHA-256 in hexadecimal digits."""

from __future__ import annotations

from typing import Any

from sqlalchemy import JSON, BigInteger, ForeignKey, Index
from sqlalchemy import UniqueConstraint as Unique
from sqlalchemy.orm import Mapped, mapped_column

from openami.store.relational.models import Base, Name, RowId, Words


class ReleaseRow(Base):
    """A release, and where it stands; its files are on the disk under their digests."""

    __tablename__ = "release"
    __table_args__ = (
        Index("ix_release_product", "kind", "name"),
        Index("ix_release_state", "state", "id"),
    )

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    kind: Mapped[str] = mapped_column(Name(16))
    name: Mapped[str] = mapped_column(Name(64))
    version: Mapped[str] = mapped_column(Name(32))
    counter: Mapped[int] = mapped_column(BigInteger)
    digest: Mapped[str] = mapped_column(Name(64))
    state: Mapped[str] = mapped_column(Name(16))
    uploader: Mapped[str] = mapped_column(Words)
    manifest: Mapped[bytes]
    files: Mapped[list[dict[str, Any]]] = mapped_column(JSON)


class ReleaseEventRow(Base):
    """What was done to a release; never changed."""

    __tablename__ = "release_event"
    __table_args__ = (Unique("release", "position"),)

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    release: Mapped[int] = mapped_column(ForeignKey("release.id"))
    position: Mapped[int]
    act: Mapped[str] = mapped_column(Name(16))
    who: Mapped[str] = mapped_column(Words)
    when: Mapped[float]
    why: Mapped[str] = mapped_column(Words)
    before: Mapped[str | None] = mapped_column(Name(16))
    after: Mapped[str] = mapped_column(Name(16))
    findings: Mapped[list[list[str]]] = mapped_column(JSON)


class TargetRow(Base):
    """A file that devices may fetch."""

    __tablename__ = "release_target"

    path: Mapped[str] = mapped_column(Name(320), primary_key=True)
    release: Mapped[int] = mapped_column(ForeignKey("release.id"), index=True)
    size: Mapped[int] = mapped_column(BigInteger)
    sha256: Mapped[str] = mapped_column(Name(64))


class DocumentRow(Base):
    """A document of the repository as it was signed."""

    __tablename__ = "release_document"

    role: Mapped[str] = mapped_column(Name(16), primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    body: Mapped[bytes]
    made: Mapped[float]


class VendorKeyRow(Base):
    """A public key that a vendor signs images with."""

    __tablename__ = "release_key"

    id: Mapped[str] = mapped_column(Name(64), primary_key=True)
    vendor: Mapped[str] = mapped_column(Name(120), primary_key=True)
    product: Mapped[str] = mapped_column(Name(64), primary_key=True)
    pem: Mapped[bytes]
    added: Mapped[float]
    who: Mapped[str] = mapped_column(Words)
