"""``openami tariff``: the tariffs that bills are made by."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from openami.cli.options import examples
from openami.cli.output import Table, emit_json, json_option, note
from openami.core.errors import ConfigError

if TYPE_CHECKING:
    from openami.mdm.tariffs.description import Described
    from openami.mdm.tariffs.model import Tariff

REFUSED: Final = 2  # the exit status, as of a mistake in settings


def find_tariff(name: str) -> Tariff:
    """Return a tariff by its name, or that of a file if the name has a slash or ends in .toml.

    Raises:
        ConfigError: ``tariff.unknown``; what is wrong with the file, its path before the place.
    """
    from openami.mdm.tariffs.catalog import tariff_named

    if "/" in name or name.endswith(".toml"):
        return read_tariff(Path(name))
    return tariff_named(name)


def read_tariff(file: Path) -> Tariff:
    """Return the tariff of a file; ConfigError, its path before what is wrong with it."""
    from openami.mdm.tariffs.loading import load

    octets = file.read_bytes()
    try:
        return load(octets)
    except ConfigError as error:
        raise ConfigError(f"{file}: {error.message}", hint=error.hint, code=error.code) from error


@click.group(short_help="Tariffs that bills are made by.")
def tariff() -> None:
    """Look at tariffs and check files of them.

    A tariff is a file, docs/reference/tariffs.md describes it. Wherever a tariff is named, a path
    with a slash or one that ends in .toml names a file instead.
    """


@tariff.command(
    "list",
    short_help="List the tariffs that are shipped.",
    epilog=examples("openami tariff list", "openami tariff list --json"),
)
@json_option
def list_tariffs(as_json: bool) -> None:
    """List the tariffs that openami ships, with what they are and when they hold.

    With --json: one object for each line.
    """
    from openami.mdm.tariffs.catalog import tariff_named, tariff_names

    found = [_summary(tariff_named(name)) for name in tariff_names()]
    if as_json:
        for each in found:
            emit_json(each)
        return
    with Table(["name", "currency", "from", "until", "title"], cut=["title"]) as rows:
        for each in found:
            rows.add([each[key] for key in ("name", "currency", "from", "until", "title")])


@tariff.command(
    short_help="Show all that a tariff says.",
    epilog=examples("openami tariff show kr-residential-low", "openami tariff show ./mine.toml"),
)
@click.argument("name")
@json_option
def show(name: str, as_json: bool) -> None:
    """Show the rates of the tariff NAME, with their dates, seasons, rules and sources."""
    from openami.mdm.tariffs.description import describe

    found = find_tariff(name)
    rows = list(describe(found))
    if as_json:
        emit_json(_summary(found) | _details(found) | {"rates": [_row(row) for row in rows]})
        return
    until = f" to {found.until}" if found.until else " on"
    click.echo(f"{found.title} ({found.name}, revision {found.revision})")
    click.echo(f"in {found.currency}, from {found.since}{until}, {found.zone.key}\n")
    with Table(["charge", "from", "seasons", "terms", "rule"]) as table:
        for row in rows:
            seasons = ", ".join(row.seasons) or "all"
            table.add([row.of, row.since, seasons, row.terms, row.rule])
    click.echo(f"\ntotal: {found.total}")
    for season, months in found.seasons.items():
        click.echo(f"season {season}: months {', '.join(map(str, sorted(months)))}")
    for source in dict.fromkeys(row.source for row in rows):
        click.echo(f"source: {source}")
    for text in found.notes:
        click.echo(f"note: {text}")


@tariff.command(
    short_help="Check files of tariffs.",
    epilog=examples("openami tariff check mine.toml", "openami tariff check tariffs/*.toml --json"),
)
@click.argument("files", nargs=-1, type=click.Path(path_type=Path, dir_okay=False))
@json_option
@click.pass_context
def check(context: click.Context, files: tuple[Path, ...], as_json: bool) -> None:
    """Check FILES, or without any the tariffs that are shipped; exit 2 if one is no tariff.

    With --json: one object for each file on its own line, ``ok``, or ``code`` and ``message``,
    which begins with the place.
    """
    from openami.mdm.tariffs.catalog import tariff_names

    wrong = 0
    for name in files or tariff_names():
        result = _checked(name)
        wrong += not result["ok"]
        if as_json:
            emit_json(result)
        elif result["ok"]:
            click.echo(f"{name}: good, revision {result['revision']}, {result['charges']} charges")
        else:
            note(f"error[{result['code']}]: {result['message']}")
            if result["hint"]:
                note(f"  hint: {result['hint']}")
    context.exit(REFUSED if wrong else 0)


def _checked(name: Path | str) -> dict[str, Any]:
    try:
        found = read_tariff(name) if isinstance(name, Path) else find_tariff(name)
    except ConfigError as error:
        wrong = {"code": error.code, "message": error.message, "hint": error.hint}
        return {"file": str(name), "ok": False, **wrong}
    return {
        "file": str(name),
        "ok": True,
        "revision": found.revision,
        "charges": len(found.charges),
    }


def _summary(found: Tariff) -> dict[str, Any]:
    return {
        "name": found.name,
        "title": found.title,
        "country": found.country,
        "currency": found.currency,
        "from": str(found.since),
        "until": str(found.until) if found.until else None,
        "revision": found.revision,
        "digest": found.digest,
    }


def _details(found: Tariff) -> dict[str, Any]:
    return {
        "zone": found.zone.key,
        "seasons": {name: sorted(months) for name, months in found.seasons.items()},
        "periods": list(found.periods),
        "discounts": [each.name for each in found.charges if not each.automatic],
        "total": str(found.total),
        "notes": list(found.notes),
    }


def _row(row: Described) -> dict[str, Any]:
    return {
        "charge": row.of,
        "kind": row.kind,
        "from": row.since,
        "seasons": list(row.seasons) or None,
        "terms": row.terms,
        "rule": row.rule,
        "source": row.source,
    }
