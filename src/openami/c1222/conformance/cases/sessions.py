"""Sessions, passwords, and the end of both."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from openami.c1222.codes import ResponseCode
from openami.c1222.conformance.case import Exchange, FindingError, Row, case, skipped
from openami.c1222.conformance.lab import SESSION_S, Lab, is_refused, supported
from openami.c1222.services import (
    Disconnect,
    Done,
    Failure,
    LoggedOn,
    Logoff,
    Logon,
    Request,
    Security,
    Terminate,
    Wait,
)

if TYPE_CHECKING:
    from openami.c1222.conformance.case import Steps

_SERVICE: Final = "C12.22, 5.3.2.4"
_SEQUENCE: Final = "C12.22, 5.3.2.5: isss"
_WAIT_S: Final = 5
WRONG: Final = b"openami no password!"
"""Twenty octets that nobody should have as a password."""
MOST_GUESSES: Final = 10
"""Wrong passwords before there must be a pause: a code of four digits would last five minutes."""
_REST_S: Final = 3.0
_RESTS: Final = 20
"""How often a node that pauses is asked again: a minute in all."""


def _done(lab: Lab, request: Request, finding: str) -> Steps:
    """Ask what must be done."""
    (said,) = yield from lab.ask(request)
    supported(said, type(request).__name__)
    if said != Done():
        raise FindingError(finding, f"OK wanted, not {lab.answered}")


def _early(lab: Lab, request: Request, finding: str) -> Steps:
    """Ask what has no meaning now."""
    (said,) = yield from lab.ask(request)
    supported(said, type(request).__name__)
    if said != Failure(ResponseCode.ISSS):
        raise FindingError(finding, f"ISSS wanted, not {lab.answered}")


def _over(lab: Lab, finding: str) -> Steps:
    """See that there is no session any more."""
    (said,) = yield from lab.ask(Logoff())
    if said != Failure(ResponseCode.ISSS):
        raise FindingError(finding, "the session goes on")
    lab.session = False


@case("logon", Row.LOGON, f"{_SERVICE}: Logon", "logon")
def logon(lab: Lab) -> Steps:
    """A session begins, and the node says how long a silence it outlives."""
    said = yield from lab.logon()
    if not isinstance(said, LoggedOn) or not said.timeout:
        raise FindingError("logon", f"seconds wanted, not {lab.answered}")


@case("logon-twice", Row.LOGON, _SEQUENCE, "logon-sequence")
def logon_twice(lab: Lab) -> Steps:
    """In a session there is no other Logon."""
    yield from lab.logon()
    lab.begin()
    yield from _early(lab, Logon.of(lab.target.user, b"openami", SESSION_S), "logon-sequence")


@case("logon-connection", Row.LOGON, "RFC 6142, 4", "session-lost")
def logon_connection(lab: Lab) -> Steps:
    """A session outlives the connection on which it began."""
    if not lab.target.stream:
        raise skipped("datagrams have no connection")
    yield from lab.logon()
    made = lab.message(Wait(_WAIT_S))
    heard = yield Exchange(lab.pieces(made.octets), anew=True)
    answer = lab.answer_in(heard)
    if answer is None:
        raise FindingError("session-lost", "on another connection the node does not answer")
    services = lab.open(answer).epsem.services
    if services[:1] == (Failure(ResponseCode.ISSS).encode(),):
        raise FindingError("session-lost", "on another connection there is no session")


@case("security-session", Row.SECURITY, f"{_SERVICE}: Security", "security")
def security_session(lab: Lab) -> Steps:
    """In a session the user's password is shown without saying whose it is."""
    secret = lab.need_password()
    yield from lab.logon()
    lab.begin()
    yield from _done(lab, Security(secret), "security")


@case("security-sessionless", Row.SECURITY, f"{_SERVICE}: Security", "security")
def security_sessionless(lab: Lab) -> Steps:
    """Without a session a password comes with its user, before what wants it."""
    secret = lab.need_password()
    said = yield from lab.ask(Security(secret, lab.target.user), lab.probe)
    supported(said[0], "Security")
    if said[0] != Done() or isinstance(said[1], Failure):
        raise FindingError("security", f"OK wanted, not {lab.answered}")


@case("security-wrong", Row.SECURITY, "C12.22, 5.3.2.3: isc", "wrong-password")
def security_wrong(lab: Lab) -> Steps:
    """A wrong password is answered with ISC."""
    (said,) = yield from lab.ask(Security(WRONG, lab.target.user))
    supported(said, "Security")
    if lab.target.shown_password is not None:  # so that the guess is not counted against us
        yield from lab.ask(Security(lab.target.shown_password, lab.target.user))
    if not is_refused(said):
        raise FindingError("wrong-password", f"ISC wanted, not {lab.answered}")


@case(
    "security-pause",
    Row.SECURITY,
    "openami: who guesses passwords has to wait",
    "pause",
    disturbs="the node will not listen to the tester's host for a while",
)
def security_pause(lab: Lab) -> Steps:
    """After some wrong passwords the node does not look at more of them for a while."""
    for guess in range(MOST_GUESSES):
        made = lab.message(Security(WRONG, lab.target.user))
        heard = yield Exchange(lab.pieces(made.octets))
        answer = lab.answer_in(heard)
        if answer is None:
            lab.lost.add(made.apdu.invocation_id)
            lab.answered = f"no answer after {guess} wrong ones"
            yield from _rested(lab)
            return
        said = lab.open(answer).epsem.services[:1]
        if said == (Failure(ResponseCode.SNS).encode(),):
            supported(Failure(ResponseCode.SNS), "Security")
        if said != (Failure(ResponseCode.ISC).encode(),):
            lab.answered = f"another answer after {guess} wrong ones"
            yield from _rested(lab)
            return
    lab.answered = f"{MOST_GUESSES} times ISC"
    raise FindingError("pause", f"{MOST_GUESSES} wrong passwords in a row are all looked at")


def _rested(lab: Lab) -> Steps:
    """Wait until the node listens again."""
    for _ in range(_RESTS):
        yield Exchange(wanted=0, seconds=_REST_S)
        probe = lab.message(lab.probe)
        heard = yield Exchange(lab.pieces(probe.octets))
        if lab.answer_in(heard) is not None:
            return
        lab.lost.add(probe.apdu.invocation_id)
    raise FindingError("pause", "the pause does not end")


@case("logoff", Row.LOGOFF, f"{_SERVICE}: Logoff", "logoff")
def logoff(lab: Lab) -> Steps:
    """Logoff ends the session."""
    yield from lab.logon()
    lab.begin()
    yield from _done(lab, Logoff(), "logoff")
    yield from _over(lab, "logoff")


@case("logoff-early", Row.LOGOFF, _SEQUENCE, "logoff-sequence")
def logoff_early(lab: Lab) -> Steps:
    """Without a session there is no Logoff."""
    yield from _early(lab, Logoff(), "logoff-sequence")


@case("terminate", Row.TERMINATE, f"{_SERVICE}: Terminate", "terminate")
def terminate(lab: Lab) -> Steps:
    """Terminate ends the session at once."""
    yield from lab.logon()
    lab.begin()
    yield from _done(lab, Terminate(), "terminate")
    yield from _over(lab, "terminate")


@case("wait", Row.WAIT, f"{_SERVICE}: Wait", "wait")
def wait(lab: Lab) -> Steps:
    """Wait keeps the session."""
    yield from lab.logon()
    lab.begin()
    yield from _done(lab, Wait(_WAIT_S), "wait")


@case("wait-early", Row.WAIT, _SEQUENCE, "wait-sequence")
def wait_early(lab: Lab) -> Steps:
    """Without a session there is no Wait."""
    yield from _early(lab, Wait(_WAIT_S), "wait-sequence")


@case(
    "disconnect",
    Row.DISCONNECT,
    f"{_SERVICE}: Disconnect",
    "disconnect",
    disturbs="it takes the node off the network",
)
def disconnect(lab: Lab) -> Steps:
    """A node that is taken off the network says so first, or why it is not."""
    (said,) = yield from lab.ask(Disconnect())
    supported(said, "Disconnect")
    if is_refused(said):
        secret = lab.need_password()
        (said,) = yield from lab.ask_shown(secret, Disconnect())
    if isinstance(said, Failure) and said.code in {ResponseCode.ERR, ResponseCode.UAT}:
        raise FindingError("disconnect", f"OK wanted, not {lab.answered}")


CASES: Final = (
    logon,
    logon_twice,
    logon_connection,
    security_session,
    security_sessionless,
    security_wrong,
    logoff,
    logoff_early,
    terminate,
    wait,
    wait_early,
)
"""But for those after which a node may say nothing for a while."""
LAST: Final = (security_pause, disconnect)
