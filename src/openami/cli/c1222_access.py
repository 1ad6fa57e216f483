"""How commands reach a node of C12.22: URL, keys, password, certificates."""

from __future__ import annotations

import os
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from openami.cli.c1222_keys import gather_numbered, numbered_key_file_option
from openami.cli.secrets import read_password
from openami.core.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    from openami.transport.c1222.reader import Ask
    from openami.transport.c1222.url import NodeUrl

PASSWORD_OCTETS = 20


@dataclass(frozen=True, slots=True)
class Access:
    """What the options say about one node and how to ask it."""

    url: NodeUrl
    keys: Mapping[int, bytes] = field(default_factory=dict, repr=False)
    password: bytes | None = field(default=None, repr=False)
    timeout: float = 10.0
    retries: int = 2
    ca: Path | None = None
    certificate: Path | None = None
    certificate_key: Path | None = None

    @asynccontextmanager
    async def session(self) -> AsyncIterator[Ask]:
        """Give what sends requests in one message and returns their answers.

        Raises:
            OpenAmiError: see ``openami.transport.c1222``.
        """
        from openami.c1222.security import Keys
        from openami.transport.c1222 import open_client
        from openami.transport.c1222.reader import with_password
        from openami.transport.c1222.url import Carrier

        url = self.url
        if url.carrier is Carrier.SERIAL:
            from openami.transport.c1222.optical import open_optical

            async with open_optical(url, password=self.password, answer_s=self.timeout) as optical:
                yield optical.ask
            return
        config = url.client_config(Keys(self.keys), timeout=self.timeout, retries=self.retries)
        async with open_client(url, config, **self._contexts()) as client:
            if self.password is None:
                yield client.ask
            else:
                yield with_password(client.ask, self.password, url.user)

    def _contexts(self) -> dict[str, Any]:
        from openami.transport.c1222.url import Carrier
        from openami.transport.dtls import DtlsContext
        from openami.transport.tls import client_context

        own = {"certificate": self.certificate, "key": self.certificate_key}
        if self.url.carrier is Carrier.TLS:
            return {"tls": client_context(self.ca, **own)}  # type: ignore[arg-type]  # mypy takes a mapping for all arguments
        if self.url.carrier is Carrier.DTLS:
            return {"dtls": DtlsContext.client(self.ca, **own)}
        return {}


def make_access(
    url: str,
    *,
    key_file: Path | None = None,
    keys: tuple[str, ...] = (),
    password_file: Path | None = None,
    timeout: float = 10.0,
    retries: int = 2,
    ca: Path | None = None,
    certificate: Path | None = None,
    certificate_key: Path | None = None,
) -> Access:
    """Return what the options say.

    Raises:
        ConfigError: an option has a wrong value, or a file can not be read.
    """
    from openami.transport.c1222.url import NodeUrl

    given = os.environ.get("OPENAMI_METER_PASSWORD")
    password = None if given is None else given.encode()
    if password_file is not None:
        password = read_password(password_file)
    if len(password or b"") > PASSWORD_OCTETS:
        raise ConfigError(f"a password has {PASSWORD_OCTETS} octets at most")
    if (certificate is None) != (certificate_key is None):
        raise ConfigError("--certificate and --certificate-key go together")
    return Access(
        NodeUrl.parse(url),
        gather_numbered(keys, key_file),
        password,
        timeout,
        retries,
        ca,
        certificate,
        certificate_key,
    )


def node_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of ``make_access``."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


_FILE = click.Path(path_type=Path, dir_okay=False)
_OPTIONS = (
    numbered_key_file_option,
    click.option(
        "--password-file", type=_FILE,
        help="A file with the password of the URL's user (or OPENAMI_METER_PASSWORD).",
    ),
    click.option(
        "--timeout", type=click.FloatRange(0.1, 3600), default=10.0, show_default=True,
        help="Seconds for one answer, until it is asked again.",
    ),
    click.option(
        "--retries", type=click.IntRange(0, 20), default=2, show_default=True,
        help="How often a message is sent again.",
    ),
    click.option("--ca", type=_FILE, help="Who signs the node's certificate, in PEM [default: whom this machine trusts]."),
    click.option("--certificate", type=_FILE, help="Our own certificate for TLS and DTLS, in PEM."),
    click.option("--certificate-key", type=_FILE, help="Its private key."),
)  # fmt: skip
