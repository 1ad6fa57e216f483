"""What a program leaves open that was ended in the middle: no bug of it, the system closes it."""

from __future__ import annotations

import gc
import warnings
from contextlib import ExitStack


class Abandoned:
    """From the first ``expect`` to ``collect``, nobody is warned of sockets that were left open.

    A task that is cancelled within a TLS handshake leaves its socket to the garbage collector,
    which may come by in whatever test is next.
    """

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._expected = False

    def expect(self) -> None:
        """Something is about to be ended wherever it is."""
        if not self._expected:
            self._expected = True
            self._stack.enter_context(warnings.catch_warnings())
            warnings.simplefilter("ignore", ResourceWarning)

    def collect(self) -> None:
        """Collect what was left open, once no loop and no peer holds it any more."""
        if self._expected:
            gc.collect()
            self._expected = False
        self._stack.close()
