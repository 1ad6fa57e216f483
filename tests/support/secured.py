"""A factory's folder for a device, and TLS servers that say who came."""

from __future__ import annotations

import json
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from cryptography.hazmat.primitives.serialization import Encoding
from tests.support.ssmp_office import make_key

from openami.crypto import certificates as c
from openami.crypto.requests import read_request
from openami.headend.security.issued import key_pem
from openami.headend.security.maker import DeviceType, make_device, make_maker
from openami.transport.tls import server_context
from openami.transport.web import serve

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from openami.transport.web import HttpServer

DAY = 86_400.0
UID = "D1"


class Utility:
    """An authority for servers and devices, and a maker of devices, in a folder."""

    def __init__(self, folder: Path, name: str = "Utility") -> None:
        self.folder = folder
        self.now = time.time()
        long = c.Validity(self.now - DAY, self.now + 365 * DAY)
        self.root = c.make_root(name, make_key(), serial=1, validity=long)
        self.devices = c.make_authority(self.root, "Devices", make_key(), serial=2, validity=long)
        folder.mkdir(parents=True, exist_ok=True)
        self.authority = folder / "ca.pem"
        self.authority.write_bytes(self.root.certificate_pem())
        self.maker = folder / "maker"
        self.anchor = make_maker(self.maker, "Maker", now=self.now)

    def server(self, name: str = "127.0.0.1", *, days: float = 30) -> tuple[Path, Path]:
        """Return the files of a server's certificate and key."""
        key = make_key()
        leaf = c.issue_server(
            self.root, [name], key.public_key(), serial=77,
            validity=c.Validity(self.now - 2 * DAY, self.now + days * DAY),
        )  # fmt: skip
        made = c.Identity(leaf, key)
        files = self.folder / f"{name}{days}.pem", self.folder / f"{name}{days}.key"
        files[0].write_bytes(made.certificate_pem())
        files[1].write_bytes(key_pem(key))
        return files

    def device(self, url: str, uid: str = UID) -> Path:
        """Return the factory's folder of a device that registers at ``url``."""
        folder = self.folder / f"factory-{uid}-{len(list(self.folder.iterdir()))}"
        kind = DeviceType(url, self.authority.read_bytes())
        make_device(self.maker, uid, kind, folder, now=self.now)
        return folder

    def certify(
        self, request: bytes, *, serial: int, uid: str = UID, days: float = 30
    ) -> tuple[bytes, ...]:
        """Return the chain of an operational certificate."""
        _, key = read_request(request)
        leaf = c.issue_ldevid(
            self.devices, uid, f"urn:openami:dcu:{uid}", key, serial=serial,
            validity=c.Validity(self.now - DAY, self.now + days * DAY),
        )  # fmt: skip
        return tuple(one.public_bytes(Encoding.DER)
                     for one in (leaf, self.devices.certificate))  # fmt: skip

    @asynccontextmanager
    async def serving(
        self,
        app: Any = None,
        *,
        name: str = "127.0.0.1",
        days: float = 30,
        clients: Path | None = None,
    ) -> AsyncIterator[HttpServer]:
        """Serve ``app`` (who came, by default) to whom the anchors of ``clients`` vouch for."""
        certificate, key = self.server(name, days=days)
        both = self.folder / "clients.pem"
        both.write_bytes(self.anchor.read_bytes() + self.authority.read_bytes())
        tls = server_context(certificate, key, client_authority=clients or both)
        async with await serve(app or who_came, tls=tls) as server:
            yield server


async def who_came(scope: Any, receive: Any, send: Any) -> None:
    """Answer with the serial number of the peer, the path, and what came."""
    if scope["type"] != "http":
        return
    body, more = b"", True
    while more:
        event = await receive()
        body, more = body + event["body"], event.get("more_body", False)
    peer = scope["state"]["peer_certificate"]
    headers = dict(scope["headers"])
    said = {"serial": peer.serial, "uris": peer.uris, "octets": len(body),
            "path": scope["path"], "host": headers[b"host"].decode()}  # fmt: skip
    text = json.dumps(said).encode() if scope["path"] != "/echo" else body
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": text})
