"""What a display keeps of the meter that it is paired with."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Self

from openami.core.errors import ConfigError, SecurityError
from openami.core.identifiers import SystemTitle, check_serial
from openami.dlms.invocation import MAX_COUNTER
from openami.dlms.security import Keys

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Paired:
    """A pairing: keep it in a file that only its owner reads; it holds keys.

    Args:
        serial: the meter's serial number.
        meter_title: the meter's system title.
        client: the SAP of the place that the display has at the meter.
        title: the display's own system title.
        keys: guek and gak of this display alone.
        since: when it was paired, UTC seconds.
        counter: from where its invocation counter goes on.
    """

    serial: str
    meter_title: SystemTitle
    client: int
    title: SystemTitle
    keys: Keys = field(repr=False)
    since: int = 0
    counter: int = 0

    def at(self, counter: int) -> Self:
        """Return the same pairing with another counter: what ``keep_counter`` is called for."""
        return replace(self, counter=counter)

    def data(self) -> dict[str, Any]:
        """Return what JSON holds; keys are in it."""
        return {
            "serial": self.serial,
            "meter_title": str(self.meter_title),
            "client": self.client,
            "title": str(self.title),
            "guek": (self.keys.guek or b"").hex(),
            "gak": (self.keys.gak or b"").hex(),
            "since": self.since,
            "counter": self.counter,
        }

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> Self:
        """Read what ``data`` returned.

        Raises:
            ConfigError: it is something else; what was found is not shown, it may be a key.
        """
        try:
            keys = Keys(guek=bytes.fromhex(data["guek"]), gak=bytes.fromhex(data["gak"]))
            return cls(
                check_serial(data["serial"]),
                SystemTitle.parse(data["meter_title"]),
                _within(data["client"], 0xFFFF),
                SystemTitle.parse(data["title"]),
                keys,
                int(data["since"]),
                _within(data["counter"], MAX_COUNTER + 1),
            )
        except (KeyError, ValueError, TypeError, SecurityError):
            raise ConfigError("this is no pairing with a meter", code="config.paired") from None


def _within(value: Any, most: int) -> int:
    number = int(value)
    if not 0 <= number <= most:
        raise ValueError("out of range")
    return number
