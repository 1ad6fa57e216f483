"""What a peer may make us hold: the bounds of one message."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds that hold while a message is read, not after.

    Attributes:
        octets: of the message. Our ends announce a MaxMsgSize of far less; a megabyte leaves room
            for a peer's inline TNDS tree of a whole device.
        depth: of elements. SyncML needs 9 (an Atomic in a Sequence, down to the item's Meta); the
            rest is for inline TNDS trees, whose nodes nest as deep as the management tree does.
        elements: of the message. One of a megabyte with a value in each has about this many.
        text_octets: of all characters and opaque data. A WBXML string table may be referred to
            from everywhere, so that a small message could unfold to gigabytes.
        commands: of the message, with those in Atomic and Sequence: each is answered by a Status,
            and the answer has to fit somewhere too.
        items: of all commands together, for the same reason.
    """

    octets: int = 2**20
    depth: int = 64
    elements: int = 65_536
    text_octets: int = 2**20
    commands: int = 2_048
    items: int = 8_192


DEFAULT_LIMITS: Final = Limits()
