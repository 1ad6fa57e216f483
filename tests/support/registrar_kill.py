"""Forks security servers that are killed at their nth commit while a device registers, for every n.

The device's disk is a file. After each kill another server goes on with the same folder.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
from itertools import count
from pathlib import Path

from tests.support.registering import FolderOffice
from tests.support.ssmp_office import Device

from openami.fleet.expected import ExpectedDevice
from openami.ssmp.client import Step


def main(folder: str) -> None:
    fresh = Path(folder) / "fresh"
    fresh.mkdir()
    office = FolderOffice(fresh)
    office.expect(ExpectedDevice("D1"))
    office.close()
    for step in count(1):
        place = Path(folder) / str(step)
        shutil.copytree(fresh, place)
        device, disk = Device(), place / "device"
        disk.write_bytes(device.disk)
        child = os.fork()
        if child == 0:
            register(place, device, step)
            os._exit(0)
        ended = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        device.disk = disk.read_bytes()
        device.boot()
        finish(place, device)
        print("ended" if ended else "killed")
        if ended:
            return


def register(place: Path, device: Device, step: int) -> None:
    seen = count(1)

    def die(_moment: str) -> None:
        if next(seen) == step:
            os.kill(os.getpid(), signal.SIGKILL)

    office = FolderOffice(place, die)
    for _ in range(3):
        device.round(Serving(office))
        fresh = place / "device.new"
        fresh.write_bytes(device.disk)
        fresh.replace(place / "device")


def finish(place: Path, device: Device) -> None:
    office = FolderOffice(place)
    device.run(Serving(office), 6)
    assert device.state.step is Step.LIVE
    block = device.state.block
    assert block is not None
    office.check_one_account("D1", block)
    office.close()


class Serving:
    """What ``Device.round`` asks."""

    def __init__(self, office: FolderOffice) -> None:
        self.server = office.server
        self.die_before_commit = False


if __name__ == "__main__":
    main(*sys.argv[1:])
