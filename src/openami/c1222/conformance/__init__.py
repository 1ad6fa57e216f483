"""The conformance tester: every service, right and wrong, against any node.

``Run`` is a machine without sockets: it says what to send and judges what comes. What it has seen
is a ``Report``, which is written as text, JSON, HTML and JUnit XML.
"""

from openami.c1222.conformance.case import Case, Exchange, Heard, Row, Verdict
from openami.c1222.conformance.cases import CASES, chosen
from openami.c1222.conformance.result import Pdu, Report, Result
from openami.c1222.conformance.run import Run
from openami.c1222.conformance.target import Target

__all__ = [
    "CASES",
    "Case",
    "Exchange",
    "Heard",
    "Pdu",
    "Report",
    "Result",
    "Row",
    "Run",
    "Target",
    "Verdict",
    "chosen",
]
