"""What a run has seen: results of cases, with every message parsed beside its octets.

Nothing of it holds a password or a key: octets of passwords are left out where they are noted.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from openami.c1222.conformance.case import Case, Row, Verdict
from openami.core.clock import isoformat

if TYPE_CHECKING:
    from collections.abc import Sequence

_WORST: Final = (Verdict.FAIL, Verdict.PASS, Verdict.SKIPPED, Verdict.NOT_SUPPORTED)
"""A service that passes where it could be tried passes."""


@dataclass(frozen=True, slots=True)
class Pdu:
    """One message, or one segment, of a case.

    Attributes:
        sent: it came from the tester.
        octets: in hexadecimal, two dots for each octet that is not shown.
        tree: its elements as ``core.inspection.to_dict`` gives them; None: it is no message.
    """

    sent: bool
    octets: str
    tree: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one case.

    Attributes:
        case: which.
        verdict: what became of it.
        code: of a fault, ``c1222.test.…``.
        words: what is wrong, or why it was not tried.
        request: what was asked first.
        response: what was answered first.
        pdus: what was sent and heard.
    """

    case: Case
    verdict: Verdict
    code: str = ""
    words: str = ""
    request: str = ""
    response: str = ""
    pdus: tuple[Pdu, ...] = field(default=(), repr=False)

    def to_dict(self, *, pdus: bool = True) -> dict[str, Any]:
        """Return what JSON can have."""
        found: dict[str, Any] = {
            "case": self.case.name,
            "service": self.case.row.value,
            "clause": self.case.clause,
            "title": self.case.title,
            "request": self.request,
            "response": self.response,
            "verdict": self.verdict.value,
            "code": self.code,
            "words": self.words,
        }
        if pdus:
            found["messages"] = [
                {"sent": each.sent, "octets": each.octets, "tree": each.tree} for each in self.pdus
            ]
        return found


@dataclass(frozen=True, slots=True)
class Report:
    """A whole run.

    Attributes:
        address: where the node was reached, as text.
        node: its ApTitle.
        title: that of the tester.
        mode: how messages were protected.
        key_id: with which key; None: there was none.
        began: seconds of UTC.
        ended: likewise.
        results: of all cases, in the order in which they ran.
    """

    address: str
    node: str
    title: str
    mode: int
    key_id: int | None
    began: float
    ended: float
    results: Sequence[Result]

    @property
    def findings(self) -> list[Result]:
        """The results that are faults of the node."""
        return [each for each in self.results if each.verdict is Verdict.FAIL]

    @property
    def counts(self) -> dict[Verdict, int]:
        """How many cases there are of each verdict."""
        counted = Counter(each.verdict for each in self.results)
        return {verdict: counted[verdict] for verdict in Verdict}

    def of(self, row: Row) -> list[Result]:
        """Return the results of one row."""
        return [each for each in self.results if each.case.row is row]

    def rows(self) -> list[tuple[Row, Verdict, str]]:
        """Return each row that was tried, its verdict and a remark, as the paper's Table 1."""
        found = []
        for row in Row:
            results = self.of(row)
            if results:
                verdict = next(v for v in _WORST if any(each.verdict is v for each in results))
                found.append((row, verdict, _remark(results, verdict)))
        return found

    def to_dict(self, *, pdus: bool = True) -> dict[str, Any]:
        """Return what JSON can have; without ``pdus``, without the messages."""
        return {
            "address": self.address,
            "node": self.node,
            "title": self.title,
            "mode": self.mode,
            "key_id": self.key_id,
            "began": isoformat(self.began),
            "ended": isoformat(self.ended),
            "counts": {verdict.value: count for verdict, count in self.counts.items()},
            "services": [
                {"service": row.value, "verdict": verdict.value, "remark": remark}
                for row, verdict, remark in self.rows()
            ],
            "cases": [each.to_dict(pdus=pdus) for each in self.results],
        }


def _remark(results: list[Result], verdict: Verdict) -> str:
    """Return why a row has its verdict: the codes of its faults, how many passed, or why none."""
    if verdict is Verdict.FAIL:
        return ", ".join(each.code for each in results if each.verdict is verdict)
    if verdict is Verdict.PASS:
        passed = sum(each.verdict is verdict for each in results)
        return f"{passed} of {len(results)} cases"
    return next(each.words for each in results if each.verdict is verdict)
