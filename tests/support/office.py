"""Devices that ask, are in, quarrel, and are managed: what an operator of a head-end sees."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.support.factory import FactoryDevice, Maker
from tests.support.headend import dcu_client
from tests.support.management import Device, give_account

from openami.fleet.desired import Setting
from openami.headend.management.trees import device_scope
from openami.omadm.objects.ami import AmiListener
from openami.transport.clock import SystemClock

if TYPE_CHECKING:
    from pathlib import Path

    from openami.headend.server import Running

LIST = """uid,manufacturer,model,approval,region,label
L1,Maker,OA-DCU,auto,Seoul,Pole 17
B1,Maker,OA-DCU,auto,Seoul,Pole 18
"""
WINDOW = "./AMI/Link/Window"
RETRIES = "./AMI/Link/Retries"


async def populate(running: Running, name: str = "Maker") -> Maker:
    """Let P1 and P2 wait, L1 be live, and two be B1, which raises an alarm."""
    maker = Maker(SystemClock().now(), name)
    maker.trusted_by(running, name)
    running.services.registrations.import_expected(LIST, who="test")
    for uid in ("P1", "P2"):
        await FactoryDevice(running, maker, uid).ask()
    await FactoryDevice(running, maker, "L1").register()
    first = FactoryDevice(running, maker, "B1")
    await first.register()
    await FactoryDevice(running, maker, "B1", factory=first.factory).ask()
    return maker


async def manage(running: Running, folder: Path, uid: str = "D1") -> None:
    """Let a device become what is wanted of it but for a value that it refuses, and one to come."""
    async with dcu_client(running, folder, uid) as http:
        device = Device(uid, give_account(running, uid), http)
        device.tree.watch("./AMI", AmiListener(lambda _: None))
        await device.run()
        trees, scope = running.services.management.trees, device_scope(uid)
        trees.want(scope, [Setting(RETRIES, "int", "7")], who="test")
        await device.run()
        trees.want(scope, [Setting(WINDOW, "int", "99")], who="test")
        await device.run()
        trees.want(scope, [Setting("./SCHED/1/Enabled", "bool", "true")], who="test")
