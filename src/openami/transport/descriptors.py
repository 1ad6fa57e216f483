"""File descriptors: one for each connection."""

from __future__ import annotations

import resource
from typing import Final

ENOUGH: Final = 65_536
"""For a process with tens of thousands of connections; a table of more takes memory for nothing."""


def allow_descriptors(enough: int = ENOUGH) -> int:
    """Let this process have as many as it is allowed to, up to ``enough``; return how many.

    The limit that a process begins with is for programs that wait with ``select``, which cannot
    take more than 1,024: ours do not.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = enough if hard == resource.RLIM_INFINITY else min(enough, hard)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
        return most
    return most if soft == resource.RLIM_INFINITY else min(soft, enough)
