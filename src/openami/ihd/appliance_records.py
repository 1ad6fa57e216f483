"""What is kept of an appliance, and how it is shown."""

from __future__ import annotations

import asyncio
import hashlib
import json
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from openami.core.clock import isoformat
from openami.core.errors import StoreError
from openami.ihd.appliance_rules import FREE, Can, Kind, Mode, Order, Traits

SILENT_S: Final = 90.0
"""Without a word for so long an appliance is shown as silent: three reports are missing."""


@dataclass(frozen=True, slots=True)
class Record:
    """What is kept of an appliance."""

    name: str
    traits: Traits
    digest: str = field(repr=False)
    allow: bool = False
    override: Mode | None = None
    override_until: int = 0

    def text(self) -> str:
        """Return it as it is kept."""
        made = asdict(self)
        made["traits"]["can"] = sorted(self.traits.can)
        return json.dumps(made)

    @classmethod
    def of(cls, text: str) -> Record:
        """Read what was kept; ``ValueError``, ``KeyError``, ``TypeError``: it is no record."""
        made = json.loads(text)
        traits = made.pop("traits")
        can = frozenset(map(Can, traits.pop("can")))
        override = made.pop("override")
        return cls(
            traits=Traits(kind=Kind(traits.pop("kind")), can=can, **traits),
            override=None if override is None else Mode(override),
            **made,
        )


@dataclass(slots=True)
class Kept:
    """An appliance while the display runs."""

    record: Record
    order: Order = FREE
    power_w: float = 0.0
    state: str = ""
    held_w: float = 0.0
    held_until: float = 0.0
    seen: float | None = None
    seen_at: float | None = None
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def drawn(self, tick: float) -> float:
        """What of the meter's reading may be this appliance's."""
        return max(self.power_w, self.held_w) if tick < self.held_until else self.power_w

    def silent(self, tick: float) -> bool:
        """Whether nothing was heard of it for long, or nothing at all."""
        return self.seen is None or tick - self.seen > SILENT_S


def read_record(text: str) -> Record:
    """Read what was kept; ``StoreError``: it is no record."""
    try:
        return Record.of(text)
    except (ValueError, KeyError, TypeError) as error:
        raise StoreError(f"what is kept of an appliance cannot be read: {error}") from error


def digest_of(token: str) -> str:
    """Return what is kept of a token, which has 256 bits by chance: its digest tells nothing."""
    return hashlib.sha256(token.encode()).hexdigest()


def shown_order(order: Order) -> dict[str, Any]:
    """Return an order as the API gives it."""
    return {
        "mode": order.mode,
        "limit_w": order.limit_w,
        "until": None if order.until is None else isoformat(order.until),
        "event": order.event,
        "prepare": order.prepare,
        "why": order.why,
    }


def revision_of(order: Order) -> str:
    """Return what is the same for the same order, also of a display that was started anew."""
    return hashlib.sha256(json.dumps(shown_order(order)).encode()).hexdigest()[:16]


def state_of(name: str, kept: Kept, tick: float, now: float) -> dict[str, Any]:
    """Return an appliance as the API gives it."""
    record = kept.record
    override = record.override if now < record.override_until else None
    return {
        "id": name,
        "name": record.name,
        "kind": record.traits.kind,
        "rated_w": record.traits.rated_w,
        "least_w": record.traits.least_w,
        "can": sorted(record.traits.can),
        "allow": record.allow,
        "override": override,
        "override_until": None if override is None else isoformat(record.override_until),
        **shown_order(kept.order),
        "power_w": kept.power_w,
        "state": kept.state,
        "seen": None if kept.seen_at is None else isoformat(kept.seen_at),
        "silent": kept.silent(tick),
    }
