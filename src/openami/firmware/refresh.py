"""One update of a DCU's trust: which file it wants next, and what it makes of it.

The machine opens no connection. It asks for one file at a time and says how many octets of it may
be read at most; the caller stores ``trusted`` whenever it is another than before, so that a cut at
any point keeps what was verified.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING, Final

from tuf.api.metadata import Root, Snapshot, Targets, Timestamp

from openami.core.errors import LocalProtocolError, SecurityError
from openami.firmware.metadata import MAX_SIZE, check_size

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tuf.api.metadata import MetaFile

    from openami.firmware.trust import Trusted

MAX_ROOTS: Final = 64
"""New roots in one refresh: keys that change every month for five years. The rest comes with the
next one, for each root that was taken stays taken."""


class Step(Enum):
    """What is wanted next."""

    ROOT = auto()
    TIMESTAMP = auto()
    SNAPSHOT = auto()
    TARGETS = auto()
    DONE = auto()
    FAILED = auto()


@dataclass(frozen=True, slots=True)
class Wanted:
    """A file of the repository, and how many of its octets are read at most."""

    name: str
    limit: int


def _root(trusted: Trusted) -> Wanted:
    return Wanted(f"{trusted.root.signed.version + 1}.root.json", MAX_SIZE[Root.type])


def _timestamp(_: Trusted) -> Wanted:
    return Wanted("timestamp.json", MAX_SIZE[Timestamp.type])


def _snapshot(trusted: Trusted) -> Wanted:
    return _named(trusted, Snapshot.type, trusted.snapshot_meta())


def _targets(trusted: Trusted) -> Wanted:
    return _named(trusted, Targets.type, trusted.targets_meta())


def _named(trusted: Trusted, role: str, meta: MetaFile) -> Wanted:
    """Return a document that another one names: where it is (6.2), and how long (5.5.1, 5.6.1)."""
    version = f"{meta.version}." if trusted.root.signed.consistent_snapshot else ""
    most = MAX_SIZE[role]
    return Wanted(f"{version}{role}.json", min(most, most if meta.length is None else meta.length))


_WANTED: Final[Mapping[Step, Callable[[Trusted], Wanted]]] = {
    Step.ROOT: _root,
    Step.TIMESTAMP: _timestamp,
    Step.SNAPSHOT: _snapshot,
    Step.TARGETS: _targets,
}


class Refresh:
    """The client's workflow (TUF specification 5.1 to 5.6), from a root to targets.

    Args:
        trusted: what the device believes so far.
        now: seconds since 1970-01-01T00:00:00Z; the same for the whole update (5.1).
    """

    def __init__(self, trusted: Trusted, *, now: float) -> None:
        self._trusted = trusted
        self._now = now
        self._step = Step.ROOT
        self._first_root = trusted.root.signed.version
        self._take: Mapping[Step, Callable[[bytes], None]] = {
            Step.ROOT: self._take_root,
            Step.TIMESTAMP: self._take_timestamp,
            Step.SNAPSHOT: self._take_snapshot,
            Step.TARGETS: self._take_targets,
        }

    @property
    def trusted(self) -> Trusted:
        """What is verified by now; after a refusal what was verified before it."""
        return self._trusted

    @property
    def done(self) -> bool:
        """Whether everything that the repository has was verified."""
        return self._step is Step.DONE

    def wanted(self) -> Wanted | None:
        """Return the file to fetch next; None: there is nothing more to do."""
        wanted = _WANTED.get(self._step)
        return None if wanted is None else wanted(self._trusted)

    def receive(self, data: bytes) -> None:
        """Take the file that is wanted.

        Raises:
            SecurityError, DecodeError: it is refused, and the update is over.
            LocalProtocolError: none is wanted.
        """
        wanted = self._now_wanted()
        step, self._step = self._step, Step.FAILED
        check_size(len(data), wanted.limit, wanted.name)
        self._take[step](data)

    def absent(self) -> None:
        """Hear that the repository does not have the file that is wanted.

        A caller that could not ask at all does not call this.

        Raises:
            SecurityError: it has to have it (``firmware.trust.absent``), and the update is over.
            LocalProtocolError: none is wanted.
        """
        wanted = self._now_wanted()
        if self._step is Step.ROOT:  # 5.3.3: the root before is the last one
            self._step = Step.TIMESTAMP
            return
        self._step = Step.FAILED
        message = f"the repository does not have {wanted.name}"
        raise SecurityError(message, code="firmware.trust.absent")

    def _now_wanted(self) -> Wanted:
        wanted = self.wanted()
        if wanted is None:
            raise LocalProtocolError("no file is wanted")
        return wanted

    def _take_root(self, data: bytes) -> None:
        if self._trusted.root.signed.version - self._first_root >= MAX_ROOTS:
            raise SecurityError(
                f"more than {MAX_ROOTS} new roots at once",
                code="firmware.trust.endless",
                hint="refresh once more",
            )
        self._trusted = self._trusted.take_root(data)
        self._step = Step.ROOT

    def _take_timestamp(self, data: bytes) -> None:
        self._trusted = self._trusted.take_timestamp(data, now=self._now)
        if self._trusted.has_snapshot(now=self._now):
            self._after_snapshot()
        else:
            self._step = Step.SNAPSHOT

    def _take_snapshot(self, data: bytes) -> None:
        self._trusted = self._trusted.take_snapshot(data, now=self._now)
        self._after_snapshot()

    def _after_snapshot(self) -> None:
        here = self._trusted.has_targets(now=self._now)
        self._step = Step.DONE if here else Step.TARGETS

    def _take_targets(self, data: bytes) -> None:
        self._trusted = self._trusted.take_targets(data, now=self._now)
        self._step = Step.DONE
