"""The tester against our master relay and our host: what a meter does not answer, they do."""

from __future__ import annotations

from itertools import count

from tests.support.c1222_defects import KEYS, START, Bench
from tests.support.c1222_device import KEY_ID
from tests.support.c1222_hosting import HOST, Town
from tests.support.c1222_net import MASTER, OFFICE

from openami.c1222.codes import SecurityMode
from openami.c1222.conformance import Report, Row, Target, Verdict
from openami.c1222.network.relay import Relay
from openami.c1222.network.relay_config import RelayConfig

MODE = SecurityMode.ENCRYPTED


def passed(report: Report) -> set[Row]:
    """Return the services that pass; no node has a fault."""
    assert [(each.case.name, each.code, each.words) for each in report.findings] == []
    return {row for row, verdict, _ in report.rows() if verdict is Verdict.PASS}


def test_a_master_relay_registers_resolves_and_traces() -> None:
    ids = count(5)
    config = RelayConfig(MASTER, keys=KEYS, master=True)
    relay = Relay(config, chance=lambda: 0.5, ids=lambda: next(ids))
    aim = Target(MASTER, OFFICE, keys=KEYS, key_id=2, mode=MODE)
    report = Bench(relay, now=START).run(aim)  # type: ignore[arg-type]  # it receives as a node does
    assert passed(report) >= {Row.REGISTER, Row.DEREGISTER, Row.RESOLVE, Row.TRACE, Row.IDENTIFY}
    verdicts = {row: verdict for row, verdict, _ in report.rows()}
    assert verdicts[Row.TABLES] is verdicts[Row.DISCONNECT] is Verdict.NOT_SUPPORTED


def test_a_host_registers_its_nodes() -> None:
    town = Town(1)
    meter = town.meters[0]
    aim = Target(HOST, meter.title, keys=meter.keys, key_id=KEY_ID, mode=MODE)
    report = Bench(town.host, now=town.now).run(aim)  # type: ignore[arg-type]  # likewise
    assert passed(report) >= {Row.REGISTER, Row.IDENTIFY, Row.MESSAGE, Row.PROTECTION}
