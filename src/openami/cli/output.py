"""What commands print: data on stdout, everything else on stderr."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Sequence

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")


def emit_json(value: Any) -> None:
    """Print one JSON value on one line of stdout."""
    click.echo(json.dumps(value, ensure_ascii=False, separators=(", ", ": ")))


def note(text: str) -> None:
    """Tell the person at the terminal something that is not data."""
    click.echo(text, err=True)


def counted(number: int, what: str) -> str:
    """Return a number of things in words: 1 row, 2 rows."""
    return f"{number:,} {what}" + ("" if number == 1 else "s")


def table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print aligned columns; numbers to the right. Legible without colour and with ``cut``."""
    cells = [[("" if cell is None else str(cell)) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(header, *cells, strict=True)]
    numeric = [
        bool(rows) and all(isinstance(row[i], int | float) or row[i] is None for row in rows)
        for i in range(len(header))
    ]
    for line in ([*header], *cells):
        click.echo(
            "  ".join(
                cell.rjust(width) if right else cell.ljust(width)
                for cell, width, right in zip(line, widths, numeric, strict=True)
            ).rstrip()
        )
