"""Where the meter of a home is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Self
from urllib.parse import SplitResult, urlsplit

from openami.core.errors import ConfigError
from openami.core.identifiers import check_serial

_HINT: Final = "as in tcp://192.168.1.20:4060 or gateway://192.168.1.30:4061/OAM00000001"


@dataclass(frozen=True, slots=True)
class HomeTarget:
    """A meter's home port, or a DCU's gateway to it.

    Args:
        host: of the meter, or of the DCU.
        port: of the home port, or of the gateway.
        serial: the meter behind the gateway; None: the meter itself is at ``host``.
    """

    host: str
    port: int
    serial: str | None = None

    @property
    def direct(self) -> bool:
        """Whether the meter is reached without a gateway: then it pushes."""
        return self.serial is None

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        if self.serial is None:
            return f"tcp://{host}:{self.port}"
        return f"gateway://{host}:{self.port}/{self.serial}"

    @classmethod
    def parse(cls, url: str) -> Self:
        """Read ``tcp://HOST:PORT`` or ``gateway://HOST:PORT/SERIAL``.

        Raises:
            ConfigError: it is neither (``config.url``).
        """
        try:
            parts = urlsplit(url)
            found = cls(parts.hostname or "", parts.port or 0, _serial(parts))
        except (ValueError, KeyError):
            found = cls("", 0)
        if str(found).lower() != url.lower().rstrip("/") or not (found.host and found.port):
            raise ConfigError(f"{url!r} is no meter of a home", hint=_HINT, code="config.url")
        return found


def _serial(parts: SplitResult) -> str | None:
    behind = {"tcp": False, "gateway": True}[parts.scheme]
    return check_serial(parts.path.removeprefix("/")) if behind else None
