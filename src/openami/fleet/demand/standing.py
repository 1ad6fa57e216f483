"""What became of an event at a meter: what the meter, its household and its DCU have said.

A repeat of what was said changes nothing, and neither does what comes late: the first of each kind
of news is kept with its time, of answers the last one that was given. So reports may come twice,
and in any order.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

MAX_CODE: Final = 64
"""Characters of a stable code."""
MAX_REASON: Final = 200
"""Characters of words about a refusal: a line of a screen."""


class What(StrEnum):
    """What a report tells of a meter.

    ``delivered``: the event stands in the meter. ``refused``: it can not be told there.
    ``limited`` and ``restored``: what may be taken was limited, and is so no more.
    ``supply``: what became of an order to switch its supply, and ``displays`` of one to forget
    its displays; of no event.
    """

    DELIVERED = "delivered"
    REFUSED = "refused"
    LIMITED = "limited"
    RESTORED = "restored"
    ACKNOWLEDGED = "acknowledged"
    ACCEPTED = "accepted"
    OPTED_OUT = "opted-out"
    SUPPLY = "supply"
    DISPLAYS = "displays"


class Answer(StrEnum):
    """What a household says to an event."""

    ACKNOWLEDGED = "acknowledged"
    ACCEPTED = "accepted"
    OPTED_OUT = "opted-out"


ANSWERS: Final[Mapping[What, Answer]] = {
    What.ACKNOWLEDGED: Answer.ACKNOWLEDGED,
    What.ACCEPTED: Answer.ACCEPTED,
    What.OPTED_OUT: Answer.OPTED_OUT,
}


@dataclass(frozen=True, slots=True)
class News:
    """One thing that was said of an event at a meter."""

    what: What
    at: float
    code: str | None = None
    reason: str = ""
    who: str = ""


@dataclass(frozen=True, slots=True)
class Standing:
    """How an event stands at a meter; times are of the meters' clock, None: not so far.

    Attributes:
        acknowledged: when somebody there first saw it.
        answer: the last one that was given.
        answered: when.
        who: gave it: empty for the household at its meter or display, else a customer or operator.
        refused: when it could not be told there, with a code and words.
    """

    delivered: float | None = None
    limited: float | None = None
    restored: float | None = None
    acknowledged: float | None = None
    answer: Answer | None = None
    answered: float | None = None
    who: str = ""
    refused: float | None = None
    code: str | None = None
    reason: str = ""

    @property
    def reached(self) -> bool:
        """Whether anything was ever said of the event by the meter, its household or its DCU."""
        return self != Standing()

    @property
    def opted_out(self) -> bool:
        """Whether the household takes no part."""
        return self.answer is Answer.OPTED_OUT

    def after(self, news: News) -> Standing:
        """Return it after news; the same object where they are none."""
        if news.what in ANSWERS:
            return self._answered(news, ANSWERS[news.what])
        step = _STEPS.get(news.what)
        return self if step is None else step(self, news)

    def _answered(self, news: News, answer: Answer) -> Standing:
        seen = news.at if self.acknowledged is None else min(self.acknowledged, news.at)
        told = self if seen == self.acknowledged else replace(self, acknowledged=seen)
        # Having seen it is no answer to what was accepted or declined before.
        if answer is Answer.ACKNOWLEDGED and told.answer is not None:
            return told
        first = told.answer in {None, Answer.ACKNOWLEDGED}
        if not first and (told.answered or 0.0) >= news.at:
            return told
        if (told.answer, told.who) == (answer, news.who):
            return told
        return replace(told, answer=answer, answered=news.at, who=news.who)


@dataclass(frozen=True, slots=True)
class Counts:
    """How many meters an event has, and of how many of these something is known."""

    meters: int = 0
    delivered: int = 0
    acknowledged: int = 0
    accepted: int = 0
    opted_out: int = 0
    limited: int = 0
    restored: int = 0
    refused: int = 0


def _delivered(was: Standing, news: News) -> Standing:
    if was.delivered is not None:
        return was
    # What could not be told at first was told later.
    return replace(was, delivered=news.at, refused=None, code=None, reason="")


def _refused(was: Standing, news: News) -> Standing:
    if was.delivered is not None or (was.refused or 0.0) >= news.at:
        return was
    return replace(was, refused=news.at, code=news.code, reason=news.reason)


def _limited(was: Standing, news: News) -> Standing:
    return was if was.limited is not None else replace(was, limited=news.at)


def _restored(was: Standing, news: News) -> Standing:
    return was if was.restored is not None else replace(was, restored=news.at)


_STEPS: Final[Mapping[What, Callable[[Standing, News], Standing]]] = {
    What.DELIVERED: _delivered,
    What.REFUSED: _refused,
    What.LIMITED: _limited,
    What.RESTORED: _restored,
}
