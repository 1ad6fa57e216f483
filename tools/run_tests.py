"""Install what the tests want from Debian, run them all, and say what was missing.

Arguments go to pytest. With CI=true in the environment a missing part is a failure: a run that
left something out must not look like one that did not.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

PARTS = {  # command: (Debian package, what stays untested without it)
    "chromium": ("chromium", "the console in a browser"),
    "openssl": ("openssl", "revocation lists before an independent judge"),
    "tshark": ("tshark", "C12.22 before an independent judge, WBXML before a second one"),
    "wbxml2xml": ("libwbxml2-utils", "WBXML before an independent judge"),
    "xmllint": ("libxml2-utils", "XML messages against their DTD"),
}


FLOOR = 99  # per cent of lines and branches of layers 1 to 4, that all tests together must reach


def selects(argument: str) -> bool:
    """Return whether an argument leaves tests out, so that coverage says nothing."""
    selecting = ("-k", "-m", "--lf", "--last-failed", "--deselect", "--ignore")
    return argument.startswith(selecting) or (ROOT / argument.split("::", maxsplit=1)[0]).exists()


def missing() -> list[str]:
    """Return the commands of PARTS that are not on this machine."""
    return [command for command in PARTS if shutil.which(command) is None]


def install(commands: list[str]) -> None:
    """Try Debian's packages, as root or through a sudo that asks nothing."""
    if shutil.which("apt-get") is None:
        return
    prefix: list[str] = []
    if os.geteuid() != 0:
        prefix = ["sudo", "-n"]
        if shutil.which("sudo") is None:
            return
        if subprocess.run([*prefix, "true"], capture_output=True, check=False).returncode:
            return
    packages = [PARTS[command][0] for command in commands]
    print(f"tests: installing {', '.join(packages)}", file=sys.stderr, flush=True)
    environment = [*prefix, "env", "DEBIAN_FRONTEND=noninteractive"]
    install = ["install", "-y", "-qq", "--no-install-recommends", *packages]
    for arguments in (["update", "-qq"], install):
        subprocess.run(
            [*environment, "apt-get", *arguments], stdout=subprocess.DEVNULL, check=False
        )


def main() -> int:
    """Run pytest; return its status, or 1 in CI when a part is missing."""
    if absent := missing():
        install(absent)
    arguments = sys.argv[1:]
    floor = ["--cov", "--cov-report=term", f"--cov-fail-under={FLOOR}"]
    whole = [] if any(map(selects, arguments)) else floor
    status = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-n",
            "4",  # of two cores: the tests of chains and of DCUs wait for most of their time
            "--dist",
            "worksteal",
            *whole,
            *arguments,
        ],
        cwd=ROOT,
        check=False,
    ).returncode
    absent = missing()
    for command in absent:
        package, what = PARTS[command]
        print(f"missing: {command} (Debian package {package}): not tested: {what}")
    if absent and os.environ.get("CI", "").lower() in {"1", "true", "yes"}:
        print("error[tests.missing]: CI allows no missing part")
        return status or 1
    return status


if __name__ == "__main__":
    sys.exit(main())
