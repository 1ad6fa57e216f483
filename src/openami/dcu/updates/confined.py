"""A process that runs an application of a DCU, with nothing of the DCU's within its reach.

The kernel lets it read Python and its own images, and write in its own folder; the DCU's keys and
state are neither (Landlock). It opens no socket but of IP, so that it does not reach the relays
which speak as the device. A kernel that cannot do so runs no application.

Usage: ``python -m openami.dcu.updates.confined FOLDER MODULE IMAGE [LIBRARY…]``.
"""

from __future__ import annotations

import ctypes
import os
import platform
import resource
import runpy
import signal
import socket
import struct
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

CONFINED: Final = 81
"""Exit status: it is not confined here."""
FILES_MOST: Final = 256
FILE_OCTETS: Final = 16 * 2**20
"""Of one file that an application writes: a full disk would stop its DCU."""

_libc: Final = ctypes.CDLL(None, use_errno=True)
_PR_SET_PDEATHSIG, _PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP = 1, 38, 22
_SECCOMP_MODE_FILTER: Final = 2

# landlock(7), the same numbers on every architecture. What it does not know of, a change of a
# file's mode or times, disturbs and tells nothing.
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_PATH_BENEATH: Final = 1
_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_TRUNCATE: Final = 1 << 14
_ALL: Final = (1 << 15) - 1  # up to the third version, which knows of cutting files short
_VERSION: Final = 1  # a flag: tell which version there is
_LEAST_VERSION, _SCOPES_FROM = 3, 6
_SCOPES: Final = 3  # abstract sockets and signals: only to itself
_READ: Final = _EXECUTE | _READ_FILE | _READ_DIR
_OF_A_FILE: Final = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE

# seccomp(2): by machine the number of its calls (AUDIT_ARCH), and of socket(2) and io_uring_setup.
_MACHINES: Final[Mapping[str, tuple[int, int]]] = {
    "x86_64": (0xC000003E, 41),
    "aarch64": (0xC00000B7, 198),
    "riscv64": (0xC00000F3, 198),
    "armv7l": (0x40000028, 281),
}
_IO_URING_SETUP: Final = 425
_X32: Final = 0x40000000  # another set of numbers for the same calls of x86_64
_AF_INET, _AF_INET6 = 2, 10
_LOAD, _EQUAL, _AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06
_NR, _ARCH, _FIRST = 0, 4, 16  # octets into struct seccomp_data
_ALLOW, _REFUSE = 0x7FFF0000, 0x00050001  # EPERM


def main(arguments: list[str]) -> None:
    """Confine this process, and be the application from then on."""
    folder, module, *images = arguments
    _libc.prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    resource.setrlimit(resource.RLIMIT_NOFILE, (FILES_MOST, FILES_MOST))
    resource.setrlimit(resource.RLIMIT_FSIZE, (FILE_OCTETS, FILE_OCTETS))
    os.chdir(folder)
    try:
        confine(Path(folder), [Path(image) for image in images])
    except OSError as error:
        sys.stderr.write(f"not confined: {error}\n")
        sys.exit(CONFINED)
    sys.path[:] = [*images, *sys.path]
    sys.argv[:] = [module]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


def confine(folder: Path, images: Iterable[Path]) -> None:
    """Leave this process its folder, its images and Python, for good.

    Raises:
        OSError: the kernel does not do it, or the folder is where all may read.
    """
    _call(_libc.prctl, _PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    version = _call(_libc.syscall, _CREATE_RULESET, None, 0, _VERSION)
    if version < _LEAST_VERSION:
        raise OSError(f"Landlock {version} does not keep files from being cut short")
    scopes = struct.pack("QQ", 0, _SCOPES) if version >= _SCOPES_FROM else b""
    wanted = struct.pack("Q", _ALL) + scopes
    ruleset = _call(_libc.syscall, _CREATE_RULESET, wanted, len(wanted), 0)
    for place in _python():
        # The state, with the keys, is around the folder: where Python is, all of it would be read.
        if folder.resolve().is_relative_to(place.resolve()):
            raise OSError(f"{folder} is below {place}, which may be read")
        _allow(ruleset, place, _READ)
    for image in images:
        _allow(ruleset, image, _READ_FILE)
    _allow(ruleset, folder, _ALL)
    _call(_libc.syscall, _RESTRICT_SELF, ruleset, 0)
    os.close(ruleset)
    _close_sockets()
    _try(lambda: socket.socket(socket.AF_UNIX).close(), "sockets of this machine")
    _try(lambda: list(folder.parent.iterdir()), "folders of the DCU")


def _python() -> Iterable[Path]:
    """Return where Python and the system's libraries are, but for what others may write."""
    system = ("/usr", "/lib", "/lib64", "/bin", "/etc/ssl", "/etc/resolv.conf", "/etc/hosts")
    chance = ("/dev/urandom", "/dev/null")
    places = {*system, *chance, sys.prefix, sys.base_prefix, *filter(os.path.isabs, sys.path)}
    return [Path(place) for place in sorted(places) if Path(place).exists()]


def _allow(ruleset: int, place: Path, rights: int) -> None:
    handle = os.open(place, os.O_PATH | os.O_CLOEXEC)
    try:
        rights &= _ALL if place.is_dir() else _OF_A_FILE
        rule = struct.pack("=Qi", rights, handle)
        _call(_libc.syscall, _ADD_RULE, ruleset, _PATH_BENEATH, rule, 0)
    finally:
        os.close(handle)


def _close_sockets() -> None:
    """Let only sockets of IP be opened: the others reach what is on this machine, and trusts it."""
    if platform.machine() not in _MACHINES:
        raise OSError(f"no filter is known for {platform.machine()}")
    machine, opens = _MACHINES[platform.machine()]
    steps = (
        (_LOAD, 0, 0, _ARCH),
        (_EQUAL, 0, 7, machine),  # another machine's numbers: refused
        (_LOAD, 0, 0, _NR),
        (_AT_LEAST, 5, 0, _X32),
        (_EQUAL, 4, 0, _IO_URING_SETUP),
        (_EQUAL, 0, 4, opens),
        (_LOAD, 0, 0, _FIRST),
        (_EQUAL, 2, 0, _AF_INET),
        (_EQUAL, 1, 0, _AF_INET6),
        (_RETURN, 0, 0, _REFUSE),
        (_RETURN, 0, 0, _ALLOW),
    )
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *step) for step in steps))
    program = struct.pack("HP", len(steps), ctypes.addressof(code))
    _call(_libc.prctl, _PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, program, 0, 0)


def _try(forbidden: Callable[[], object], what: str) -> None:
    """Let what must be out of reach be tried: a number that is not this kernel's shows here."""
    with suppress(PermissionError):
        forbidden()
        raise OSError(f"{what} are within reach")


def _call(function: ctypes._FuncPointer, *arguments: object) -> int:
    result = int(function(*arguments))
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


if __name__ == "__main__":
    main(sys.argv[1:])
