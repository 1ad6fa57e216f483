"""A run of cases: what to send next, given what was heard; verdicts at the end.

Whoever drives it sends what ``next`` returns, gives it what comes by ``receive`` for as long as it
is ``waiting`` and the exchange may take, and asks again.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from openami.c1222.codes import Qualifier
from openami.c1222.conformance.case import (
    ANSWER,
    DEAD,
    PREFIX,
    Case,
    Exchange,
    FindingError,
    Heard,
    StoppedError,
    Verdict,
)
from openami.c1222.conformance.lab import Lab
from openami.c1222.conformance.result import Pdu, Report, Result
from openami.c1222.inspect import Inspector
from openami.c1222.segments import Reassembler
from openami.c1222.services import Read
from openami.core.errors import (
    DecodeError,
    OpenAmiError,
    RemoteProtocolError,
    TransportTimeoutError,
)
from openami.core.inspection import to_dict

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from openami.c1222.apdu import Apdu
    from openami.c1222.conformance.target import Target

MAX_PDUS: Final = 240
"""Messages of one case that are kept; the longest question of ours has fewer segments."""
MAX_OCTETS: Final = 4096
"""Octets of one message that are kept and parsed: who wants to read more of it captures it."""
MAX_KEPT: Final = 256 * 1024
"""Octets of all messages that are kept: six times what a run with a meter of ours has. Parsed,
some need a hundred times as much.
"""
_REST_S: Final = 2.0
"""A node that may be starting again is asked once more after so long."""
_DISTURBS: Final = "wants --intrusive: "


class Run:
    """One run.

    Args:
        target: whom to test.
        cases: what to try, in this order.
        first_id: the first invocation id; from chance, so that none is used again.
        intrusive: also run what writes, or disturbs the node.

    Attributes:
        results: of the cases that have ended.
        current: the case that is under way.
    """

    def __init__(
        self, target: Target, cases: Sequence[Case], *, first_id: int, intrusive: bool = False
    ) -> None:
        self.target = target
        self.cases = tuple(cases)
        self.results: list[Result] = []
        self.current: Case | None = None
        self._intrusive = intrusive
        self._lab = Lab(target, first_id)
        self._inspector = Inspector(target.keys)
        self._reassembler = Reassembler()
        self._script = self._steps()
        self._heard: list[Apdu] = []
        self._broken = 0
        self._wanted = 0
        self._pdus: list[Pdu] = []
        self._room = MAX_KEPT
        self._foreign: list[tuple[int, FindingError]] = []
        self._alive = True
        self._began: float | None = None

    @property
    def waiting(self) -> bool:
        """Whether more has to be heard before the exchange ends."""
        return len(self._heard) + self._broken < self._wanted

    def next(self, *, now: float) -> Exchange | None:
        """Return what to send next, after all was heard; None: the run has ended.

        Raises:
            TransportTimeoutError: the node does not answer at all (``c1222.unanswered``).
        """
        self._lab.now = now
        heard = Heard(tuple(self._heard), self._broken)
        self._heard.clear()
        self._broken = 0
        try:
            begun = self._began is not None
            self._began = now if self._began is None else self._began
            exchange = self._script.send(heard) if begun else next(self._script)
        except StopIteration:
            return None
        self._wanted = exchange.wanted
        for octets in exchange.messages:
            self._note(octets, sent=True)
        return exchange

    def receive(self, octets: bytes, *, now: float) -> None:
        """Take a message or a segment, cut out of the stream, or a datagram."""
        self._note(octets, sent=False)
        try:
            apdu = self._reassembler.receive(octets, now=now)
        except RemoteProtocolError:
            self._broken += 1
            return
        if apdu is None or apdu.answers in self._lab.lost:
            return
        if apdu.answers is not None or not apdu.qualifier & Qualifier.NOTIFICATION:
            self._heard.append(apdu)

    def report(self, address: str, *, now: float) -> Report:
        """Return what was seen so far."""
        target = self.target
        return Report(
            address,
            str(target.node),
            str(target.title),
            target.mode,
            target.key_id,
            now if self._began is None else self._began,
            now,
            tuple(self.results),
        )

    def _note(self, octets: bytes, *, sent: bool) -> None:
        """Keep what went over the line; nothing of a password is kept."""
        if len(self._pdus) >= MAX_PDUS or self._room <= 0:
            return
        self._room -= min(len(octets), MAX_OCTETS)
        shown = octets[:MAX_OCTETS].hex().upper()
        secret = (self.target.shown_password or b"").hex().upper()
        if secret:
            shown = shown.replace(secret, "··" * (len(secret) // 2))
        try:
            tree = to_dict(self._inspector.message(octets)) if len(octets) <= MAX_OCTETS else None
        except DecodeError:
            tree = None
        self._pdus.append(Pdu(sent, shown, tree))

    def _steps(self) -> Generator[Exchange, Heard, None]:
        yield from self._reach()
        for case in self.cases:
            self.current = case
            self._lab.begin()
            self._pdus.clear()
            self.results.append((yield from self._judge(case)))
        self.current = None
        self._own_up()

    def _reach(self) -> Generator[Exchange, Heard, None]:
        """See that the node answers something."""
        for probe in (self._lab.probe, Read(0)):
            message = self._lab.message(probe)
            heard = yield Exchange(self._lab.pieces(message.octets))
            if heard.messages or heard.broken:
                self._lab.probe = probe
                return
            self._lab.lost.add(message.apdu.invocation_id)
        raise TransportTimeoutError(
            f"{self.target.node} does not answer",
            code="c1222.unanswered",
            hint="check its ApTitle, the key and its id, and the mode that it wants",
        )

    def _judge(self, case: Case) -> Generator[Exchange, Heard, Result]:
        if not self._alive:
            return Result(case, Verdict.SKIPPED, words="the node does not answer any more")
        if case.disturbs and not self._intrusive:
            return Result(case, Verdict.SKIPPED, words=_DISTURBS + case.disturbs)
        verdict, code, words = Verdict.PASS, "", ""
        try:
            yield from case.steps(self._lab)
        except StoppedError as error:
            verdict, words = error.verdict, error.message
        except FindingError as error:
            verdict, code, words = Verdict.FAIL, error.code, error.message
            if not case.owns(error):
                self._foreign.append((len(self.results), error))
                verdict, code, words = Verdict.SKIPPED, "", f"{error.message} ({error.code})"
        except RemoteProtocolError as error:  # a table or an address that is none
            verdict, code, words = Verdict.FAIL, PREFIX + ANSWER, error.message
        except OpenAmiError as error:  # what the node says of itself can not be used
            verdict, words = Verdict.SKIPPED, error.message
        lab = self._lab
        found = Result(case, verdict, code, words, lab.asked, lab.answered, tuple(self._pdus))
        yield from lab.leave()
        if verdict is Verdict.FAIL:
            self._alive = yield from self._answers()
            if not self._alive and not found.code.endswith(DEAD):
                found = replace(
                    found, code=PREFIX + DEAD, words=f"{words}; it does not answer any more"
                )
        return found

    def _answers(self) -> Generator[Exchange, Heard, bool]:
        """Return whether the node still answers."""
        for _ in range(2):
            probe = self._lab.message(self._lab.probe)
            heard = yield Exchange(self._lab.pieces(probe.octets), anew=self.target.stream)
            if heard.messages:
                return True
            self._lab.lost.add(probe.apdu.invocation_id)
            yield Exchange(wanted=0, seconds=min(_REST_S, self.target.timeout))
        return False

    def _own_up(self) -> None:
        """Let faults that ended cases without being their own, and that no case found, be found."""
        known = {each.code for each in self.results}
        for place, error in self._foreign:
            if error.code not in known:
                known.add(error.code)
                self.results[place] = replace(
                    self.results[place],
                    verdict=Verdict.FAIL,
                    code=error.code,
                    words=error.message,
                )
