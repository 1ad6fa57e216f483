"""``openami notice``: messages to customers, on their displays and in the portal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click

from openami.cli.aiming import aimed
from openami.cli.api import PREFIX, ask, checked, made_once, print_pages, segment
from openami.cli.demand_options import TARGETS, duration, read_span, read_targets
from openami.cli.options import examples
from openami.cli.output import Table, emit_json, moment, note
from openami.core.errors import ConfigError
from openami.fleet.demand.model import NOTICE_KINDS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from openami.cli.api import Target

PATH: Final = "/demand/notices"


@click.group()
def notice() -> None:
    """Show customers a notice on their displays."""


def _targets(command: Callable[..., None]) -> Callable[..., None]:
    for option in reversed(TARGETS):
        command = option(command)
    return command


@notice.command(
    epilog=examples(
        "openami notice send --kind outage --text-en 'No power 9 to 11' --region Seoul --for 12h",
        "openami notice send --text-en 'Your bill is ready' --text-ko '고지서가 나왔습니다'",
    )
)
@click.option("--kind", type=click.Choice(sorted(NOTICE_KINDS)), default="message",
              show_default=True, help="What it is about.")  # fmt: skip
@click.option("--text-en", help="What it says, in English.")
@click.option("--text-ko", help="The same in Korean.")
@click.option("--for", "span", default="7d", show_default=True, metavar="SPAN",
              help="How long it is shown: 12h, 7d.")  # fmt: skip
@_targets
@aimed
def send(
    kind: str,
    text_en: str | None,
    text_ko: str | None,
    span: str,
    group: tuple[str, ...],
    region: tuple[str, ...],
    meter: tuple[str, ...],
    target: Target,
    as_json: bool,
) -> None:
    """Show a notice to everybody, or to whom options name, from now on."""
    texts = {name: text for name, text in (("en", text_en), ("ko", text_ko)) if text}
    if not texts:
        raise ConfigError("say it: --text-en or --text-ko", code="config.demand")
    wish = {
        "kind": kind,
        "texts": texts,
        "duration": duration(read_span(span, "--for")),
        "targets": read_targets({"group": group, "region": region, "meter": meter}),
    }
    made = ask(target, lambda client: made_once(client, PATH, wish))
    if as_json:
        emit_json(made)
    else:
        note(f"notice {made['id']} is shown until {moment(made['until'])}")


@notice.command("list", epilog=examples("openami notice list --most 10"))
@click.option("--most", type=click.IntRange(1), help="At most so many.")
@aimed
def list_notices(most: int | None, target: Target, as_json: bool) -> None:
    """List notices, the newest first; with --json a line of JSON each."""
    header = ["id", "kind", "at", "until", "by", "says"]
    rows = Table(header, nothing="no notices", cut=("says",))
    print_pages(target, PATH, rows, _row, most=most, as_json=as_json)


def _row(item: Mapping[str, Any]) -> list[object]:
    says = " / ".join(item["texts"].values())
    until = "withdrawn" if item["withdrawn"] else moment(item["until"])
    return [item["id"], item["kind"], moment(item["at"]), until, item["sentBy"], says]


@notice.command(epilog=examples("openami notice withdraw 5f0c2a9b1d3e4f60 --why 'power is back'"))
@click.argument("notice_id", metavar="NOTICE")
@click.option("--why", required=True, help="The reason, for the audit log.")
@aimed
def withdraw(notice_id: str, why: str, target: Target, as_json: bool) -> None:
    """Take back NOTICE."""
    made = _posted(target, f"{PATH}/{segment(notice_id)}/withdraw", {"why": why})
    if as_json:
        emit_json(made)
    else:
        note(f"notice {made['id']} is taken back")


def _posted(target: Target, path: str, wish: object) -> dict[str, Any]:
    async def work(client: Any) -> dict[str, Any]:
        made: dict[str, Any] = checked(await client.post(PREFIX + path, json_body=wish)).json()
        return made

    return ask(target, work)
