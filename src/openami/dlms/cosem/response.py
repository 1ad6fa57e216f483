"""What the utility says to a household and what this answers: class 8193, the maker's own.

A management client, as a DCU is one, replaces all that is said at once, reads the answers and
has them forgotten once they are safe elsewhere. A home client, as a display is one, reads what is
said and answers it. The values are those of ``said``.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, ClassVar, Final, NamedTuple, Self

from openami.core.errors import DecodeError
from openami.core.obis import Obis
from openami.dlms import data as d
from openami.dlms.cosem.access import FOR_READERS, AccessTable
from openami.dlms.cosem.base import ActionError, Attribute, Context, CosemObject, Method
from openami.dlms.cosem.said import (
    ANSWERS,
    LIMIT,
    MAX_OCTETS,
    PRICE,
    SIMPLE,
    Answer,
    Comparison,
    Event,
    EventKind,
    Interval,
    Notice,
    Payload,
    Said,
    answer_of,
    choices_data,
    choices_of,
    event_id,
)
from openami.dlms.data import Data, DataType, Encodable
from openami.dlms.results import ActionResult
from openami.wire.crc import crc16_x25

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = [
    "ANSWERS",
    "LIMIT",
    "MAX_ANSWERS",
    "PRICE",
    "RESPONSE_OBIS",
    "SIMPLE",
    "Answer",
    "Comparison",
    "Event",
    "EventKind",
    "Given",
    "Interval",
    "Notice",
    "Payload",
    "Response",
    "Said",
    "Standing",
    "profile_id",
]

RESPONSE_OBIS: Final = Obis.parse("0.0.96.51.0.255")
MAX_ANSWERS: Final = 64
"""Answers that wait for a DCU: four to each of the events that a meter holds."""

_CHOICES: Final = frozenset({Answer.ACCEPTED, Answer.OPTED_OUT})


class Given(NamedTuple):
    """An answer that waits to be told: its number, the event's id, and when it was given."""

    number: int
    event: str
    answer: Answer
    at: int

    def data(self) -> Data:
        return d.structure(
            d.u32(self.number),
            d.visible(self.event),
            d.enum(ANSWERS.index(self.answer)),
            d.u32(self.at),
        )

    @classmethod
    def of(cls, data: Data) -> Self:
        """Decode one; raises ``DecodeError``."""
        number, event, answer, at = data.items(4)
        return cls(number.integer(), event_id(event), answer_of(answer), at.integer())

    @classmethod
    def list_of(cls, data: Data) -> tuple[Self, ...]:
        """Decode attribute 6; raises ``DecodeError``."""
        rows = data.items()
        if len(rows) > MAX_ANSWERS:
            raise DecodeError(f"at most {MAX_ANSWERS} answers wanted")
        return tuple(cls.of(row) for row in rows)


def profile_id(event: str) -> int:
    """Return the id of the limiter's emergency profile that belongs to an event: 1 to 65535.

    Whoever sets a limiter and the meter that takes an opt-out know by it that they mean the same.
    """
    return crc16_x25(event.encode()) or 0xFFFF


@dataclass(frozen=True, slots=True)
class Standing:
    """All that a response object must not forget.

    Args:
        said: what is said, with what stands answered to it.
        answers: what waits to be told.
        number: of the latest answer; they rise from 1.
    """

    said: Said = field(default_factory=Said)
    answers: tuple[Given, ...] = ()
    number: int = 0

    def replaced(self, said: Said) -> Self:
        """Return what stands when ``said`` has taken the place of what was said.

        What the household chose elsewhere counts from when it is heard; else its own choice stays
        for as long as the event is there.
        """
        choices = dict(self._choices(said))
        return replace(self, said=replace(said, choices=choices))

    def _choices(self, said: Said) -> Mapping[str, Answer]:
        old, found = self.said, {}
        for event in said.events:
            before = old.event(event.id)
            out = event.optional and event.opted_out
            choice = old.choices.get(event.id)
            if out != (before is not None and before.optional and before.opted_out):
                choice = Answer.OPTED_OUT if out else Answer.ACCEPTED
            if choice is not None:
                found[event.id] = choice
        return found

    def answered(self, event: Event, answer: Answer, at: int) -> Self | None:
        """Return what stands after an answer; None if there is no room for it.

        The same answer again changes nothing. Where there is no room, those go that a later one
        to the same event has overtaken.
        """
        choices = dict(self.said.choices)
        if choices.get(event.id) is answer or (
            answer is Answer.ACKNOWLEDGED and event.id in choices
        ):
            return self
        choices[event.id] = answer
        waiting = self.answers
        if len(waiting) >= MAX_ANSWERS:
            newest = {given.event: given.number for given in waiting}
            waiting = tuple(
                given
                for given in waiting
                if given.number == newest[given.event] and given.event != event.id
            )
            if len(waiting) >= MAX_ANSWERS:
                return None
        number = self.number + 1
        given = Given(number, event.id, answer, at)
        said = replace(self.said, choices=choices)
        return replace(self, said=said, answers=(*waiting, given), number=number)

    def forgotten(self, number: int) -> Self:
        """Return what stands without the answers up to ``number``."""
        left = tuple(given for given in self.answers if given.number > number)
        return replace(self, answers=left)

    def opted_out(self) -> frozenset[str]:
        """Return the events that the household takes no part in, and need not."""
        choices = self.said.choices
        return frozenset(
            event.id
            for event in self.said.events
            if event.optional and choices.get(event.id) is Answer.OPTED_OUT
        )

    def data(self) -> Data:
        said = self.said
        answers = d.array(*(given.data() for given in self.answers))
        return d.structure(said.data(), choices_data(said.choices), answers, d.u32(self.number))

    @classmethod
    def of(cls, data: Data) -> Self:
        """Decode what ``data`` returned; raises ``DecodeError``."""
        said, choices, answers, number = data.items(4)
        found = replace(Said.of(said), choices=dict(choices_of(choices)))
        return cls(found, Given.list_of(answers), number.integer())


class Response(CosemObject):
    """Class 8193: what is said, and what is answered.

    Args:
        obis: the logical name.
        standing: what was kept.
        now: tells UTC seconds of the meter's clock.
        keep: makes what stands durable before it counts; raises if it cannot.
        reconnect: has a person reconnect the supply; False if it is not ready for that.
        access: what each kind of client may do with it.
    """

    CLASS_ID = 8193

    def __init__(
        self,
        obis: Obis | str = RESPONSE_OBIS,
        *,
        standing: Standing | None = None,
        now: Callable[[], float] = lambda: 0.0,
        keep: Callable[[Standing], None] = lambda _standing: None,
        reconnect: Callable[[], bool] = lambda: False,
        access: AccessTable = FOR_READERS,
    ) -> None:
        super().__init__(obis, access=access)
        self.standing = standing or Standing()
        self._now = now
        self._keep = keep
        self._reconnect = reconnect

    @property
    def said(self) -> Said:
        """What the utility says, with what stands answered to it."""
        return self.standing.said

    def _stand(self, standing: Standing) -> None:
        if standing != self.standing:
            self._keep(standing)
            self.standing = standing

    def replace(self, parameter: Data | None, _: Context) -> None:
        """Method 1: all that is said at once, under a revision above the one before."""
        said = Said.of(d.null() if parameter is None else parameter)
        if said.revision <= self.said.revision:
            raise ActionError(ActionResult.OTHER_REASON, "a revision above the last wanted")
        if len(said.data().encode()) > MAX_OCTETS:
            raise ActionError(ActionResult.OTHER_REASON, f"at most {MAX_OCTETS} octets")
        self._stand(self.standing.replaced(said))

    def answer(self, parameter: Data | None, _: Context) -> None:
        """Method 2: answer an event; who must take part cannot opt out."""
        name, which = () if parameter is None else parameter.items(2)
        event, answer = self.said.event(event_id(name)), answer_of(which)
        if event is None:
            raise ActionError(ActionResult.OBJECT_UNAVAILABLE, "no such event")
        if answer in _CHOICES and self._now() >= event.end:
            raise ActionError(ActionResult.OTHER_REASON, "the event is over")
        if answer is Answer.OPTED_OUT and not event.optional:
            raise ActionError(ActionResult.READ_WRITE_DENIED, "the event is not optional")
        standing = self.standing.answered(event, answer, int(self._now()))
        if standing is None:
            raise ActionError(ActionResult.TEMPORARY_FAILURE, "no room for another answer")
        self._stand(standing)

    def forget(self, parameter: Data | None, _: Context) -> None:
        """Method 3: forget the answers up to a number."""
        self._stand(self.standing.forgotten(0 if parameter is None else parameter.integer()))

    def reconnect(self, _: Data | None, __: Context) -> None:
        """Method 4: reconnect, as a person at the meter would (class 70, transition e)."""
        if not self._reconnect():
            raise ActionError(ActionResult.OTHER_REASON, "not ready for reconnection")

    def get_item(self, index: int) -> Encodable:
        return self.said.items()[index]

    ATTRIBUTES: ClassVar[Mapping[int, Attribute]] = {
        2: Attribute("revision", lambda o, _: o.get_item(0)),
        3: Attribute("events", lambda o, _: o.get_item(1)),
        4: Attribute("notices", lambda o, _: o.get_item(2)),
        5: Attribute("comparison", lambda o, _: o.get_item(3)),
        6: Attribute("answers", lambda o, _: d.array(*(g.data() for g in o.standing.answers))),
        7: Attribute("choices", lambda o, _: choices_data(o.said.choices)),
    }
    METHODS: ClassVar[Mapping[int, Method]] = {
        1: Method("replace", replace, (DataType.STRUCTURE,)),
        2: Method("answer", answer, (DataType.STRUCTURE,)),
        3: Method("forget", forget, (DataType.UINT32,)),
        4: Method("reconnect", reconnect),
    }
