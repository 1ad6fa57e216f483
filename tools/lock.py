"""Resolve the dependencies of pyproject.toml into requirements/, with hashes and without addresses.

uv's own lock file names the registry's hosts for every file; a list of names, versions and hashes
pins the same and installs from any mirror.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
UV = Path(sys.executable).with_name("uv")


def compile_to(target: str, *args: str) -> None:
    """Write ``requirements/target`` for every Python that pyproject.toml allows."""
    subprocess.run(
        [
            UV, "pip", "compile", "--quiet", "--universal", "--python-version", "3.11",
            "--generate-hashes", "--no-header", "--upgrade", "-o", f"requirements/{target}", *args,
        ],
        cwd=ROOT,
        check=True,
    )  # fmt: skip


if __name__ == "__main__":
    compile_to("run.txt", "pyproject.toml", "requirements/build.in")
    compile_to("dev.txt", "pyproject.toml", "--group", "dev", "requirements/build.in")
