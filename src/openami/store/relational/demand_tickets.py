"""Requests for events and notices that are made again, since no answer came."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy import select

from openami.core.errors import ConflictError
from openami.store.relational.demand_models import DemandEventRow, DemandNoticeRow

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from openami.fleet.tasks import Ticket

R = TypeVar("R", DemandEventRow, DemandNoticeRow)


def ticket_values(ticket: Ticket | None) -> dict[str, Any]:
    """Return what a row keeps of the ticket of the request that made it."""
    return {} if ticket is None else {"ticket": ticket.key, "digest": ticket.digest}


def repeated(session: Session, table: type[R], id_: str, who: str, ticket: Ticket | None) -> R:
    """Return the row that the same request of the same person has made before.

    Raises:
        ConflictError: ``demand.key``, the key was given to another request; the id is taken.
    """
    row = None
    if ticket is not None:
        mine = (table.who == who, table.ticket == ticket.key)
        row = session.scalars(select(table).where(*mine)).one_or_none()
    if ticket is None or row is None:
        raise ConflictError(f"there is {id_} already")
    if row.digest != ticket.digest:
        raise ConflictError("this key was given to another request", code="demand.key")
    return row
