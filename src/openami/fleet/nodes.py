"""Meters that are nodes of a C12.22 network: what each is called, and where it last registered.

Titles and addresses are kept as they are written; what they mean is for ``openami.c1222`` to say.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from openami.fleet.ports import Page


@dataclass(frozen=True, slots=True)
class NodeStanding:
    """One registration of a node. Times are seconds of UTC.

    Attributes:
        title: the ApTitle that it has taken.
        serial: its electronic serial number, an object identifier.
        native: octets of its own address; empty: nobody knows it.
        node_type: what it is, as a number.
        connection: what it can do, as a number.
        device_class: four octets of its maker and model.
        registered_at: when it registered last.
        expires_at: when that ends.
        via: the ApTitle of the relay that it came through.
    """

    title: str
    serial: str
    native: bytes
    node_type: int
    connection: int
    device_class: bytes
    registered_at: float
    expires_at: float
    via: str | None = None


@dataclass(frozen=True, slots=True)
class MeterNode:
    """A meter as a node.

    Attributes:
        meter: its serial number.
        title: its ApTitle, absolute.
        key_id: the key that protects what is asked of it.
        user: in whose name it is asked.
        standing: its registration; None: it has never registered, or has left.
        logs: by event log, the sequence number of the last entry that is stored.
    """

    meter: str
    title: str
    key_id: int
    user: int | None = None
    standing: NodeStanding | None = None
    logs: Mapping[str, int] = field(default_factory=dict)


class NodeStore(Protocol):
    """Keeps nodes. Calls block."""

    def put(self, node: MeterNode) -> None:
        """Add a node, or change what it is called; its registration and logs stay.

        Raises:
            ConflictError: another meter has the title.
        """
        ...

    def find(self, meter: str) -> MeterNode | None: ...

    def of_title(self, title: str) -> MeterNode | None:
        """Return the node that has an absolute title."""
        ...

    def list(self, *, after: str | None = None, limit: int = 100) -> Page[MeterNode]:
        """Return nodes by their meters' serial numbers."""
        ...

    def register(self, standings: Mapping[str, NodeStanding | None]) -> None:
        """Keep registrations by meter, None: it has left; in one transaction."""
        ...

    def note(self, meter: str, logs: Mapping[str, int]) -> None:
        """Keep how far logs are stored."""
        ...

    def forget(self, meters: Collection[str]) -> None:
        """Forget nodes that are meters no more."""
        ...
