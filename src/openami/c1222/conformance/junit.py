"""A report as JUnit XML, for whoever runs the tester in a build."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final
from xml.etree import ElementTree as ET

from openami.c1222.conformance.case import Row, Verdict
from openami.core.clock import isoformat

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from openami.c1222.conformance.result import Pdu, Report, Result

_NO_XML: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML can not have, not even escaped (XML 1.0, 2.2)."""


def to_junit(report: Report) -> bytes:
    """Return one test suite for each service, with one test for each case."""
    suites = ET.Element("testsuites", _counts(report.results), name=_clean(f"C12.22 {report.node}"))
    for row in Row:
        results = report.of(row)
        if results:
            suite = ET.SubElement(
                suites,
                "testsuite",
                _counts(results),
                name=row.value,
                timestamp=isoformat(report.began).removesuffix("Z"),
                hostname=_clean(report.address),
            )
            for each in results:
                _write(suite, each)
    ET.indent(suites)
    octets: bytes = ET.tostring(suites, encoding="utf-8", xml_declaration=True)
    return octets


def _counts(results: Sequence[Result]) -> dict[str, str]:
    verdicts = [each.verdict for each in results]
    failed = sum(each is Verdict.FAIL for each in verdicts)
    left = sum(each in {Verdict.SKIPPED, Verdict.NOT_SUPPORTED} for each in verdicts)
    return {
        "tests": str(len(verdicts)),
        "failures": str(failed),
        "errors": "0",
        "skipped": str(left),
    }


def _write(suite: ET.Element, result: Result) -> None:
    name = f"{result.case.name}: {result.case.title}"
    test = ET.SubElement(suite, "testcase", name=name, classname=f"c1222.{result.case.row.value}")
    if result.verdict is Verdict.FAIL:
        failure = ET.SubElement(test, "failure", message=_clean(result.words), type=result.code)
        failure.text = _clean(result.case.clause)
    elif result.verdict is not Verdict.PASS:
        ET.SubElement(test, "skipped", message=_clean(f"{result.verdict.value}: {result.words}"))
    if result.pdus:
        ET.SubElement(test, "system-out").text = _clean("\n".join(_messages(result.pdus)))


def _messages(pdus: Sequence[Pdu]) -> Iterator[str]:
    """Yield what was sent and heard: the octets of each message, and below them its elements."""
    for each in pdus:
        yield f"{'sent' if each.sent else 'heard'} {each.octets}"
        if each.tree is not None:
            yield from _elements(each.tree, 1)


def _elements(node: Mapping[str, Any], depth: int) -> Iterator[str]:
    said = (node["name"], node["value"], node.get("note"), node.get("octets"))
    words = " ".join(str(each) for each in said if each is not None)
    yield f"{node['offset']:4d}{'  ' * depth}{words}"
    for child in node.get("children", ()):
        yield from _elements(child, depth + 1)


def _clean(text: str) -> str:
    return _NO_XML.sub("?", text)
