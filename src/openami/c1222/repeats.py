"""What may come once: requests, and protected messages; as functions of time.

A request that comes again is not done again: its sender missed the answer, and gets the same one.
A protected message that comes again is nobody's, or an attacker's.
"""

from __future__ import annotations

import heapq
import itertools
from collections import Counter, OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from openami.core.backoff import backoff
from openami.core.errors import SecurityError
from openami.core.recent import Recent

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from openami.c1222.apdu import Apdu, KeyUse

WINDOW: Final = 15 * 60
"""Seconds that the clock of a sender may be off, and that its message may take."""
MAX_REMEMBERED: Final = 16_384
"""Protected messages: ten a second for longer than twice the window, at about 200 octets each."""
MAX_ANSWERS: Final = 256
ANSWER_LIFETIME: Final = 60.0
"""How many answers are kept, and for how many seconds: longer than a sender tries again."""
MAX_ANSWER_OCTETS: Final = 1024 * 1024
MAX_TIMES: Final = 8
"""How often the answer to one protected message is given again: whoever has recorded a short
question has no more than so many long answers sent to an address that is not its own."""
FREE_FAILURES: Final = 5
FIRST_PAUSE: Final = 1.0
LONGEST_PAUSE: Final = 300.0
"""A tag has 32 bits: one source that guesses every five minutes finds one in 20,000 years."""
MAX_SOURCES: Final = 4096
_HALF: Final = 1 << 31
_ID_MASK: Final = 0xFFFF_FFFF


def counted(first: int) -> Callable[[], int]:
    """Return what gives invocation ids: 32 bits, one after another."""
    ids = itertools.count(first)
    return lambda: next(ids) & _ID_MASK


def sender_of(apdu: Apdu) -> bytes:
    """Return who sent a message, as absolute octets; empty if it does not say."""
    return b"" if apdu.calling is None else apdu.calling.name


class ReplayCache:
    """Takes every protected message once, within a window of time.

    It forgets what has left the window, and when it is full the oldest messages, and refuses from
    then on all that are as old: nothing that was forgotten comes in again, also if the clock is set
    back.

    Args:
        window: seconds before and after now.
        most: messages that are remembered.
        of_sender: of one sender, which is refused then; not given: all of them.
        floor: what was made then, or before, is refused: ``newest`` of before a restart, so that
            what was taken before it is not taken again.

    Attributes:
        newest: when the latest of all messages that were taken was made.
    """

    def __init__(
        self,
        *,
        window: float = WINDOW,
        most: int = MAX_REMEMBERED,
        of_sender: int | None = None,
        floor: float = float("-inf"),
    ) -> None:
        self._window = window
        self._most = most
        self._of_sender = most if of_sender is None else of_sender
        self._senders: Counter[bytes] = Counter()
        self._seen: set[tuple[float, bytes, int, int, bool]] = set()
        self._oldest: list[tuple[float, bytes, int, int, bool]] = []
        self._floor = self.newest = floor

    def accept(self, apdu: Apdu, key: KeyUse, *, now: float) -> None:
        """Take note of a message whose tag was right.

        Args:
            apdu: its envelope.
            key: what protected it.
            now: seconds of UTC.

        Raises:
            SecurityError: ``security.time``: it is older or newer than the window, or as old as
                what was forgotten; ``security.replay``: it came before; ``security.rate``: its
                sender has sent too many.
        """
        # The time in a message has 32 bits: it is the one of those nearest to now.
        age = (int(now) - key.time + _HALF) % (2 * _HALF) - _HALF
        made = int(now) - age
        if abs(age) > self._window or made <= self._floor:
            raise SecurityError(f"a message made {age} seconds ago", code="security.time")
        sender = sender_of(apdu)
        entry = (made, sender, key.key_id, apdu.invocation_id, apdu.answers is None)
        if entry in self._seen:
            raise SecurityError("a message that came before", code="security.replay")
        self._forget(now)
        if self._senders[sender] >= self._of_sender:
            raise SecurityError("too many messages of one sender", code="security.rate")
        self._senders[sender] += 1
        self._seen.add(entry)
        heapq.heappush(self._oldest, entry)
        self.newest = max(self.newest, made)

    def _forget(self, now: float) -> None:
        begins = int(now) - self._window
        while self._oldest and (self._oldest[0][0] < begins or len(self._seen) >= self._most):
            entry = heapq.heappop(self._oldest)
            self._seen.discard(entry)
            self._senders[entry[1]] -= 1
            if not self._senders[entry[1]]:
                del self._senders[entry[1]]
            self._floor = max(self._floor, entry[0])


@dataclass(slots=True)
class _Kept:
    """An answer; ``times``: how often it is still given."""

    answer: tuple[bytes, ...]
    until: float
    times: int | None


class Answers:
    """Keeps answers for a while, for requests that come again.

    Args:
        most: answers that are kept.
        lifetime: seconds that one is kept.
        octets: of all of them.
    """

    def __init__(
        self,
        *,
        most: int = MAX_ANSWERS,
        lifetime: float = ANSWER_LIFETIME,
        octets: int = MAX_ANSWER_OCTETS,
    ) -> None:
        self._most = most
        self._lifetime = lifetime
        self._octets_most = octets
        self._kept: OrderedDict[bytes, _Kept] = OrderedDict()
        self._octets = 0

    def find(self, request: bytes, *, now: float) -> tuple[bytes, ...] | None:
        """Return what was answered to the very same octets; None: they are new."""
        self._forget(now)
        found = self._kept.get(request)
        if found is None:
            return None
        if found.times == 0:
            return ()
        if found.times is not None:
            found.times -= 1
        return found.answer

    def keep(
        self, request: bytes, answer: tuple[bytes, ...], *, now: float, times: int | None = None
    ) -> None:
        """Take note of an answer; without any message, that there shall be none.

        Args:
            request: the octets that it answers.
            answer: its messages.
            now: seconds of UTC.
            times: how often it is given; from then on nothing is. None: there is no end.
        """
        self._forget(now)
        self._remove(request)
        self._kept[request] = _Kept(answer, now + self._lifetime, times)
        self._octets += _size(request, answer)
        while len(self._kept) > self._most or self._octets > self._octets_most:
            self._remove(next(iter(self._kept)))

    def _forget(self, now: float) -> None:
        while self._kept and next(iter(self._kept.values())).until <= now:
            self._remove(next(iter(self._kept)))

    def _remove(self, request: bytes) -> None:
        if found := self._kept.pop(request, None):
            self._octets -= _size(request, found.answer)


def _size(request: bytes, answer: tuple[bytes, ...]) -> int:
    return len(request) + sum(map(len, answer))


class Failures:
    """After some wrong tags, or passwords, of one source there is a pause, each time twice as long.

    A source is what an attacker cannot choose at will: an address that answers, a connection; not
    the title that a message claims. Of more sources than are remembered the oldest are forgotten.

    Args:
        free: failures without a pause.
        first: seconds of the first pause.
        longest: seconds of the longest pause; a source whose last failure is longer ago than twice
            that begins anew.

    Attributes:
        total: failures of all sources so far.
    """

    def __init__(
        self,
        *,
        free: int = FREE_FAILURES,
        first: float = FIRST_PAUSE,
        longest: float = LONGEST_PAUSE,
        most: int = MAX_SOURCES,
    ) -> None:
        self._free = free
        self._first = first
        self._longest = longest
        self._failed: Recent[Hashable, tuple[int, float]] = Recent(most)
        self.total = 0

    def allows(self, source: Hashable, *, now: float) -> bool:
        """Tell whether what comes from ``source`` is looked at now."""
        count, since = self._failed.get(source, (0, now))
        # A clock that was set back makes no pause longer.
        return count < self._free or not since <= now < since + self._pause(count)

    def failed(self, source: Hashable, *, now: float) -> int:
        """Take note of a failure; return how many there are of this source."""
        count, since = self._failed.get(source, (0, now))
        if now >= since + 2 * self._longest:
            count = 0
        self._failed[source] = count + 1, now
        self.total += 1
        return count + 1

    def succeeded(self, source: Hashable) -> None:
        """Take note of a right tag."""
        self._failed.pop(source, None)

    def _pause(self, count: int) -> float:
        return backoff(count - self._free + 1, first=self._first, most=self._longest)
