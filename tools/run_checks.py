"""Run every static check, side by side, and print one line each; exit 1 when any fails."""

from __future__ import annotations

import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent

CHECKS: dict[str, list[str | Path]] = {
    "ruff check": [BIN / "ruff", "check", "--quiet", "."],
    "ruff format": [BIN / "ruff", "format", "--check", "--quiet", "."],
    "import contracts": [BIN / "lint-imports", "--no-cache"],
    "mypy": [BIN / "mypy"],
    "docs": [sys.executable, "tools/generate_docs.py", "--check"],
    # What it compiles no worker of the tests has to compile once more.
    "tests are found": [sys.executable, "-m", "pytest", "--collect-only", "-q", "--no-cov"],
}


def run(name: str) -> str:
    """Run one, and print what came of it; return its name if it failed."""
    started = time.monotonic()
    done = subprocess.run(CHECKS[name], cwd=ROOT, capture_output=True, text=True, check=False)
    verdict = "FAILED" if done.returncode else "ok"
    said = done.stdout + done.stderr if done.returncode else ""
    line = f"{name:<18} {verdict:<7} {time.monotonic() - started:5.1f} s\n{said}"
    print(line, end="", flush=True)
    return name if done.returncode else ""


def main() -> int:
    """Run all; show the output of those that fail."""
    with ThreadPoolExecutor(len(CHECKS)) as pool:
        failed = [name for name in pool.map(run, CHECKS) if name]
    print(f"checks: {len(CHECKS) - len(failed)} passed, {len(failed)} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
