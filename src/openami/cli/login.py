"""``openami login``: an API token for the commands that follow."""

from __future__ import annotations

import platform
from pathlib import Path
from typing import TYPE_CHECKING

import click

from openami.cli.api import PREFIX, Target, ask, checked, head_end_url, save_profile
from openami.cli.options import examples
from openami.cli.output import note
from openami.cli.secrets import account_password, account_password_option

if TYPE_CHECKING:
    from openami.transport.http import HttpClient

DAYS = 30


@click.command(
    short_help="Sign in to a head-end, for the commands that ask it.",
    epilog=examples("openami login https://127.0.0.1:8443 --ca headend/ca.pem"),
)
@click.argument("url")
@click.option("--ca", type=click.Path(path_type=Path, dir_okay=False), help="Its root certificate.")
@click.option("--name", default="admin", show_default=True, help="The account.")
@account_password_option
def login(url: str, ca: Path | None, name: str, password_file: Path | None) -> None:
    """Sign in to the head-end at URL and keep an API token for the commands that ask it.

    The token is good for 30 days. It is kept in the folder of your settings, readable by you only.
    """
    address = head_end_url(url)
    password = account_password(password_file)
    where = Target(address, None, ca.resolve() if ca else None)

    async def work(client: HttpClient) -> str:
        answer = checked(
            await client.post(f"{PREFIX}/login", json_body={"name": name, "password": password})
        )
        label = f"openami on {platform.node()}"[:100]
        made = checked(
            await client.post(
                f"{PREFIX}/tokens",
                json_body={"label": label, "days": DAYS},
                headers={"X-CSRF-Token": answer.json()["csrf_token"]},
            )
        )
        token: str = made.json()["token"]
        return token

    path = save_profile(Target(where.url, ask(where, work), where.ca))
    note(f"signed in to {where.url} as {name}; the token is in {path}")
