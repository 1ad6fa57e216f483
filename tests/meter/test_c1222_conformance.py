"""The conformance tester against a meter of ours: nothing is found."""

from __future__ import annotations

import pytest
from tests.support.c1222_defects import TESTER, Bench
from tests.support.c1222_meter import KEYS, PASSWORD, START, TITLE, MeterBench

from openami.c1222.codes import SecurityMode
from openami.c1222.conformance import Target, Verdict

RELAYS = {"register", "deregister", "deregister-nobody", "resolve"}
"""What is asked of relays and hosts; a meter tells that a Trace has come to it."""


class Advancing:
    """The meter's station; its clock is that of the bench."""

    def __init__(self, meter: MeterBench) -> None:
        self._meter = meter

    def receive(self, data: bytes, *, now: float, **where: object) -> tuple[bytes, ...]:
        self._meter.advance(max(now - self._meter.clock.now(), 0.0))
        return self._meter.station.receive(data, now=now, **where)  # type: ignore[arg-type]


@pytest.mark.parametrize("mode", SecurityMode)
def test_nothing_is_found(mode: SecurityMode) -> None:
    meter = MeterBench()
    meter.advance(86_400)
    target = Target(
        TITLE, TESTER, keys=KEYS, key_id=2, mode=mode, user=2, password=PASSWORD.encode()
    )
    bench = Bench(Advancing(meter), now=START + 86_400)  # type: ignore[arg-type]  # it receives
    report = bench.run(target)
    assert [(each.case.name, each.code, each.words) for each in report.findings] == []
    left = {each.case.name for each in report.results if each.verdict is not Verdict.PASS}
    assert left - {"read-default"} == RELAYS  # a meter need not have a default table
    assert Verdict.SKIPPED not in {each.verdict for each in report.results}
