"""The meters of an event of which nothing was heard, and why."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from openami.fleet.demand.told import AHEAD_S
from openami.fleet.devices import MeterProtocol
from openami.fleet.ports import Page

if TYPE_CHECKING:
    from openami.fleet.demand.records import Unheard
    from openami.headend.demand.book import Book
    from openami.headend.demand.ports import DemandStore


class Why(StrEnum):
    """Why nothing was heard of an event at a meter.

    ``head-end``: the head-end reads the meter itself, and such are told nothing. ``no-dcu``: no
    DCU looks after it. ``not-asked``: its DCU has not asked what holds since the event was sent.
    ``not-told``: its DCU has the event, the meter does not yet. ``early``: DCUs are told of it
    eight days ahead. ``over``: the event is over.
    """

    HEAD_END = "head-end"
    NO_DCU = "no-dcu"
    NOT_ASKED = "not-asked"
    NOT_TOLD = "not-told"
    EARLY = "early"
    OVER = "over"


@dataclass(frozen=True, slots=True)
class Unreached:
    """A meter that an event is for and of which nothing was heard."""

    meter: str
    dcu: str | None
    why: Why


def unreached(
    store: DemandStore,
    book: Book,
    id_: str,
    now: float,
    *,
    after: str | None = None,
    limit: int = 100,
) -> Page[Unreached]:
    """Return the meters of an event of which nothing was heard, by serial number. Blocks.

    Of a draft, which nobody was told, there are none.

    Raises:
        NotFoundError: there is no such event.
    """
    record = store.get(id_)
    if record.published is None:
        return Page(())
    page = store.unheard(record, after=after, limit=limit)
    state = None
    if id_ not in book.events():
        state = Why.OVER
    elif record.event.start >= now + AHEAD_S:
        state = Why.EARLY
    dcus = frozenset(one.dcu for one in page.items if one.dcu is not None)
    late = frozenset(book.late(id_, dcus))
    return Page(tuple(Unreached(one.meter, one.dcu, _why(one, state, late)) for one in page.items),
                page.next)  # fmt: skip


def _why(one: Unheard, of_all: Why | None, late: frozenset[str]) -> Why:
    if one.dcu is None:
        return Why.HEAD_END if one.protocol is MeterProtocol.C1222 else Why.NO_DCU
    return of_all or (Why.NOT_ASKED if one.dcu in late else Why.NOT_TOLD)
