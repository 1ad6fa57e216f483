"""What a peer may make us hold: the bounds of one message."""

from __future__ import annotations

from typing import Final

MAX_APDU: Final = 256 * 1024
"""Octets of a message, whole or reassembled. A month's load profile at 15 minutes in 16 channels of
four octets has fewer, and who wants more reads it in parts.
"""
MAX_SERVICES: Final = 64
"""Of one message: each is answered, and a reader of every table of a decade asks for ten."""
MAX_TITLES: Final = 64
"""Relays that a Trace has passed: a network whose ways are longer runs in a circle."""
MAX_NATIVE: Final = 64
"""Octets of a native address: IPv6 with port and protocol has 19."""
