"""Where neighbours are, as far as their names say it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from openami.c1222.native import NativeAddress, Transport
from openami.c1222.station import Peer
from openami.c1222.stream import PORT

if TYPE_CHECKING:
    from collections.abc import Hashable


def address_of(source: Hashable) -> NativeAddress | None:
    """Return where a source is, if it says so."""
    if isinstance(source, Peer):
        return source.address
    return source if isinstance(source, NativeAddress) else None


def same_place(one: Hashable, other: Hashable) -> bool:
    """Tell whether two names of neighbours are of the same one: connections come and go."""
    return one == other or (_place(one) is not None and _place(one) == _place(other))


def _place(source: Hashable) -> Hashable:
    address = address_of(source)
    if address is None:
        return None
    kind = address.transport or Transport.TCP
    return address.host, address.port or PORT, kind
