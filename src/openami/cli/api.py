"""The head-end's REST API from the command line: where it is, who asks, and its errors as ours."""

from __future__ import annotations

import asyncio
import json
import os
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from openami.core.errors import ConfigError, OpenAmiError, TransportError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping

    from openami.transport.http import HttpAnswer, HttpClient

T = TypeVar("T")

PREFIX: Final = "/api/v1"
EXPORT_OCTETS: Final = 256 * 2**20  # one page of an export; the server's own pages are smaller

# Exit statuses by the first part of the server's code, as for our own errors.
_STATUS: Final[Mapping[str, int]] = {"security": 4, "transport": 5, "store": 6, "request": 2}


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


def find_target(url: str | None, ca: Path | None, token_file: Path | None) -> Target:
    """Return the head-end to ask: options over the environment over the last login.

    Raises:
        ConfigError: ``config.login``, nothing says which, or a file can not be read.
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
    authority = ca or os.environ.get("OPENAMI_CA") or (saved.get("ca") if same else None)
    return Target(chosen.rstrip("/"), token, Path(authority) if authority else None)


@asynccontextmanager
async def connected(target: Target) -> AsyncIterator[HttpClient]:
    """Give a client of the head-end."""
    from openami.transport.http import HttpClient
    from openami.transport.tls import client_context

    headers = {"Authorization": f"Bearer {target.token}"} if target.token else {}
    tls = client_context(target.ca) if target.url.startswith("https:") else None
    if tls is None:
        raise ConfigError("the head-end is reached by https only", code="config.login")
    async with HttpClient(target.url, tls=tls, headers=headers) as client:
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
    if code == "security.session":
        hint = "openami login URL, or OPENAMI_TOKEN"
    raise ApiError(message, hint=hint, code=code)


def ask(target: Target, work: Callable[[HttpClient], Awaitable[T]]) -> T:
    """Run ``work`` with a client of the head-end and return what it gives."""

    async def run() -> T:
        try:
            async with connected(target) as client:
                return await work(client)
        except TransportError as error:
            if error.code == "transport.tls" and target.ca is None:
                error.hint = "--ca FILE or OPENAMI_CA: a head-end's own root is STATE/ca.pem"
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
