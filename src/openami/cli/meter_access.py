"""How commands reach a meter of any maker: URL, client, authentication, keys, counters."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from openami.cli.output import note
from openami.cli.secrets import (
    Secrets,
    gather,
    key_file_option,
    key_option,
    parse_title,
    password_file_option,
)
from openami.core.errors import (
    ConfigError,
    OpenAmiError,
    ProtocolError,
    SecurityError,
    TransportTimeoutError,
)
from openami.core.identifiers import SystemTitle
from openami.core.obis import Obis

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
    from pathlib import Path

    from openami.dlms.client import ClientConfig
    from openami.transport.session import DlmsSession
    from openami.transport.url import MeterUrl

T = TypeVar("T")

# Ours until the user names another: flag OAM, a number that no meter of ours has.
DEFAULT_TITLE: Final = SystemTitle.of("OAM", 0xFFFFFFFFFF)
COUNTER: Final = "0.0.43.1.0.255"
PUBLIC_CLIENT: Final = 16
HDLC_CLIENT_MOST: Final = 0x7F  # a client's address has one octet (IEC 62056-46, 6.4.2.2)
DATA_CLASS: Final = 1

# What to do about what a meter most often answers, by the code of the error.
HINTS: Final[Mapping[str, str]] = {
    "association.no-reason-given": "it may not know this client: --client, or another server in the URL",
    "association.authentication-required": "this client proves itself: --auth lls or hls5-gmac",
    "association.authentication-failure": "wrong password or key, or an invocation counter that the"
    " meter has seen (leave --counter out)",
    "association.mechanism-name-not-recognized": "another --auth",
    "association.mechanism-name-required": "this client proves itself: --auth lls or hls5-gmac",
    "dlms.read-write-denied": "this client may not; openami scan shows what each may",
    "dlms.object-undefined": "openami scan lists what the meter has",
    "dlms.object-class-inconsistent": "openami scan tells each object's class",
    "transport.closed": "a meter that speaks another framing closes too: dlms+tcp or hdlc+tcp?",
    "transport.timeout": "wrong server address, client or speed, or somebody else has the line",
}


@dataclass(frozen=True, slots=True)
class Access:
    """What the options say about one meter and how to associate with it."""

    url: MeterUrl
    auth: str
    security: str
    secrets: Secrets = field(repr=False)
    server_title: SystemTitle | None = None
    dedicated: bool = False
    general: bool = False
    counter: int | None = None
    counter_name: Obis = field(default_factory=lambda: Obis.parse(COUNTER))
    timeout: float = 30.0

    def config(self, counter: int) -> ClientConfig:
        """Return how to associate, our invocation counter beginning at ``counter``."""
        from openami.dlms.apdu.acse import Mechanism
        from openami.dlms.client import ClientConfig, SecurityLevel
        from openami.dlms.security import Keys

        mechanisms = {
            "none": Mechanism.NONE,
            "lls": Mechanism.LLS,
            "hls5-gmac": Mechanism.HLS_GMAC,
        }
        title = self.secrets.system_title
        return ClientConfig(
            mechanism=mechanisms[self.auth],
            secret=self.secrets.password or b"",
            keys=Keys(**self.secrets.keys) if self.secrets.keys else None,
            title=SystemTitle(title) if title else DEFAULT_TITLE,
            security=SecurityLevel(self.security),
            dedicated=self.dedicated,
            general=self.general,
            invocation_counter=counter,
            server_title=self.server_title,
            timeout=self.timeout,
        )

    @asynccontextmanager
    async def session(
        self, on_progress: Callable[[int], None] | None = None
    ) -> AsyncIterator[DlmsSession]:
        """Give an association with the meter.

        Raises:
            OpenAmiError: see ``openami.transport.session``; with a hint where there is one.
        """
        from openami.transport.session import open_session

        try:
            config = self.config(await self._counter())
            async with open_session(self.url, config, on_progress=on_progress) as session:
                yield session
        except OpenAmiError as error:
            error.hint = error.hint or HINTS.get(error.code)
            raise

    async def _counter(self) -> int:
        """Return our first invocation counter: by default one more than the meter has seen."""
        if self.auth != "hls5-gmac" and self.security == "none":
            return 0
        if self.counter is not None:
            return self.counter
        try:
            return await self._seen() + 1
        except TransportTimeoutError as error:
            error.hint = f"{HINTS[error.code]}; a meter without a public client wants --counter N"
            raise
        except (ProtocolError, SecurityError) as error:
            raise ConfigError(
                f"the meter does not tell its invocation counter {self.counter_name}:"
                f" {error.message}",
                hint="--counter N, or --counter-name OBIS for a meter that keeps it elsewhere",
                code="meter.counter",
            ) from error

    async def _seen(self) -> int:
        """Return the last invocation counter that the meter has seen; its public client may."""
        from openami.dlms.client import ClientConfig
        from openami.dlms.references import AttributeRef
        from openami.transport.session import open_session

        url = replace(self.url, client=PUBLIC_CLIENT)
        async with open_session(url, ClientConfig(timeout=self.timeout)) as session:
            return (await session.get(AttributeRef(DATA_CLASS, self.counter_name, 2))).integer()


def run(work: Callable[[], Awaitable[T]]) -> T:
    """Run one conversation to its end."""

    async def all_of_it() -> T:
        return await work()

    return asyncio.run(all_of_it())


def progress(octets: int) -> None:
    """Tell how much of a long answer has come."""
    note(f"{octets} octets")


def access_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of ``make_access``."""
    for option in reversed(tuple(_options())):
        command = option(command)
    return command


def _options() -> Iterator[Callable[[Callable[..., Any]], Callable[..., Any]]]:
    yield click.option(
        "--client", type=click.IntRange(1, 0xFFFF), envvar="OPENAMI_CLIENT", show_envvar=True,
        help="The client's SAP; over the URL's. Commonly 16 public, 2 reader, 1 management.",
    )  # fmt: skip
    yield click.option(
        "--auth", type=click.Choice(["none", "lls", "hls5-gmac"]), default="none",
        show_default=True, envvar="OPENAMI_AUTH", show_envvar=True, help="Authentication mechanism.",
    )  # fmt: skip
    yield click.option(
        "--security", type=click.Choice(["none", "authentication", "encryption", "both"]),
        help="Protection of APDUs [default: both with hls5-gmac, else none].",
    )  # fmt: skip
    yield key_option
    yield key_file_option
    yield password_file_option
    yield click.option("--title", metavar="HEX", help="Our own system title.")
    yield click.option("--server-title", metavar="HEX", help="The meter's, if its AARE lacks it.")
    yield click.option("--dedicated", is_flag=True, help="Draw a key for this association.")
    yield click.option("--general", is_flag=True, help="Use general-glo instead of service forms.")
    yield click.option(
        "--counter",
        type=click.IntRange(0, 0xFFFFFFFF),
        help="Our first invocation counter; else the meter is asked for its own.",
    )
    yield click.option(
        "--counter-name", default=COUNTER, show_default=True, help="Where the meter keeps it."
    )
    yield click.option(
        "--timeout",
        type=click.FloatRange(0.1, 3600),
        default=30.0,
        show_default=True,
        help="Seconds for one answer.",
    )


def make_access(
    url: str,
    *,
    client: int | None,
    auth: str,
    security: str | None,
    keys: tuple[str, ...],
    key_file: Path | None,
    password_file: Path | None,
    title: str | None,
    server_title: str | None,
    dedicated: bool,
    general: bool,
    counter: int | None,
    counter_name: str,
    timeout: float,
) -> Access:
    """Return what the options say.

    Raises:
        ConfigError: an option has a wrong value, or two do not go together.
    """
    from openami.transport.url import MeterUrl

    secrets = gather(keys, key_file, password_file, title)
    chosen = security or ("both" if auth == "hls5-gmac" else "none")
    _check_secrets(secrets, auth, chosen)
    try:
        name = Obis.parse(counter_name)
    except ValueError as error:
        raise ConfigError(str(error)) from error
    return Access(
        url=_as_client(MeterUrl.parse(url), client),
        auth=auth,
        security=chosen,
        secrets=secrets,
        server_title=SystemTitle(parse_title(server_title)) if server_title else None,
        dedicated=dedicated,
        general=general,
        counter=counter,
        counter_name=name,
        timeout=timeout,
    )


def _check_secrets(secrets: Secrets, auth: str, security: str) -> None:
    if auth == "lls" and secrets.password is None:
        raise ConfigError(
            "LLS wants a password", hint="OPENAMI_METER_PASSWORD, --password-file or --key-file"
        )
    lacking = [name for name in ("guek", "gak") if name not in secrets.keys]
    if (auth == "hls5-gmac" or security != "none") and lacking:
        raise ConfigError(
            f"ciphering wants the keys {' and '.join(lacking)}",
            hint="OPENAMI_GUEK and OPENAMI_GAK, --key-file, or --key NAME=HEX",
        )


def _as_client(url: MeterUrl, client: int | None) -> MeterUrl:
    from openami.transport.url import LinkKind

    if client is None:
        return url
    if url.link is LinkKind.HDLC and client > HDLC_CLIENT_MOST:
        raise ConfigError(f"--client: over HDLC a client is 1 to {HDLC_CLIENT_MOST}")
    return replace(url, client=client)
