"""The DCU's side of its security module: starts it, watches it, and speaks through it."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Self
from urllib.parse import urlsplit

import structlog

from openami.core.errors import ConfigError, OpenAmiError, TransportError
from openami.dcu.module.frames import (
    IdentityName,
    octets_of,
    pack,
    raised,
    receive,
    socket_name,
    text_of,
)
from openami.ssmp.messages import DeviceInfo
from openami.transport.clock import monotonic
from openami.transport.failures import transport_error
from openami.transport.http import HttpClient
from openami.transport.relay import FAILURE

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path

    from openami.transport.http import HttpAnswer, HttpStream

FOLDER: Final = "module"
CONTROL_S: Final = 30.0
"""For an answer of the module's: it may be starting again, and wait for the one before to end."""

_HTTPS: Final = 443
_FIRST_WAIT_S: Final = 0.2  # before a module that ended is started again
_LAST_WAIT_S: Final = 10.0
_LIVED_S: Final = 60.0  # so long, and what ended it is not what ended the one before
_COMMAND: Final = (sys.executable, "-m", "openami.dcu.module")

log = structlog.get_logger("dcu.module")


@dataclass(frozen=True, slots=True)
class CertificateFacts:
    """The operational certificate in use; times in UTC seconds."""

    uid: str
    serial: int
    not_before: float
    not_after: float


class SecurityModule:
    """A running security module; made by ``start``.

    Attributes:
        uid: who the device is, by its factory certificate.
        info: what it says of itself.
        security_url: where it registers.
    """

    uid: str
    info: DeviceInfo
    security_url: str

    def __init__(self, folder: Path, factory: Path, command: Sequence[str]) -> None:
        self._folder = folder
        self._command = (*command, str(folder.absolute()), str(factory.absolute()))
        self._lock = asyncio.Lock()
        self._up = asyncio.Event()
        self._process: asyncio.subprocess.Process
        self._reader: asyncio.StreamReader
        self._writer: asyncio.StreamWriter
        self._opened: set[str] = set()
        self._asked = 0
        # A socket's path has 108 octets at most, a folder's may have more: go by its descriptor.
        self._at = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    @classmethod
    @asynccontextmanager
    async def start(
        cls, state: Path, factory: Path, *, command: Sequence[str] = _COMMAND
    ) -> AsyncIterator[Self]:
        """Run a module, and start it again whenever it ends, as long as the block lasts.

        Args:
            state: the DCU's folder; the module has a folder in it.
            factory: the folder that the maker wrote.
            command: what runs the module.

        Raises:
            ConfigError: ``config.factory``, ``config.tls``, ``config.state``: a folder can not be
                used.
            StoreError: the module's vault can not be used.
            TransportError: ``module.down``: it did not come up.
        """
        module = cls(_private(state / FOLDER), factory, command)
        try:
            await module._spawn()
            watch = asyncio.ensure_future(module._watch())
            try:
                yield module
            finally:
                watch.cancel()
                await asyncio.wait([watch])
                await module._end()
        finally:
            os.close(module._at)

    @property
    def pid(self) -> int:
        """The number of the process that runs now, or ran last."""
        return self._process.pid

    async def new_key(self) -> bytes:
        """Return the request (DER, PKCS #10) for a certificate of a key made for it.

        Until a certificate for it is installed, the key stays the same.
        """
        return octets_of((await self._call("new-key"))["request"])

    async def install(self, chain: Sequence[bytes]) -> CertificateFacts:
        """Use an operational certificate from now on; connections with the one before end.

        Args:
            chain: DER, the device's own first.

        Raises:
            SecurityError: ``module.certificate``: not this device's, or for another key.
        """
        answer = await self._call("install", chain=[text_of(der) for der in chain])
        return _facts(answer["certificate"])

    async def certificate(self) -> CertificateFacts | None:
        """Return what is known of the operational certificate; None before there is one."""
        found = (await self._call("status"))["certificate"]
        return None if found is None else _facts(found)

    async def trust(self, anchors: str) -> None:
        """Believe servers whom one of these authorities has certified, or the factory's.

        It replaces those that were told before, is durable when it returns, and ends connections
        if it is another set.

        Args:
            anchors: certificates in PEM; empty: only the factory's.

        Raises:
            SecurityError: ``module.anchors``: they are not certificates of authorities.
            StoreError: it cannot be kept.
        """
        await self._call("trust", anchors=anchors)

    def factory_client(self, **options: Any) -> HttpClient:
        """Return a client of the security server, with the factory's certificate.

        Args:
            options: as of ``HttpClient``.
        """
        return _RelayedClient(self, IdentityName.FACTORY, self.security_url, options)

    def operational_client(self, url: str, **options: Any) -> HttpClient:
        """Return a client with the operational certificate of the moment.

        A request raises SecurityError ``module.no-certificate`` before there is one, and
        TransportError ``transport.tls`` where the server or its certificate is not the right one.

        Args:
            url: of the server; requests name their whole path.
            options: as of ``HttpClient``.
        """
        return _RelayedClient(self, IdentityName.OPERATIONAL, url, options)

    def socket(self, name: str) -> str:
        """Return the path of a relay's socket."""
        return f"/proc/self/fd/{self._at}/{name}"

    async def open(self, identity: IdentityName, host: str, port: int) -> None:
        """See that there is a relay to a server."""
        name = socket_name(identity, host, port)
        if name not in self._opened or not self._up.is_set():
            await self._call("open", identity=identity, host=host, port=port)
            self._opened.add(name)

    def forget(self, identity: IdentityName, host: str, port: int) -> None:
        """Take that the relay is not there any more."""
        self._opened.discard(socket_name(identity, host, port))

    # The process

    async def _call(self, do: str, **arguments: Any) -> dict[str, Any]:
        """Ask, and once more if the module ends meanwhile: every request may be repeated."""
        asked = None
        try:
            async with asyncio.timeout(CONTROL_S), self._lock:
                for _ in range(2):
                    await self._up.wait()
                    asked = self._process
                    with suppress(EOFError, ConnectionError):
                        return await self._ask({"do": do, **arguments})
                    if self._process is asked:  # the watch has not seen it yet
                        self._up.clear()
                    asked = None
        except TimeoutError:
            if asked is not None:  # it hangs; one that starts still has its own time for that
                _kill(asked)
        raise _down()

    async def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        self._asked += 1
        self._writer.write(pack({"id": self._asked, **request}))
        await self._writer.drain()
        while True:
            answer = await receive(self._reader)
            if answer.get("id") == self._asked:  # not what somebody did not wait for
                return _opened(answer)

    async def _spawn(self) -> None:
        ours, theirs = socket.socketpair()
        try:
            with theirs:
                self._process = await asyncio.create_subprocess_exec(
                    *self._command, stdin=theirs.fileno(), stdout=asyncio.subprocess.DEVNULL
                )
        except BaseException as error:
            ours.close()
            if isinstance(error, OSError):
                raise transport_error(error, "starting the security module") from error
            raise
        self._reader, self._writer = await asyncio.open_connection(sock=ours)
        try:
            async with asyncio.timeout(CONTROL_S):
                said = _opened(await receive(self._reader))
        except BaseException as error:
            await self._end()
            if isinstance(error, EOFError | ConnectionError | TimeoutError):
                raise _down() from error
            raise
        self.uid, self.security_url = said["uid"], said["security_url"]
        self.info = DeviceInfo(*said["info"])
        self._opened.clear()
        self._up.set()

    async def _watch(self) -> None:
        wait, since = _FIRST_WAIT_S, monotonic()
        while True:
            status = await self._process.wait()
            self._up.clear()
            self._writer.close()
            if monotonic() - since >= _LIVED_S:
                wait = _FIRST_WAIT_S
            log.warning("security module ended, starts again", status=status, wait_s=wait)
            await asyncio.sleep(wait)
            wait = min(2 * wait, _LAST_WAIT_S)
            try:
                await self._spawn()
            except OpenAmiError as error:
                log.error("security module did not start", code=error.code, message=error.message)  # noqa: TRY400 -- not a bug of ours
            since = monotonic()

    async def _end(self) -> None:
        """Let the module end by itself, as it does when the DCU ends."""
        self._up.clear()
        self._writer.close()
        try:
            async with asyncio.timeout(CONTROL_S):
                await self._process.wait()
        except TimeoutError:
            _kill(self._process)
            await self._process.wait()


class _RelayedClient(HttpClient):
    """A client whose connections go through a relay of the module's."""

    def __init__(
        self, module: SecurityModule, identity: IdentityName, url: str, options: dict[str, Any]
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme != "https" or not parts.hostname:
            raise ConfigError(f"{url!r} is not https://HOST:PORT", code="config.url")
        self._module = module
        self._target = identity, parts.hostname, parts.port or _HTTPS
        uds = module.socket(socket_name(*self._target))
        # The relay ends TLS: what goes to it is HTTP as it is.
        super().__init__(f"http://{parts.netloc}", uds=uds, **options)
        self.base_url = f"https://{parts.netloc}"

    async def request(self, method: str, path: str, **options: Any) -> HttpAnswer:
        await self._module.open(*self._target)
        try:
            answer = await super().request(method, path, **options)
        except TransportError:
            self._module.forget(*self._target)
            raise
        code = answer.headers.get(FAILURE)
        if code is not None:
            said = answer.body.decode("ascii", "replace")
            raise TransportError(f"{method} {self.base_url}{path}: {said}", code=code)
        return answer

    @asynccontextmanager
    async def stream(self, method: str, path: str, **options: Any) -> AsyncIterator[HttpStream]:
        await self._module.open(*self._target)
        try:
            async with super().stream(method, path, **options) as answer:
                _check_way(answer, f"{method} {self.base_url}{path}")
                yield answer
        except TransportError:
            self._module.forget(*self._target)
            raise


def _check_way(answer: HttpStream, what: str) -> None:
    code = answer.headers.get(FAILURE)
    if code is not None:
        raise TransportError(f"{what}: no way to the server", code=code)


def _opened(answer: dict[str, Any]) -> dict[str, Any]:
    if "error" in answer:
        raise raised(answer["error"])
    ok: dict[str, Any] = answer["ok"]
    return ok


def _facts(found: dict[str, Any]) -> CertificateFacts:
    return CertificateFacts(
        found["uid"], int(found["serial"], 16), found["not_before"], found["not_after"]
    )


def _kill(process: asyncio.subprocess.Process) -> None:
    with suppress(ProcessLookupError):
        process.kill()


def _down() -> TransportError:
    return TransportError("the security module does not answer", code="module.down")


def _private(folder: Path) -> Path:
    try:
        for one in (folder.parent, folder):  # parents would get the mode of any folder
            one.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.chmod(0o700)
    except OSError as error:
        raise ConfigError(f"{folder}: {error.strerror}", code="config.state") from error
    return folder
