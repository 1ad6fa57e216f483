"""Runs ``openami`` in a process that dies at the moment at which it logs one of some words.

Arguments: a JSON object of these, and then those of the command line. ``steps`` are the words;
``after`` is how many of the things that cannot be taken back (commits, messages) still happen.
"""

from __future__ import annotations

import io
import json
import os
import signal
import sys
from typing import TextIO

from tests.support.dcu_session_child import Steps, watch


class Fate(Steps):
    """Counts from the moment at which it is sealed."""

    def __init__(self, after: int) -> None:
        super().__init__(0)
        self._after = after

    def seal(self) -> None:
        if not self._after:
            os.kill(os.getpid(), signal.SIGKILL)
        self._left = self._after


class Teller(io.TextIOBase):
    """Passes on what is logged, and seals the fate of who says the words."""

    def __init__(self, log: TextIO, steps: list[str], fate: Fate) -> None:
        self._log = log
        self._steps = steps
        self._fate = fate

    def write(self, text: str) -> int:
        self._log.write(text)
        self._log.flush()
        if any(step in text for step in self._steps):
            self._steps.clear()
            self._fate.seal()
        return len(text)


def main(given: str, *arguments: str) -> None:
    told = json.loads(given)
    fate = Fate(told["after"])
    watch(fate)
    sys.stderr = Teller(sys.stderr, told["steps"], fate)
    sys.argv[1:] = arguments
    from openami.cli.main import main as command

    sys.exit(command())


if __name__ == "__main__":
    main(*sys.argv[1:])
