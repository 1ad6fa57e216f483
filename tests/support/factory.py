"""A maker of devices, and its devices at a real security listener."""

from __future__ import annotations

import secrets
import ssl
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
from cryptography.hazmat.primitives.asymmetric import ec

from openami.crypto import certificates as c
from openami.crypto.hardware import HardwareModule
from openami.crypto.requests import make_request
from openami.ssmp.client import Client, ClientState, Moved, Step, begin
from openami.ssmp.messages import MEDIA_TYPE, DeviceInfo

if TYPE_CHECKING:
    from openami.headend.server import Running

DAY = 86_400.0
INFO = DeviceInfo("Maker", "OA-DCU", "1", "0.2")


def make_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


class Maker:
    """A manufacturer; ``line`` makes it sign by an authority below its root."""

    def __init__(self, now: float, name: str = "Maker", *, line: bool = False) -> None:
        self.now = now
        long = c.Validity(now - DAY, now + 3650 * DAY)
        self.root = c.make_root(f"{name} root", make_key(), serial=1, validity=long)
        self.signer = self.root
        self.others = b""
        if line:
            self.signer = c.make_authority(
                self.root, f"{name} line 1", make_key(), serial=2, validity=long
            )
            self.others = self.signer.certificate_pem()

    def trusted_by(self, running: Running, name: str = "Maker") -> None:
        running.services.pki.add_anchor(name, self.root.certificate_pem(), who="test")

    def make(self, uid: str) -> c.Identity:
        key = make_key()
        module = HardwareModule("1.3.6.1.4.1.55555.2.1", uid.encode())
        made = c.issue_idevid(
            self.signer, uid, module, key.public_key(),
            serial=secrets.randbits(100), start=self.now - DAY,
        )  # fmt: skip
        return c.Identity(made, key)


class FactoryDevice:
    """A device with its factory identity; its disk is a field.

    ``newest`` is the newest TLS that it knows, ``spoken`` what was spoken with it.
    """

    newest = ssl.TLSVersion.MAXIMUM_SUPPORTED

    def __init__(
        self, running: Running, maker: Maker, uid: str = "D1", *, factory: c.Identity | None = None
    ) -> None:
        self.running = running
        self.uid = uid
        self.maker = maker
        self.factory = factory or maker.make(uid)
        self.key = make_key()
        self.now = maker.now
        state = begin(secrets.token_bytes(16), make_request(uid, self.key))
        self.disk = state.encode()
        self.client = Client(state, uid=uid, info=INFO)
        self.last: httpx.Response | None = None
        self.spoken: set[str] = set()

    @property
    def step(self) -> Step:
        return self.client.state.step

    def identity(self) -> bytes:
        """Return with which key and certificates the device connects, in PEM."""
        if self.step is Step.RENEWING:
            leaf, *rest = (c.load_certificate(der) for der in self.client.state.chain)
            return c.Identity(leaf, self.key).pem() + b"".join(map(c_pem, rest))
        return self.factory.pem() + self.maker.others

    async def post(self, body: bytes, media: str = MEDIA_TYPE) -> httpx.Response:
        async with client_of(self.running, self.identity(), newest=self.newest) as client:
            answer = await client.post("/ssmp", content=body, headers={"Content-Type": media})
            stream = answer.extensions["network_stream"]
            self.spoken.add(stream.get_extra_info("ssl_object").version())
            return answer

    async def ask(self) -> httpx.Response:
        """Ask what comes next, and take the answer if it is one."""
        self.now = max(self.now, self.client.next_timer() or 0)
        asked = self.client.next_request(self.now)
        assert asked is not None
        answer = await self.post(asked)
        if answer.status_code == 200:
            self.client.receive(answer.content, now=self.now)
            while (event := self.client.next_event()) is not None:
                if isinstance(event, Moved):
                    self.disk = event.state.encode()
        return answer

    async def register(self) -> None:
        """Ask until the device is live, which it is to be without waiting."""
        for _ in range(3):
            await self.ask()
        assert self.step is Step.LIVE

    async def ask_anew(self) -> httpx.Response:
        """Ask to register anew; one that is not let in stays what it was."""
        self.key = make_key()
        self.client.anew(make_request(self.uid, self.key))
        while self.client.next_event() is not None:
            continue
        answer = await self.ask()
        if self.client.state.may_stay:
            self.client.stay()
            self.client.next_event()
        return answer

    def reboot(self) -> None:
        self.client = Client(ClientState.decode(self.disk), uid=self.uid, info=INFO)

    def renew(self) -> ec.EllipticCurvePrivateKey:
        """Begin to renew; return the new key."""
        key = make_key()
        self.client.renew(secrets.token_bytes(16), make_request(self.uid, key))
        while self.client.next_event() is not None:
            continue
        return key


def c_pem(certificate: object) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding
    from cryptography.x509 import Certificate

    assert isinstance(certificate, Certificate)
    return certificate.public_bytes(Encoding.PEM)


def client_of(
    running: Running,
    identity: bytes | None,
    base_url: str | None = None,
    *,
    newest: ssl.TLSVersion = ssl.TLSVersion.MAXIMUM_SUPPORTED,
) -> httpx.AsyncClient:
    """Return a client of the security listener that shows ``identity``."""
    context = context_of(running, identity)
    context.maximum_version = newest
    return httpx.AsyncClient(
        base_url=base_url or running.security_url, verify=context, trust_env=False, timeout=60
    )


def context_of(running: Running, identity: bytes | None) -> ssl.SSLContext:
    """Return TLS of a client that shows ``identity``."""
    context = ssl.create_default_context(cafile=str(running.home.authority))
    if identity is not None:
        with tempfile.NamedTemporaryFile() as file:
            file.write(identity)
            file.flush()
            context.load_cert_chain(Path(file.name))
    return context
