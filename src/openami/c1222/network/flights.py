"""Messages that a relay has passed on: who waits for their answers, and how often they came by.

A message names no hops, so a circle of relays shows only in that the same message comes again and
again from the same neighbour: after some times it is passed on no more.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypeVar

from openami.c1222.network.places import same_place
from openami.c1222.station import blamed
from openami.core.recent import Recent

if TYPE_CHECKING:
    from collections.abc import Hashable

    from openami.c1222.apdu import Apdu
    from openami.c1222.network.glance import Glance
    from openami.c1222.titles import ApTitle

K = TypeVar("K")

MAX_SOURCES: Final = 4
"""Neighbours that asked the same: one that connected anew, and few that copy what others ask."""
MAX_PASSES: Final = 8
"""Of one message from one neighbour: whoever asks sends it three times."""
MAX_SEEN: Final = 16_384
"""Messages whose passes are counted, at about 300 octets each."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a relay bears. Of what is more, senders are told that it is busy.

    Attributes:
        messages: that wait for their answers.
        octets: of all of them.
        of_destination: messages to one title.
        of_host: messages that came from one host: it does not take the others' places.
        seconds: that an answer may take; then the sender is told so.
    """

    messages: int = 8192
    octets: int = 16 * 1024 * 1024
    of_destination: int = 4096
    of_host: int = 1024
    seconds: float = 30.0


@dataclass(slots=True)
class Flight:
    """A request on its way.

    Attributes:
        calling: who asks.
        called: who is asked.
        number: its invocation id.
        hop: the neighbour that it was given to; nobody else answers.
        glance: what showed of it.
        octets: that were passed on.
        message: a hash of it; of a segment, of the last one.
        deadline: when its sender is told that no answer came.
        sources: the neighbours that it came from, the last one last.
        answering: segments of an answer have come.
        blamed: the host that it came from first.
    """

    calling: ApTitle
    called: ApTitle
    number: int
    hop: Hashable
    glance: Glance
    octets: int
    message: int
    deadline: float
    sources: dict[Hashable, None] = field(default_factory=dict)
    answering: bool = False
    blamed: Hashable = None

    @property
    def key(self) -> tuple[bytes, bytes, int]:
        """What its answer names: both titles and its id."""
        return self.calling.name, self.called.name, self.number


class Flights:
    """All requests that are on their way through a relay."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._all: OrderedDict[tuple[bytes, bytes, int], Flight] = OrderedDict()
        self._pairs: dict[tuple[bytes, bytes], dict[int, Flight]] = {}
        self._to: Counter[bytes] = Counter()
        self._from: Counter[Hashable] = Counter()
        self._octets = 0

    def __len__(self) -> int:
        return len(self._all)

    @property
    def octets(self) -> int:
        """Of all requests that are on their way."""
        return self._octets

    def begin(self, flight: Flight, source: Hashable) -> bool:
        """Take note of a request; False: there is no room for it."""
        known = self._all.get(flight.key)
        size = flight.octets
        flight.blamed = blamed(source) if known is None else known.blamed
        if self._octets + size > self._limits.octets or (known is None and self._is_full(flight)):
            return False
        if known is not None:
            self._end(known)
            flight.octets += known.octets
            flight.sources = known.sources
            # Whoever sends other octets under the same id makes it unclear which were answered.
            flight.message = flight.message if flight.message == known.message else 0
            flight.answering = known.answering
        flight.sources.pop(source, None)
        flight.sources[source] = None
        if len(flight.sources) > MAX_SOURCES:
            del flight.sources[next(iter(flight.sources))]
        self._all[flight.key] = flight
        self._pairs.setdefault(flight.key[:2], {})[flight.number] = flight
        self._to[flight.key[1]] += 1
        self._from[flight.blamed] += 1
        self._octets += flight.octets
        return True

    def answered(self, apdu: Apdu, source: Hashable) -> Flight | None:
        """Return the request that a whole answer is for, and end it; None: nobody waits for it."""
        if apdu.called is None or apdu.calling is None or apdu.answers is None:
            return None
        flight = self._all.get((apdu.called.name, apdu.calling.name, apdu.answers))
        if flight is None or not same_place(flight.hop, source):
            return None
        self._end(flight)
        return flight

    def answering(self, apdu: Apdu, source: Hashable) -> tuple[Hashable, ...]:
        """Return who waits for an answer of which ``apdu`` may be a segment.

        A segment does not say what it answers: it is for whoever has asked its sender under the
        title that it is for.
        """
        if apdu.called is None or apdu.calling is None:
            return ()
        pair = self._pairs.get((apdu.called.name, apdu.calling.name), {})
        found: dict[Hashable, None] = {}
        for flight in pair.values():
            if same_place(flight.hop, source):
                flight.answering = True
                found |= flight.sources
        return tuple(found)[-MAX_SOURCES:]

    def expire(self, now: float) -> list[Flight]:
        """Forget the requests that were not answered in time, and return them."""
        late = []
        # One time for all: they stand in the order of their ends, unless the clock was set back;
        # what began in its future would hold up the others, and its places.
        future = now + 2 * self._limits.seconds
        while self._all:
            flight = next(iter(self._all.values()))
            if now < flight.deadline <= future:
                break
            self._end(flight)
            late.append(flight)
        return late

    def next_timer(self) -> float | None:
        """Return when the next request is given up."""
        return next((flight.deadline for flight in self._all.values()), None)

    def _is_full(self, flight: Flight) -> bool:
        limits = self._limits
        return (
            len(self._all) >= limits.messages
            or self._to[flight.key[1]] >= limits.of_destination
            or self._from[flight.blamed] >= limits.of_host
        )

    def _end(self, flight: Flight) -> None:
        key = flight.key
        del self._all[key]
        pair = self._pairs[key[:2]]
        del pair[flight.number]
        if not pair:
            del self._pairs[key[:2]]
        _count_down(self._to, key[1])
        _count_down(self._from, flight.blamed)
        self._octets -= flight.octets


def _count_down(counter: Counter[K], key: K) -> None:
    counter[key] -= 1
    if not counter[key]:
        del counter[key]


class Passes:
    """Counts how often the same message came from the same neighbour.

    Args:
        seconds: after which a message is forgotten.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._seen: Recent[Hashable, tuple[int, float]] = Recent(MAX_SEEN)

    def allows(self, apdu: Apdu, source: Hashable, *, now: float) -> bool:
        """Take note of a message; whether it may be passed on."""
        key = (
            None if apdu.calling is None else apdu.calling.name,
            None if apdu.called is None else apdu.called.name,
            *(apdu.invocation_id, apdu.answers, apdu.reference, source),
        )
        count, since = self._seen.get(key, (0, now))
        if now >= since + self._seconds:
            count, since = 0, now
        self._seen[key] = count + 1, since
        return count < MAX_PASSES
