"""EPSEM: lists of services, services that are none, and when answers are wanted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from openami.c1222.codes import ResponseCode, ResponseControl, ServiceCode
from openami.c1222.conformance.case import ORDER, FindingError, Row, case
from openami.c1222.services import Failure, Identify, Read, TableData

if TYPE_CHECKING:
    from openami.c1222.conformance.case import Steps
    from openami.c1222.conformance.lab import Lab

UNKNOWN: Final = b"\x2f"
"""A code that no service has."""
NO_TABLE: Final = 0x07FF
"""The last number that a table can have; no device has it."""
_EPSEM: Final = "C12.22, 5.3.3"


@case("list", Row.LIST, _EPSEM, ORDER)
def several(lab: Lab) -> Steps:
    """Services of one message are all answered, in their order."""
    said = yield from lab.ask(Identify(), Read(NO_TABLE), Read(0))
    kinds = (isinstance(said[1], Failure), isinstance(said[2], TableData) or said[2] == said[1])
    if not all(kinds):
        raise FindingError(ORDER, "the answers are not those to the services in their order")


@case("unknown-service", Row.LIST, "C12.22, 5.3.2.3: sns", "unknown-service")
def unknown_service(lab: Lab) -> Steps:
    """A service that is none is answered with SNS."""
    (said,) = yield from lab.ask(UNKNOWN)
    if said != Failure(ResponseCode.SNS):
        raise FindingError("unknown-service", f"SNS wanted, not {lab.answered}")


_SHORT: Final = (ServiceCode.READ, ServiceCode.READ_OFFSET, ServiceCode.LOGON, ServiceCode.RESOLVE)


@case("malformed-service", Row.LIST, "C12.22, 5.3.2.3: err", "malformed-service")
def malformed_service(lab: Lab) -> Steps:
    """A service that is cut off, or too long, is answered with an error."""
    for octets in (*(bytes((code, 0)) for code in _SHORT), bytes((ServiceCode.READ, 0, 0, 0))):
        (said,) = yield from lab.ask(octets)
        if not isinstance(said, Failure):
            raise FindingError("malformed-service", f"{octets.hex().upper()} is taken")


@case("on-exception", Row.LIST, f"{_EPSEM}: response control 1", "response-control")
def on_exception(lab: Lab) -> Steps:
    """Who wants to hear of failures only hears of them, and of nothing else."""
    respond = ResponseControl.ON_EXCEPTION
    done = lab.message(lab.probe, respond=respond)
    yield from lab.silent("response-control", "what was done", done.octets)
    failing = lab.message(Read(NO_TABLE), respond=respond)
    try:
        yield from lab.deliver(failing)
    except FindingError:
        raise FindingError("response-control", "no answer to what failed") from None


@case("never", Row.LIST, f"{_EPSEM}: response control 2", "response-never")
def never(lab: Lab) -> Steps:
    """Who wants no answer gets none, not even of failures."""
    made = lab.message(Read(NO_TABLE), respond=ResponseControl.NEVER)
    yield from lab.silent("response-never", "what wants no answer", made.octets)


CASES: Final = (several, unknown_service, malformed_service, on_exception, never)
