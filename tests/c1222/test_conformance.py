"""The tester against a healthy node, and against nodes with one defect each."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from tests.support.c1222_defects import (
    DEFECTS,
    NODE,
    TESTER,
    Bench,
    HealthyNode,
    Mad,
    ReadOnly,
    Says,
    WantsRelativeTitles,
    target,
)

from openami.c1222.apdu import Apdu
from openami.c1222.codes import Qualifier, ResponseCode, ResponseControl, SecurityMode
from openami.c1222.conformance import CASES, Verdict, chosen
from openami.c1222.epsem import Epsem
from openami.c1222.security import protect
from openami.c1222.services import (
    Done,
    Failure,
    Identified,
    Identify,
    LoggedOn,
    Read,
    ReadDefault,
    ReadIndex,
    ReadOffset,
    Registered,
    Request,
    Resolved,
    Response,
    TableData,
)
from openami.core.errors import TransportTimeoutError

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.mark.parametrize("mode", SecurityMode)
def test_a_healthy_node_passes_every_case(mode: SecurityMode) -> None:
    report = Bench(HealthyNode()).run(target(mode))
    assert [(each.case.name, each.code, each.words) for each in report.findings] == []
    left = {
        each.case.name: each.words for each in report.results if each.verdict is not Verdict.PASS
    }
    assert left == {}
    assert len(report.results) == len(CASES) > 60


def said(request: Request | bytes, answer: Response | bytes) -> Callable[[], HealthyNode]:
    """Return what makes a node that says this to that."""
    octets = request if isinstance(request, bytes) else request.encode()
    wrong = answer if isinstance(answer, bytes) else answer.encode()
    return lambda: Says({octets: wrong})


ERR, ISC, ONP, BSY = (Failure(ResponseCode[name]) for name in ("ERR", "ISC", "ONP", "BSY"))
SNS, ISSS, UAT = (Failure(ResponseCode[name]) for name in ("SNS", "ISSS", "UAT"))
LOGON, SECURITY, LOGOFF, TERMINATE, WAIT = b"\x50", b"\x51", b"\x52", b"\x21", b"\x70"
RESOLVE = {"resolve": "resolve", "malformed-service": None}
ANSWERS = {
    "no C12.22": (said(Identify(), Identified(0, 1, 0)), {"identify": "identify"}),
    "no identity": (said(Identify(), ERR), None),
    "no ST-00": (said(Read(0), ONP), None),
    "an empty ST-00": (said(Read(0), TableData(b"")), None),
    "no ST-00 at all": (said(Read(0), b"\x00\x00\x05"), None),
    "another part": (said(ReadOffset(0, 3, 4), TableData(b"abcd")), {"read-offset": "read-part"}),
    "another element": (said(ReadIndex(0, (1,), 2), ERR), {"read-index": "read-part"}),
    "no default": (said(ReadDefault(), ONP), {}),
    "a wrong default": (said(ReadDefault(), BSY), {"read-default": "read-default"}),
    "an unknown table": (
        said(Read(0x7FF), TableData(b"?")),
        {"read-unknown-table": "unknown-table", "list": "order"},
    ),
    "a far element": (
        said(ReadIndex(0, (0xFFFE,), 1), ONP),
        {"read-index-range": "index-range"},
    ),
    "far octets": (
        said(ReadOffset(0, 0xFFFFFE, 1), TableData(b"")),
        {"read-offset-range": "offset-range"},
    ),
    "a service that is cut off": (
        said(b"\x50\x00", Done()),
        {"malformed-service": "malformed-service"},
    ),
    "no sessions": (said(LOGON, SNS), None),
    "no sessions for the tester": (said(LOGON, BSY), None),
    "a session of no length": (said(LOGON, LoggedOn(0)), None),
    "no end of sessions": (said(TERMINATE, ERR), {"terminate": "terminate"}),
    "a session that goes on": (said(LOGOFF, Done()), None),
    "wait refused": (said(WAIT, ERR), {"wait": "wait", "wait-early": "wait-sequence"}),
    "no wait": (said(WAIT, SNS), {}),
    "the password refused": (said(SECURITY, ISC), None),
    "no passwords": (said(SECURITY, SNS), None),
    "another fault of passwords": (said(SECURITY, BSY), None),
    "no disconnection": (said(b"\x22", ERR), {"disconnect": "disconnect"}),
    "a forbidden disconnection": (said(b"\x22", ISC), {}),
    "registers for ever": (
        said(b"\x27", Registered(TESTER, 0, 7200)),
        {"register": "register", "deregister": None},
    ),
    "registers nobody": (said(b"\x27", UAT), {}),
    "registers in other words": (said(b"\x27", b"\x00"), None),
    "deregisters everybody": (
        said(b"\x24", Done()),
        {"deregister": "deregister", "deregister-nobody": None},
    ),
    "resolves everybody": (said(b"\x25", Resolved(bytes(6))), RESOLVE),
    "resolves to nowhere": (said(b"\x25", Resolved(b"x")), RESOLVE),
    "no way": (said(b"\x26", UAT), {"trace": "trace"}),
    "writes that are not done": (said(b"\x40", BSY), None),
    "writes by offset that are not": (said(b"\x4f", BSY), None),
    "no writes": (said(b"\x40", SNS), None),
    "no ST-07": (said(b"\x40", ONP), None),
    "no ST-08": (said(Read(8), ONP), None),
    "a table of others": (said(Read(22), ISC), {}),
    "a table that is too long": (said(Read(23), Failure(ResponseCode.RSTL, 10)), {}),
    "a dimension table cut off": (
        said(Read(21), TableData(b"x")),
        {"table-lengths": "table-length"},
    ),
    "another ST-08": (said(Read(8), TableData(b"\x00")), None),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_a_wrong_answer_is_found(name: str) -> None:
    make, wanted = ANSWERS[name]
    report = Bench(make()).run(target())
    found = {each.case.name: each.code for each in report.findings}
    if wanted is None:  # several cases see it
        assert all(each.words for each in report.results if each.verdict is not Verdict.PASS)
        return
    sure = {case: f"c1222.test.{code}" for case, code in wanted.items() if code}
    assert sure.items() <= found.items()
    assert found.keys() <= wanted.keys()


def test_a_node_that_knows_its_title_in_one_form_only() -> None:
    report = Bench(WantsRelativeTitles()).run(target())
    found = {each.case.name: each.code.rpartition(".")[2] for each in report.findings}
    assert found == {"titles": "unanswered", "relayed": "relayed"}


def test_what_a_device_does_not_let_be_written_is_left_out() -> None:
    report = Bench(HealthyNode(ReadOnly())).run(target())
    assert report.findings == []
    why = {each.case.name: each.words for each in report.results}
    assert "lets none be written" in why["write"]
    assert "no procedure to set its time" in why["procedure-parameters"]


def test_what_is_lost_is_sent_again() -> None:
    class Lossy(HealthyNode):
        heard = 0

        def receive(self, data: bytes, **where: Any) -> tuple[bytes, ...]:
            self.heard += 1
            return () if self.heard % 3 == 0 else super().receive(data, **where)

    report = Bench(Lossy()).run(
        target(retries=2, stream=False), cases=chosen(["Read", "Logon", "titles", "segments"])
    )
    assert report.findings == []
    why = {each.case.name: each.words for each in report.results}
    assert why["logon-connection"] == "datagrams have no connection"


def test_what_a_node_tells_unasked_is_no_answer() -> None:
    class Teller(HealthyNode):
        def receive(self, data: bytes, **where: Any) -> tuple[bytes, ...]:
            notice = Apdu(99, TESTER, NODE, qualifier=Qualifier.NOTIFICATION)
            said = protect(notice, Epsem((Identify().encode(),), respond=ResponseControl.NEVER))
            answers = super().receive(data, **where)
            return (said, *answers)

    assert Bench(Teller()).run(target(), cases=chosen(["Read"])).findings == []


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("inside", [False, True])
@pytest.mark.parametrize("rate", [0.02, 0.3])
def test_whatever_a_node_says_the_run_ends_with_a_report(
    seed: int, rate: float, inside: bool
) -> None:
    node = Mad(seed, rate=rate, inside=inside)
    with suppress(TransportTimeoutError):
        report = Bench(node).run(target(SecurityMode(seed % 3)))
        assert len(report.results) == len(CASES)
        assert {each.verdict for each in report.results} >= {Verdict.PASS}


@pytest.mark.parametrize("name", DEFECTS)
def test_a_defect_is_found_by_its_case_alone(name: str) -> None:
    defect = DEFECTS[name]
    report = Bench(defect.make()).run(target(defect.mode))
    found = [(each.case.name, each.code) for each in report.findings]
    assert found == [(defect.case, f"c1222.test.{defect.code}")], report.findings[0].words
