"""``openami bills``: the bills of all meters that are somebody's."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from openami.cli.aiming import aimed
from openami.cli.api import PAUSES_S, ApiError, ask, get_json
from openami.cli.bill import period_options
from openami.cli.options import examples
from openami.cli.output import counted, emit_row, note
from openami.core.errors import ConfigError, OpenAmiError, TransportError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping

    from openami.cli.api import Target
    from openami.mdm.tariffs.month import Period
    from openami.transport.http import HttpClient

FORMS: Final = ("jsonl", "csv", "parquet")
PIECE: Final = 500  # meters in a request
TELL_S: Final = 5.0
BUSY_S: Final = 5.0  # while others make bills


class UnbilledError(OpenAmiError):
    """Some meters could not be billed; all others were."""

    code = "bills.failed"


@click.command(
    short_help="Make the bills of all meters.",
    epilog=examples(
        "openami bills --month 2026-05 --out may.jsonl",
        "openami bills --month 2026-05 --out again.jsonl --against may.jsonl --json",
        "openami bills --from 2026-06-18 --to 2026-07-17 --format csv",
    ),
)
@period_options
@click.option(
    "--out", type=click.Path(path_type=Path, dir_okay=False),
    help="A file, which is there whole or not at all; else stdout.",
)  # fmt: skip
@click.option(
    "--format", "form", type=click.Choice(FORMS),
    help="How they are written. [default: as the file's name ends, else jsonl]",
)  # fmt: skip
@click.option(
    "--against", metavar="FILE", type=click.Path(path_type=Path, dir_okay=False),
    help="What was written as jsonl for the same days before: what is different goes beside it.",
)  # fmt: skip
@click.option(
    "--piece", type=click.IntRange(1, PIECE), default=PIECE, show_default=True,
    help="Meters in a request.",
)  # fmt: skip
@aimed
def bills(
    month: str | None,
    begin: str | None,
    end: str | None,
    out: Path | None,
    form: str | None,
    against: Path | None,
    piece: int,
    target: Target,
    as_json: bool,
) -> None:
    """Make the bills of all meters that were somebody's, out of the head-end's stored readings.

    Each is the bill of `openami bill --meter`, by the tariff and with the discounts of who had the
    meter last. A meter without readings, or that can not be billed, is there too, with its status.
    At the end counts and sums are told, with --json on stdout; the exit status is 1 if a meter
    could not be billed.
    """
    from openami.cli.bills_output import before_rows, written
    from openami.mdm.tariffs.month import parse_period

    period = parse_period(month, begin, end)
    form = form or _form(out)
    if out is None and (as_json or form == "parquet"):
        reason = "--json prints the summary" if as_json else "parquet is no text"
        raise ConfigError(f"{reason}: give --out FILE for the bills", code="config.out")
    summary = Summary(period)
    with written(out, form, compared=against is not None) as put:
        before = None if against is None else before_rows(against, str(period))
        ask(target, lambda client: _bill(client, period, piece, before, (put, summary)))
    if as_json:
        emit_row(summary.plain())
    else:
        summary.tell()
    if summary.failed:
        codes = ", ".join(f"{code} {count:,}" for code, count in sorted(summary.failed.items()))
        raise UnbilledError(f"{counted(summary.failed.total(), 'meter')} without a bill: {codes}")


def _form(out: Path | None) -> str:
    suffix = "" if out is None else out.suffix[1:].lower()
    return suffix if suffix in FORMS else FORMS[0]


@dataclass(slots=True)
class Summary:
    """What was billed: how many meters of which status, and sums by currency."""

    period: Period
    standings: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)
    totals: dict[str, Decimal] = field(default_factory=dict)
    kwh: Decimal = Decimal(0)
    changed: Counter[str] = field(default_factory=Counter)
    difference: dict[str, Decimal] = field(default_factory=dict)

    def add(self, row: Mapping[str, Any]) -> None:
        """Count a row."""
        self.standings[row["status"]] += 1
        if row["problem"] is not None:
            self.failed[row["problem"]["code"]] += 1
        if row["total"] is not None:
            self.totals[row["currency"]] = (
                self.totals.get(row["currency"], Decimal(0)) + row["total"]
            )
            self.kwh += row["kwh"]
        if row.get("difference"):
            self.changed[row["currency"]] += 1
            self.difference[row["currency"]] = (
                self.difference.get(row["currency"], Decimal(0)) + row["difference"]
            )

    @property
    def meters(self) -> int:
        """How many there were."""
        return self.standings.total()

    def plain(self) -> dict[str, Any]:
        """Return all of it as plain data."""
        return {
            "month": str(self.period),
            "meters": self.meters,
            "status": dict(sorted(self.standings.items())),
            "failed": dict(sorted(self.failed.items())),
            "total": dict(sorted(self.totals.items())),
            "kwh": self.kwh,
            "changed": dict(sorted(self.changed.items())),
            "difference": dict(sorted(self.difference.items())),
        }

    def tell(self) -> None:
        """Tell a person, on stderr."""
        note(f"{self.period}: {counted(self.meters, 'meter')}, {self.kwh:,f} kWh")
        for standing, count in sorted(self.standings.items()):
            note(f"  {standing}: {count:,}")
        for currency, total in sorted(self.totals.items()):
            note(f"  total: {total:,f} {currency}")
        for currency, difference in sorted(self.difference.items()):
            note(f"  different: {self.changed[currency]:,}, {difference:+,f} {currency}")


async def _bill(
    client: HttpClient,
    period: Period,
    piece: int,
    before: Iterator[dict[str, Any]] | None,
    into: tuple[Any, Summary],
) -> None:
    put, summary = into
    told = time.monotonic()
    async for rows in _pieces(client, period, piece, before):
        put(rows)
        for row in rows:
            summary.add(row)
        if time.monotonic() - told > TELL_S:
            told = time.monotonic()
            note(f"{counted(summary.meters, 'meter')} so far, up to {rows[-1]['meter']}")


async def _pieces(
    client: HttpClient, period: Period, piece: int, before: Iterator[dict[str, Any]] | None
) -> AsyncIterator[list[dict[str, Any]]]:
    """Yield rows, piece after piece by their meters; a piece may be empty only if it is the last."""
    from openami.cli.bills_output import Beside, row_of

    after: str | None = None
    span = {"from": str(period.first), "to": str(period.last)}
    named = str(period)
    query = span if "/" in named else {"month": named}
    compared = None if before is None else Beside(before)
    while True:
        page = await _asked(client, {**query, "after": after, "limit": piece})
        rows = [row_of(item) for item in page["items"]]
        after = page["next"]
        if compared is not None:
            rows = compared.put(rows, last=after is None)
        if rows:
            yield rows
        if after is None:
            return


async def _asked(client: HttpClient, query: Mapping[str, Any]) -> Any:
    """Return a page; where the line is cut it is asked for again: that changes nothing."""
    pauses = iter(PAUSES_S)
    while True:
        try:
            return await get_json(client, "/bills", **query)
        except ApiError as error:
            if error.code != "busy.bills":
                raise
            reason, pause = error.message, BUSY_S
        except TransportError as error:
            again = None if error.code == "transport.tls" else next(pauses, None)
            if again is None:
                raise
            reason, pause = error.message, again
        note(f"{reason}: asking again")
        await asyncio.sleep(pause)
