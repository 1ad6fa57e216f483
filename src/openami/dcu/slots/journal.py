"""What is known of the two slots, and what may become of it.

::

    empty ──stage──► staged ──arm──► armed ──begin──► on trial ──confirm──► runs
      ▲                │               │                │  ▲
      └──────drop──────┴───────────────┤                └──┘ begin: the machine went down
      └──────────────revert────────────┴────────────────┘

Every step gives a journal with the next number. It is kept twice, one copy after the other, each
replaced whole: of what is found, the highest number that its digest vouches for counts.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from openami.core.errors import DecodeError
from openami.dcu.ports import Outcome
from openami.firmware import documents
from openami.firmware.documents import check_sha256, check_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from openami.firmware.documents import Fields

SLOTS: Final = ("a", "b")
MAX_JOURNAL: Final = 16 * 1024
"""Octets: two images, an outcome with a line of words, and their names."""
MAX_WORDS: Final = 300  # what the head-end takes of a message

_CODE: Final = "slots.journal"
_SCHEMA: Final = 1
_VERSION: Final = 64  # characters
_DIGEST: Final = 65  # of the line before the document: hex and an end of line


class Step(StrEnum):
    """How far an image is that does not run yet, or not for good."""

    STAGED = "staged"
    ARMED = "armed"
    TRIAL = "trial"


@dataclass(frozen=True, slots=True)
class Image:
    """What is in a slot, whole; ``confirmed``: it has passed its trial."""

    version: str
    counter: int
    sha256: str
    confirmed: bool = False


@dataclass(frozen=True, slots=True)
class Candidate:
    """The slot that is to run; ``tries`` counts the starts on trial."""

    slot: str
    step: Step
    tries: int = 0


@dataclass(frozen=True, slots=True)
class Journal:
    """The state of both slots.

    Attributes:
        number: grows with every step.
        slots: what is in them; a slot that is not named holds nothing.
        running: the slot that was confirmed last; None: the factory's software runs.
        candidate: what is to take its place.
        floor: the highest release counter that was ever confirmed.
        outcome: how the last trial ended, until somebody was told.
    """

    number: int = 0
    slots: Mapping[str, Image] = field(default_factory=dict)
    running: str | None = None
    candidate: Candidate | None = None
    floor: int = 0
    outcome: Outcome | None = None

    @property
    def idle(self) -> str:
        """The slot that the next image goes to."""
        return SLOTS[1] if self.running == SLOTS[0] else SLOTS[0]

    @property
    def on_trial(self) -> bool:
        """Whether the candidate runs."""
        return self.candidate is not None and self.candidate.step is Step.TRIAL

    @property
    def current(self) -> str | None:
        """The slot that runs; None: the factory's software does."""
        if self.candidate is not None and self.on_trial:
            return self.candidate.slot
        return self.running

    # Steps

    def emptied(self, slot: str) -> Journal:
        """Return it without what is in a slot that does not run."""
        candidate = self.candidate
        if candidate is not None and candidate.slot == slot:
            candidate = None
        left = {name: image for name, image in self.slots.items() if name != slot}
        return self._next(slots=left, candidate=candidate)

    def staged(self, slot: str, image: Image) -> Journal:
        """Return it with an image that is whole, and not to be tried yet."""
        slots = {**self.slots, slot: image}
        return self._next(slots=slots, candidate=Candidate(slot, Step.STAGED))

    def armed(self, candidate: Candidate) -> Journal:
        """Return it with what is staged to be tried at the next start."""
        return self._next(candidate=replace(candidate, step=Step.ARMED))

    def begun(self, candidate: Candidate) -> Journal:
        """Return it with one more try that begins; the outcome before is over."""
        tried = Candidate(candidate.slot, Step.TRIAL, candidate.tries + 1)
        return self._next(candidate=tried, outcome=None)

    def postponed(self, candidate: Candidate) -> Journal:
        """Return it with a try that was noted and could not be begun."""
        return self._next(candidate=replace(candidate, step=Step.ARMED))

    def confirmed(self, candidate: Candidate) -> Journal:
        """Return it with the candidate as what runs from now on."""
        image = replace(self.slots[candidate.slot], confirmed=True)
        return self._next(
            slots={**self.slots, candidate.slot: image},
            running=candidate.slot,
            candidate=None,
            floor=max(self.floor, image.counter),
            outcome=Outcome(confirmed=True, sha256=image.sha256),
        )

    def reverted(self, candidate: Candidate, code: str, words: str) -> Journal:
        """Return it without the candidate, and why."""
        sha256 = self.slots[candidate.slot].sha256
        outcome = Outcome(confirmed=False, sha256=sha256, code=code, words=words[:MAX_WORDS])
        return replace(self.emptied(candidate.slot), outcome=outcome)

    def fallen(self) -> Journal:
        """Return it without what runs, which is damaged: the one before runs again.

        That is the factory's where the other slot holds nothing that was ever confirmed, or what
        has a lower counter than what was.
        """
        left = {name: image for name, image in self.slots.items() if name != self.running}
        whole = (n for n, i in left.items() if i.confirmed and i.counter >= self.floor)
        return self._next(slots=left, running=next(whole, None))

    def told(self) -> Journal:
        """Return it without the outcome."""
        return self._next(outcome=None)

    def _next(self, **changes: object) -> Journal:
        return replace(self, number=self.number + 1, **changes)  # type: ignore[arg-type]  # each caller's names are fields

    # Octets

    def encode(self) -> bytes:
        """Return the digest of the document and the document."""
        said: dict[str, object] = {"schema": _SCHEMA, "number": self.number, "floor": self.floor}
        said["running"] = self.running or ""
        said["slots"] = [_said(slot, image) for slot, image in sorted(self.slots.items())]
        if self.candidate is not None:
            said["candidate"] = {
                "slot": self.candidate.slot,
                "step": self.candidate.step,
                "tries": self.candidate.tries,
            }
        if self.outcome is not None:
            said["outcome"] = {
                "confirmed": int(self.outcome.confirmed),
                "sha256": self.outcome.sha256,
                "code": self.outcome.code or "-",
                "words": self.outcome.words or "-",
            }
        document = documents.canonical(said)
        return hashlib.sha256(document).hexdigest().encode() + b"\n" + document

    @classmethod
    def decode(cls, data: bytes) -> Journal:
        """Read what ``encode`` wrote.

        Raises:
            DecodeError: it is something else, or damaged (``slots.journal``).
        """
        document = data[_DIGEST:]
        if hashlib.sha256(document).hexdigest().encode() + b"\n" != data[:_DIGEST]:
            raise DecodeError("a journal with its digest wanted", code=_CODE)
        fields = documents.parse(document, most=MAX_JOURNAL, code=_CODE)
        fields.whole("schema", least=_SCHEMA, most=_SCHEMA)
        found = cls(
            fields.whole("number"),
            dict(_image(each) for each in fields.items("slots", most=len(SLOTS))),
            fields.text("running", lambda text: _slot(text) if text else None),
            _candidate(fields.object("candidate")) if fields.has("candidate") else None,
            fields.whole("floor"),
            _outcome(fields.object("outcome")) if fields.has("outcome") else None,
        )
        fields.finish()
        named = {found.running, found.candidate and found.candidate.slot} - {None}
        if not named <= set(found.slots):
            raise fields.error("", "a slot that is named holds something")
        return found


def _said(slot: str, image: Image) -> dict[str, object]:
    return {
        "slot": slot,
        "version": image.version,
        "counter": image.counter,
        "sha256": image.sha256,
        "confirmed": int(image.confirmed),
    }


def _image(fields: Fields) -> tuple[str, Image]:
    slot = fields.text("slot", _slot)
    image = Image(
        fields.text("version", lambda text: check_text(text, most=_VERSION)),
        fields.whole("counter"),
        fields.text("sha256", check_sha256),
        bool(fields.whole("confirmed", most=1)),
    )
    fields.finish()
    return slot, image


def _candidate(fields: Fields) -> Candidate:
    found = Candidate(fields.text("slot", _slot), fields.text("step", Step), fields.whole("tries"))
    fields.finish()
    return found


def _outcome(fields: Fields) -> Outcome:
    found = Outcome(
        bool(fields.whole("confirmed", most=1)),
        fields.text("sha256", check_sha256),
        fields.text("code", _words),
        fields.text("words", _words),
    )
    fields.finish()
    return found


def _slot(text: str) -> str:
    if text not in SLOTS:
        raise ValueError(f"one of {', '.join(SLOTS)}")
    return text


def _words(text: str) -> str:
    return "" if text == "-" else check_text(text, most=MAX_WORDS, lines=True)
