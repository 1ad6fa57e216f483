"""Tables that clients write, and those that wait for their activation: kept with the meter."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from openami.c1222.tables import Pending, TableId, TableMemory, standard
from openami.core.errors import OpenAmiError
from openami.meter.c1222.moments import moment, shown

if TYPE_CHECKING:
    from collections.abc import Mapping

    from openami.c1222.tables import Tables
    from openami.meter.device import Meter

IDENTITY: Final = standard(5)
NAMES: Final = standard(6)
_NAMES: Final = (
    *("OWNER_NAME", "UTILITY_DIV", "SERVICE_POINT_ID", "ELEC_ADDR", "DEVICE_ID", "UTIL_SER_NO"),
    *("CUSTOMER_ID", "TARIFF_ID", "EX1_SW_VENDOR", "EX2_SW_VENDOR", "PROGRAMMER_NAME", "MISC_ID"),
)


class WrittenTables:
    """Of one meter.

    Args:
        meter: the meter.
        memory: what it serves; what was written before is put into it.
    """

    def __init__(self, meter: Meter, memory: TableMemory) -> None:
        self._meter = meter
        self._memory = memory
        memory.contents.update(_factory(meter.serial, memory.tables))
        self._restore()

    def _restore(self) -> None:
        record, memory = self._meter.c1222, self._memory
        for name, text in tuple(record.tables.items()):
            try:
                memory.write(TableId.parse(name), bytes.fromhex(text))
            except (OpenAmiError, ValueError):  # of another program: it is as from the factory
                del record.tables[name]
        for name, (event, octets) in record.pending.items():
            memory.pending[TableId.parse(name)] = Pending(
                bytes.fromhex(event), bytes.fromhex(octets)
            )
        memory.activated = moment(record.activated)

    def keep(self) -> None:
        """Keep with the next commit what was written."""
        record, memory = self._meter.c1222, self._memory
        made = _factory(self._meter.serial, memory.tables)
        record.tables = {
            str(table): memory.contents[table].hex()
            for table, octets in made.items()
            if memory.contents[table] != octets
        }
        record.pending = {
            str(table): (waiting.event.hex(), waiting.octets.hex())
            for table, waiting in memory.pending.items()
        }
        self._meter.opened()

    def activate(self, event: Mapping[str, Any] | None) -> int:
        """Put pending tables in force, those of an event or all; return how many there were.

        Raises:
            DecodeError: one of them is not that table any more; nothing has changed.
        """
        seconds = self._meter.engine.seconds
        count = self._memory.activate(event=_octets(event), now=shown(seconds))
        if count:
            self._meter.c1222.activated = seconds
        self.keep()
        return count

    def clear(self, event: Mapping[str, Any] | None) -> int:
        """Drop pending tables, those of an event or all; return how many there were."""
        dropped = self._memory.clear(event=_octets(event))
        self.keep()
        return dropped

    def forget(self) -> None:
        """Go back to what the meter left the factory with."""
        self._memory.pending.clear()
        self._memory.contents.update(_factory(self._meter.serial, self._memory.tables))
        self.keep()


def _octets(event: Mapping[str, Any] | None) -> bytes | None:
    """Return an event as it stands before a pending table."""
    if event is None:
        return None
    selector = event["SELECTOR"]
    first = selector["EVENT"] | selector["SELF_READ"] << 4 | selector["DEMAND_RESET"] << 5
    return bytes((first | selector.get("UNNAMED", 0),)) + bytes(event["STORAGE"])


def _factory(serial: str, tables: Tables) -> dict[TableId, bytes]:
    named = dict.fromkeys(_NAMES, "")
    names: dict[str, Any] = {
        **named,
        "DEVICE_ID": serial[:20],
        **{f"COORDINATE_{number}": bytes(10) for number in (1, 2, 3)},
        **{f"EX{number}_SW_{what}": 0 for number in (1, 2) for what in ("VERSION", "REVISION")},
    }
    return {
        IDENTITY: tables.encode(IDENTITY, {"IDENTIFICATION": serial[:20]}),
        NAMES: tables.encode(NAMES, names),
    }
