"""The table of C12.22 nodes."""

from __future__ import annotations

from typing import Any

from sqlalchemy import JSON
from sqlalchemy.orm import Mapped, mapped_column

from openami.store.relational.models import Base, Name, Words


class NodeRow(Base):
    """A meter as a node; from ``serial`` on its registration, all null where it has none."""

    __tablename__ = "c1222_node"

    meter: Mapped[str] = mapped_column(Name(32), primary_key=True)
    title: Mapped[str] = mapped_column(Name(255), unique=True)
    key_id: Mapped[int]
    user_id: Mapped[int | None]
    logs: Mapped[dict[str, Any]] = mapped_column(JSON)
    taken: Mapped[str | None] = mapped_column(Words)
    serial: Mapped[str | None] = mapped_column(Words)
    native: Mapped[bytes | None]
    node_type: Mapped[int | None]
    connection: Mapped[int | None]
    device_class: Mapped[bytes | None]
    registered_at: Mapped[float | None]
    expires_at: Mapped[float | None]
    via: Mapped[str | None] = mapped_column(Words)
