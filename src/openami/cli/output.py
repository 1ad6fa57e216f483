"""What commands print: data on stdout, everything else on stderr."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")


def emit_row(row: Mapping[str, Any]) -> None:
    """Print a row as a line of JSON; a Decimal is a number with all its digits."""
    cells = (f"{_text(name)}: {_text(value)}" for name, value in row.items())
    click.echo("{" + ", ".join(cells) + "}")


def _text(value: Any) -> str:
    return f"{value:f}" if isinstance(value, Decimal) else json.dumps(value, ensure_ascii=False)


def emit_json(value: Any) -> None:
    """Print one JSON value on one line of stdout."""
    click.echo(json.dumps(value, ensure_ascii=False, separators=(", ", ": ")))


def note(text: str) -> None:
    """Tell the person at the terminal something that is not data."""
    click.echo(text, err=True)


def counted(number: int, what: str) -> str:
    """Return a number of things in words: 1 row, 2 rows."""
    return f"{number:,} {what}" + ("" if number == 1 else "s")


def _plain(cell: object) -> str:
    if isinstance(cell, Decimal):
        return f"{cell:f}"
    return "" if cell is None else str(cell)


def table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print aligned columns; numbers to the right. Legible without colour and with ``cut``."""
    cells = [[_plain(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(header, *cells, strict=True)]
    numeric = [
        bool(rows) and all(isinstance(row[i], int | float | Decimal | None) for row in rows)
        for i in range(len(header))
    ]
    for line in ([*header], *cells):
        click.echo(
            "  ".join(
                cell.rjust(width) if right else cell.ljust(width)
                for cell, width, right in zip(line, widths, numeric, strict=True)
            ).rstrip()
        )
