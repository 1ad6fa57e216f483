"""The boot code: two slots that are run in place, trial, confirmation and return.

MCUboot's direct XIP with revert, on flash whose banks the hardware exchanges, so that one image
fits both. The image with the highest version is booted, of those that are confirmed or to be
tried, and that verify: hash, signature, hardware and security counter are checked before every
jump. An image that has been tried and has not confirmed is erased, once a confirmed one is known
to verify; until then it is the last resort. So no cut and no image leaves a device without one that
boots, if it had one.

The code of every refusal is one of those of ``openami.firmware.image`` and
``openami.firmware.verify``, or ``firmware.version``: not newer than what is confirmed.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import Enum
from typing import TYPE_CHECKING, Final

from openami.core.errors import DecodeError, SecurityError
from openami.firmware.counter import SecurityCounter
from openami.firmware.slot import Slot, SlotState
from openami.firmware.verify import verify
from openami.firmware.version import Version

if TYPE_CHECKING:
    from openami.firmware.flash import Layout
    from openami.firmware.verify import Target

NOT_NEWER: Final = "firmware.version"


class BootEvent(Enum):
    """What a device writes into its log."""

    BOOTED = "booted"
    TRIAL_BEGAN = "trial-began"
    CONFIRMED = "confirmed"
    REVERTED = "reverted"  # a tried image had not confirmed; another one is booted
    REFUSED = "refused"
    DISCARDED = "discarded"
    RESCUED = "rescued"  # nothing else verifies: a tried image is booted again


@dataclass(frozen=True, slots=True)
class Event:
    """An event of one slot; ``version`` is what the header says, ``code`` why it was refused."""

    kind: BootEvent
    slot: int
    version: Version | None
    code: str | None = None


@dataclass(frozen=True, slots=True)
class Booted:
    """What runs.

    ``digest`` is the hash that the image was checked by. ``on_trial``: it has to confirm before
    the next boot. ``rescued``: there is nothing to go back to.
    """

    slot: int
    version: Version
    counter: int
    digest: bytes = field(repr=False)
    on_trial: bool
    rescued: bool
    events: tuple[Event, ...]


@dataclass(slots=True)
class _Candidate:
    number: int
    slot: Slot
    state: SlotState
    version: Version | None
    refused: str | None = field(default=None)

    def rank(self) -> tuple[Version, bool]:
        return self.version or Version(0), self.state is SlotState.CONFIRMED

    def event(self, kind: BootEvent, code: str | None = None) -> Event:
        return Event(kind, self.number, self.version, code)


def boot(layout: Layout, target: Target) -> Booted:
    """Choose what runs, and write down what has to be known at the next boot.

    Raises:
        SecurityError: no slot holds an image that verifies (``firmware.none``).
    """
    counter = SecurityCounter(layout.counter)
    stored = counter.value()
    candidates = _candidates(layout)
    events: list[Event] = []
    for candidate in candidates:
        try:
            image = candidate.slot.image()
            verify(image, target, counter=stored)
        except (DecodeError, SecurityError) as error:
            candidate.refused = error.code
            events.append(candidate.event(BootEvent.REFUSED, error.code))
            continue
        events.append(candidate.event(BootEvent.BOOTED))
        match candidate.state:
            case SlotState.CONFIRMED:
                counter.raise_to(image.counter or 0)
                events += [event for other in candidates for event in _settle(other)]
            case SlotState.PENDING:
                candidate.slot.set_tried()
                events.append(candidate.event(BootEvent.TRIAL_BEGAN))
            case _:
                events.append(candidate.event(BootEvent.RESCUED))
        return Booted(
            candidate.number,
            image.version,
            image.counter or 0,
            image.digest,
            on_trial=candidate.state is not SlotState.CONFIRMED,
            rescued=candidate.state is SlotState.TRIED,
            events=tuple(events),
        )
    codes = ", ".join(f"slot {event.slot}: {event.code}" for event in events)
    message = f"no slot holds an image that verifies ({codes or 'both are empty'})"
    raise SecurityError(message, code="firmware.none")


def confirm(layout: Layout, booted: Booted) -> Booted:
    """Keep an image for good after it has tested itself, and raise the security counter to its.

    Raises:
        StoreError: an earlier confirmation was cut (``firmware.trailer``).
    """
    if not booted.on_trial:
        return replace(booted, events=())
    Slot(layout.slots[booted.slot]).set_confirmed()
    # Cut here, the next boot raises it.
    SecurityCounter(layout.counter).raise_to(booted.counter)
    event = Event(BootEvent.CONFIRMED, booted.slot, booted.version)
    return replace(booted, on_trial=False, rescued=False, events=(event,))


def _candidates(layout: Layout) -> list[_Candidate]:
    slots = [Slot(area) for area in layout.slots]
    found = [
        _Candidate(number, slot, slot.state(), slot.version()) for number, slot in enumerate(slots)
    ]
    found = sorted(found, key=_Candidate.rank)
    tried = [candidate for candidate in found if candidate.state is SlotState.TRIED]
    fresh = [c for c in found if c.state in {SlotState.PENDING, SlotState.CONFIRMED}]
    # Of two that were tried, the older one: it ran when the newer one was installed.
    return [*reversed(fresh), *tried]


def _settle(other: _Candidate) -> list[Event]:
    """Erase what is not to be booted again, now that a confirmed image is known to verify."""
    match other.state:
        case SlotState.TRIED:
            events = [other.event(BootEvent.REVERTED)]
        case SlotState.PENDING if other.refused:
            events = []
        case SlotState.PENDING:
            events = [other.event(BootEvent.REFUSED, NOT_NEWER)]
        case _:
            return []
    other.slot.discard()
    return [*events, other.event(BootEvent.DISCARDED)]
