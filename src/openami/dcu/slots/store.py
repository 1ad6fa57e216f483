"""The two slots on the disk: which software runs, and which is to run.

Whoever runs the DCU has the folder: the launcher between two runs, the agent while it lives. Of
the two only the launcher begins trials and gives them up; it is the factory's code for ever, and
believes nothing of a slot but its digest.
"""

from __future__ import annotations

import hashlib
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import structlog

import openami
from openami.core.errors import (
    ConfigError,
    ConflictError,
    DecodeError,
    SecurityError,
    StoreError,
)
from openami.dcu.ports import Running
from openami.dcu.slots.journal import MAX_JOURNAL, SLOTS, Image, Journal, Step
from openami.dcu.slots.package import read_about
from openami.firmware.fits import Installed, why_not
from openami.firmware.version import Version
from openami.store.durable import told
from openami.store.folder import pieces_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from openami.dcu.ports import Outcome
    from openami.dcu.slots.journal import Candidate
    from openami.dcu.slots.package import About
    from openami.firmware.manifest import Attachment, Manifest
    from openami.store.folder import Folder

MOST_TRIES: Final = 3
"""Starts on trial: power comes and goes, and a software that takes the machine down with it must
not do so for ever."""
RESERVE: Final = 64 * 1024
"""Octets kept aside: both copies of the journal, and one that is being written."""

_COPIES: Final = ("journal.0", "journal.1")
_SUFFIX: Final = ".zip"
"""What is in a slot; Python imports from a file of this kind whatever its name."""

log = structlog.get_logger("dcu.slots")


@dataclass(frozen=True, slots=True)
class Start:
    """What is to be started: an image, or, without a path, the factory's software."""

    version: str
    image: Path | None = None
    on_trial: bool = False


class TwoSlots:
    """Implements ``openami.dcu.ports.Slots``, and what the launcher does.

    Args:
        folder: where they are.
        device: returns the model and the hardware of this device, for ``stage``.

    Raises:
        StoreError: the folder cannot be read.
    """

    def __init__(
        self, folder: Folder, device: Callable[[], tuple[str, str]] = lambda: ("", "")
    ) -> None:
        self._folder = folder
        self._device = device
        self._lock = threading.RLock()
        self._journal = Journal()
        self._equal = True
        self.look()

    def look(self) -> None:
        """See what another process has noted; of two copies the later one counts."""
        with self._lock:
            copies = [self._copy(name) for name in _COPIES]
            whole = [journal for journal in copies if journal is not None]
            self._journal = max(whole, key=lambda journal: journal.number, default=Journal())
            self._equal = len(set(map(repr, copies))) == 1

    def _copy(self, name: str) -> Journal | None:
        try:
            data = self._folder.read(name, MAX_JOURNAL)
            return None if data is None else Journal.decode(data)
        except (DecodeError, StoreError) as error:
            log.error("a copy of the journal is damaged", copy=name, code=error.code)  # noqa: TRY400 -- not a bug of ours
            return None

    def _note(self, journal: Journal) -> None:
        for name in _COPIES:
            self._folder.keep(name, journal.encode())
        self._journal, self._equal = journal, True

    # What runs

    @property
    def running(self) -> Running:
        """The software that this process is."""
        journal = self._journal
        if journal.current is None:
            return Running(openami.__version__, journal.floor)
        image = journal.slots[journal.current]
        return Running(
            image.version,
            max(image.counter, journal.floor),
            image.sha256,
            self._place(journal.current),
            journal.on_trial,
        )

    def check(self) -> None:
        """See that this process runs what the journal says that it does.

        Where the disk takes no notes, it is what the launcher started instead.

        Raises:
            ConfigError: another ``openami`` was found first (``slots.path``).
        """
        here = str(openami.__file__)
        slot = next((name for name in SLOTS if here.startswith(f"{self._place(name)}/")), None)
        for journal in (self._journal, *self._otherwise()):
            if journal.current == slot:
                self._journal = journal
                return
        raise ConfigError(f"{here} runs, and not slot {self._journal.current}", code="slots.path")

    def _otherwise(self) -> Iterator[Journal]:
        """Yield what a launcher falls back to that cannot note it."""
        journal = self._journal
        if journal.candidate is not None and journal.on_trial:
            journal = journal.postponed(journal.candidate)
            yield journal
        while journal.running is not None and self._damage(journal.running):
            journal = journal.fallen()
            yield journal

    @property
    def outcome(self) -> Outcome | None:
        """How the last trial ended, until ``told``."""
        return self._journal.outcome

    def told(self) -> None:
        """Forget the outcome; StoreError."""
        with self._lock:
            if self._journal.outcome is not None:
                self._note(self._journal.told())

    # A new image

    def stage(self, image: Path, manifest: Manifest) -> None:
        """Put an image into the slot that does not run; durable when it returns.

        One that is there already is not written again, and is only staged if it was armed.

        Raises:
            SecurityError: it is not the image of ``manifest`` for this device
                (``firmware.fit.…``, ``firmware.package.image``, ``slots.package``), or needs
                another environment (``slots.package.python``, ``slots.package.library``).
            ConflictError: a trial goes on (``slots.trial``).
            StoreFullError, StoreError: there is no room, or the disk does not work.
        """
        with self._lock:
            if self._journal.on_trial:
                raise ConflictError("an image is on trial", code="slots.trial")
            attachment, about = self._admit(image, manifest)
            slot = self._slot_of(attachment.sha256) or self._fill(image, attachment)
            made = Image(str(about.version), about.counter, attachment.sha256)
            if self._journal.candidate is None or self._journal.candidate.step is not Step.STAGED:
                self._note(self._journal.staged(slot, made))

    def _slot_of(self, sha256: str) -> str | None:
        """Return where a candidate is, whole."""
        candidate = self._journal.candidate
        if candidate is None or self._journal.slots[candidate.slot].sha256 != sha256:
            return None
        return None if self._damage(candidate.slot) else candidate.slot

    def _fill(self, image: Path, attachment: Attachment) -> str:
        """Put a file into the idle slot; what was there makes room for it."""
        slot = self._journal.idle
        self._empty(self._journal.emptied(slot), slot)
        self._folder.put(slot + _SUFFIX, pieces_of(image))
        if self._folder.digest(slot + _SUFFIX) != attachment.sha256:
            raise StoreError(f"slot {slot}: the disk gives something else back", code=_DAMAGED)
        return slot

    def _admit(self, image: Path, manifest: Manifest) -> tuple[Attachment, About]:
        """Return what an image is by its manifest and by itself; SecurityError."""
        model, hardware = self._device()
        running = self.running
        installed = Installed(model, hardware, _version(running.version), running.counter)
        finding = why_not(manifest, installed)
        attachment = manifest.image_for(model, hardware)
        if finding is not None or attachment is None:
            text, code = (finding.text, finding.code) if finding else ("", "firmware.fit.model")
            raise SecurityError(text, code=code)
        if _digest(image) != attachment.sha256:
            words = f"{attachment.name} is not the file that the manifest names"
            raise SecurityError(words, code="firmware.package.image")
        try:
            with told(str(image)), image.open("rb") as octets:
                about = read_about(octets)
        except DecodeError as error:
            raise SecurityError(error.reason, code=error.code) from error
        said = (about.name, about.version, about.counter)
        if said != (manifest.name, manifest.version, manifest.counter):
            words = "the image is of another release than its manifest"
            raise SecurityError(words, code="slots.package")
        if (model, hardware) not in about.fits:
            raise SecurityError(f"not for {model} {hardware}", code="firmware.fit.hardware")
        objection = about.objection()
        if objection is not None:
            raise SecurityError(objection.text, code=objection.code)
        return attachment, about

    def arm(self) -> None:
        """Have what is staged tried at the next start; a repeat changes nothing.

        Raises:
            ConflictError: nothing is staged (``slots.empty``), or it is on trial (``slots.trial``).
            StoreError: the disk does not work.
        """
        with self._lock:
            candidate = self._journal.candidate
            if candidate is None:
                raise ConflictError("nothing is staged", code="slots.empty")
            if candidate.step is Step.TRIAL:
                raise ConflictError("an image is on trial", code="slots.trial")
            if candidate.step is Step.STAGED:
                self._note(self._journal.armed(candidate))

    def drop(self) -> None:
        """Forget what is staged, if something is and is not being tried; StoreError."""
        with self._lock:
            candidate = self._journal.candidate
            if candidate is not None and candidate.step is not Step.TRIAL:
                self._empty(self._journal.emptied(candidate.slot), candidate.slot)

    def confirm(self) -> None:
        """Take that what is on trial is good, if it is on trial; StoreError."""
        with self._lock:
            candidate = self._journal.candidate
            if candidate is not None and candidate.step is Step.TRIAL:
                self._note(self._journal.confirmed(candidate))

    # The launcher's

    @property
    def waiting(self) -> bool:
        """Whether the next start is, or goes on with, a trial."""
        candidate = self._journal.candidate
        return candidate is not None and candidate.step is not Step.STAGED

    def begin(self) -> Start:
        """Return what is to be started now; a disk that does not work only prevents a trial."""
        with self._lock:
            self.look()
            if not self._equal:
                self._try_to_note()
            try:
                started = self._begin_trial()
            except StoreError as error:
                log.error("no trial", code=error.code, message=error.message)  # noqa: TRY400 -- not a bug of ours
                started = None
            return started or self._begin()

    def _begin_trial(self) -> Start | None:
        candidate = self._journal.candidate
        if candidate is None or candidate.step is Step.STAGED:
            return None
        objection = self._objection(candidate)
        if objection is not None:
            self._give_up(candidate, *objection)
            return None
        self._note(self._journal.begun(candidate))
        return self._start(candidate.slot, on_trial=True)

    def _objection(self, candidate: Candidate) -> tuple[str, str] | None:
        if candidate.tries >= MOST_TRIES:
            words = f"the machine went down in each of {candidate.tries} trials"
            return "slots.interrupted", words
        if self._journal.slots[candidate.slot].counter < self._journal.floor:
            return "slots.counter", "a higher release counter was confirmed before"
        if self._damage(candidate.slot):
            return _DAMAGED, f"slot {candidate.slot} does not hold what was staged"
        return None

    def _begin(self) -> Start:
        while (slot := self._journal.running) is not None and self._damage(slot):
            log.error("a slot is damaged", slot=slot, code=_DAMAGED)
            self._journal = self._journal.fallen()
            self._try_to_note()
        slot = self._journal.running
        return Start(openami.__version__) if slot is None else self._start(slot, on_trial=False)

    def _try_to_note(self) -> None:
        try:
            self._note(self._journal)
        except StoreError as error:  # it will be found again at the next start
            log.error("not noted", code=error.code, message=error.message)  # noqa: TRY400 -- not a bug of ours

    def revert(self, code: str, words: str) -> bool:
        """Give up what is on trial; tell whether something was.

        Raises:
            StoreError: that cannot be noted; it is on trial still.
        """
        with self._lock:
            self.look()
            candidate = self._journal.candidate
            if candidate is None or candidate.step is not Step.TRIAL:
                return False
            self._give_up(candidate, code, words)
            return True

    def _give_up(self, candidate: Candidate, code: str, words: str) -> None:
        image = self._journal.slots[candidate.slot]
        log.error("the one before runs again", gave_up=image.version, code=code, reason=words)
        self._empty(self._journal.reverted(candidate, code, words), candidate.slot)

    def _start(self, slot: str, *, on_trial: bool) -> Start:
        return Start(self._journal.slots[slot].version, self._place(slot), on_trial)

    # Files

    def _empty(self, journal: Journal, slot: str) -> None:
        """Note that a slot holds nothing, then see to it."""
        if slot in self._journal.slots:
            self._note(journal)
        self._folder.drop(slot + _SUFFIX)

    def _damage(self, slot: str) -> bool:
        try:
            return self._folder.digest(slot + _SUFFIX) != self._journal.slots[slot].sha256
        except StoreError:
            return True

    def _place(self, slot: str) -> Path:
        return self._folder.place(slot + _SUFFIX)


_DAMAGED: Final = "slots.damaged"


def _digest(file: Path) -> str:
    digest = hashlib.sha256()
    for piece in pieces_of(file):
        digest.update(piece)
    return digest.hexdigest()


def _version(text: str) -> Version | None:
    try:
        return Version.parse(text)
    except DecodeError:
        return None  # a development version, older than every release
