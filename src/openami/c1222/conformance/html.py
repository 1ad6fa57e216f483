"""A report as one page of HTML that needs nothing else: each message parsed beside its octets."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any, Final

from openami.c1222.conformance.case import Verdict
from openami.core.clock import isoformat

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from openami.c1222.conformance.result import Pdu, Report, Result

_CLASSES: Final[Mapping[Verdict, str]] = {
    Verdict.PASS: "pass",
    Verdict.FAIL: "fail",
    Verdict.NOT_SUPPORTED: "none",
    Verdict.SKIPPED: "none",
}
_LINE: Final = 32
"""Characters of a line of octets: sixteen of them."""
_STYLE: Final = """
:root{color-scheme:light dark;--line:#8885;--ok:#17703a;--bad:#b3261e;--dim:#6a6a6a}
@media(prefers-color-scheme:dark){:root{--ok:#6fd08c;--bad:#ff8a80;--dim:#a5a5a5}}
*{box-sizing:border-box}
body{font:15px/1.45 system-ui,sans-serif;margin:0 auto;max-width:72rem;padding:1rem}
h1{font-size:1.4rem}h2{font-size:1.1rem;margin-top:2rem}
table{border-collapse:collapse;width:100%}
th,td{text-align:left;vertical-align:top}
th,td{padding:.3rem .6rem .3rem 0;border-top:1px solid var(--line)}
.wide{overflow-x:auto}
.pass{color:var(--ok)}.fail{color:var(--bad);font-weight:600}.none,small{color:var(--dim)}
details{border-top:1px solid var(--line);padding:.4rem 0}summary{cursor:pointer}
.pdu{display:grid;grid-template-columns:minmax(0,3fr) minmax(0,2fr);gap:1rem;margin:.6rem 0 1.2rem}
@media(max-width:48rem){.pdu{grid-template-columns:minmax(0,1fr)}}
ul{list-style:none;margin:0;padding-left:1rem}.pdu>div>ul{padding-left:0}
code,pre{font:13px/1.5 ui-monospace,monospace}
pre{margin:0;white-space:pre-wrap;word-break:break-all}
"""


def to_html(report: Report) -> str:
    """Return the page; keys and passwords are not in a report, and so not on it."""
    key = "no key" if report.key_id is None else f"key {report.key_id}"
    counts = ", ".join(f"{count} {verdict.value}" for verdict, count in report.counts.items())
    return "".join(
        (
            "<!doctype html><html lang=en><meta charset=utf-8>",
            '<meta name=viewport content="width=device-width,initial-scale=1">',
            f"<title>C12.22 {escape(report.node)}</title><style>{_STYLE}</style>",
            f"<h1>C12.22 conformance of {escape(report.node)}</h1>",
            f"<p>At {escape(report.address)}, asked by {escape(report.title)} in mode ",
            f"{report.mode} with {key}, {isoformat(report.began)} to {isoformat(report.ended)}.",
            f"<p>{escape(counts)}.<h2>Services</h2>{_services(report)}",
            "<h2>Cases</h2>",
            *map(_result, report.results),
            "</html>\n",
        )
    )


def _services(report: Report) -> str:
    rows = (
        f"<tr><td>{row.value}<td class={_CLASSES[verdict]}>{verdict.value}<td>{escape(remark)}"
        for row, verdict, remark in report.rows()
    )
    head = "<tr><th>Service<th>Result<th>Remark"
    return f"<div class=wide><table>{head}{''.join(rows)}</table></div>"


def _result(result: Result) -> str:
    case = result.case
    opened = " open" if result.verdict is Verdict.FAIL else ""
    said = f"<p>{escape(result.code)} {escape(result.words)}" if result.words else ""
    asked = f"<p>{escape(result.request)} → {escape(result.response)}" if result.request else ""
    return "".join(
        (
            f"<details{opened}><summary>{escape(case.row.value)}, {escape(case.name)}: ",
            f"<span class={_CLASSES[result.verdict]}>{result.verdict.value}</span></summary>",
            f"<p>{escape(case.title)}. <small>{escape(case.clause)}</small>{said}{asked}",
            *map(_pdu, result.pdus),
            "</details>",
        )
    )


def _pdu(pdu: Pdu) -> str:
    tree = "<p>No message of C12.22." if pdu.tree is None else f"<ul>{_node(pdu.tree)}</ul>"
    octets = escape("\n".join(hex_lines(pdu.octets)))
    head = "Sent" if pdu.sent else "Heard"
    return f"<div class=pdu><div><small>{head}</small>{tree}</div><pre>{octets}</pre></div>"


def hex_lines(octets: str) -> Iterator[str]:
    """Return lines of sixteen octets, with a space after each."""
    for at in range(0, len(octets), _LINE):
        line = octets[at : at + _LINE]
        yield " ".join(line[each : each + 2] for each in range(0, len(line), 2))


def _node(node: Mapping[str, Any]) -> str:
    value = "" if node["value"] is None else f": <code>{escape(str(node['value']))}</code>"
    note = f" <small>{escape(node['note'])}</small>" if "note" in node else ""
    inner: Iterable[Mapping[str, Any]] = node.get("children", ())
    below = f"<ul>{''.join(map(_node, inner))}</ul>" if inner else ""
    return f"<li>{escape(node['name'])}{value}{note}{below}"
