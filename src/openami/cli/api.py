"""The head-end's REST API from the command line: where it is, who asks, and its errors as ours."""

from __future__ import annotations

import asyncio
import json
import os
import re
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import quote, urlsplit
from uuid import uuid4

import click

from openami.cli.output import emit_json, note
from openami.core.errors import ConfigError, OpenAmiError, TransportError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping

    from openami.cli.output import Table
    from openami.transport.http import HttpAnswer, HttpClient

T = TypeVar("T")

PREFIX: Final = "/api/v1"
EXPORT_OCTETS: Final = 256 * 2**20  # one page of an export; the server's own pages are smaller

# Exit statuses by the first part of the server's code, as for our own errors.
_STATUS: Final[Mapping[str, int]] = {
    "security": 4,
    "audit": 4,
    "transport": 5,
    "store": 6,
    "request": 2,
    "firmware": 3,
    "campaign": 3,
    "demand": 3,
}
# What to do next on the command line, where the head-end does not say it or says it for programs.
_NEXT: Final[Mapping[str, str]] = {
    "security.session": "openami login URL, or OPENAMI_TOKEN",
    "security.role": "sign in with an account that may: openami login URL --name NAME",
    "security.login": "--name NAME; of a new head-end: admin, its password in STATE/admin-password",
    "store.not-found": "`openami device list`, `dm group list`, `dm jobs`, `dm log` show what there is",
    "firmware.release.transition": "openami release show NUMBER says how far it is",
    "firmware.release.four-eyes": "sign in as another operator: openami login URL --name NAME",
    "campaign.transition": "openami campaign show CAMPAIGN says how far it is",
    "campaign.number": "openami campaign show CAMPAIGN, and try again if you still want it",
    "campaign.four-eyes": "sign in as another operator: openami login URL --name NAME",
    "demand.transition": "openami demand event show EVENT says how far it is",
    "registration.transition": "openami device registration UID shows how it stands",
    "registration.unknown": "openami device registrations lists those that have",
    "dm.no-device": "openami device registrations --standing live lists who could be asked",
    "dm.no-account": "openami device registration UID says how far it has come",
}
PAUSES_S: Final = (0.5, 2.0)
"""Before a request is made again whose answer got lost."""
_UNKNOWN: Final = frozenset({"transport.closed", "transport.timeout"})
_TOKEN: Final = re.compile(r"[\x21-\x7e]+")


class ApiError(OpenAmiError):
    """The head-end answered with an error: its code, message and hint."""

    def __init__(self, message: str, *, code: str, hint: str | None = None) -> None:
        super().__init__(message, hint=hint, code=code)
        self.exit_status = _STATUS.get(code.partition(".")[0], 1)


@dataclass(frozen=True, slots=True)
class Target:
    """A head-end and how to reach it."""

    url: str
    token: str | None = field(repr=False)
    ca: Path | None = None


def profile_path() -> Path:
    """Return the file in which ``openami login`` keeps where and who."""
    base = os.environ.get("XDG_CONFIG_HOME") or str(Path.home() / ".config")
    return Path(base) / "openami" / "login.json"


def save_profile(target: Target) -> Path:
    """Keep a login for the commands that follow, readable by nobody else."""
    path = profile_path()
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    content = {"url": target.url, "token": target.token, "ca": str(target.ca or "")}
    temporary = path.with_suffix(".new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(content, file)
    temporary.replace(path)
    return path


def head_end_url(text: str) -> str:
    """Return the address of a head-end, without a slash at its end.

    Raises:
        ConfigError: ``config.url``, it is none.
    """
    try:
        parts = urlsplit(text)
        right = parts.scheme == "https" and parts.hostname and parts.port != 0
    except ValueError:
        right = False
    if not right or not text.isprintable() or any(mark in text for mark in " ?#@"):
        shown = "it" if "@" in text else repr(text)  # it might hold a password
        raise ConfigError(
            f"{shown} is no address of a head-end",
            hint="https://HOST:PORT, as `openami headend run` prints it",
            code="config.url",
        )
    return text.rstrip("/")


def segment(name: str) -> str:
    """Return the name of a device, a group or a job as a segment of a path.

    Raises:
        ConfigError: ``config.name``, it can be no name.
    """
    if name in {"", ".", ".."} or "/" in name or not name.isprintable():
        raise ConfigError(f"{name!r} is no name", code="config.name")
    return quote(name, safe="")


def find_target(url: str | None, ca: Path | None, token_file: Path | None) -> Target:
    """Return the head-end to ask: options over the environment over the last login.

    Raises:
        ConfigError: ``config.login``, nothing says which, a file can not be read or holds no
            token; ``config.url``, the address is none.
    """
    saved: dict[str, str] = {}
    try:
        saved = json.loads(profile_path().read_text("utf-8"))
    except (OSError, ValueError):
        saved = {}
    chosen = url or os.environ.get("OPENAMI_URL") or saved.get("url")
    if not chosen:
        raise ConfigError(
            "no head-end is named",
            hint="openami login https://HOST:PORT --ca FILE, or --url and OPENAMI_TOKEN",
            code="config.login",
        )
    same = chosen == saved.get("url")
    token = os.environ.get("OPENAMI_TOKEN") or (saved.get("token") if same else None)
    if token_file is not None:
        try:
            token = token_file.read_text("utf-8").strip()
        except (OSError, ValueError) as error:
            raise ConfigError(f"{token_file} can not be read", code="config.login") from error
    if token and not _TOKEN.fullmatch(token):
        raise ConfigError(
            "what should be the token is none",
            hint="OPENAMI_TOKEN or --token-file holds one line without blanks; or openami login URL",
            code="config.login",
        )
    authority = ca or os.environ.get("OPENAMI_CA") or (saved.get("ca") if same else None)
    return Target(head_end_url(chosen), token, Path(authority) if authority else None)


@asynccontextmanager
async def connected(target: Target) -> AsyncIterator[HttpClient]:
    """Give a client of the head-end."""
    from openami.transport.http import HttpClient
    from openami.transport.tls import client_context

    headers = {"Authorization": f"Bearer {target.token}"} if target.token else {}
    async with HttpClient(target.url, tls=client_context(target.ca), headers=headers) as client:
        yield client


def checked(answer: HttpAnswer) -> HttpAnswer:
    """Return an answer that is no error.

    Raises:
        ApiError: it is one.
    """
    if answer.ok:
        return answer
    try:
        error = answer.json()["error"]
        code, message, hint = str(error["code"]), str(error["message"]), error.get("hint")
    except (OpenAmiError, KeyError, TypeError):
        code, message, hint = "transport.http", f"the head-end answered {answer.status}", None
    # The head-end speaks to programs: how to sign in is another matter here.
    if code in _NEXT and (hint is None or code.startswith("security.")):
        hint = _NEXT[code]
    raise ApiError(message, hint=hint, code=code)


def ask(target: Target, work: Callable[[HttpClient], Awaitable[T]]) -> T:
    """Run ``work`` with a client of the head-end and return what it gives."""

    async def run() -> T:
        try:
            async with connected(target) as client:
                return await work(client)
        except TransportError as error:
            if error.code == "transport.tls":
                used = "" if target.ca is None else f"{target.ca} does not vouch for it; "
                error.hint = f"{used}--ca FILE or OPENAMI_CA: a head-end's own root is STATE/ca.pem"
            raise

    return asyncio.run(run())


async def get_json(client: HttpClient, path: str, **params: Any) -> Any:
    """Return the JSON that a path of the API gives; parameters of None are left out."""
    chosen = {name: str(value) for name, value in params.items() if value is not None}
    return checked(await client.get(PREFIX + path, params=chosen or None)).json()


async def pages(
    client: HttpClient, path: str, *, most: int | None, **params: Any
) -> AsyncIterator[dict[str, Any]]:
    """Yield the items of a list, page after page, at most ``most``."""
    after, given = None, 0
    while True:
        page = await get_json(client, path, after=after, **params)
        for item in page["items"]:
            if most is not None and given >= most:
                return
            given += 1
            yield item
        after = page.get("next")
        if after is None:
            return


def print_pages(
    target: Target,
    path: str,
    rows: Table,
    row: Callable[[dict[str, Any]], list[object]],
    *,
    most: int | None,
    as_json: bool,
    **params: Any,
) -> None:
    """Print the items of a list as they come: rows of a table, or a line of JSON for each."""

    async def work(client: HttpClient, add: Callable[[dict[str, Any]], None]) -> None:
        async for item in pages(client, path, most=most, **params):
            add(item)

    if as_json:
        ask(target, lambda client: work(client, emit_json))
        return
    with rows:
        ask(target, lambda client: work(client, lambda item: rows.add(row(item))))


async def made_once(
    client: HttpClient, path: str, wish: object, *, key: str | None = None, **options: Any
) -> Any:
    """Have something made; where the line is cut, the same request asks for the same thing.

    Args:
        client: of the head-end.
        path: below the API's.
        wish: the body.
        key: of the request; a new one, if not given.
        options: of each request.
    """
    options |= {"json_body": wish, "headers": {"Idempotency-Key": key or str(uuid4())}}
    for pause in PAUSES_S:
        try:
            return checked(await client.post(PREFIX + path, **options)).json()
        except TransportError as error:
            if error.code not in _UNKNOWN:
                raise
            note(f"{error.message}: asking again")
            await asyncio.sleep(pause)
    return checked(await client.post(PREFIX + path, **options)).json()


def target_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that say which head-end is asked."""
    for option in reversed(tuple(_options())):
        command = option(command)
    return command


def _options() -> Iterator[Callable[[Callable[..., Any]], Callable[..., Any]]]:
    path = click.Path(path_type=Path, dir_okay=False)
    yield click.option("--url", help="The head-end: https://HOST:PORT (or OPENAMI_URL, or login).")
    yield click.option("--ca", type=path, help="Its root certificate, PEM (or OPENAMI_CA).")
    yield click.option("--token-file", type=path, help="An API token (or OPENAMI_TOKEN).")
