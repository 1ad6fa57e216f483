"""Who may register with a master relay that asks no head-end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from openami.c1222.codes import ResponseCode, SecurityMode
from openami.c1222.network.places import same_place
from openami.c1222.network.registrations import Admitted

if TYPE_CHECKING:
    from openami.c1222.network.registrations import Application
    from openami.c1222.titles import ApTitle


@dataclass(frozen=True, slots=True)
class KeyPolicy:
    """Admits who shows a key, under the title that it calls itself.

    Attributes:
        title: of the relay itself, which nobody else gets.
        least: how a registration has to be protected; where it may be in clear, a title belongs to
            whoever had it first, until that registration ends.
        period: seconds that a registration lasts at most.
        delay: seconds that a node waits before it registers after its power failed.
    """

    title: ApTitle
    least: SecurityMode = SecurityMode.AUTHENTICATED
    period: int = 3600
    delay: int = 60

    def admit(self, application: Application, *, now: float) -> Admitted | ResponseCode:
        """Say what a node gets, or why it gets nothing."""
        del now
        wanted, calling, known = application.request.title, application.calling, application.known
        if application.mode < self.least or wanted.name == self.title.name:
            return ResponseCode.ISC
        if not application.by_relay and (calling is None or calling.name != wanted.name):
            return ResponseCode.ISC
        moved = known is not None and not same_place(known.source, application.source)
        if application.mode is SecurityMode.CLEAR and moved:
            return ResponseCode.ISC
        return Admitted(wanted.shortest(), self.period, self.delay)


class Nobody:
    """Admits nobody: the policy of a relay that takes over what its registrar has answered."""

    def admit(self, application: Application, *, now: float) -> ResponseCode:
        """Say no."""
        del application, now
        return ResponseCode.SNS
