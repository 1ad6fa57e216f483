"""Fetches a file until it is killed; it prints what it says is durable."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from openami.dcu.download import Downloader, Means
from openami.dcu.flow import Stop
from openami.dcu.threads import WorkThread
from openami.firmware.target import TargetFile
from openami.omadm.download.descriptor import origin_of
from openami.omadm.download.machine import Policy
from openami.store.partial import PartialFile
from openami.transport.http import HttpClient
from openami.transport.tls import client_context


async def main(
    folder: str, url: str, size: str, sha256: str, authority: str, certificate: str, key: str
) -> None:
    tls = client_context(Path(authority), certificate=Path(certificate), key=Path(key))
    thread = WorkThread("disk")
    means = Means(
        PartialFile(Path(folder), floor=0),
        thread,
        lambda origin: HttpClient(origin, tls=tls),
        Policy(frozenset({str(origin_of(url))}), frozenset({"application/zip"}), first_s=0.01),
        chance=lambda: 0.5,
    )
    target = TargetFile("dcu/openami/2.0.0/full/agent", int(size), sha256)
    loaded = await Downloader(means).load(
        url, target, Stop(), progress=lambda octets, _size: print(f"kept {octets}", flush=True)
    )
    print(f"over {loaded.end}", flush=True)
    thread.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
