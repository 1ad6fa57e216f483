"""DCUs that register, each in a process of its own that kills itself at its n-th step."""

from __future__ import annotations

import asyncio
from pathlib import Path

from tests.support.forks import serve
from tests.support.killer import Killer

from openami.dcu.enrolment import Enrolment
from openami.dcu.flow import Stop
from openami.dcu.module.client import SecurityModule
from openami.store.vault import FileVault


async def live(state: Path, factory: Path) -> None:
    async with SecurityModule.start(state, factory) as module:
        with Enrolment(module, state) as enrolment:
            await enrolment.register(Stop())


def register(state: str, factory: str, number: str) -> None:
    killer = Killer(int(number))
    for owner, name in (
        (SecurityModule, "new_key"),
        (SecurityModule, "install"),
        (Enrolment, "_carry"),
        (FileVault, "put"),
    ):
        killer.around(owner, name)
    asyncio.run(live(Path(state), Path(factory)))


if __name__ == "__main__":
    serve(register)
