"""Orders to switch the supply of a meter: made by people, carried by its DCU, done once.

    waiting ──reported──► done       the state that was found after is the one that was wanted
       ├─────reported──► failed      it is another, or the meter refused
       └──────due──────► expired     nobody said anything in time: nobody knows

An order is done by its meter or it ends with its time; what is reported after that changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final


class Wanted(StrEnum):
    """What a supply is to be: on, off, or on as soon as somebody presses the meter's button."""

    CONNECTED = "connected"
    DISCONNECTED = "disconnected"
    READY = "ready"


class OrderState(StrEnum):
    """How far an order is."""

    WAITING = "waiting"
    DONE = "done"
    FAILED = "failed"
    EXPIRED = "expired"


MOST_S: Final = 7 * 86_400
"""For how long a supply may be waited for: whoever ordered it has forgotten it by then."""


@dataclass(frozen=True, slots=True)
class SupplyOrder:
    """One order.

    Attributes:
        id: its name.
        meter: serial number.
        wanted: what the supply is to be.
        who: ordered it.
        why: for the audit log.
        created: when, UTC seconds of the meters' clock.
        until: when it is given up, of the same clock.
        state: how far it is.
        found: the state that the DCU found after, or the code of what was in the way.
        reason: the same in words.
        ended: when it was done, failed or was given up.
    """

    id: str
    meter: str
    wanted: Wanted
    who: str
    why: str
    created: float
    until: float
    state: OrderState = OrderState.WAITING
    found: str = ""
    reason: str = ""
    ended: float | None = None

    def reported(self, code: str | None, reason: str, at: float) -> SupplyOrder:
        """Return it after a DCU has said what it found; the same where it is over."""
        if self.state is not OrderState.WAITING:
            return self
        state = OrderState.DONE if code == self.wanted.value else OrderState.FAILED
        return replace(self, state=state, found=code or "", reason=reason, ended=at)

    def expired(self, now: float) -> SupplyOrder:
        """Return it given up if it is too late; else the same."""
        if self.state is not OrderState.WAITING or now < self.until:
            return self
        words = "no answer in time: nobody knows whether it was done"
        return replace(self, state=OrderState.EXPIRED, reason=words, ended=now)
