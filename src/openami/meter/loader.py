"""Applications out of images: run once for all meters of this process that have the image."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final, Protocol

from openami.core.errors import SecurityError
from openami.core.recent import Recent

if TYPE_CHECKING:
    from openami.firmware.payload import About, Payload
    from openami.meter.objects import Hooks, ObjectModel

MOST_PROGRAMS: Final = 16
"""Applications that are held, loaded: a street has the old image, the new one, and a bad one."""

ENTRY: Final = "start"


class Application(Protocol):
    """What ``start`` of an ``application.py`` returns."""

    model: ObjectModel
    """The COSEM objects of the logical device."""

    def self_test(self) -> Generator[None, None, bool]:
        """Return the test: it yields while it goes on, and returns whether the image is kept.

        What it raises says no.
        """
        ...


Start = Callable[["Hooks"], Application]


@dataclass(frozen=True, slots=True)
class Program:
    """An application that is loaded: what its image says of it, and its entry."""

    about: About
    start: Start


class Loader:
    """Loads applications, each once.

    The names of an application's module are shared by all meters that run it: what belongs to one
    meter belongs into what ``start`` returns.
    """

    def __init__(self) -> None:
        self._programs: Recent[bytes, Program] = Recent(MOST_PROGRAMS)

    def load(self, digest: bytes, payload: Callable[[], Payload]) -> Program:
        """Return an application.

        Args:
            digest: the hash of the image, by which the boot code has verified it.
            payload: reads what it carries, if it is not loaded.

        Raises:
            SecurityError: it has no entry (``firmware.application``).
            Exception: whatever the application raises.
        """
        found = self._programs.get(digest)
        if found is None:
            found = _run(digest, payload())
        self._programs[digest] = found
        return found


def _run(digest: bytes, payload: Payload) -> Program:
    module = ModuleType(f"firmware_{digest.hex()[:16]}")
    names: dict[str, Any] = module.__dict__
    name = f"<{payload.about.identifier}>"
    code = compile(payload.application, name, "exec", dont_inherit=True)
    exec(code, names)  # noqa: S102 - firmware: its maker signed it, and the boot code checked that
    start = names.get(ENTRY)
    if not callable(start):
        raise SecurityError(f"the application has no {ENTRY}", code="firmware.application")
    return Program(payload.about, start)


LOADER: Final = Loader()
"""This process's."""
