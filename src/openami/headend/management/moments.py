"""Those who ask at one moment, and the dossiers of their devices."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence
    from types import TracebackType

    from openami.fleet.dossiers import Dossier, Dossiers
    from openami.headend.management.ports import Asked


class Moment:
    """The dossiers of some devices: read when the first is needed, kept at its end.

    Args:
        dossiers: keeps them.
        uids: of the devices.
        begin: those of them that begin a session.

    Attributes:
        read: whether they were read, or could not be.
    """

    def __init__(self, dossiers: Dossiers, uids: Collection[str], begin: Collection[str]) -> None:
        self.read = False
        self._dossiers = dossiers
        self._uids = uids
        self._begin = begin
        self._found: Mapping[str, Dossier] = {}
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    def dossier(self, uid: str, now: float) -> Dossier:
        """Return the dossier of one of the devices; StoreError, of none."""
        if not self.read:
            self.read = True
            opened = self._dossiers.opened(self._uids, now=now, begin=self._begin)
            self._found = self._stack.enter_context(opened)
        return self._found[uid]

    def discard(self, uid: str) -> None:
        """Keep nothing of one of the devices."""
        if uid in self._found:
            self._found[uid].discard()


def once_each(asked: Sequence[Asked]) -> Iterator[Sequence[Asked]]:
    """Yield questions in their order, those of no device twice at a time.

    Whose asker has gone away is answered all the same, and may by then have asked again.
    """
    some: dict[str, Asked] = {}
    for one in asked:
        if one[0] in some:
            yield list(some.values())
            some.clear()
        some[one[0]] = one
    yield list(some.values())
