"""How patient the manager of a segment's meters is."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from openami.core.backoff import backoff

if TYPE_CHECKING:
    from openami.fleet.upgrade.state import Upgrade


@dataclass(frozen=True, slots=True)
class MeterPolicy:
    """How one meter is dealt with.

    Attributes:
        poll_s: how long a meter that is busy is left alone at first; doubles with each time.
        poll_most_s: the longest.
        verify_s: how long a meter may verify: some hash a slow flash for minutes.
        activation_s: how long it may take from activation to an answer with the new version.
        trial_s: how long it must have kept the new version, if its status does not say more.
        stale_s: how old what it said may be when it is told to activate.
        silence_first_s: how long it is left alone after no answer; doubles with each time.
        silence_most_s: the longest.
        refusals: of one step in a row, after which it is given up.
        initiations: how often it may be told to begin, for it lost what it had.
        activations: how often it may be told to activate, if it says each time that it was not.
    """

    poll_s: float = 15.0
    poll_most_s: float = 120.0
    verify_s: float = 3600.0
    activation_s: float = 1800.0
    trial_s: float = 600.0
    stale_s: float = 300.0
    silence_first_s: float = 30.0
    silence_most_s: float = 900.0
    refusals: int = 3
    initiations: int = 3
    activations: int = 5

    def __post_init__(self) -> None:
        rests = (self.poll_s, self.silence_first_s, self.verify_s, self.activation_s, self.stale_s)
        if min(rests) <= 0 or self.trial_s < 0:
            raise ValueError("a rest is longer than nothing")
        if self.poll_most_s < self.poll_s or self.silence_most_s < self.silence_first_s:
            raise ValueError("the longest rest is not shorter than the first")
        if min(self.refusals, self.initiations, self.activations) < 1:
            raise ValueError("a meter is told everything at least once")

    def wait(self, state: Upgrade, now: float) -> Upgrade:
        """Return the state of a meter that is left alone for it is busy."""
        failures = state.failures + 1
        rest = backoff(failures, first=self.poll_s, most=self.poll_most_s)
        return replace(state, failures=failures, free_at=now + rest)
