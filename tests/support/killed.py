"""A child process that does work until it is killed without warning."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random

_ROOT = Path(__file__).resolve().parents[2]


def run_and_kill(
    module: str, *arguments: str, after_lines: int, chance: random.Random
) -> list[str]:
    """Run a module until it has printed some lines, kill it soon after, and return its lines.

    A line is what the child says it has made durable.
    """
    environment = {**os.environ, "PYTHONPATH": str(_ROOT), "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        stdout=subprocess.PIPE,
        env=environment,
        text=True,
    ) as child:
        assert child.stdout is not None
        lines = [child.stdout.readline() for _ in range(after_lines)]
        time.sleep(chance.random() * 0.05)
        child.kill()
        lines += child.stdout.readlines()
    assert child.returncode == -9, "the child ended by itself"
    return [line.strip() for line in lines if line.endswith("\n")]
