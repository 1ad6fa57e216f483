"""What the DCU remembers of its meters over restarts, in the spool's state.

Nothing of it is needed for safety: what is lost is found, read and asked for again.
"""

from __future__ import annotations

import hashlib
import threading
from typing import TYPE_CHECKING, Final

import structlog
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from openami.core.errors import SecurityError

if TYPE_CHECKING:
    from openami.store.spool import Spool

METER_KEY: Final = "meter/"
COUNTER_KEY: Final = "counter/"

# One visit takes some dozen counters; so many are set aside at once that the disk is written to
# once in a hundred visits, and 2**32 counters still last for 2,000,000 restarts.
RESERVE: Final = 2048
# The most that one visit may take: a month of a load profile in small blocks.
VISIT_COUNTERS: Final = 512

FARTHEST: Final = 0xF000_0000
"""A meter that says it wants a counter above this is mad, or somebody else speaks for it: nothing
signs what it says, and the last counters shall not be lost by it."""

_ENDS: Final = 0x1_0000_0000

log = structlog.get_logger("dcu.known")


class Column(BaseModel):
    """A column of a profile: what is captured, and for readings what one of it counts."""

    model_config = ConfigDict(frozen=True)

    class_id: int
    obis: str
    attribute: int
    index: int = 0
    scaler: int | None = None
    unit: int | None = None


class Layout(BaseModel):
    """How the rows of a profile are made."""

    model_config = ConfigDict(frozen=True)

    columns: tuple[Column, ...]
    period: int = 0
    newest_first: bool = False
    read_at: float = 0.0


class KnownMeter(BaseModel):
    """One meter, as discovery found it and visits came to know it."""

    model_config = ConfigDict(frozen=True)

    serial: str
    address: int
    system_title: str | None = None
    logical_device_name: str = ""
    model: str = ""
    firmware: str = ""
    counter_object: str = "0.0.43.1.0.255"
    layouts: dict[str, Layout] = Field(default_factory=dict)

    @property
    def jitter(self) -> float:
        """The meter's own place in every spread, 0 to 1, the same after a restart."""
        digest = hashlib.sha256(self.serial.encode()).digest()
        return int.from_bytes(digest[:4], "big") / 0x1_0000_0000


def load_meters(spool: Spool) -> dict[str, KnownMeter]:
    """Return the meters that the spool remembers; what cannot be read is found anew."""
    meters = {}
    for key in spool.keys(METER_KEY):
        try:
            meter = KnownMeter.model_validate_json(spool.get(key) or b"")
        except ValidationError:
            log.warning("a remembered meter can not be read", key=key)
            continue
        meters[meter.serial] = meter
    return meters


def save_meter(spool: Spool, meter: KnownMeter) -> None:
    """Remember a meter."""
    spool.put(METER_KEY + meter.serial, meter.model_dump_json().encode())


def forget_meter(spool: Spool, serial: str) -> None:
    """Forget a meter; its cursors and counters are kept for the day it comes back."""
    spool.delete(METER_KEY + serial)


class MeterCounters:
    """The invocation counters that we use with one meter; implements ``InvocationCounters``.

    Counters are set aside in the spool before they are used, by ``prepare``, outside of the event
    loop: a restart goes on above all that may have been used.

    Args:
        spool: where the limit is kept.
        serial: the meter.
    """

    def __init__(self, spool: Spool, serial: str) -> None:
        self._spool = spool
        self._key = COUNTER_KEY + serial
        self._lock = threading.Lock()
        kept = (spool.get(self._key) or b"0 -1").split()
        self._next = self._limit = int(kept[0])
        self._last = int(kept[1])

    @property
    def last(self) -> int:
        return self._last

    @property
    def next(self) -> int:
        """What ``take`` will return."""
        return self._next

    def prepare(self) -> None:
        """Set aside what a visit may need; blocks.

        Raises:
            StoreError: it could not be kept: the meter can not be visited now.
        """
        with self._lock:  # a visit that was given up leaves its thread behind
            if self._limit - self._next < VISIT_COUNTERS:
                limit = min(self._next + RESERVE, _ENDS)
                self._spool.put(self._key, f"{limit} {self._last}".encode())
                self._limit = limit

    def take(self) -> int:
        if self._next >= self._limit:
            raise SecurityError("no invocation counters are left", code="security.counter")
        self._next += 1
        return self._next - 1

    def accept(self, counter: int) -> None:
        if counter <= self._last:
            raise SecurityError(
                f"invocation counter {counter} is not above {self._last}", code="security.replay"
            )
        self._last = counter

    def renew(self, key: bytes) -> None:  # noqa: ARG002 - each set of keys has a record of its own
        self._last = -1

    def resume(self, expected: int) -> bool:
        """Go on at ``expected``, which the meter said it wants; False: we were there, or do not."""
        if not self._next < expected <= FARTHEST:
            return False
        self._next = self._limit = expected
        return True
