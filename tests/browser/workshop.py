"""A head-end whose DCUs are wanted to be so, and come when they are called: a process of its own."""

from __future__ import annotations

import asyncio
import signal
import sys
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from tests.browser.children import child, say
from tests.support.headend import PASSWORD, dcu_client, running_headend
from tests.support.management import Device, change_account, give_account
from tests.support.office import RETRIES, manage, populate

from openami.fleet.desired import Setting
from openami.fleet.operators import Role
from openami.fleet.ports import DeviceFilter
from openami.headend.management.device_groups import group_scope
from openami.omadm.objects.ami import AmiListener

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractContextManager

    from openami.headend.server import Running

LIVELY = ("D2", "D3")
DEAD = "D4"
ROUND_S = 0.2


async def _join(running: Running, folder: Path, stack: AsyncExitStack) -> list[Device]:
    """Let DCUs be seen: some that come when they are called, and one that never will again."""
    lively = []
    for uid in (*LIVELY, DEAD):
        http = await stack.enter_async_context(dcu_client(running, folder, uid))
        device = Device(uid, give_account(running, uid, digest=uid.lower() * 32), http)
        device.tree.watch("./AMI", AmiListener(lambda _: None))
        await device.run()
        lively += [device] if uid in LIVELY else []
    change_account(running, DEAD, wake_url="http://127.0.0.1:9/wake")
    management = running.services.management
    management.groups.put("pilot", DeviceFilter(search="D"), priority=1, who="anna")
    wishes = [Setting(RETRIES, "int", "7"), Setting("./AMI/Collection/LoadPeriod", "int", "900")]
    management.trees.want(group_scope("pilot"), wishes, who="anna")
    running.services.operators.add("looker", PASSWORD, Role.VIEWER, who="test")
    return lively


async def _come(running: Running, devices: Sequence[Device]) -> None:
    """Have a session with each device that is called, as its notification would."""
    while True:
        for device in devices:
            account = await running.services.management.accounts.read(device.uid)
            if account.record.wake_due is not None:
                await device.run(notified=True)
        await asyncio.sleep(ROUND_S)


async def _serve(folder: Path) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with running_headend(folder) as running, AsyncExitStack() as stack:
        await populate(running)
        await manage(running, folder)
        coming = asyncio.create_task(_come(running, await _join(running, folder, stack)))
        say(running.url)
        ended = asyncio.create_task(stop.wait())
        await asyncio.wait([coming, ended], return_when=asyncio.FIRST_COMPLETED)
        coming.cancel()


def workshop(folder: Path) -> AbstractContextManager[str]:
    """Run it; return the address of its console."""
    return child("workshop", folder)


if __name__ == "__main__":
    asyncio.run(_serve(Path(sys.argv[1])))
