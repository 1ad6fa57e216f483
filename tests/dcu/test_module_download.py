"""Downloads with the certificate that the security module keeps, through its relays."""

from __future__ import annotations

import hashlib
import random
from typing import TYPE_CHECKING

import pytest
from tests.support.download_server import Fault, downloads
from tests.support.secured import UID, Utility
from tests.transport.certificates import Pem

from openami.core.errors import TransportError
from openami.dcu.download import Downloader, Means
from openami.dcu.flow import Stop
from openami.dcu.module.client import SecurityModule
from openami.dcu.threads import WorkThread
from openami.firmware.target import TargetFile
from openami.omadm.download.ends import End
from openami.omadm.download.machine import Policy
from openami.store.partial import PartialFile

if TYPE_CHECKING:
    from pathlib import Path

CONTENT = random.Random(6).randbytes(300_000)
TARGET = TargetFile("dcu/openami/2.0.0/full/agent", 300_000, hashlib.sha256(CONTENT).hexdigest())


async def test_the_device_s_identity_fetches_what_nobody_else_gets(tmp_path: Path) -> None:
    utility = Utility(tmp_path / "utility")
    thread = WorkThread("disk")
    pem = Pem(*utility.server())
    async with (
        downloads(CONTENT, pem, utility.authority, [Fault(most=100_000)]) as server,
        SecurityModule.start(
            tmp_path / "state", utility.device(f"https://{server.origin}")
        ) as module,
    ):
        means = Means(
            PartialFile(tmp_path / "download", floor=0),
            thread,
            module.operational_client,
            Policy(
                frozenset({server.origin}), frozenset({"application/zip"}), first_s=0.001, tries=2
            ),
            chance=lambda: 0.5,
        )
        assert (await Downloader(means).load(server.url, TARGET, Stop())).end is End.FORBIDDEN
        assert not server.asked
        facts = await module.install(utility.certify(await module.new_key(), serial=500))
        assert facts.uid == UID
        loaded = await Downloader(means).load(server.url, TARGET, Stop())
        assert loaded.end is End.OK
        assert loaded.path is not None
        assert loaded.path.read_bytes() == CONTENT
        assert [one.first for one in server.objects] == [0, 100_000]
        await server.stop()
        async with module.operational_client(f"https://{server.origin}") as client:
            with pytest.raises(TransportError) as caught:
                async with client.stream("GET", "/object"):
                    pytest.fail("nobody is there")
        assert caught.value.code == "transport.refused"
    thread.close()
