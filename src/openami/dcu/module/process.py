"""The security module's process: it holds the keys, ends TLS for the DCU, and dies with it.

It takes requests from its standard input, which is one end of a socket pair, and answers there.
When the other end closes, the DCU has ended, and so does the module.
"""

from __future__ import annotations

import asyncio
import ctypes
import fcntl
import os
import resource
import signal
import socket
import sys
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import uvloop

from openami.core.errors import DecodeError, LocalProtocolError, OpenAmiError, StoreError
from openami.crypto.certificates import uid_of
from openami.dcu.module.frames import (
    IdentityName,
    error_of,
    octets_of,
    pack,
    receive,
    socket_name,
    text_of,
)
from openami.dcu.module.keystore import Factory, Keystore, check_anchors
from openami.store.salvage import opened
from openami.store.whole import read_whole, replace_whole
from openami.transport.relay import Relay

if TYPE_CHECKING:
    import ssl

    from cryptography.x509 import Certificate

MAX_RELAYS: Final = 16
"""Servers that a DCU speaks with are three: security, management, uploads."""

LOCK_S: Final = 10.0
"""For a module of a DCU that was killed to end; one that lasts longer is another DCU's."""

_LOCK_AGAIN_S: Final = 0.05
_ANCHORS_MOST: Final = 64 * 1024  # octets: sixteen certificates
_PR_SET_PDEATHSIG: Final = 1  # prctl(2)
_PR_SET_DUMPABLE: Final = 4


class Module:
    """What the module does for its DCU.

    Args:
        factory: the factory identity.
        keys: the operational one.
        open_factory: reads the factory's folder once more, with others to trust besides.
        anchors: file of these others.
    """

    def __init__(
        self,
        factory: Factory,
        keys: Keystore,
        open_factory: Callable[[bytes], Factory],
        anchors: Path,
    ) -> None:
        self._factory = factory
        self._keys = keys
        self._open_factory = open_factory
        self._anchors = anchors
        self._relays: OrderedDict[str, tuple[IdentityName, Relay]] = OrderedDict()
        contexts: dict[IdentityName, Callable[[], ssl.SSLContext]] = {
            IdentityName.FACTORY: lambda: self._factory.context,
            IdentityName.OPERATIONAL: keys.context,
        }
        self._contexts = contexts

    async def status(self, _: Mapping[str, Any]) -> dict[str, Any]:
        """Say who the device is; nothing of it is secret."""
        factory, info = self._factory, self._factory.info
        return {
            "uid": factory.uid,
            "info": [info.manufacturer, info.model, info.hardware, info.firmware],
            "security_url": factory.security_url,
            "certificate": _facts(self._keys.certificate),
        }

    async def new_key(self, _: Mapping[str, Any]) -> dict[str, Any]:
        """Return the request for a certificate of a new key."""
        return {"request": text_of(self._keys.new_key())}

    async def install(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Use a certificate; connections made with the one before end."""
        chain = request.get("chain")
        if not isinstance(chain, list):
            raise DecodeError("a chain wanted", code="module.frame")
        before = self._keys.certificate
        self._keys.install([octets_of(der) for der in chain])
        if before != self._keys.certificate:
            for identity, relay in self._relays.values():
                if identity is IdentityName.OPERATIONAL:
                    await relay.drop()
        return {"certificate": _facts(self._keys.certificate)}

    async def trust(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Trust others besides the factory's authority; connections of before end."""
        text = request.get("anchors")
        if not isinstance(text, str):
            raise DecodeError("anchors wanted", code="module.frame")
        others = check_anchors(text)
        if others == read_whole(self._anchors, most=_ANCHORS_MOST):
            return {}
        factory = self._open_factory(others)
        self._keys.trust(others)
        replace_whole(self._anchors, others)
        self._factory = factory
        for _, relay in self._relays.values():
            await relay.drop()
        return {}

    async def open(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Relay to a server; there already is the same as new."""
        identity, host, port = _target(request)
        self._contexts[identity]()  # raises without a certificate
        name = socket_name(identity, host, port)
        if name in self._relays:
            self._relays.move_to_end(name)
            return {}
        if len(self._relays) >= MAX_RELAYS:
            await self._relays.popitem(last=False)[1][1].close()
        relay = Relay(host, port, self._contexts[identity])
        await relay.listen(name)
        self._relays[name] = identity, relay
        return {}

    async def close(self) -> None:
        """End every relay."""
        for _, relay in self._relays.values():
            await relay.close()

    async def answer(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Do what is asked; an error is an answer."""
        try:
            return {"ok": await self._do(request)}
        except OpenAmiError as error:
            return {"error": error_of(error)}

    async def _do(self, request: Mapping[str, Any]) -> dict[str, Any]:
        work = _WORK.get(str(request.get("do")))
        if work is None:
            raise LocalProtocolError("there is no such request", code="module.request")
        return await work(self, request)


_Work = Callable[[Module, Mapping[str, Any]], Awaitable[dict[str, Any]]]

_WORK: Final[Mapping[str, _Work]] = {
    "status": Module.status,
    "new-key": Module.new_key,
    "install": Module.install,
    "trust": Module.trust,
    "open": Module.open,
}


def main() -> None:
    """Run the module; ``sys.argv`` names the state's folder and the factory's."""
    state, factory = (Path(text).absolute() for text in sys.argv[1:3])
    _harden()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_run(state, factory, socket.socket(fileno=os.dup(0))))


async def _run(state: Path, factory: Path, control: socket.socket) -> None:
    control.setblocking(False)
    reader, writer = await asyncio.open_connection(sock=control)
    try:
        module = _module(state, factory)
    except OpenAmiError as error:
        writer.write(pack({"error": error_of(error)}))
        await writer.drain()
        return
    writer.write(pack({"ok": await module.status({})}))
    try:
        while True:
            request = await receive(reader)
            answer = await module.answer(request)
            writer.write(pack({"id": request.get("id"), **answer}))
            await writer.drain()
    except (EOFError, ConnectionError):
        return  # the DCU has ended
    finally:
        await module.close()


def _module(state: Path, factory: Path) -> Module:
    """Open the keys, once a module before this one has ended, and go where the sockets are."""
    made, anchors = Factory.open(factory), state / "anchors.pem"
    descriptor = os.open(state, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    _take(descriptor)
    os.chdir(descriptor)  # a socket's path has 108 octets at most; its name is shorter
    for left in Path().glob("*.sock"):  # by a module that was killed
        left.unlink()
    others = _others(factory, anchors)
    keys = opened(
        lambda: Keystore(state, made.uid, made.authority, others),
        state / "vault.sqlite",
        state / "kek",
    )
    made = Factory.open(factory, others)
    return Module(made, keys, lambda found: Factory.open(factory, found), anchors)


def _others(factory: Path, anchors: Path) -> bytes:
    """Return whom the device trusts besides; those of a damaged file, nobody."""
    try:
        others = read_whole(anchors, most=_ANCHORS_MOST)
        Factory.open(factory, others)
    except OpenAmiError:
        return b""
    return others


def _take(descriptor: int) -> None:
    """Have a folder for this process alone until it ends.

    Raises:
        StoreError: ``store.busy``: another one keeps it.
    """
    until = time.monotonic() + LOCK_S
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= until:
                raise StoreError(
                    "the security module's folder: in use by another process",
                    hint="a folder of state serves one DCU at a time: stop the other",
                    code="store.busy",
                ) from None
            time.sleep(_LOCK_AGAIN_S)
        else:
            return


def _harden() -> None:
    """Keep keys out of core files and of other processes; end with the DCU even when hanging."""
    os.umask(0o077)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    prctl = ctypes.CDLL(None).prctl
    prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
    prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    for number in (signal.SIGINT, signal.SIGTERM):
        # They are the DCU's, which needs its module until it has handed over what it has.
        signal.signal(number, signal.SIG_IGN)


def _target(request: Mapping[str, Any]) -> tuple[IdentityName, str, int]:
    identity, host, port = (request.get(name) for name in ("identity", "host", "port"))
    if identity not in list(IdentityName) or not isinstance(host, str) or not isinstance(port, int):
        raise DecodeError("an identity, a host and a port wanted", code="module.frame")
    return IdentityName(identity), host, port


def _facts(certificate: Certificate | None) -> dict[str, Any] | None:
    if certificate is None:
        return None
    return {
        "uid": uid_of(certificate.subject),
        "serial": f"{certificate.serial_number:x}",
        "not_before": certificate.not_valid_before_utc.timestamp(),
        "not_after": certificate.not_valid_after_utc.timestamp(),
    }
