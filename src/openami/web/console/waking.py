"""Waking a DCU now, and what became of it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from starlette.responses import RedirectResponse

from openami.core.errors import OpenAmiError
from openami.fleet.operators import Role
from openami.web.console.filters import counted
from openami.web.console.forms import fields_of
from openami.web.console.render import is_fragment

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.requests import Request
    from starlette.responses import Response

    from openami.fleet.accounts import AccountRecord, SessionRecord
    from openami.headend.services import Services
    from openami.web.auth import Caller
    from openami.web.console.render import Renderer
    from openami.web.console.signing import Entry

POLL: Final = "./AMI/Management/PollEvery"
# of devices with no account that a session could use
SHUT_OUT: Final = {
    "dm.unknown": ("no account", "It has not registered, so nobody can wake it."),
    "dm.suspended": ("suspended", "It is shut out for now, and is not woken."),
    "dm.secrets": ("no passwords", "Its passwords are gone from the vault: let it register anew."),
    "dm.proofs": ("unreadable", "What its account accepts was said by another version."),
}


@dataclass(frozen=True, slots=True)
class WakeState:
    """How the last wake-up of a DCU stands.

    Attributes:
        words: what that means, in a sentence or two.
        next: when the next notification goes out, or the DCU is to come by itself; UTC seconds.
        next_is: which of the two that is.
        can: whether waking it would do anything.
        open: whether it is likely to change within seconds.
        last: the last session that is over.
    """

    tone: str
    label: str
    words: str
    next: float | None = None
    next_is: str = ""
    can: bool = True
    open: bool = False
    last: SessionRecord | None = None


class Waking:
    """Shows how waking a DCU stands, and lets operators wake one."""

    def __init__(self, services: Services, renderer: Renderer) -> None:
        self._services = services
        self._renderer = renderer

    def table(self) -> Sequence[Entry]:
        return (
            ("GET", "/fragments/dcus/{dcu}/wake", self.shown),
            ("POST", "/dcus/{dcu}/wake", self.wake),
        )

    async def shown(self, request: Request, caller: Caller) -> Response:
        uid: str = request.path_params["dcu"]
        return await self._answer(uid, caller)

    async def wake(self, request: Request, caller: Caller) -> Response:
        await fields_of(request, caller, Role.OPERATOR)
        uid: str = request.path_params["dcu"]
        await asyncio.to_thread(self._services.management.trees.wake, uid)
        if not is_fragment(request):
            return RedirectResponse(f"/dcus/{uid}", 303)
        return await self._answer(uid, caller)

    async def _answer(self, uid: str, caller: Caller) -> Response:
        await asyncio.to_thread(self._services.registry.dcu, uid)
        context = {"uid": uid, "wake": await wake_state(self._services, uid)}
        return self._renderer.html("dcu_wake", context, caller=caller)


async def wake_state(services: Services, uid: str) -> WakeState:
    """Return how the last wake-up of a DCU stands."""
    management = services.management
    try:
        managed = await management.accounts.read(uid)
    except OpenAmiError as error:
        if error.code not in SHUT_OUT:
            raise
        label, words = SHUT_OUT[error.code]
        return WakeState("idle", label, words, can=False)
    last, poll = await asyncio.to_thread(_past, services, uid)
    if management.sessions.busy(uid):
        return WakeState("good", "in a session", "It is being talked to now.", open=True, last=last)
    record = managed.record
    if not managed.account.policy.hashes():
        words = "Its account accepts passwords alone (basic), with which nobody can wake it."
        poll_at = _by_itself(record, poll)
        return WakeState("idle", "only polls", words, poll_at, "poll", can=False, last=last)
    return standing(record, last, poll, services.settings.wake_attempts)


def _by_itself(record: AccountRecord, poll: float | None) -> float | None:
    """Return when a DCU is to come by itself, if known."""
    came = record.last_session
    return came + poll if came is not None and poll is not None else None


def _past(services: Services, uid: str) -> tuple[SessionRecord | None, float | None]:
    """Return the last session, and how often the DCU comes by itself in seconds, if known."""
    management = services.management
    sessions = management.log.list(uid=uid, limit=1).items
    nodes = management.trees.view(uid, below=POLL).nodes
    known = [node.known.value for node in nodes if node.known is not None]
    return (
        sessions[0] if sessions else None,
        float(known[0]) if known and known[0].isdecimal() else None,
    )


def standing(
    record: AccountRecord, last: SessionRecord | None, poll: float | None, attempts: int
) -> WakeState:
    """Return how a wake-up stands.

    Args:
        record: of the account.
        last: the last session that is over.
        poll: seconds after which the DCU comes by itself; None: nobody knows.
        attempts: notifications without an answer after which it is left to come by itself.
    """
    by_itself = _by_itself(record, poll)
    sent, due = record.wake_failures, record.wake_due
    silence = ", the last one reached nobody" if record.wake_silent else ""
    if due is not None and record.wake_url is None:
        words = "It has not said where notifications reach it, and is told when it comes by itself."
        return WakeState("warn", "waits for its poll", words, by_itself, "poll", last=last)
    if due is not None and not sent:
        words = "A notification is on its way."
        return WakeState("warn", "being woken", words, open=True, last=last)
    if due is not None:
        words = f"{counted(sent, 'notification')} of {attempts} brought no session yet{silence}."
        return WakeState("warn", "no answer yet", words, due, "try", open=True, last=last)
    if sent:
        words = f"{counted(sent, 'notification')} brought no session{silence}."
        return WakeState("bad", "did not wake", words, by_itself, "poll", last=last)
    if last is not None and last.notified:
        return WakeState(
            "good", "woken", "It came when it was called.", by_itself, "poll", last=last
        )
    words = "Nobody has called it since it last came by itself." if last else "It has not come yet."
    return WakeState("idle", "not called", words, by_itself, "poll", last=last)
