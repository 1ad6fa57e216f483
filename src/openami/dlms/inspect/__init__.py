"""Readable trees of APDUs, HDLC frames and wrapper packets, deciphered with the keys at hand."""

from __future__ import annotations

from typing import TYPE_CHECKING

from openami.core.inspection import Node, to_dict, to_text
from openami.dlms.inspect.framing import HdlcInspector, dissect_packets
from openami.dlms.inspect.inspector import Inspector

if TYPE_CHECKING:
    from openami.dlms.security import Keys

__all__ = [
    "Inspector",
    "Node",
    "inspect_dlms",
    "inspect_hdlc",
    "inspect_wrapper",
    "to_dict",
    "to_text",
]


def inspect_dlms(octets: bytes, keys: Keys | None = None, *, title: bytes | None = None) -> Node:
    """Return the tree of one APDU.

    Args:
        octets: the APDU.
        keys: deciphers what it can.
        title: the sender's system title, where the APDU has none.

    Raises:
        DecodeError: the octets are no APDU.
    """
    return Inspector(keys, client_title=title, server_title=title).apdu(octets)


def inspect_hdlc(octets: bytes, keys: Keys | None = None, *, title: bytes | None = None) -> Node:
    """Return the tree of all HDLC frames; arguments as for ``inspect_dlms``.

    Raises:
        DecodeError: there is no good frame.
    """
    inspector = Inspector(keys, client_title=title, server_title=title)
    return HdlcInspector(inspector).frames(octets)


def inspect_wrapper(octets: bytes, keys: Keys | None = None, *, title: bytes | None = None) -> Node:
    """Return the tree of all wrapper packets; arguments as for ``inspect_dlms``.

    Raises:
        DecodeError: a packet is wrong or cut off.
    """
    inspector = Inspector(keys, client_title=title, server_title=title)
    return dissect_packets(octets, inspector)
