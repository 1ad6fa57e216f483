"""A model of a line that many stations share: how long octets take, and what becomes of them.

Pure: time and chance are arguments. It serves virtual time (``memory``) and real time alike; with
``time_factor`` a line follows a clock that runs fast.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from openami.core.errors import ConfigError

if TYPE_CHECKING:
    import random

_GARBLE: Final = 0x55
"""What a collision does to an octet in this model: half of its bits are wrong."""


@dataclass(frozen=True, slots=True)
class LineProfile:
    """What a line is like. Probabilities are of one transmission, at one receiver.

    Attributes:
        bit_rate: bits a second; infinite: octets take no time.
        bits_per_octet: with start and stop bits.
        propagation_s: from any end to any other, with the modems' own delays.
        jitter_s: at most so much is added to it, evenly distributed.
        loss: it does not arrive.
        duplication: it arrives twice.
        corruption: one bit of it is wrong.
        reordering: it arrives late by ``reordering_s``, and others overtake it.
        reordering_s: how late.
        half_duplex: one sender at a time: others wait; else up and down do not meet.
        collisions: half duplex, and others do not wait: what meets is destroyed.
        time_factor: how many of the line's seconds pass in one second of ``now``.
    """

    bit_rate: float = math.inf
    bits_per_octet: int = 10
    propagation_s: float = 0.0
    jitter_s: float = 0.0
    loss: float = 0.0
    duplication: float = 0.0
    corruption: float = 0.0
    reordering: float = 0.0
    reordering_s: float = 0.1
    half_duplex: bool = False
    collisions: bool = False
    time_factor: float = 1.0

    def __post_init__(self) -> None:
        chances = (self.loss, self.duplication, self.corruption, self.reordering)
        times = (self.propagation_s, self.jitter_s, self.reordering_s)
        fine = (
            all(0 <= chance <= 1 for chance in chances)
            and all(0 <= seconds < math.inf for seconds in times)
            and self.bit_rate > 0
            and self.bits_per_octet > 0
            and 0 < self.time_factor < math.inf
        )
        if not fine:
            raise ConfigError(
                "a line's rates and factors are more than 0, its times not negative and its "
                "probabilities within 0 to 1",
                code="config.line",
            )

    def airtime(self, octets: int) -> float:
        """Return the seconds of ``now`` for which so many octets hold the line."""
        return octets * self.bits_per_octet / self.bit_rate / self.time_factor


@dataclass(slots=True)
class Transmission:
    """What one sender put on the line."""

    data: bytes = field(repr=False)
    ends_at: float
    garbled: bool = False


@dataclass(frozen=True, slots=True)
class Reception:
    """What arrives at one receiver.

    Attributes:
        at: when the last octet is there.
    """

    at: float
    _data: bytes = field(repr=False)
    _transmission: Transmission = field(repr=False)

    def octets(self) -> bytes:
        """Return what is received; ask at ``at``, since a collision may come until then."""
        if self._transmission.garbled:
            return bytes(octet ^ _GARBLE for octet in self._data)
        return self._data


@dataclass(slots=True)
class LineCounters:
    """What became of the transmissions so far."""

    transmissions: int = 0
    octets: int = 0
    lost: int = 0
    duplicated: int = 0
    corrupted: int = 0
    reordered: int = 0
    collided: int = 0


class Medium:
    """One line.

    Args:
        profile: what it is like.
        chance: where its misfortunes come from; the same seed gives the same ones.
    """

    def __init__(self, profile: LineProfile, chance: random.Random) -> None:
        self.profile = profile
        self.counters = LineCounters()
        self._chance = chance
        self._perfect = not any(
            (profile.loss, profile.duplication, profile.corruption, profile.reordering)
        )
        self._last: dict[bool, Transmission] = {}

    def transmit(self, data: bytes, *, now: float, upward: bool = False) -> Transmission:
        """Put octets on the line as soon as it is free.

        Args:
            data: what is sent, one frame or datagram.
            now: when the sender wants to send it.
            upward: which way, on a line that is not half duplex.
        """
        profile = self.profile
        way = upward and not profile.half_duplex
        before = self._last.get(way)
        starts_at = now
        collided = False
        if before is not None and before.ends_at > now:
            collided = profile.half_duplex and profile.collisions
            starts_at = now if collided else before.ends_at
        transmission = Transmission(data, starts_at + profile.airtime(len(data)), collided)
        if collided and before is not None:
            before.garbled = True
            self.counters.collided += 1
        if before is None or transmission.ends_at >= before.ends_at:
            self._last[way] = transmission
        self.counters.transmissions += 1
        self.counters.octets += len(data)
        return transmission

    def receptions(self, transmission: Transmission) -> tuple[Reception, ...]:
        """Return what one receiver gets of a transmission: nothing, it, or it twice.

        Call it once for each receiver: each has its own luck.
        """
        profile, data = self.profile, transmission.data
        delay = profile.propagation_s
        if profile.jitter_s:
            delay += self._chance.random() * profile.jitter_s
        at = transmission.ends_at + delay / profile.time_factor
        if self._perfect:
            return (Reception(at, data, transmission),)
        if self._happens(profile.loss, "lost"):
            return ()
        if data and self._happens(profile.corruption, "corrupted"):
            data = self._corrupt(data)
        if self._happens(profile.reordering, "reordered"):
            at += profile.reordering_s / profile.time_factor
        times = 2 if self._happens(profile.duplication, "duplicated") else 1
        return (Reception(at, data, transmission),) * times

    def _happens(self, probability: float, name: str) -> bool:
        if not probability or self._chance.random() >= probability:
            return False
        setattr(self.counters, name, getattr(self.counters, name) + 1)
        return True

    def _corrupt(self, data: bytes) -> bytes:
        bit = self._chance.randrange(8 * len(data))
        wrong = bytearray(data)
        wrong[bit // 8] ^= 1 << bit % 8
        return bytes(wrong)
