"""How much of what devices send is held at a time.

A Get is answered over as many messages as it takes, and what came of an order is told when it is
done: until then the session holds it. A device that answers without an end must not take the
memory of all the others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from openami.omadm.element import Element
from openami.omadm.session.outbox import data_size

if TYPE_CHECKING:
    from openami.omadm.messages.model import Item

SESSION_OCTETS: Final = 64 * 2**20
"""Of a session with a budget of its own: four times a whole tree of the largest kind."""
ITEM_OCTETS: Final = 512
"""What an item, or an element, costs beside its data: objects, addresses, meta information."""


class Budget:
    """Octets that sessions may hold, together, of what their devices have sent.

    A head-end has one for all its sessions.

    Args:
        octets: how many.
    """

    def __init__(self, octets: int = SESSION_OCTETS) -> None:
        self.left = octets


class Share:
    """What one holder has of a budget.

    Args:
        budget: of all.
    """

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._held = 0

    def take(self, octets: int) -> bool:
        """Hold so many more octets; False: there is no room for them, and they are not held."""
        if octets > self._budget.left:
            return False
        self._budget.left -= octets
        self._held += octets
        return True

    def give_back(self) -> None:
        """Hold nothing any more."""
        self._budget.left += self._held
        self._held = 0


def cost_of(item: Item) -> int:
    """Return what it costs to hold an item."""
    cost = ITEM_OCTETS + data_size(item.data)
    stack = [item.data] if isinstance(item.data, Element) else []
    while stack:
        content = stack.pop().content
        if isinstance(content, tuple):
            cost += ITEM_OCTETS * len(content)
            stack.extend(content)
        else:
            cost += data_size(content)
    return cost
