"""Runs ``openami`` in a process that dies at the moment at which it logs some words.

Arguments: a JSON object, and then those of the command line. ``step`` are the words; ``after`` is
how many of the things that cannot be taken back (commits, messages) still happen; ``deaths`` is a
file that gets the words, on a line, when they were said.
"""

from __future__ import annotations

import io
import json
import os
import signal
import sys
from pathlib import Path
from typing import TextIO

from tests.support.dcu_session_child import Steps, watch


class Fate(Steps):
    """Counts from the moment at which it is sealed."""

    def __init__(self, step: str, after: int, deaths: Path) -> None:
        super().__init__(0)
        self._step = step
        self._after = after
        self._deaths = deaths
        self._sealed = False

    def hear(self, text: str) -> None:
        """Seal it if these are the words, and were not said before."""
        if self._sealed or self._step not in text:
            return
        self._sealed = True
        with self._deaths.open("a") as file:
            file.write(f"{self._step}\n")
        if not self._after:
            os.kill(os.getpid(), signal.SIGKILL)
        self._left = self._after


class Teller(io.TextIOBase):
    """Passes on what is logged, and lets fate hear it."""

    def __init__(self, log: TextIO, fate: Fate) -> None:
        self._log = log
        self._fate = fate

    def write(self, text: str) -> int:
        self._log.write(text)
        self._log.flush()
        self._fate.hear(text)
        return len(text)


def main(given: str, *arguments: str) -> None:
    told = json.loads(given)
    fate = Fate(told["step"], told["after"], Path(told["deaths"]))
    watch(fate)
    sys.stderr = Teller(sys.stderr, fate)
    sys.argv[1:] = arguments
    from openami.cli.main import main as command

    sys.exit(command())


if __name__ == "__main__":
    main(*sys.argv[1:])
