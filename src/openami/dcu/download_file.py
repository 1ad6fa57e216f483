"""The file of a download on the DCU's disk: hashed while it comes, and never behind its state."""

from __future__ import annotations

from typing import TYPE_CHECKING

from openami.core.errors import DecodeError, SecurityError
from openami.firmware.target import Receiving
from openami.omadm.download import machine
from openami.omadm.download.ends import End
from openami.omadm.download.events import Refused, Verified
from openami.omadm.download.state import Download

if TYPE_CHECKING:
    from openami.firmware.target import TargetFile
    from openami.omadm.download.events import Event
    from openami.omadm.download.machine import Move, Policy
    from openami.omadm.download.state import Wanted
    from openami.store.partial import PartialFile


class LoadedFile:
    """A file that comes, and the state of its download; every call waits for the disk.

    Args:
        place: where it goes.
        target: the file, by the trusted repository.

    Raises:
        StoreError: of any method: the disk does not take it.
    """

    def __init__(self, place: PartialFile, target: TargetFile) -> None:
        self._place = place
        self._target = target
        self._receiving = Receiving(target)

    def open(self, wanted: Wanted, policy: Policy) -> Move:
        """Return how to go on with what is here, or how to begin."""
        state = self._known(wanted)
        if state is None:
            self._place.drop()
            move = machine.start(wanted, policy)
        else:
            move = machine.resume(state, self._place.size(), policy)
            if move.state.offset and not move.state.end:
                self._place.cut(move.state.offset)
                for piece in self._place.pieces():
                    self._receiving.take(piece)
        self._place.note(move.state.encode())
        return move

    def _known(self, wanted: Wanted) -> Download | None:
        try:
            state = Download.decode(self._place.state())
        except DecodeError:
            return None
        here = self._place.size() == wanted.size
        live = here if state.end is End.OK else not state.told
        return state if live and state.wanted == wanted else None

    def begin(self, octets: int) -> None:
        """Make ready for what comes behind the first ``octets``."""
        self._place.cut(octets)
        if not octets:
            self._receiving = Receiving(self._target)

    def keep(self, octets: bytes, state: Download) -> None:
        """Make the next octets durable, then the state that counts them."""
        self._place.keep(octets)
        self._receiving.take(octets)
        self._place.note(state.encode())

    def note(self, state: Download) -> None:
        """Make a state durable; of a file that will not be, nothing stays."""
        if state.end is not None and state.end is not End.OK:
            self._place.drop()
        self._place.note(state.encode())

    def verify(self) -> Event:
        """Return whether this is the file."""
        try:
            self._receiving.finish()
        except SecurityError:
            return Refused(End.CORRUPT)
        return Verified()
