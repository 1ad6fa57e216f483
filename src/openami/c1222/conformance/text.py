"""A report as lines of text, in the manner of a paper's table of results."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from openami.core.clock import isoformat

if TYPE_CHECKING:
    from collections.abc import Sequence

    from openami.c1222.conformance.result import Report

_WIDEST: Final = 44
"""Characters of a column: what is longer is said in full in the other reports."""


def to_text(report: Report) -> str:
    """Return the cases, the table of services, and how many there are of each verdict."""
    key = "no key" if report.key_id is None else f"key {report.key_id}"
    head = (
        f"{report.node} at {report.address}, from {report.title}, mode {report.mode}, {key}, "
        f"{isoformat(report.began)}"
    )
    cases = [
        (
            each.case.row.value,
            each.case.name,
            each.request,
            each.response,
            each.verdict.value,
            each.code or each.words,
        )
        for each in report.results
    ]
    rows = [(row.value, verdict.value, remark) for row, verdict, remark in report.rows()]
    said = [_printable(f"{each.code}: {each.words}") for each in report.findings]
    counts = ", ".join(f"{count} {verdict.value}" for verdict, count in report.counts.items())
    blocks = (
        _printable(head),
        _table(("service", "case", "request", "response", "verdict", "remark"), cases),
        _table(("service", "result", "remark"), rows),
        "\n".join(said),
        counts,
    )
    return "\n\n".join(block for block in blocks if block)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    cells = [[*map(_plain, row[:-1]), _printable(row[-1])] for row in (head, *rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(head))]
    lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in cells]
    rule = "-" * (sum(widths[:-1]) + 2 * len(widths[:-1]) + len(head[-1]))
    return "\n".join((lines[0], rule, *lines[1:]))


def _printable(text: str) -> str:
    """Return a line without what a node could have written into it to rule a terminal."""
    return "".join(each if each.isprintable() else "?" for each in text)


def _plain(text: str) -> str:
    shown = _printable(text)
    return shown if len(shown) <= _WIDEST else shown[: _WIDEST - 1] + "…"
