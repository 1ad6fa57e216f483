"""What a case of the tester is: what it looks for, what it may find, and the steps that it takes.

A case is a generator: it yields what is to be sent, is given what was heard, and ends when it has
seen what it wanted. What it does not want it raises. A fault that is not the case's own ends it
without a verdict: each fault is one finding, of the case that is there for it.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from openami.core.errors import OpenAmiError, RemoteProtocolError

if TYPE_CHECKING:
    from openami.c1222.apdu import Apdu
    from openami.c1222.conformance.lab import Lab

PREFIX: Final = "c1222.test."
"""Before every finding's code."""
UNANSWERED: Final = "unanswered"
ANSWER: Final = "answer"
ORDER: Final = "order"
ENVELOPE: Final = "envelope"
TAG: Final = "answer-tag"
DEAD: Final = "dead"
_EVERYBODYS: Final = frozenset({UNANSWERED, ANSWER, DEAD})


class Verdict(StrEnum):
    """What became of a case."""

    PASS = "pass"  # noqa: S105 - not a password
    FAIL = "fail"
    NOT_SUPPORTED = "not supported"
    SKIPPED = "skipped"


class Row(StrEnum):
    """A row of the table of results: the services of the standard, and what carries them."""

    REGISTER = "Register"
    DEREGISTER = "Deregister"
    IDENTIFY = "Identify"
    READ = "Read"
    WRITE = "Write"
    LOGON = "Logon"
    SECURITY = "Security"
    LOGOFF = "Logoff"
    TERMINATE = "Terminate"
    DISCONNECT = "Disconnect"
    WAIT = "Wait"
    RESOLVE = "Resolve"
    TRACE = "Trace"
    MESSAGE = "Message"
    LIST = "List of services"
    PROTECTION = "Protection"
    SEGMENTS = "Segments"
    TABLES = "Tables"
    PROCEDURES = "Procedures"


class FindingError(RemoteProtocolError):
    """The node did what it must not do, or did not what it must.

    Args:
        code: what is wrong, without its prefix.
        words: what was wanted and what came, for a person.
    """

    def __init__(self, code: str, words: str) -> None:
        super().__init__(words, code=PREFIX + code)


class StoppedError(OpenAmiError):
    """A case ends without a fault and without having seen what it wanted.

    Args:
        verdict: not supported, or skipped.
        words: why.
    """

    code = "c1222.test.stopped"

    def __init__(self, verdict: Verdict, words: str) -> None:
        super().__init__(words)
        self.verdict = verdict


def not_supported(words: str) -> StoppedError:
    """Return what ends a case for what the node does not have to have."""
    return StoppedError(Verdict.NOT_SUPPORTED, words)


def skipped(words: str) -> StoppedError:
    """Return what ends a case that can not be tried."""
    return StoppedError(Verdict.SKIPPED, words)


@dataclass(frozen=True, slots=True)
class Exchange:
    """Something to send, and how long to listen then.

    Attributes:
        messages: whole messages, or segments, in their order; none: to listen only.
        wanted: whole messages that are waited for; then, or in time, the exchange ends. None, and
            nothing to send: a pause.
        seconds: how long to listen; None: as long as an answer may take.
        apart: on a connection of its own, which is closed at once: what breaks a stream.
        anew: on a new connection, which is kept.
    """

    messages: tuple[bytes, ...] = field(default=(), repr=False)
    wanted: int = 1
    seconds: float | None = None
    apart: bool = False
    anew: bool = False


@dataclass(frozen=True, slots=True)
class Heard:
    """What came in an exchange.

    Attributes:
        messages: whole ones, put together from their segments; none that nobody asked for.
        broken: how many pieces could not be read.
    """

    messages: tuple[Apdu, ...] = ()
    broken: int = 0


Steps = Generator[Exchange, Heard, None]


@dataclass(frozen=True, slots=True)
class Case:
    """One case.

    Attributes:
        name: what ``--only`` calls it.
        row: where it stands in the table of results.
        clause: of the standard, or of what else wants it.
        title: what must hold, in a sentence.
        steps: what it does.
        finds: the codes of the faults that are its own, without their prefix.
        disturbs: what it does to the node, if that is not nothing: then it is run only if wanted.
    """

    name: str
    row: Row
    clause: str
    title: str
    steps: Callable[[Lab], Steps] = field(repr=False)
    finds: frozenset[str]
    disturbs: str = ""

    def owns(self, error: FindingError) -> bool:
        """Whether a fault is one that this case is there for."""
        return error.code.removeprefix(PREFIX) in self.finds | _EVERYBODYS


def case(
    name: str, row: Row, clause: str, *finds: str, disturbs: str = ""
) -> Callable[[Callable[[Lab], Steps]], Case]:
    """Make a case of its steps; what must hold is the first line of what documents them."""

    def made(steps: Callable[[Lab], Steps]) -> Case:
        title = (steps.__doc__ or name).partition("\n")[0].rstrip(".")
        return Case(name, row, clause, title, steps, frozenset(finds), disturbs)

    return made
