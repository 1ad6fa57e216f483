"""Reports of the tester: text, JSON, HTML and JUnit XML, in which no secret is."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from xml.etree import ElementTree as ET

import pytest
from tests.support.c1222_defects import (
    KEY,
    PASSWORD,
    Bench,
    HealthyDevice,
    HealthyNode,
    WrongInvocationId,
    target,
)

from openami.c1222.codes import SecurityMode
from openami.c1222.conformance import CASES, Report, Row, Verdict, chosen
from openami.c1222.conformance.html import to_html
from openami.c1222.conformance.junit import to_junit
from openami.c1222.conformance.text import to_text
from openami.c1222.security import NO_KEYS
from openami.core.errors import ConfigError, TransportTimeoutError

HOSTILE = '<script>alert("x")</script> & \x00\x1b[2J]]>'


@pytest.fixture(scope="module")
def healthy() -> Report:
    return Bench(HealthyNode()).run(target(SecurityMode.CLEAR))


@pytest.fixture(scope="module")
def faulty() -> Report:
    report = Bench(WrongInvocationId()).run(target(), intrusive=False)
    results = [replace(each, words=each.words and each.words + HOSTILE) for each in report.results]
    return replace(report, results=results, address=HOSTILE)


def all_of(report: Report) -> list[str]:
    junit = to_junit(report).decode()
    return [to_text(report), to_html(report), junit, json.dumps(report.to_dict()), repr(report)]


def test_no_password_and_no_key_is_in_a_report(healthy: Report) -> None:
    padded = PASSWORD.ljust(20)
    assert "·· ··" in to_html(healthy)
    for text in all_of(healthy):
        plain = re.sub(r"[\s]", "", text).upper()
        for secret in (padded, KEY):
            assert secret.hex().upper() not in plain
            assert secret.decode("latin-1") not in text
        assert PASSWORD.decode() not in text


def test_the_table_of_services_is_the_papers(healthy: Report) -> None:
    services = [row.value for row, verdict, _ in healthy.rows() if verdict is Verdict.PASS]
    assert services == [row.value for row in Row]
    text = to_text(healthy)
    assert re.search(r"^Security +pass +4 of 4 cases$", text, re.MULTILINE)
    assert text.endswith(f"{len(CASES)} pass, 0 fail, 0 not supported, 0 skipped")


def test_what_is_skipped_says_why() -> None:
    report = Bench(HealthyNode(HealthyDevice(network=False))).run(
        target(SecurityMode.CLEAR, keys=NO_KEYS, key_id=None, password=None),
        intrusive=False,
    )
    assert report.findings == []
    why = {each.case.name: (each.verdict, each.words) for each in report.results}
    assert why["mode-2"] == (Verdict.SKIPPED, "no key is given")
    assert why["security-session"] == (Verdict.SKIPPED, "no user and password are given")
    assert why["write"][1].startswith("wants --intrusive: ")
    assert why["resolve"] == (Verdict.NOT_SUPPORTED, "Resolve: service not supported")
    assert ("Trace", "not supported") in [(row.value, v.value) for row, v, _ in report.rows()]


def test_json_has_each_message_parsed(healthy: Report) -> None:
    found = json.loads(json.dumps(healthy.to_dict()))
    assert found["counts"]["pass"] == len(CASES)
    messages = next(each for each in found["cases"] if each["case"] == "read")["messages"]
    assert [each["sent"] for each in messages] == [True, False]
    assert messages[0]["tree"]["name"] == "Message"
    assert "messages" not in healthy.to_dict(pdus=False)["cases"][0]


def test_junit_is_xml_and_counts_right(faulty: Report) -> None:
    root = ET.fromstring(to_junit(faulty))
    assert root.tag == "testsuites"
    assert int(root.attrib["tests"]) == len(faulty.results) == len(root.findall(".//testcase"))
    assert int(root.attrib["failures"]) == len(root.findall(".//failure")) == 1
    assert int(root.attrib["skipped"]) == len(root.findall(".//skipped"))
    (failure,) = root.findall(".//failure")
    assert failure.attrib["type"] == "c1222.test.invocation-id"
    assert '<script>alert("x")</script> & ??[2J]]>' in failure.attrib["message"]
    assert sum(int(each.attrib["tests"]) for each in root) == len(faulty.results)


def test_junit_has_each_message_parsed_beside_its_octets(healthy: Report) -> None:
    root = ET.fromstring(to_junit(healthy))
    said = {each.attrib["name"]: each.findtext("system-out") for each in root.iter("testcase")}
    for result in healthy.results:
        text = said[f"{result.case.name}: {result.case.title}"] or ""
        assert all(each.octets in text for each in result.pdus)
        assert text.count(" Message") == sum(each.tree is not None for each in result.pdus)
    assert re.search(r"^ +\d+ +.*Identify", "".join(filter(None, said.values())), re.MULTILINE)


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value or "" for name, value in attrs if name in {"src", "href"}]


def test_html_needs_nothing_else_and_escapes(faulty: Report) -> None:
    page = _Page()
    page.feed(to_html(faulty))
    assert "script" not in page.tags
    assert page.links == []
    assert page.tags.count("details") == len(faulty.results)
    assert "calling invocation id" in to_html(faulty)


def test_text_has_no_controls(faulty: Report) -> None:
    assert not re.search(r"[\x00-\x09\x0b-\x1f]", to_text(faulty))
    assert "c1222.test.invocation-id" in to_text(faulty)


def test_services_and_cases_are_chosen_by_name() -> None:
    assert chosen(()) == CASES
    assert {each.row for each in chosen(["READ", "wait"])} == {Row.READ, Row.WAIT}
    assert [each.name for each in chosen(["read-checksum"])] == ["read-checksum"]
    with pytest.raises(ConfigError, match="frobnicate"):
        chosen(["frobnicate"])
    names = [each.name for each in CASES]
    assert len(names) == len(set(names))


def test_a_node_that_is_silent_is_not_there() -> None:
    class Mute(HealthyNode):
        def receive(self, data: bytes, **where: object) -> tuple[bytes, ...]:
            return ()

    with pytest.raises(TransportTimeoutError) as found:
        Bench(Mute()).run(target())
    assert found.value.code == "c1222.unanswered"
