"""Which neighbour is next on the way to a title."""

from __future__ import annotations

from typing import TYPE_CHECKING

from openami.c1222.codes import ResponseCode
from openami.c1222.network.places import same_place
from openami.c1222.network.registrations import RELAYS

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping

    from openami.c1222.network.registrations import Registrations
    from openami.c1222.titles import ApTitle


class Routes:
    """The ways that a relay knows: to who is registered, by the longest prefix, or up.

    A relay that is registered is the way to all titles that begin with its own.

    Args:
        registrations: who is registered, here or, through here, further up.
        fixed: ways that are configured, by the title, or the beginning of titles.
        parent: the way to all others, if there is one.
        alive: tells whether there is still a way to a source.
    """

    def __init__(
        self,
        registrations: Registrations,
        fixed: Mapping[ApTitle, Hashable],
        parent: Hashable | None,
        alive: Callable[[Hashable], bool],
    ) -> None:
        self._registrations = registrations
        self._fixed = {title.name: hop for title, hop in fixed.items()}
        self._parent = parent
        self._alive = alive

    def next_hop(self, title: ApTitle, source: Hashable) -> Hashable | ResponseCode:
        """Return the neighbour to pass a message on to, or why there is none.

        Args:
            title: whom the message is for.
            source: who it came from; it is not sent back there.
        """
        known, hop = self.down(title)
        if hop is None and not known:
            hop = self._parent
        if hop is None or same_place(hop, source):
            return ResponseCode.NETR if known else ResponseCode.UAT
        return hop

    def down(self, title: ApTitle) -> tuple[bool, Hashable | None]:
        """Return whether a title is known below, and the neighbour on the way to it."""
        if self._registrations.find(title) is not None:
            return True, self._registrations.reach(title, self._alive)
        name = title.name
        for end in range(len(name), 0, -1):
            # An arc ends where an octet is below 80: titles that are prefixes end with arcs.
            fixed = self._fixed.get(name[:end])
            if fixed is not None:
                return True, fixed
            relay = self._registrations.get(name[:end])
            if relay is not None and relay.node_type & RELAYS:
                return True, self._registrations.reach(relay.title, self._alive)
        return False, None
