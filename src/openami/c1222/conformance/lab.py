"""What the steps of cases are made of: messages right and wrong, questions, and silence.

Answers are read leniently: of what a case is not there for it takes what it gets, or one fault
would be found by all. A fault because of which an answer can not be read at all is raised.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from openami.c1222.apdu import Apdu, KeyUse
from openami.c1222.codes import Qualifier, ResponseCode, ResponseControl, SecurityMode
from openami.c1222.conformance import words
from openami.c1222.conformance.answers import read_answers
from openami.c1222.conformance.case import (
    ENVELOPE,
    ORDER,
    TAG,
    UNANSWERED,
    Exchange,
    FindingError,
    Heard,
    not_supported,
    skipped,
)
from openami.c1222.epsem import Epsem
from openami.c1222.security import Keys, Opened, protect, unprotect_apdu
from openami.c1222.segments import split
from openami.c1222.services import Done, Failure, Identify, Logon, Request, Security, Terminate
from openami.core.errors import DecodeError, SecurityError

if TYPE_CHECKING:
    from collections.abc import Generator

    from openami.c1222.conformance.target import Target
    from openami.c1222.services import Response
    from openami.c1222.tables import Tables
    from openami.c1222.titles import ApTitle

_ID_MASK: Final = 0xFFFF_FFFF
_NONE: Final = Qualifier(0)
SESSION_S: Final = 60
"""Seconds of silence that a session of the tester asks for."""


@dataclass(frozen=True, slots=True)
class Made:
    """A message that may be sent; ``apdu`` is its envelope, without what it says."""

    octets: bytes = field(repr=False)
    apdu: Apdu
    requests: tuple[Request | bytes, ...] = field(repr=False)
    mode: SecurityMode

    @property
    def words(self) -> str:
        """What it asks, in a few words."""
        return words.of_requests(self.requests)


@dataclass(slots=True)
class Lab:
    """All that a case has.

    Attributes:
        target: whom it tests.
        next_id: the next invocation id.
        now: seconds of UTC.
        tables: what is known of the node's tables.
        contents: tables that were read.
        session: the tester has one.
        asked: what the case asked first, in words.
        answered: what the first answer was, in words.
        probe: a question that the node answers.
        lost: ids of messages whose answers are heard no more: they may come late, or twice.
    """

    target: Target
    next_id: int
    now: float = 0.0
    tables: Tables | None = None
    contents: dict[int, bytes] = field(default_factory=dict, repr=False)
    session: bool = False
    asked: str = ""
    answered: str = ""
    probe: Request = field(default_factory=Identify)
    lost: set[int] = field(default_factory=set)
    _node_key: KeyUse | None = None

    def begin(self) -> None:
        """Forget what the last case said."""
        self.asked = self.answered = ""

    def message(
        self,
        *requests: Request | bytes,
        mode: SecurityMode | None = None,
        respond: ResponseControl = ResponseControl.ALWAYS,
        called: ApTitle | None = None,
        calling: ApTitle | None = None,
        keys: Keys | None = None,
        key_id: int | None = None,
        at: float | None = None,
        **fields: Any,
    ) -> Made:
        """Return a message of the tester's; what is not given is as in the target.

        ``at`` is when it was made; ``fields`` are others of the envelope.
        """
        target = self.target
        mode = target.mode if mode is None else mode
        use = target.key_id if key_id is None else key_id
        key = KeyUse.at(use or 0, self.now if at is None else at) if mode else None
        number = self.next_id
        self.next_id = (number + 1) & _ID_MASK
        apdu = Apdu(
            fields.pop("invocation_id", number),
            called or target.node,
            calling or target.title,
            key=key,
            **fields,
        )
        services = tuple(each if isinstance(each, bytes) else each.encode() for each in requests)
        octets = protect(apdu, Epsem(services, mode, respond), keys or target.keys)
        made = Made(octets, apdu, requests, mode)
        self.asked = self.asked or made.words
        return made

    def pieces(self, octets: bytes) -> tuple[bytes, ...]:
        """Return what to send of a message: itself, or segments of it."""
        return (octets,) if self.target.largest is None else split(octets, self.target.largest)

    def deliver(self, made: Made) -> Generator[Exchange, Heard, Apdu]:
        """Send a message and return the envelope of its answer.

        Raises:
            FindingError: there is none, or it can not be read.
        """
        for tries in range(1 + self.target.retries):
            heard = yield Exchange(self.pieces(made.octets))
            found = self.answer_in(heard)
            if found is not None:
                if tries:
                    self.lost.add(made.apdu.invocation_id)
                return found
            if heard.broken:
                raise FindingError(ENVELOPE, "the answer is no message of C12.22")
        self.lost.add(made.apdu.invocation_id)
        self.answered = self.answered or "no answer"
        raise FindingError(UNANSWERED, f"no answer to {made.words}")

    def answer_in(self, heard: Heard) -> Apdu | None:
        """Return the first message that was heard."""
        return next(iter(heard.messages), None)

    def open(self, apdu: Apdu) -> Opened:
        """Return what an answer says.

        Raises:
            FindingError: it can not be read, or its protection does not hold.
        """
        try:
            opened = unprotect_apdu(apdu, self.target.keys, remembered=self._node_key)
        except SecurityError as error:
            raise FindingError(TAG, f"the answer can not be opened: {error.message}") from None
        except DecodeError as error:
            raise FindingError(ENVELOPE, f"the answer can not be read: {error.reason}") from None
        self._node_key = opened.key or self._node_key
        return opened

    def talk(self, made: Made) -> Generator[Exchange, Heard, tuple[Response, ...]]:
        """Send a message and return the answer to each of its requests.

        Raises:
            FindingError: see ``deliver``, ``open`` and ``read_answers``.
        """
        apdu = yield from self.deliver(made)
        responses = read_answers(self.open(apdu).epsem.services, made.requests)
        self.answered = self.answered or words.of_responses(responses)
        return responses

    def ask(
        self, *requests: Request | bytes, **how: Any
    ) -> Generator[Exchange, Heard, tuple[Response, ...]]:
        """Ask in one message; see ``message`` and ``talk``."""
        return (yield from self.talk(self.message(*requests, **how)))

    def ask_one(self, request: Request | bytes, **how: Any) -> Generator[Exchange, Heard, Response]:
        """Ask one thing, with the password where that is wanted and known.

        Raises:
            StoppedError: it wants a password that is not known, or more than that.
        """
        (answer,) = yield from self.ask(request, **how)
        if not is_refused(answer):
            return answer
        secret = self.target.shown_password
        if secret is not None:
            answer = (yield from self.ask_shown(secret, request, **how))[0]
            if not is_refused(answer):
                return answer
        raise skipped(
            "the node wants a user and a password" + (" of more rights" if secret else "")
        )

    def ask_shown(
        self, secret: bytes, *requests: Request | bytes, **how: Any
    ) -> Generator[Exchange, Heard, tuple[Response, ...]]:
        """Ask in one message, after the password was shown in it; return the other answers.

        Raises:
            StoppedError: the node does not take the password.
            FindingError: the answer to the password is none to that.
        """
        shown = Security(secret, None if self.session else self.target.user)
        first, *others = yield from self.ask(shown, *requests, **how)
        if is_refused(first):
            raise skipped("the node does not take the password")
        if first != Done():
            raise FindingError(ORDER, f"the password is answered with {words.of_response(first)}")
        return tuple(others)

    def silent(
        self,
        code: str,
        what: str,
        *messages: bytes,
        kept: Apdu | None = None,
        mode: SecurityMode | None = None,
    ) -> Generator[Exchange, Heard, None]:
        """Send what must not be answered, and then what must: the node says nothing, and serves.

        Args:
            code: the fault, if it answers.
            what: what is sent, in words.
            messages: octets.
            kept: an answer that may come again: that of the message that ``messages`` repeat.
            mode: of the question after it.

        Raises:
            FindingError: it answers, or does not serve any more.
        """
        self.asked = what
        probe = self.message(self.probe, mode=mode)
        wrong = _ids(messages)
        heard = yield Exchange((*messages, *self.pieces(probe.octets)))
        for _ in range(self.target.retries + 2):
            for apdu in heard.messages:
                if kept is not None and apdu.octets == kept.octets:
                    continue
                if apdu.answers in wrong or not self.is_answer(apdu, probe):
                    self.answered = "an answer"
                    raise FindingError(code, f"{what} is answered")
                self.answered = self.answered or "no answer"
                self.lost |= {*wrong, probe.apdu.invocation_id}
                return
            # A message whose length broke the stream, or a datagram that was lost.
            heard = yield Exchange(self.pieces(probe.octets), anew=self.target.stream)
        self.lost |= {*wrong, probe.apdu.invocation_id}
        raise FindingError(UNANSWERED, f"after {what} the node does not answer")

    def is_answer(self, apdu: Apdu, made: Made) -> bool:
        """Whether ``apdu`` can be the answer to a message, as far as others' faults let one tell.

        A node that gives all answers a wrong id is known by what it says.
        """
        if apdu.answers == made.apdu.invocation_id:
            return True
        try:
            said = read_answers(self.open(apdu).epsem.services, made.requests)
        except FindingError:
            return False
        return not any(isinstance(each, Failure) for each in said)

    def logon(self, **how: Any) -> Generator[Exchange, Heard, Response]:
        """Log on; the run ends the session after the case.

        Raises:
            StoppedError: the node has no sessions, or none for the tester.
        """
        self.session = True  # though nobody may be able to read what the node says to it
        (answer,) = yield from self.ask(Logon.of(self.target.user, b"openami", SESSION_S), **how)
        if isinstance(answer, Failure):
            self.session = False
            supported(answer, "sessions")
            raise skipped(f"Logon is refused: {answer.code.name}")
        return answer

    def leave(self) -> Generator[Exchange, Heard, None]:
        """End the tester's session, whatever the node says to that."""
        if self.session:
            self.session = False
            mode = max(self.target.mode, self.guarded) if self.has_key else None
            made = self.message(Terminate(), mode=mode)
            yield Exchange(self.pieces(made.octets))
            self.lost.add(made.apdu.invocation_id)

    @property
    def has_key(self) -> bool:
        """Whether there is a key to protect messages with."""
        return self.target.key_id is not None and self.target.key_id in self.target.keys

    @property
    def guarded(self) -> SecurityMode:
        """The mode of cases that are about protection."""
        return self.target.mode or SecurityMode.ENCRYPTED

    def need_key(self) -> None:
        """Raise ``StoppedError`` where there is no key."""
        if not self.has_key:
            raise skipped("no key is given")

    def need_password(self) -> bytes:
        """Return the password of twenty octets, or raise ``StoppedError``."""
        secret = self.target.shown_password
        if secret is None:
            raise skipped("no user and password are given")
        return secret


def _ids(messages: tuple[bytes, ...]) -> set[int]:
    """Return what messages are called by, those of them that are messages."""
    found = set()
    for octets in messages:
        with suppress(DecodeError):
            found.add(Apdu.decode(octets).invocation_id)
    return found


def is_refused(answer: Response) -> bool:
    """Whether who asks may not, or not yet."""
    return isinstance(answer, Failure) and answer.code is ResponseCode.ISC


def supported(answer: Response, what: str) -> None:
    """Raise ``StoppedError`` where an answer says that the service is not supported."""
    if isinstance(answer, Failure) and answer.code is ResponseCode.SNS:
        raise not_supported(f"{what}: {answer.code.meaning}")


def retitled(made: Made, called: ApTitle, calling: ApTitle) -> bytes:
    """Return a message whose titles are written in another form, with the tag that it had."""
    at = len(made.octets) - len(Apdu.decode(made.octets).information)
    information = made.octets[at:]
    return replace(made.apdu, called=called, calling=calling, information=information).encode()
