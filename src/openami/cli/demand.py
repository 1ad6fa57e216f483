"""``openami demand``: programs and events of demand response, over the REST API."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click

from openami.cli.aiming import aimed
from openami.cli.api import PREFIX, ask, checked, get_json, made_once, pages, print_pages, segment
from openami.cli.demand_displays import displays
from openami.cli.demand_options import event_options, read_event, read_file, read_targets
from openami.cli.options import examples
from openami.cli.output import Table, counted, emit_json, moment, note, table
from openami.core.clock import parse_utc
from openami.core.errors import ConfigError
from openami.fleet.demand.machine import EventState
from openami.fleet.demand.model import PayloadType

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from openami.cli.api import Target
    from openami.transport.http import HttpClient

BASE: Final = "/demand"
A_PAGE: Final = 200
"""Meters that the head-end measures at a time: so often is told how far it is."""


@click.group()
def demand() -> None:
    """Demand response: ask customers to use less."""


demand.add_command(displays)


@demand.group()
def program() -> None:
    """Look after programs: under which terms customers are asked."""


@program.command(
    "add",
    epilog=examples(
        "openami demand program add summer --description 'Hot afternoons' --payload SIMPLE",
        "openami demand program add grid-safety --binding --payload IMPORT_CAPACITY_LIMIT",
    ),
)
@click.argument("name")
@click.option("--description", default="", help="For people.")
@click.option("--payload", "payloads", multiple=True, type=click.Choice([one.value for one in PayloadType]),
              help="What its events may say; repeatable. [any]")  # fmt: skip
@click.option("--binding", is_flag=True, help="Nobody can opt out of its events.")
@click.option("--currency", default="KRW", show_default=True, help="Of its prices (ISO 4217).")
@click.option("--group", multiple=True, help="Its events are for a group of DCUs.")
@click.option("--region", multiple=True, help="Its events are for a region.")
@aimed
def add_program(
    name: str,
    description: str,
    payloads: tuple[str, ...],
    binding: bool,
    currency: str,
    group: tuple[str, ...],
    region: tuple[str, ...],
    target: Target,
    as_json: bool,
) -> None:
    """Add a program with a NAME.

    Its events are for everybody unless it or they say otherwise.
    """
    wish = {
        "programName": name,
        "programLongName": description,
        "bindingEvents": binding,
        "payloadDescriptors": [{"payloadType": one} for one in payloads],
        "currency": currency,
        "targets": read_targets({"group": group, "region": region, "meter": ()}),
    }
    made = ask(target, lambda client: _post(client, "/programs", wish))
    _tell(made, f"program {made['programName']}: {made['id']}", as_json=as_json)


@program.command("list", epilog=examples("openami demand program list"))
@aimed
def list_programs(target: Target, as_json: bool) -> None:
    """List programs: one JSON object for each line with --json."""
    header = ["name", "id", "payloads", "binding", "currency", "description"]
    print_pages(
        target, f"{BASE}/programs", Table(header, nothing="no programs"), _program_row,
        most=None, as_json=as_json,
    )  # fmt: skip


def _program_row(item: Mapping[str, Any]) -> list[object]:
    types = ", ".join(one["payloadType"] for one in item["payloadDescriptors"])
    binding = "yes" if item["bindingEvents"] else "no"
    return [item["programName"], item["id"], types, binding, item["currency"],
            item["programLongName"]]  # fmt: skip


@demand.group()
def event() -> None:
    """Make events, follow them, and see what they brought."""


@event.command(
    epilog=examples(
        "openami demand event draft --program summer --name 'Hot afternoon' --start +1h \\",
        "    --length 2h --level 2 --region Seoul",
    )
)
@event_options
@aimed
def draft(given: Mapping[str, Any], target: Target, as_json: bool) -> None:
    """Keep an event as a draft: nobody is told before it is published."""
    made = ask(target, lambda client: _make(client, given, draft=True))
    _tell(made, f"event {made['id']} is a draft: openami demand event publish {made['id']}",
          as_json=as_json)  # fmt: skip


@event.command(
    epilog=examples(
        "openami demand event make --program summer --name 'Hot afternoon' --start +1h \\",
        "    --length 2h --level 2 --text-en 'Please use less' --text-ko '사용을 줄여 주세요'",
        "openami demand event make --program summer --name evening --length 1h --limit 2.5 \\",
        "    --start 2026-07-31T18:00+09:00 --random 5m --meter OAM00000001",
        "openami demand event make --program prices --name tomorrow --length 24h --start +1h \\",
        "    --tariff kr-industrial-a2-high-a1",
    )
)
@event_options
@aimed
def make(given: Mapping[str, Any], target: Target, as_json: bool) -> None:
    """Make an event and have it carried to its meters.

    An emergency, and a limit that nobody can opt out of, takes the role admin.
    """
    made = ask(target, lambda client: _make(client, given, draft=False))
    begin = moment(made["intervalPeriod"]["start"])
    _tell(made, f"event {made['id']} for {counted(made['meters'], 'meter')} begins {begin}",
          as_json=as_json)  # fmt: skip


@event.command(epilog=examples("openami demand event publish 5f0c2a9b1d3e4f60"))
@click.argument("event_id", metavar="EVENT")
@click.option("--why", default="", help="The reason, for the audit log.")
@aimed
def publish(event_id: str, why: str, target: Target, as_json: bool) -> None:
    """Have the draft EVENT carried to its meters."""
    made = ask(target, lambda client: _post(client, _event(event_id, "/publish"), {"why": why}))
    _tell(made, f"event {made['id']} for {counted(made['meters'], 'meter')}", as_json=as_json)


@event.command(
    epilog=examples("openami demand event cancel 5f0c2a9b1d3e4f60 --why 'the plant is back'")
)
@click.argument("event_id", metavar="EVENT")
@click.option("--why", required=True, help="The reason, for the audit log.")
@aimed
def cancel(event_id: str, why: str, target: Target, as_json: bool) -> None:
    """End EVENT at once: it is taken out of its meters."""
    made = ask(target, lambda client: _post(client, _event(event_id, "/cancel"), {"why": why}))
    _tell(made, f"event {made['id']} is {made['state']}", as_json=as_json)


@event.command("list", epilog=examples("openami demand event list --state active"))
@click.option(
    "--state", type=click.Choice([state.value for state in EventState]), help="Only these."
)
@click.option("--most", type=click.IntRange(1), help="At most so many.")
@aimed
def list_events(state: str | None, most: int | None, target: Target, as_json: bool) -> None:
    """List events, the newest first; with --json a line of JSON each."""
    header = ["id", "name", "kind", "state", "begins", "length", "meters", "says"]
    print_pages(
        target, f"{BASE}/events", Table(header, nothing="no events", cut=("name",)), _event_row,
        most=most, as_json=as_json, state=state,
    )  # fmt: skip


def _event_row(item: Mapping[str, Any]) -> list[object]:
    period = item["intervalPeriod"]
    return [item["id"], item["eventName"], item["kind"], item["state"], moment(period["start"]),
            period["duration"], item["meters"], _says(item)]  # fmt: skip


def _says(item: Mapping[str, Any]) -> str:
    """Return what the first interval asks, in short."""
    payloads = item["intervals"][0]["payloads"]
    said = ", ".join(f"{one['type']} {one['values'][0]:g}" for one in payloads)
    more = len(item["intervals"]) - 1
    return f"{said} … ({more} more)" if more else said


@event.command(
    epilog=examples(
        "openami demand event show 5f0c2a9b1d3e4f60 --meters",
        "openami demand event show 5f0c2a9b1d3e4f60 --unreached",
    )
)
@click.argument("event_id", metavar="EVENT")
@click.option("--meters", "by_meter", is_flag=True, help="How it stands at each meter.")
@click.option("--unreached", is_flag=True, help="Of which meters nothing was heard, and why.")
@aimed
def show(event_id: str, by_meter: bool, unreached: bool, target: Target, as_json: bool) -> None:
    """Show EVENT, and at how many of its meters it is how far."""
    if by_meter and unreached:
        raise ConfigError("either --meters or --unreached", code="config.demand")
    if unreached:
        rows = Table(["meter", "dcu", "why"], nothing="every meter was reached")
        print_pages(target, BASE + _event(event_id, "/unreached"), rows, _unreached_row,
                    most=None, as_json=as_json)  # fmt: skip
        return
    if by_meter:
        header = ["meter", "delivered", "answer", "limited", "restored", "refused"]
        rows = Table(header, nothing="nothing is known of any meter yet")
        print_pages(target, BASE + _event(event_id, "/meters"), rows, _standing_row,
                    most=None, as_json=as_json)  # fmt: skip
        return
    item = ask(target, lambda client: get_json(client, BASE + _event(event_id)))
    if as_json:
        emit_json(item)
        return
    period = item["intervalPeriod"]
    facts = [
        ["name", item["eventName"]], ["program", item["programName"]], ["kind", item["kind"]],
        ["state", item["state"]], ["begins", moment(period["start"])],
        ["length", period["duration"]], ["says", _says(item)], ["priority", item["priority"]],
        ["may opt out", "yes" if item["optional"] else "no"], ["version", item["version"]],
        *([name.replace("O", "-o").lower() if name == "optedOut" else name, count]
          for name, count in item["counts"].items()),
    ]  # fmt: skip
    table(["what", "value"], facts)


def _unreached_row(item: Mapping[str, Any]) -> list[object]:
    return [item["meter"], item["dcu"], item["why"]]


def _standing_row(item: Mapping[str, Any]) -> list[object]:
    found = item["standing"]
    refused = " ".join(filter(None, (found["code"], found["reason"])))
    times = {name: moment(found[name]) for name in ("delivered", "limited", "restored")}
    return [item["meter"], times["delivered"], found["answer"], times["limited"],
            times["restored"], refused or moment(found["refused"])]  # fmt: skip


@event.command(epilog=examples("openami demand event results 5f0c2a9b1d3e4f60"))
@click.argument("event_id", metavar="EVENT")
@aimed
def results(event_id: str, target: Target, as_json: bool) -> None:
    """Show what EVENT has brought, in Wh: by meter and in all.

    The last line is of the meters that have a baseline. A meter of which nothing was ever said is
    "not reached", and not measured. With --json: an object for each meter.
    """
    path, total = BASE + _event(event_id, "/results"), _Total()
    header = ["meter", "baseline", "used", "saved", "days", "missing", "note"]

    async def work(client: HttpClient, add: Callable[[dict[str, Any]], None]) -> None:
        async for item in pages(client, path, most=None):
            total.add(item)
            add(item)
            if total.meters % A_PAGE == 0:
                note(f"{counted(total.meters, 'meter')} so far")

    if as_json:
        ask(target, lambda client: work(client, emit_json))
        return
    with Table(header, nothing="it was for no meter") as rows:
        ask(target, lambda client: work(client, lambda item: rows.add(_result_row(item))))
        if total.meters:
            rows.add(total.row())


class _Total:
    """Sums of the meters that have a baseline."""

    def __init__(self) -> None:
        self.meters = self.known = 0
        self.baseline = self.used = 0.0

    def add(self, item: Mapping[str, Any]) -> None:
        self.meters += 1
        if item["baselineWh"] is not None:
            self.known += 1
            self.baseline += item["baselineWh"]
            self.used += item["usedWh"]

    def row(self) -> list[object]:
        saved = self.baseline - self.used
        part = f"{saved / self.baseline:+.1%}" if self.baseline else ""
        return [f"{self.known} of {self.meters}", round(self.baseline, 1), round(self.used, 1),
                round(saved, 1), None, None, part]  # fmt: skip


def _result_row(item: Mapping[str, Any]) -> list[object]:
    words = item["why"] or ("opted out" if item["optedOut"] else "")
    return [item["meter"], item["baselineWh"], item["usedWh"], item["savedWh"], item["days"],
            item["missing"], words]  # fmt: skip


async def _make(client: HttpClient, given: Mapping[str, Any], *, draft: bool) -> dict[str, Any]:
    if given["file"] is not None:
        wish = read_file(given["file"])
    else:
        now = parse_utc((await get_json(client, f"{BASE}/clock"))["now"])
        found = await _find_program(client, given["program"])
        wish = read_event(given, program=found, now=now)
        if given["tariff"]:
            period = {name: wish["intervalPeriod"][name] for name in ("start", "duration")}
            asked = {"tariff": given["tariff"], "intervalPeriod": period}
            prices = checked(await client.post(f"{PREFIX}{BASE}/prices", json_body=asked)).json()
            wish["intervals"] = prices["intervals"]
    made: dict[str, Any] = await made_once(
        client, f"{BASE}/events{'?draft=true' if draft else ''}", wish
    )
    return made


async def _find_program(client: HttpClient, name: str | None) -> str:
    """Return the id of a program that is called by its name or id.

    Raises:
        ConfigError: ``config.demand``, there is none.
    """
    if name:
        async for item in pages(client, f"{BASE}/programs", most=None):
            if name in {item["programName"], item["id"]}:
                found: str = item["id"]
                return found
    raise ConfigError(
        f"there is no program {name!r}" if name else "an event has a --program",
        hint="openami demand program list",
        code="config.demand",
    )


async def _post(client: HttpClient, path: str, wish: object) -> dict[str, Any]:
    answer = checked(await client.post(f"{PREFIX}{BASE}{path}", json_body=wish))
    made: dict[str, Any] = answer.json()
    return made


def _event(event_id: str, more: str = "") -> str:
    return f"/events/{segment(event_id)}{more}"


def _tell(made: Mapping[str, Any], words: str, *, as_json: bool) -> None:
    if as_json:
        emit_json(made)
    else:
        note(words)
