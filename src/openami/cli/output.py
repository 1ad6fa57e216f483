"""What commands print: data on stdout, everything else on stderr."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Mapping
from contextlib import contextmanager
from decimal import Decimal
from typing import TYPE_CHECKING, Any, BinaryIO, Final, Self

import click

from openami.core.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence
    from pathlib import Path

# Rows that decide how wide the columns of a table are: some screens full.
HELD_ROWS: Final = 200
LEAST: Final = 16  # characters of a cell that is cut: the beginning tells what it is

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")


def emit_row(row: Mapping[str, Any]) -> None:
    """Print a row as a line of JSON; a Decimal is a number with all its digits."""
    click.echo(json_text(row))


def json_text(value: Any) -> str:
    """Return a value as JSON on one line; a Decimal is a number with all its digits."""
    if isinstance(value, Mapping):
        return (
            "{"
            + ", ".join(f"{json_text(name)}: {json_text(each)}" for name, each in value.items())
            + "}"
        )
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(json_text, value)) + "]"
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


def moment(text: str | None) -> str:
    """Return a time of the API as people read it: to the second."""
    head, dot, _ = (text or "").partition(".")
    return f"{head}Z" if dot else head


def printable(text: str) -> str:
    """Return a text on one line and without controls of a terminal: a device may have said it."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)


def _plain(cell: object) -> str:
    if isinstance(cell, Decimal):
        return f"{cell:f}"
    return "" if cell is None else printable(str(cell))


@contextmanager
def sink(out: Path | None) -> Iterator[BinaryIO]:
    """Give the file where an export goes; None: stdout.

    Raises:
        ConfigError: ``config.file``, it can not be written.
    """
    if out is None:
        yield sys.stdout.buffer
        return
    try:
        with out.open("wb") as file:
            yield file
    except OSError as error:
        raise ConfigError(f"{out}: {error.strerror}", code="config.file") from error


class Table:
    """Aligned columns, numbers to the right; legible without colour and with ``cut``.

    The first rows decide how wide the columns are; those that follow are printed as they come, so
    that a long list neither waits for its end nor fills the memory. As a context manager it prints
    what it still holds.

    Args:
        header: names of the columns.
        nothing: what is told, on stderr, if there is no row.
        cut: columns whose long cells are cut so that a row fits the terminal; what goes
            elsewhere is whole.
    """

    def __init__(
        self, header: Sequence[str], *, nothing: str | None = None, cut: Collection[str] = ()
    ) -> None:
        self._header = header
        self._cut = cut
        self._nothing = nothing
        self._held: list[Sequence[object]] = []
        self._columns: list[tuple[int, bool]] | None = None
        self._shown: int | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        # What came before an error is told, too; a reader that has gone is told nothing.
        if self._columns is None and (kind is None or self._held):
            self._begin()

    def add(self, row: Sequence[object]) -> None:
        """Print a row, now or with the others that are held."""
        if self._columns is not None:
            self._print(row, self._columns)
            return
        self._held.append(row)
        if len(self._held) == HELD_ROWS:
            self._begin()

    def _begin(self) -> None:
        columns = list(zip(*self._held, strict=True)) or [()] * len(self._header)
        self._columns = [
            (max(map(len, (name, *map(_plain, cells)))), _numeric(cells))
            for name, cells in zip(self._header, columns, strict=True)
        ]
        self._fit(self._columns)
        for row in (self._header, *self._held):
            self._print(row, self._columns)
        if not self._held and self._nothing is not None:
            note(self._nothing)
        self._held = []

    def _print(self, row: Sequence[object], columns: Sequence[tuple[int, bool]]) -> None:
        cells = [
            text.rjust(width) if right else text.ljust(width)
            for text, (width, right) in zip(self._texts(row, columns), columns, strict=True)
        ]
        click.echo("  ".join(cells).rstrip())

    def _texts(self, row: Sequence[object], columns: Sequence[tuple[int, bool]]) -> Iterator[str]:
        for name, cell, (width, _) in zip(self._header, row, columns, strict=True):
            text = _plain(cell)
            cut = name in self._cut and self._shown is not None and len(text) > width
            yield f"{text[: width - 1]}…" if cut else text

    def _fit(self, columns: list[tuple[int, bool]]) -> None:
        """Make those of the columns that may be cut narrower, the widest first."""
        self._shown = _terminal() if self._cut else None
        if self._shown is None:
            return
        over = sum(width for width, _ in columns) + 2 * (len(columns) - 1) - self._shown
        may = [at for at, name in enumerate(self._header) if name in self._cut]
        for _ in range(over):
            widest = max(may, key=lambda at: columns[at][0])
            width, right = columns[widest]
            if width <= LEAST:
                return
            columns[widest] = width - 1, right


def _terminal() -> int | None:
    """Return how many characters a line of the terminal has; None: stdout is none."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def _numeric(cells: Sequence[object]) -> bool:
    return bool(cells) and all(isinstance(cell, int | float | Decimal | None) for cell in cells)


def table(
    header: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    nothing: str | None = None,
    cut: Collection[str] = (),
) -> None:
    """Print rows as a ``Table``."""
    with Table(header, nothing=nothing, cut=cut) as printed:
        for row in rows:
            printed.add(row)
