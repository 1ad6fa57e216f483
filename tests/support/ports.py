"""Ports for processes that are started again in their old place."""

from __future__ import annotations

import random
import socket
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


def free_ports() -> Iterator[str]:
    """Yield ports that nobody has, below those that the kernel gives to others in the meantime."""
    numbers = random.Random().sample(range(12_000, 32_000), 1000)
    for number in numbers:
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", number))
            except OSError:
                continue
        yield str(number)
