"""The tester against a healthy node, and against nodes with one defect each."""

from __future__ import annotations

import pytest
from tests.support.c1222_defects import DEFECTS, Bench, HealthyNode, target

from openami.c1222.codes import SecurityMode
from openami.c1222.conformance import CASES, Verdict


@pytest.mark.parametrize("mode", SecurityMode)
def test_a_healthy_node_passes_every_case(mode: SecurityMode) -> None:
    report = Bench(HealthyNode()).run(target(mode))
    assert [(each.case.name, each.code, each.words) for each in report.findings] == []
    left = {
        each.case.name: each.words for each in report.results if each.verdict is not Verdict.PASS
    }
    assert left == {}
    assert len(report.results) == len(CASES) > 60


@pytest.mark.parametrize("name", DEFECTS)
def test_a_defect_is_found_by_its_case_alone(name: str) -> None:
    defect = DEFECTS[name]
    report = Bench(defect.make()).run(target(defect.mode))
    found = [(each.case.name, each.code) for each in report.findings]
    assert found == [(defect.case, f"c1222.test.{defect.code}")], report.findings[0].words
