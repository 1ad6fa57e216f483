"""How far a DCU is with one meter: what it has said there, set there, switched there."""

from __future__ import annotations

from typing import Any, Final, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from openami.core.clock import isoformat
from openami.core.errors import DecodeError


class _Model(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)

    def but(self, **changes: Any) -> Self:
        """Return it with changes."""
        return self.model_copy(update=changes)


class Held(_Model):
    """One event or notice that stands in the meter: its digest, and when it is over."""

    digest: str
    end: float


class Limited(_Model):
    """The emergency profile of a limiter.

    Attributes:
        event: whose limit it is.
        version: of the event.
        watts: the limit.
        start: of its time, UTC seconds.
        end: of its time.
        written: the meter has taken all of it; else nobody knows how much.
        active: it was found to limit.
        looked: when somebody looked last.
    """

    event: str
    version: int
    watts: int
    start: int
    end: int
    written: bool = False
    active: bool = False
    looked: float | None = None


class Switched(_Model):
    """An order to switch the supply.

    Attributes:
        order: its name.
        before: the state that was found before it was begun; None: it was not begun.
        done: it is over, whatever came of it.
    """

    order: str
    before: str | None = None
    done: bool = False


class Denied(_Model):
    """An order to forget the displays that the meter refuses.

    Attributes:
        order: its name.
        tries: how often it was refused.
        again: when it is tried again, UTC seconds of the meters' time.
        told: the code with which the head-end was told.
    """

    order: str
    tries: int
    again: float
    told: str = ""


class MeterState(_Model):
    """What the DCU has done with one meter.

    Attributes:
        revision: of what is said, as the DCU wrote it last; None: it does not know.
        held: what stands there, by ``event/ID`` and ``notice/ID``.
        comparison: digest of the comparison that stands there.
        answer: the number of the last answer that is kept for the head-end.
        choices: the last choice of the household, by the event.
        plain: the firmware with which it has no response object; None: it may have one.
        message: the text that a plain meter shows.
        limit: the emergency profile that is set, or was until its end was looked at.
        refused: what the meter would not take, by what it was, with the error's code.
        supply: the last order.
        forgotten: the last order to forget the displays that was done.
        denied: the last order to forget the displays, while it is refused.
        talked: when the DCU last went through all of this with the meter.
    """

    revision: int | None = None
    held: dict[str, Held] = Field(default_factory=dict)
    comparison: str = ""
    answer: int = 0
    choices: dict[str, str] = Field(default_factory=dict)
    plain: str | None = None
    message: str = ""
    limit: Limited | None = None
    refused: dict[str, str] = Field(default_factory=dict)
    supply: Switched | None = None
    forgotten: str = ""
    denied: Denied | None = None
    talked: float | None = None

    def encode(self) -> bytes:
        """Return what is kept of it."""
        return self.model_dump_json(exclude_defaults=True).encode()

    @classmethod
    def decode(cls, octets: bytes) -> Self:
        """Return what ``encode`` wrote; raises ``DecodeError``."""
        try:
            return cls.model_validate_json(octets)
        except ValidationError as error:
            raise DecodeError("the state of a meter wanted", code="demand.state") from error


FRESH: Final = MeterState()


def report(
    meter: str,
    what: str,
    at: float,
    *,
    event: str | None = None,
    code: str | None = None,
    reason: str | None = None,
) -> dict[str, Any]:
    """Return what the head-end is told of a meter; the number comes with keeping it."""
    words = None if reason is None else reason[:200]
    moment = isoformat(at)
    return {
        "meter": meter, "event": event, "what": what, "at": moment, "code": code, "reason": words,
    }  # fmt: skip
