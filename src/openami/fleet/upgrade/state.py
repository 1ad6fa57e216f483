"""What is wanted of a meter, and how far it is: values that are kept on disk after every step.

::

    offered ─► asked ─► preparing ─► prepared ─► transferring ─► complete
                 ▲          │                                       │
                 └──────────┴── the meter has lost it               ▼
    confirmed ◄─ on trial ◄─ activated ◄─ activating ◄─ verified ◄─ verifying
        │            │            │            │                      │
        ▼            └── reverted ◄────────────┘                      ▼
    (nothing more)                                        discarded, failed

``preparing``, ``verifying`` and ``activating`` are entered before the meter is told, so that a
kill in between is seen as what it is: a step of which nobody knows whether it was taken. What a
meter holds is never kept here: after a restart the meter is asked.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field, replace
from enum import StrEnum, unique
from typing import TYPE_CHECKING, Any, Final, Self

from openami.core.errors import DecodeError
from openami.core.identifiers import check_serial

if TYPE_CHECKING:
    from collections.abc import Mapping

# An image of a meter is under 1 MiB; 16 MiB is what class 18 is ever asked to take.
MAX_IMAGE: Final = 16 << 20
# Image identifiers are names of at most a line.
MAX_IDENTIFIER: Final = 64
MAX_TEXT: Final = 200
"""Characters of a version, an order's name or a reason: what a person reads in one line."""
MAX_STATE: Final = 16_384
"""Octets of a state on disk: five texts with each character escaped, and all marks."""
_FORMAT: Final = 1


@unique
class Stage(StrEnum):
    """How far one meter is."""

    OFFERED = "offered"
    ASKED = "asked"
    PREPARING = "preparing"
    PREPARED = "prepared"
    TRANSFERRING = "transferring"
    COMPLETE = "complete"
    VERIFYING = "verifying"
    VERIFIED = "verified"
    ACTIVATING = "activating"
    ACTIVATED = "activated"
    ON_TRIAL = "on-trial"
    CONFIRMED = "confirmed"
    REVERTED = "reverted"
    DISCARDED = "discarded"
    FAILED = "failed"

    @property
    def final(self) -> bool:
        """Whether nothing can happen any more."""
        return self in FINAL

    @property
    def holds(self) -> bool:
        """Whether the meter took this image, as far as we were told, and has not activated it."""
        return self in _HOLDS

    @property
    def switching(self) -> bool:
        """Whether the meter was, or may have been, told to activate."""
        return self in _SWITCHING

    @property
    def order(self) -> int:
        """The stage's place on the way."""
        return _ORDER[self]


_ORDER: Final[Mapping[Stage, int]] = {stage: place for place, stage in enumerate(Stage)}
FINAL: Final = frozenset({Stage.CONFIRMED, Stage.REVERTED, Stage.DISCARDED, Stage.FAILED})
_HOLDS: Final = frozenset(
    {Stage.PREPARED, Stage.TRANSFERRING, Stage.COMPLETE, Stage.VERIFYING, Stage.VERIFIED}
)
_SWITCHING: Final = frozenset({Stage.ACTIVATING, Stage.ACTIVATED, Stage.ON_TRIAL})


@dataclass(frozen=True, slots=True)
class Order:
    """Which image the meters of a segment shall run.

    Times are seconds since 1970-01-01T00:00:00Z.

    Attributes:
        id: of the campaign's work for this DCU.
        identifier: image_identifier, by which meters name the image.
        size: octets of the image.
        version: what a meter answers that runs it.
        until: when meters that have not begun to activate are given up.
        activate_at: not before; None: not yet allowed.
    """

    id: str
    identifier: bytes
    size: int
    version: str
    until: float
    activate_at: float | None = None

    def __post_init__(self) -> None:
        if not 0 < self.size <= MAX_IMAGE:
            raise ValueError(f"an image has 1 to {MAX_IMAGE} octets")
        if not 0 < len(self.identifier) <= MAX_IDENTIFIER:
            raise ValueError(f"an image identifier has 1 to {MAX_IDENTIFIER} octets")
        if not all(0 < len(text) <= MAX_TEXT for text in (self.id, self.version)):
            raise ValueError(f"an order and a version have 1 to {MAX_TEXT} characters")

    def blocks(self, block_size: int) -> int:
        """Return the number of blocks of such a size."""
        return -(-self.size // block_size)


@dataclass(frozen=True, slots=True)
class Upgrade:
    """How far one meter is with one order.

    Attributes:
        order: the order's id.
        since: when the stage was entered.
        marks: when each stage was entered, for the meter's timeline.
        version: what the meter ran when it was asked first; empty: never asked.
        block_size: the meter's; 0: never asked.
        initiations: how often the meter began.
        activations: how often it was told to activate.
        refusals: of the present step, in a row.
        failures: silences and waits in a row.
        free_at: it is left alone until then.
        code: why it ended as it did, or what it is known to do wrong.
        reason: the same in the meter's words or ours.
        deaf: it has heard nothing of what was broadcast, and is visited.
        enabled: what the meter said of image transfer. Not kept.
        looked_at: when the meter was last asked for everything; None: not since the start.
            Not kept.
    """

    serial: str
    order: str
    stage: Stage = Stage.OFFERED
    since: float = 0.0
    marks: Mapping[Stage, float] = field(default_factory=dict)
    version: str = ""
    block_size: int = 0
    initiations: int = 0
    activations: int = 0
    refusals: int = 0
    failures: int = 0
    free_at: float = 0.0
    code: str = ""
    reason: str = ""
    deaf: bool = False
    enabled: bool = True
    looked_at: float | None = None

    def __post_init__(self) -> None:
        check_serial(self.serial)

    @classmethod
    def offer(cls, serial: str, order: Order, now: float) -> Self:
        """Return the beginning."""
        return cls(serial, order.id, since=now, marks={Stage.OFFERED: now})

    def at(self, stage: Stage, now: float, *, code: str = "", reason: str = "") -> Upgrade:
        """Return the same in another stage; marks of stages that come after it are taken back."""
        if stage is self.stage:
            return self
        marks = {
            passed: when
            for passed, when in self.marks.items()
            if stage.final or passed.order < stage.order
        }
        return replace(
            self,
            stage=stage,
            since=now,
            marks=marks | {stage: now},
            failures=0,
            code=code[:MAX_TEXT] or self.code,
            reason=reason[:MAX_TEXT] or self.reason,
        )

    def encode(self) -> bytes:
        """Return what is kept on disk, and what the head-end is told."""
        kept = {name: getattr(self, name) for name in _KEPT}
        return json.dumps({"format": _FORMAT, **kept}, separators=(",", ":")).encode()

    @classmethod
    def decode(cls, octets: bytes) -> Self:
        """Return what ``encode`` wrote; the meter is to be asked before anything else.

        Raises:
            DecodeError: it is something else.
        """
        try:
            return cls(**_fields(octets))
        except (ValueError, TypeError, KeyError, OverflowError, RecursionError) as error:
            raise DecodeError("the state of an upgrade wanted", code="upgrade.state") from error


_TEXTS: Final = ("serial", "order", "version", "code", "reason")
_COUNTS: Final = ("block_size", "initiations", "activations", "refusals", "failures")
_TIMES: Final = ("since", "free_at")
_KEPT: Final = (*_TEXTS, *_COUNTS, *_TIMES, "deaf", "stage", "marks")


def _fields(octets: bytes) -> dict[str, Any]:
    if len(octets) > MAX_STATE:
        raise ValueError(f"at most {MAX_STATE} octets wanted")
    kept = _checked(json.loads(octets), dict)
    if kept.pop("format") != _FORMAT or not set(_KEPT) <= kept.keys():  # a newer one may have more
        raise ValueError("another format")
    texts = {name: _checked(kept[name], str) for name in _TEXTS}
    counts = {name: _checked(kept[name], int) for name in _COUNTS}
    times = {name: _time(kept[name]) for name in _TIMES}
    if any(len(text) > MAX_TEXT for text in texts.values()) or min(counts.values()) < 0:
        raise ValueError("no such texts or counts")
    passed = _checked(kept["marks"], dict)
    marks = {Stage(stage): _time(when) for stage, when in passed.items()}
    others = {"deaf": _checked(kept["deaf"], bool), "stage": Stage(kept["stage"])}
    return {**texts, **counts, **times, **others, "marks": marks}


def _time(value: Any) -> float:
    time = float(value)
    if not math.isfinite(time):
        raise ValueError("a time wanted")
    return time


def _checked(value: Any, kind: type) -> Any:
    if type(value) is not kind:
        raise TypeError(f"{kind.__name__} wanted")
    return value
