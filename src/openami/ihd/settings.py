"""What a display runs with, and what its household chose."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Final, Self

from openami.core.errors import ConfigError
from openami.mdm.tariffs.catalog import tariff_names
from openami.transport.clock import SystemClock

if TYPE_CHECKING:
    from collections.abc import Mapping
    from decimal import Decimal
    from pathlib import Path
    from zoneinfo import ZoneInfo

    from openami.core.clock import Clock
    from openami.mdm.tariffs.model import Tariff
    from openami.transport.home import HomeTarget

LANGUAGES: Final = ("en", "ko")
THEMES: Final = ("auto", "light", "dark")
_CHOICES: Final[Mapping[str, tuple[str | None, ...]]] = {
    "language": (None, *LANGUAGES),
    "theme": THEMES,
}


@dataclass(frozen=True, slots=True)
class DisplaySettings:
    """What a display runs with.

    Attributes:
        state: its folder.
        tariff: by which it makes bills, unless the household chooses another.
        target: where its meter is; None: where it was when they were paired.
        listen: host and port of its page.
        zone: whose midnights count; None: those of the tariff.
        carbon: grams per kWh in place of the country's figure.
        name: what the meter calls it.
        hosts: names beside addresses and localhost by which browsers may ask for it.
        certificate: its certificate and private key, for TLS.
        pin: of the household; without one, only this machine may ask.
        every_s: seconds between two readings through a gateway.
        clock: the world's.
    """

    state: Path
    tariff: Tariff
    target: HomeTarget | None = None
    listen: tuple[str, int] = ("127.0.0.1", 0)
    zone: ZoneInfo | None = None
    carbon: Decimal | None = None
    name: str = "display"
    hosts: tuple[str, ...] = ()
    certificate: tuple[Path, Path] | None = None
    pin: str | None = None
    every_s: float = 30.0
    clock: Clock = SystemClock()  # noqa: RUF009 - it holds nothing

    def __repr__(self) -> str:
        return f"DisplaySettings({self.state})"  # the PIN is in no log


@dataclass(frozen=True, slots=True)
class Choices:
    """What a household chose on the page.

    Attributes:
        language: None: the browser's.
        theme: one of ``THEMES``.
        tariff: name of a tariff that is shipped; None: the one the display was started with.
    """

    language: str | None = None
    theme: str = "auto"
    tariff: str | None = None

    def changed(self, wanted: Mapping[str, Any]) -> Self:
        """Return choices with others in place.

        Raises:
            ConfigError: ``home.settings``, there is no such choice.
        """
        for name, value in wanted.items():
            known = (None, *tariff_names()) if name == "tariff" else _CHOICES.get(name, ())
            if value not in known:
                raise ConfigError(f"{name[:32]} can not be that", code="home.settings")
        return replace(self, **wanted)

    def text(self) -> str:
        """Return them as ``of`` reads them."""
        return json.dumps(asdict(self))

    @classmethod
    def of(cls, kept: str | None) -> Self:
        """Read what ``text`` returned; of another version, the defaults."""
        try:
            return cls().changed(json.loads(kept or "{}"))
        except (ValueError, TypeError, AttributeError, ConfigError):
            return cls()
