"""Head-ends that browser tests run in processes of their own."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]


@contextmanager
def child(module: str, folder: Path) -> Iterator[str]:
    """Run a module of this folder with a folder of its own; return the address of its console."""
    command = [sys.executable, "-m", f"tests.browser.{module}", str(folder)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            # Before the address, the log says what has happened.
            said = next(line[1:] for line in process.stdout if line.startswith("@"))
            yield json.loads(said)["url"]
        finally:
            process.kill()


def say(url: str) -> None:
    """Tell the test, from within the process, where the console is."""
    sys.stdout.write("\n@" + json.dumps({"url": url}) + "\n")
    sys.stdout.flush()
