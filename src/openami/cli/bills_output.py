"""Bills of a fleet as rows of a file, and beside them what a file of before says."""

from __future__ import annotations

import csv
import json
import os
import sys
from contextlib import contextmanager
from decimal import Decimal
from io import TextIOWrapper
from typing import IO, TYPE_CHECKING, Any, Final, TypeAlias

from openami.cli.output import json_text
from openami.core.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    import pyarrow as pa

Rows: TypeAlias = "Sequence[Mapping[str, Any]]"

GONE: Final = "gone"
# Those of a table; JSON has also what is in them.
COLUMNS: Final = (
    "meter", "customer", "customers", "tariff", "revision", "discounts", "month", "status",
    "total", "currency", "kwh", "demand_kw", "expected", "present", "until", "problem",
)  # fmt: skip
COMPARED: Final = ("before", "difference", "why")
_NUMBERS: Final = ("total", "kwh", "demand_kw")
_KEEP: Final = 0o600  # who pays how much is nobody else's


def row_of(item: dict[str, Any]) -> dict[str, Any]:
    """Return a bill of the API with its numbers as numbers."""
    for name in _NUMBERS:
        item[name] = None if item[name] is None else Decimal(item[name])
    item["charges"] = {name: Decimal(amount) for name, amount in item["charges"].items()}
    return item


def before_rows(file: Path, month: str) -> Iterator[dict[str, Any]]:
    """Yield the rows that were written as JSON lines before, by their meters.

    Raises:
        ConfigError: ``bill.against``, they are none, of other days, or not in their order.
    """
    last = ""
    with file.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            try:
                row = json.loads(line, parse_float=Decimal, parse_int=Decimal)
                meter, found = str(row["meter"]), row["month"]
                good = meter > last and found == month
                if row["total"] is not None:
                    row["total"] = Decimal(row["total"])
            except (ValueError, TypeError, KeyError, RecursionError, ArithmeticError):
                good = False
            if not good:
                raise ConfigError(
                    f"{file}, line {number}: no bill of {month}, or not in the order of meters",
                    hint="as openami bills --format jsonl writes them",
                    code="bill.against",
                )
            last = meter
            yield row


class Beside:
    """Puts ``before``, ``difference`` and ``why`` beside rows, piece after piece.

    A meter that was billed before and is nobody's now is a row, too, with the status ``gone``, in
    its place among the others.
    """

    def __init__(self, before: Iterator[dict[str, Any]]) -> None:
        self._before = before
        self._next = next(before, None)

    def put(self, rows: Sequence[dict[str, Any]], *, last: bool) -> list[dict[str, Any]]:
        """Return a piece's rows with what was before; of the last piece also what follows it."""
        found = []
        for row in rows:
            passed = list(self._up_to(row["meter"]))
            old = passed.pop() if passed and passed[-1]["meter"] == row["meter"] else None
            found += [_gone(each) for each in passed if each["total"] is not None]
            found.append(_compared(old, row))
        if last:
            found += [_gone(each) for each in self._up_to(None) if each["total"] is not None]
        return found

    def _up_to(self, meter: str | None) -> Iterator[dict[str, Any]]:
        """Yield what was before, up to and with a meter; all of it up to None."""
        while self._next is not None and (meter is None or self._next["meter"] <= meter):
            yield self._next
            self._next = next(self._before, None)


def _compared(old: dict[str, Any] | None, row: dict[str, Any]) -> dict[str, Any]:
    was = None if old is None else old["total"]
    if old is not None and row["currency"] != old["currency"] and None not in (was, row["total"]):
        raise ConfigError(
            f"{row['meter']} was billed in {old['currency']}, not {row['currency']}",
            code="bill.against",
        )
    zero = Decimal(0)
    row["before"] = was
    row["difference"] = (row["total"] or zero) - (was or zero)
    row["currency"] = row["currency"] or (old or row)["currency"]
    row["why"] = list(_reasons(old, row))
    return row


def _reasons(old: dict[str, Any] | None, row: dict[str, Any]) -> Iterator[str]:
    """Yield what is different."""
    if old is None:
        yield "new"
        return
    for name in ("customer", "tariff", "discounts", "status"):
        if old.get(name) != row[name]:
            yield name
    if old.get("tariff") == row["tariff"] and old.get("digest") != row["digest"]:
        yield "tariff's data"
    if _number(old.get("kwh")) != row["kwh"]:
        yield "kwh"
    if _number(old.get("demand_kw")) != row["demand_kw"]:
        yield "demand_kw"


def _number(value: Any) -> Decimal | None:
    return None if value is None else Decimal(value)


def _gone(old: dict[str, Any]) -> dict[str, Any]:
    """Return the row of a meter that was billed and is nobody's now."""
    blank = {name: old.get(name) for name in ("meter", "customer", "tariff", "month", "currency")}
    return {
        **dict.fromkeys((*COLUMNS, "digest", "intervals")),
        **blank,
        "customers": 0,
        "discounts": [],
        "charges": {},
        "status": GONE,
        "before": old["total"],
        "difference": -old["total"],
        "why": [GONE],
    }


@contextmanager
def written(out: Path | None, form: str, *, compared: bool) -> Iterator[Callable[[Rows], None]]:
    """Give what writes rows to a file or to stdout; the file is there when all of them are.

    Raises:
        ConfigError: ``config.file``, it can not be written, or a file can not be read meanwhile.
    """
    columns = (*COLUMNS, *(COMPARED if compared else ()))
    if out is None:
        with _WRITERS[form](sys.stdout.buffer, columns) as put:
            yield put
        return
    partial = out.with_name(f".{out.name}.{os.getpid()}.partial")
    try:
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, _KEEP)
        with os.fdopen(descriptor, "wb") as file:
            with _WRITERS[form](file, columns) as put:
                yield put
            file.flush()
            os.fsync(file.fileno())
        partial.replace(out)
    except OSError as error:
        other = error.filename is not None and str(error.filename) != str(partial)
        named = error.filename if other else out
        raise ConfigError(f"{named}: {error.strerror}", code="config.file") from error
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def _json_lines(file: IO[bytes], columns: Sequence[str]) -> Iterator[Callable[[Rows], None]]:
    del columns
    yield lambda rows: file.writelines(f"{json_text(row)}\n".encode() for row in rows) or None


@contextmanager
def _csv(file: IO[bytes], columns: Sequence[str]) -> Iterator[Callable[[Rows], None]]:
    text = TextIOWrapper(file, "utf-8", newline="", write_through=True)
    try:
        lines = csv.writer(text)  # RFC 4180
        lines.writerow(columns)
        yield lambda rows: lines.writerows(_cells(row, columns) for row in rows)
    finally:
        text.detach()


def _cells(row: Mapping[str, Any], columns: Sequence[str]) -> list[object]:
    flat = _flat(row)
    return [_cell(flat[name]) for name in columns]


def _cell(value: object) -> object:
    if isinstance(value, Decimal):
        return f"{value:f}"
    return " ".join(value) if isinstance(value, list) else value


@contextmanager
def _parquet(file: IO[bytes], columns: Sequence[str]) -> Iterator[Callable[[Rows], None]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = _schema(columns)
    with pq.ParquetWriter(file, schema, compression="zstd") as writer:
        yield lambda rows: writer.write_table(
            pa.Table.from_pylist([_flat(row) for row in rows], schema=schema)
        )


def _schema(columns: Sequence[str]) -> pa.Schema:
    import pyarrow as pa

    text, whole, exact = pa.utf8(), pa.int64(), pa.decimal128(24, 6)
    kinds = {
        **dict.fromkeys(("customers", "revision", "expected", "present"), whole),
        **dict.fromkeys((*_NUMBERS, "before", "difference"), exact),
        **dict.fromkeys(("discounts", "why"), pa.list_(text)),
    }
    return pa.schema([(name, kinds.get(name, text)) for name in columns])


def _flat(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row with what is in its intervals and its problem beside the others."""
    intervals = row["intervals"] or {}
    problem = row["problem"]
    return {
        **row,
        **{name: intervals.get(name) for name in ("expected", "present", "until")},
        "problem": None if problem is None else problem["code"],
    }


_WRITERS: Final = {"jsonl": _json_lines, "csv": _csv, "parquet": _parquet}
