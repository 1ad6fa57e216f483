"""``openami dm account``: which proofs a device's account accepts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from openami.cli.api import PREFIX, ask, checked, get_json, segment
from openami.cli.dm_options import dm_options
from openami.cli.options import examples
from openami.cli.output import emit_json, moment, table

if TYPE_CHECKING:
    from openami.cli.api import Target
    from openami.transport.http import HttpClient


@click.command(
    short_help="Show or set which proofs a device's account accepts.",
    epilog=examples(
        "openami dm account OAMDCU0001",
        "openami dm account OTHER0001 --allow mac-md5 --allow digest-md5 --why 'knows MD5 only'",
        "openami dm account OTHER0001 --allow mac-sha256 --allow digest-sha256",
    ),
)
@click.argument("uid")
@click.option(
    "--allow", "accepts", multiple=True, metavar="PROOF",
    help="Accept this and what other --allow name, and nothing else: mac-sha256, digest-sha256,"
    " mac-md5, digest-md5, basic. For administrators.",
)  # fmt: skip
@click.option("--why", default="", help="With --allow: for the audit log.")
@dm_options()
def account(
    uid: str,
    accepts: tuple[str, ...],
    why: str,
    target: Target,
    as_json: bool,
) -> None:
    """Show how the device UID and the head-end prove to each other who they are.

    With --allow: say how, from the next session on, for a device of another maker that knows less
    than SHA-256. One that is allowed nothing but basic is not woken: it comes by itself.
    """
    where = f"/dm/devices/{segment(uid)}/account"

    async def work(client: HttpClient) -> Any:
        if not accepts:
            return await get_json(client, where)
        wish = {"accepts": list(accepts), "why": why}
        return checked(await client.request("PUT", PREFIX + where, json_body=wish)).json()

    found = ask(target, work)
    if as_json:
        emit_json(found)
        return
    row = [
        found["device"],
        ", ".join(found["accepts"]),
        "weak" if found["weak"] else "strong",
        "yes" if found["notified"] else "no",
        "suspended" if found["suspended"] else "open",
        moment(found["last_session"]) if found["last_session"] else "never",
    ]
    table(["device", "accepts", "proofs", "can be woken", "account", "last session"], [row])
