"""Switching the supply of C12.22 meters: direct load control, for people."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from openami.c1222.tables import Procedure, ProcedureRequest, Result
from openami.core.errors import ConflictError, OpenAmiError
from openami.fleet.devices import AuditEntry
from openami.headend.registry import reason

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from openami.core.clock import Clock
    from openami.fleet.ports import AuditLog
    from openami.headend.c1222.models import Model
    from openami.headend.c1222.talk import Talk
    from openami.headend.registry import Registry

    Way = Callable[[str], Awaitable[tuple[Talk, Model]]]

FULL: Final = 100
"""The level of all of the load (C12.19, procedure 21); 0 is none of it."""
_GOOD: Final = frozenset({Result.DONE, Result.ACCEPTED})


class Supply:
    """Has meters connect or disconnect their supply.

    Attributes:
        way: returns how to speak to a meter; None: no metering server runs.
    """

    def __init__(self, registry: Registry, audit: AuditLog, *, wall: Clock) -> None:
        self._registry = registry
        self._audit = audit
        self._wall = wall
        self.way: Way | None = None

    async def switch(self, serial: str, *, on: bool, who: str, why: str) -> str:
        """Connect or disconnect a meter's supply; return what it says, in words.

        What is asked for is in the audit log before the meter is, and what came of it after.

        Raises:
            NotFoundError: there is no such meter.
            RequestError: ``request.why``, no reason was given.
            ConflictError: ``supply.no-way``, it is no meter that the head-end speaks to itself;
                ``supply.refused``, it does not do it.
            TransportTimeoutError: ``c1222.unanswered``: nobody knows whether it was done.
            NodeRefusedError: it may not be asked.
        """
        words = reason(why)
        device = await asyncio.to_thread(self._registry.meter, serial)
        if self.way is None:
            raise self._no_way(serial)
        state = "on" if on else "off"
        await self._note(device.id, f"meter.supply {state} asked for", who, words)
        try:
            said, done = await self._switched(self.way, serial, on=on)
        except OpenAmiError as error:
            await self._note(device.id, f"meter.supply {state}: {error.message}", who, words)
            raise
        await self._note(device.id, f"meter.supply {state}: {said}", who, words)
        if not done:
            raise ConflictError(f"meter {serial}: {said}", code="supply.refused")
        return said

    async def _switched(self, way: Way, serial: str, *, on: bool) -> tuple[str, bool]:
        """Return what the meter says, and whether it does it."""
        talk, model = await way(serial)
        if not model.does(Procedure.DIRECT_LOAD_CONTROL):
            raise ConflictError(f"meter {serial} has no procedure 21", code="supply.refused")
        wanted = {"LEVEL": FULL if on else 0, "ACTIONS": 0, "TIMING": b""}
        request = ProcedureRequest(Procedure.DIRECT_LOAD_CONTROL, 0, wanted)
        answer = await talk.do(model.tables, request)
        return answer.meaning, answer.result in _GOOD

    def _no_way(self, serial: str) -> ConflictError:
        return ConflictError(f"meter {serial} is not spoken to from here", code="supply.no-way")

    async def _note(self, subject: str, what: str, who: str, why: str) -> None:
        entry = AuditEntry(who, self._wall.now(), what, subject, why)
        await asyncio.to_thread(self._audit.add, entry)
