"""Rounds over a line that somebody waits for: every meter read, every address searched, once."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from openami.omadm.codes import Status

if TYPE_CHECKING:
    from collections.abc import Iterable

    from openami.fleet.collection import Line, Moment


@dataclass(frozen=True, slots=True)
class Ending:
    """How an operation has ended: a status, and words for a person."""

    status: int
    words: str


Ended = asyncio.Future[Ending | None]
"""How it ended; None: it was given up before its end, since what carries it out has ended."""


def ending() -> Ended:
    """Return what becomes true when something is over."""
    return asyncio.get_running_loop().create_future()


@dataclass(eq=False, slots=True)
class _Round:
    left: set[str]
    over: Ended = field(default_factory=ending)
    total: int = 0
    good: int = 0

    def __post_init__(self) -> None:
        self.total = len(self.left)

    def met(self, name: str, *, good: bool) -> None:
        if name in self.left:
            self.left.remove(name)
            self.good += good


class Rounds:
    """The rounds that are under way on a line.

    Args:
        line: knows the meters.
        addresses: where meters may be found.
    """

    def __init__(self, line: Line, addresses: Iterable[int]) -> None:
        self._line = line
        self._addresses = frozenset(addresses)
        self._sweeps: list[_Round] = []
        self._searches: list[_Round] = []
        self._before: tuple[_Round, ...] = ()

    def sweep(self, moment: Moment) -> Ended:
        """Begin a round over all meters."""
        self._line.hasten(moment)
        self._sweeps.append(_Round(set(self._line.meters())))
        return self._sweeps[-1].over

    def search(self) -> Ended:
        """Begin a round over all addresses."""
        self._line.search()
        self._searches.append(_Round({str(address) for address in self._addresses}))
        return self._searches[-1].over

    def begin(self) -> None:
        """Take that a visit begins: rounds that begin during it want another."""
        self._before = tuple(self._sweeps)

    def after(self, moment: Moment) -> None:
        """Take that the visit is over: what it found does not count for a round begun since."""
        if any(one not in self._before for one in self._sweeps):
            self._line.hasten(moment)

    def visited(self, serial: str, *, good: bool) -> None:
        """Take how the visit has ended."""
        for one in self._before:
            one.met(serial, good=good)

    def probed(self, address: int) -> None:
        """Take that somebody was looked for at an address."""
        for one in self._searches:
            one.met(str(address), good=True)

    @property
    def over(self) -> bool:
        """Whether a round has come to its end; nobody is looked for where a meter is known."""
        meters = set(self._line.meters())
        known = {str(self._line.address(serial)) for serial in meters}
        for one in self._sweeps:
            one.left &= meters  # one that is not there any more was not read
        for one in self._searches:
            one.left -= known
        return any(not one.left for one in (*self._sweeps, *self._searches))

    def end(self) -> None:
        """Tell of the rounds that have come to their end."""
        for one in self._sweeps:
            good = one.good == one.total
            status = Status.OK if good else Status.COMMAND_FAILED
            _tell(one, Ending(status, f"{one.good} of {one.total} meters read"))
        for one in self._searches:
            _tell(one, Ending(Status.OK, f"{len(self._line.meters())} meters known"))
        # Nobody may be waiting any more.
        self._sweeps = [one for one in self._sweeps if not one.over.done()]
        self._searches = [one for one in self._searches if not one.over.done()]

    def give_up(self) -> None:
        """Tell that the rounds that are under way will not be finished."""
        give_up(one.over for one in (*self._sweeps, *self._searches))


def _tell(one: _Round, told: Ending) -> None:
    if not one.left and not one.over.done():
        one.over.set_result(told)


def give_up(waiting: Iterable[Ended]) -> None:
    """Tell who waits that what carries it out has ended."""
    for one in waiting:
        if not one.done():
            one.set_result(None)
