"""Register, Deregister, Resolve, Trace: what a relay, a master relay or a host answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from openami.c1222.codes import Connection, NodeType
from openami.c1222.conformance.case import Exchange, FindingError, Heard, Row, case, skipped
from openami.c1222.conformance.cases.messages import NOBODY
from openami.c1222.conformance.lab import Lab, supported
from openami.c1222.native import NativeAddress
from openami.c1222.services import (
    Deregister,
    Deregistered,
    Failure,
    Register,
    Registered,
    Resolve,
    Resolved,
    Trace,
    Traced,
)
from openami.core.errors import DecodeError

if TYPE_CHECKING:
    from collections.abc import Generator

    from openami.c1222.conformance.case import Steps

_SERVICE: Final = "C12.22, 5.3.2.4"
_PERIOD_S: Final = 3600
_DISTURBS: Final = "it registers the tester, and deregisters it"
_CLASS: Final = b"OAMI"


def _registered(lab: Lab) -> Generator[Exchange, Heard, Registered]:
    """Register the tester.

    Raises:
        StoppedError: the node registers nobody, or not the tester.
    """
    title = lab.target.title
    asked = Register(
        NodeType.END_DEVICE,
        Connection.CONNECTIONLESS | Connection.ACCEPTS_CONNECTIONLESS,
        _CLASS,
        title,
        title.absolute(),
        b"",
        _PERIOD_S,
    )
    said = yield from lab.ask_one(asked)
    supported(said, "Register")
    if isinstance(said, Registered):
        return said
    raise skipped(f"the node does not register the tester: {lab.answered}")


@case("register", Row.REGISTER, f"{_SERVICE}: Register", "register", disturbs=_DISTURBS)
def register(lab: Lab) -> Steps:
    """Who registers is told its title, and when to register again."""
    said = yield from _registered(lab)
    yield from lab.ask(Deregister(said.title))
    if not 0 < said.period <= _PERIOD_S:
        raise FindingError("register", f"{_PERIOD_S} s at most wanted, not {said.period}")


@case(
    "deregister",
    Row.DEREGISTER,
    f"{_SERVICE}: Deregister",
    "deregister",
    "register",
    disturbs=_DISTURBS,
)
def deregister(lab: Lab) -> Steps:
    """Who is registered can be deregistered, once."""
    title = (yield from _registered(lab)).title
    lab.begin()
    (said,) = yield from lab.ask(Deregister(title))
    supported(said, "Deregister")
    named = isinstance(said, Deregistered) and said.title is not None and said.title.name
    if not isinstance(said, Deregistered) or named not in {False, title.name}:
        raise FindingError("deregister", f"OK wanted, not {lab.answered}")
    (again,) = yield from lab.ask(Deregister(title))
    if not isinstance(again, Failure):
        raise FindingError("deregister", "the same title is deregistered twice")


@case("deregister-nobody", Row.DEREGISTER, "C12.22, 5.3.2.3: uat", "deregister-nobody")
def deregister_nobody(lab: Lab) -> Steps:
    """Nobody is deregistered who is not registered."""
    said = yield from lab.ask_one(Deregister(NOBODY))
    supported(said, "Deregister")
    if not isinstance(said, Failure):
        raise FindingError("deregister-nobody", f"a failure wanted, not {lab.answered}")


@case("resolve", Row.RESOLVE, f"{_SERVICE}: Resolve", "resolve")
def resolve(lab: Lab) -> Steps:
    """A title is resolved to an address, or not at all."""
    said = yield from lab.ask_one(Resolve(lab.target.node))
    supported(said, "Resolve")
    if isinstance(said, Resolved):
        try:
            NativeAddress.decode(said.native)
        except DecodeError as error:
            raise FindingError("resolve", error.message) from None
    nobody = yield from lab.ask_one(Resolve(NOBODY))
    if not isinstance(nobody, Failure):
        raise FindingError("resolve", "a title that nobody has is resolved")


@case("trace", Row.TRACE, f"{_SERVICE}: Trace", "trace")
def trace(lab: Lab) -> Steps:
    """The way to a node is told by its relays."""
    said = yield from lab.ask_one(Trace(()))
    supported(said, "Trace")
    if not isinstance(said, Traced):
        raise FindingError("trace", f"titles wanted, not {lab.answered}")


CASES: Final = (register, deregister, deregister_nobody, resolve, trace)
