"""``openami customer``: customers, their meters and invitations, over the REST API."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from openami.cli.aiming import aimed
from openami.cli.api import PREFIX, ask, checked, get_json, print_pages, segment
from openami.cli.names import parse_time
from openami.cli.options import examples
from openami.cli.output import Table, emit_json, moment, table
from openami.core.clock import isoformat

if TYPE_CHECKING:
    from openami.cli.api import Target


@click.group(short_help="Look after customers: who may see which meter.")
def customer() -> None:
    """Look after customers: who may see which meter on their pages, from when until when.

    A customer's pages are at https://HOST:PORT/my of the head-end. LOGIN is their e-mail address.
    """


@customer.command(
    "add",
    short_help="Add a customer.",
    epilog=examples(
        "openami customer add kim@example.org",
        "openami customer add kim@example.org --tariff kr-residential-high"
        " --discount large-family --language ko",
    ),
)
@click.argument("login")
@click.option("--tariff", metavar="NAME", help="By which bills are made: see openami tariff list.")
@click.option("--discount", "discounts", multiple=True, metavar="ID", help="Given; repeatable.")
@click.option("--language", type=click.Choice(["en", "ko"]), help="Of the pages.")
@aimed
def add(
    target: Target,
    login: str,
    tariff: str | None,
    discounts: tuple[str, ...],
    language: str | None,
    as_json: bool,
) -> None:
    """Add the customer LOGIN, who can sign in after accepting an invitation."""
    wish = {"login": login, **_given(tariff, discounts, language)}
    _show(_post(target, "/customers", wish), as_json)


@customer.command(
    "change",
    short_help="Change tariff, discounts or language.",
    epilog=examples(
        "openami customer change kim@example.org --tariff kr-residential-high",
        "openami customer change kim@example.org --no-discounts --language ko",
    ),
)
@click.argument("login")
@click.option("--tariff", metavar="NAME", help="By which bills are made.")
@click.option("--discount", "discounts", multiple=True, metavar="ID", help="Given; repeatable.")
@click.option("--no-discounts", is_flag=True, help="None is given any more.")
@click.option("--language", type=click.Choice(["en", "ko"]), help="Of the pages.")
@aimed
def change(
    target: Target,
    login: str,
    tariff: str | None,
    discounts: tuple[str, ...],
    no_discounts: bool,
    language: str | None,
    as_json: bool,
) -> None:
    """Change what is decided about the customer LOGIN; what is not said stays."""
    wish = _given(tariff, discounts, language)
    if no_discounts:
        wish["discounts"] = []
    _show(_patch(target, login, wish), as_json)


@customer.command(
    "list",
    short_help="List customers.",
    epilog=examples("openami customer list", "openami customer list --most 100 --json"),
)
@click.option("--most", type=click.IntRange(1), help="At most so many.")
@aimed
def list_(target: Target, most: int | None, as_json: bool) -> None:
    """List the customers by their logins."""
    header = ["login", "tariff", "language", "accepted", "invited until", "last here", "shut out"]

    def row(item: dict[str, Any]) -> list[object]:
        return [
            item["login"], item["tariff"], item["language"], _yes(item["accepted"]),
            moment(item["invited_until"]), moment(item["last_login"]), _yes(item["disabled"]),
        ]  # fmt: skip

    print_pages(
        target, "/customers", Table(header, nothing="no customers"), row, most=most, as_json=as_json
    )


@customer.command(
    "show",
    short_help="Show a customer and their meters.",
    epilog=examples("openami customer show kim@example.org"),
)
@click.argument("login")
@aimed
def show(target: Target, login: str, as_json: bool) -> None:
    """Show the customer LOGIN, and which meters were and are theirs."""
    _show(ask(target, lambda client: get_json(client, _path(login))), as_json)


@customer.command(
    "invite",
    short_help="Make an invitation.",
    epilog=examples("openami customer invite kim@example.org --days 3"),
)
@click.argument("login")
@click.option("--days", type=click.FloatRange(0, min_open=True), help="Open for so long.")
@aimed
def invite(target: Target, login: str, days: float | None, as_json: bool) -> None:
    """Print a link and a code with which the customer LOGIN chooses a password, once.

    Whoever has it can be them: hand it to nobody else. Somebody who has forgotten a password is
    invited again.
    """
    made = _post(target, f"{_path(login)}/invitations", {"days": days})
    made["link"] = target.url + made.pop("path")
    if as_json:
        emit_json(made)
    else:
        rows = [["link", made["link"]], ["code", made["code"]], ["until", moment(made["until"])]]
        table(["what", "value"], rows)


@customer.command(
    "assign",
    short_help="Make a meter a customer's (move-in).",
    epilog=examples(
        "openami customer assign kim@example.org OAM00000001",
        "openami customer assign kim@example.org OAM00000001 --from 2026-05-01T00:00+09:00",
    ),
)
@click.argument("login")
@click.argument("serial")
@click.option("--from", "starts", metavar="TIME", help="From the next full hour on; else now.")
@aimed
def assign(target: Target, login: str, serial: str, starts: str | None, as_json: bool) -> None:
    """Make the meter SERIAL the customer LOGIN's; what it measured before stays hidden."""
    wish = {"meter": serial, "starts": _time(starts)}
    _tenancy(_post(target, f"{_path(login)}/meters", wish), as_json)


@customer.command(
    "end",
    short_help="End a customer's meter (move-out).",
    epilog=examples(
        "openami customer end kim@example.org OAM00000001",
        "openami customer end kim@example.org OAM00000001 --at 2026-05-01T00:00+09:00",
    ),
)
@click.argument("login")
@click.argument("serial")
@click.option("--at", metavar="TIME", help="At the last full hour before; else now.")
@aimed
def end(target: Target, login: str, serial: str, at: str | None, as_json: bool) -> None:
    """End it that the meter SERIAL is the customer LOGIN's; they keep what was theirs."""
    path = f"{_path(login)}/meters/{segment(serial)}/end"
    _tenancy(_post(target, path, {"ends": _time(at)}), as_json)


@customer.command(
    "disable",
    short_help="Shut a customer out.",
    epilog=examples("openami customer disable kim@example.org"),
)
@click.argument("login")
@aimed
def disable(target: Target, login: str, as_json: bool) -> None:
    """Shut the customer LOGIN out: every session and invitation ends."""
    _show(_patch(target, login, {"disabled": True}), as_json)


@customer.command(
    "enable",
    short_help="Let a customer in again.",
    epilog=examples("openami customer enable kim@example.org"),
)
@click.argument("login")
@aimed
def enable(target: Target, login: str, as_json: bool) -> None:
    """Let the customer LOGIN in again, with the password they had."""
    _show(_patch(target, login, {"disabled": False}), as_json)


def _path(login: str) -> str:
    return f"/customers/{segment(login)}"


def _post(target: Target, path: str, wish: dict[str, Any]) -> dict[str, Any]:
    async def work(client: Any) -> dict[str, Any]:
        answer: dict[str, Any] = checked(await client.post(PREFIX + path, json_body=wish)).json()
        return answer

    return ask(target, work)


def _patch(target: Target, login: str, wish: dict[str, Any]) -> dict[str, Any]:
    async def work(client: Any) -> dict[str, Any]:
        answer = await client.request("PATCH", PREFIX + _path(login), json_body=wish)
        made: dict[str, Any] = checked(answer).json()
        return made

    return ask(target, work)


def _given(tariff: str | None, discounts: tuple[str, ...], language: str | None) -> dict[str, Any]:
    wish = {"tariff": tariff, "discounts": list(discounts) or None, "language": language}
    return {name: value for name, value in wish.items() if value is not None}


def _time(text: str | None) -> str | None:
    seconds = parse_time(text)
    return None if seconds is None else isoformat(seconds)


def _yes(value: bool) -> str:
    return "yes" if value else ""


def _show(item: dict[str, Any], as_json: bool) -> None:
    if as_json:
        emit_json(item)
        return
    meters = item.pop("meters", [])
    table(["what", "value"], [[name, _cell(value)] for name, value in item.items()])
    for one in meters:
        _tenancy(one, as_json)


def _cell(value: Any) -> object:
    return ", ".join(value) if isinstance(value, list) else _yes(value) if value is True else value


def _tenancy(item: dict[str, Any], as_json: bool) -> None:
    if as_json:
        emit_json(item)
    else:
        ends = f" until {moment(item['ends'])}" if item["ends"] else ""
        click.echo(f"{item['meter']}: {item['customer']}'s from {moment(item['starts'])}{ends}")
