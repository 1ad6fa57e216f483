"""The tables that do not change while a meter runs: formats, sizes, sources, tariff, rights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from openami.c1222.tables import Procedure, TableId, Tables, standard
from openami.c1222.tables.formats import CharFormat, NiFormat, TimeFormat
from openami.meter.c1222.description import DESCRIPTION
from openami.meter.c1222.rights import OPEN, SECRET, WRITABLE
from openami.meter.c1222.sizes import (
    EVENT_CODES,
    LOG_SIZE,
    LP_FLAGS,
    LP_FORMATS,
    REG_FUNC_1,
    REG_FUNC_2,
    SOURCE_FLAGS,
    TIME_FUNC_1,
    TIME_FUNC_2,
)
from openami.meter.c1222.sources import CHANNELS, DEMANDS, SUMMATIONS, Source, present, sources
from openami.metrology.energy import RATES
from openami.metrology.events import CAPACITY, Ring

if TYPE_CHECKING:
    from collections.abc import Mapping

    from openami.fleet.shipment import ShippedC1222
    from openami.metrology.config import EngineConfig
    from openami.metrology.tariff import Switch

PENDING: Final = 2
STATUS_OCTETS: Final = 1  # of the manufacturer in ST-03
U32: Final = 4  # INT_FMT_CDE
_ORDINARY: Final = (
    *(0, 1, 3, 4, 5, 6, 7, 8, 10, 11, 12, 13, 15, 16, 20, 21, 22, 23, 25, 26, 27, 28),
    *(40, 41, 42, 44, 45, 50, 51, 52, 53, 54, 55, 56, 70, 71, 72, 76),
)
_PROFILE: Final = (60, 61, 62, 63, 64)
_MINUTE: Final = 60
_DAY: Final = 86_400

PROCEDURES: Final = frozenset(
    {
        Procedure.COLD_START,
        Procedure.WARM_START,
        Procedure.CLEAR_DATA,
        Procedure.RESET_LIST_POINTERS,
        Procedure.UPDATE_LAST_READ_ENTRY,
        Procedure.REMOTE_RESET,
        Procedure.SET_DATE_TIME,
        Procedure.EXECUTE_DIAGNOSTICS,
        Procedure.ACTIVATE_ALL_PENDING,
        Procedure.ACTIVATE_PENDING,
        Procedure.CLEAR_ALL_PENDING,
        Procedure.CLEAR_PENDING,
        Procedure.DIRECT_LOAD_CONTROL,
    }
)
OWN_PROCEDURES: Final = frozenset(range(3))


@dataclass(frozen=True, slots=True)
class Profile:
    """How the load profile is cut into blocks of a day.

    Attributes:
        period: seconds of an interval.
        intervals: of a block.
        blocks: of the table: the ring's, and the day under way.
    """

    period: int
    intervals: int
    blocks: int

    @classmethod
    def of(cls, config: EngineConfig) -> Profile | None:
        """Return it; None if the intervals are no whole minutes, which C12.19 cannot say."""
        if config.period % _MINUTE:
            return None
        intervals = _DAY // config.period
        return cls(
            config.period, intervals, -(-config.capacity[Ring.LOAD_PROFILE] // intervals) + 1
        )


class FixedTables:
    """The fixed tables of one meter.

    Args:
        config: how it measures.
        material: its keys and users.
        public: whether everybody reads what it measures.

    Attributes:
        tables: the layouts of all its tables.
        contents: the octets of the fixed ones.
        sources: what it measures.
        profile: how its load profile is cut; None: it cannot be shown.
    """

    def __init__(
        self, config: EngineConfig, material: ShippedC1222, *, public: bool = False
    ) -> None:
        self._config = config
        self._public = public
        self.sources: tuple[Source, ...] = sources(config.phases)
        self.profile = Profile.of(config)
        self._standard = frozenset((*_ORDINARY, *(_PROFILE if self.profile else ())))
        self._own = frozenset(range(4))
        self.contents: dict[TableId, bytes] = {}
        values = self._config_values()
        self.tables = Tables.of_values(values, DESCRIPTION)
        self._put(0, values)
        for numbers, values in (
            ((10, 11), self._sources_size()),
            ((20, 21), self._registers_size()),
            ((40, 41), self._security_size(material)),
            ((50, 51), self._calendar_size()),
            ((70, 71), LOG_SIZE),
        ):
            self._put_size(numbers, values)
        if self.profile is not None:
            self._put_profile(self.profile)
        self._put_sources()
        self._put(22, self._selection())
        self._put(27, self._present())
        self._put(44, self._access())
        self._put(54, self._calendar())
        self._put(72, EVENT_CODES)

    @property
    def readable(self) -> frozenset[TableId]:
        """The tables that there are, and that show no secret."""
        every = {standard(number) for number in self._standard - SECRET}
        return frozenset(every | {TableId(number, manufacturer=True) for number in self._own})

    def _put(self, number: int, values: Mapping[str, Any]) -> bytes:
        octets = self.tables.encode(standard(number), values)
        self.contents[standard(number)] = octets
        return octets

    def _put_size(self, numbers: tuple[int, int], values: Mapping[str, Any]) -> None:
        for number in numbers:
            octets = self._put(number, values)
            self.tables = self.tables.learn(standard(number), octets)

    def _put_sources(self) -> None:
        count = len(self.sources)
        demands = [source.demand for source in self.sources]
        minutes = max(self._config.period // _MINUTE, 1)
        self._put(12, {"UOM_ENTRY": [source.uom for source in self.sources]})
        self._put(13, {"INTERVAL_VALUE": [{"INT_LENGTH": minutes}] * sum(demands)})
        self._put(15, {"SELECTION": [{"MULTIPLIER": 1, "OFFSET": 0}] * count})
        links = [
            {
                "UOM_ENTRY": True,
                "DEMAND_CTRL": demand,
                "DATA_CTRL": False,
                "CONSTANTS": True,
                "PULSE_ENGR": False,
                "CONSTANT_TO_BE_APPLIED": False,
            }
            for demand in demands
        ]
        self._put(16, {"SOURCES_LINK": links})

    def _put_profile(self, profile: Profile) -> None:
        size = {
            "NBR_BLKS": profile.blocks,
            "NBR_BLK_INTS": profile.intervals,
            "NBR_CHNS": len(CHANNELS),
            "MAX_INT_TIME": profile.period // _MINUTE,
        }
        octets = profile.blocks * block_size(profile)
        self._put_size(
            (60, 61), {"LP_MEMORY_LEN": octets, "LP_FLAGS": LP_FLAGS, "LP_FMATS": LP_FORMATS}
            | {"SET1": size},
        )  # fmt: skip
        channels = [
            {"CHNL_FLAG": 0, "LP_SOURCE_SELECT": source, "END_BLK_RDG_SRC_SELECT": source}
            for source in CHANNELS
        ]
        control = self._put(62, {"SET1": {"SOURCES": channels, "INT_FMT_CDE": U32}})
        self.tables = self.tables.learn(standard(62), control)

    def _config_values(self) -> dict[str, Any]:
        return {
            "FORMAT_CONTROL_1": {
                "DATA_ORDER": 0,
                "CHAR_FORMAT": CharFormat.ASCII,
                "MODEL_SELECT": 0,
            },
            "FORMAT_CONTROL_2": {
                "TM_FORMAT": TimeFormat.SECONDS,
                "DATA_ACCESS_METHOD": 3,  # by index and by offset
                "ID_FORM": False,
                "INT_FORMAT": 0,
            },
            "FORMAT_CONTROL_3": {"NI_FORMAT1": NiFormat.INT48, "NI_FORMAT2": NiFormat.INT32},
            "DEVICE_CLASS": DEVICE_CLASS,
            "NAMEPLATE_TYPE": 2,  # electricity
            "DEFAULT_SET_USED": 0,
            "MAX_PROC_PARM_LENGTH": 80,
            "MAX_RESP_DATA_LEN": 32,
            "STD_VERSION_NO": 2,
            "STD_REVISION_NO": 0,
            "DIM_STD_TBLS_USED": 10,
            "DIM_MFG_TBLS_USED": 1,
            "DIM_STD_PROC_USED": 3,
            "DIM_MFG_PROC_USED": 1,
            "DIM_MFG_STATUS_USED": STATUS_OCTETS,
            "NBR_PENDING": PENDING,
            "STD_TBLS_USED": self._standard,
            "MFG_TBLS_USED": self._own,
            "STD_PROC_USED": frozenset(map(int, PROCEDURES)),
            "MFG_PROC_USED": OWN_PROCEDURES,
            "STD_TBLS_WRITE": frozenset(
                table.number for table in WRITABLE if not table.manufacturer
            ),
            "MFG_TBLS_WRITE": frozenset(table.number for table in WRITABLE if table.manufacturer),
        }

    def _sources_size(self) -> dict[str, Any]:
        flags = dict.fromkeys(SOURCE_FLAGS, False) | {"BLOCK_DEMAND": True}
        count = len(self.sources)
        return {
            "SOURCE_FLAGS": flags,
            "NBR_UOM_ENTRIES": count,
            "NBR_DEMAND_CTRL_ENTRIES": len(DEMANDS),
            "DATA_CTRL_LENGTH": 0,
            "NBR_DATA_CTRL_ENTRIES": 0,
            "NBR_CONSTANTS_ENTRIES": count,
            "CONSTANTS_SELECTOR": 2,  # electric
            "NBR_SOURCES": count,
        }

    def _registers_size(self) -> dict[str, Any]:
        on = {"DATE_TIME": True, "DEMAND_RESET_CTR": True, "TIME_REMAINING": True}
        return {
            "FUNC1": dict.fromkeys(REG_FUNC_1, False) | on,
            "FUNC2": dict.fromkeys(REG_FUNC_2, False)
            | {"SELF_READ_SEQ_NBR": True, "SELF_READ_DEMAND_RESET": 0},
            "NBR_SELF_READS": CAPACITY[Ring.SELF_READ],
            "NBR_SUMMATIONS": len(SUMMATIONS),
            "NBR_DEMANDS": 1,
            "NBR_COIN_VALUES": 0,
            "NBR_OCCUR": 1,
            "NBR_TIERS": RATES,
            "NBR_PRESENT_DEMANDS": len(DEMANDS),
            "NBR_PRESENT_VALUES": len(self.sources) - len(DEMANDS),
        }

    def _security_size(self, material: ShippedC1222) -> dict[str, Any]:
        return {
            "NBR_PASSWORDS": 1,
            "PASSWORD_LEN": 20,
            "NBR_KEYS": len(material.keys),
            "KEY_LEN": 16,
            "NBR_PERM_USED": len(self._entries()),
        }

    def _calendar_size(self) -> dict[str, Any]:
        size = 3 * len(self._switches()) + len(_SCHEDULES)
        return {
            "FLAG1": dict.fromkeys(TIME_FUNC_1, False),
            "FLAG2": dict.fromkeys(TIME_FUNC_2, False)
            | {"CAP_DST_AUTO": True, "CAP_TM_ZN_OFFSET": True},
            "CALENDAR": {"NBR_SEASONS": 1, "NBR_SPECIAL_SCHED": 0},
            "NBR_NON_RECURR_DATES": 0,
            "NBR_RECURR_DATES": 0,
            "NBR_TIER_SWITCHES": len(self._switches()),
            "CALENDAR_TBL_SIZE": size,
        }

    def _selection(self) -> dict[str, Any]:
        return {
            "SUMMATION_SELECT": list(SUMMATIONS),
            "DEMAND_SELECT": [DEMANDS[0]],
            "MIN_OR_MAX_FLAGS": frozenset({0}),
            "COINCIDENT_SELECT": [],
            "COIN_DEMAND_ASSOC": [],
        }

    def _present(self) -> dict[str, Any]:
        return {
            "PRESENT_DEMAND_SELECT": list(DEMANDS),
            "PRESENT_VALUE_SELECT": list(present(len(self.sources))),
        }

    def _entries(self) -> list[tuple[TableId, bool]]:
        tables = sorted(
            {standard(number) for number in self._standard}
            | {TableId(number, manufacturer=True) for number in self._own}
        )
        procedures = [standard(number) for number in sorted(PROCEDURES)]
        procedures += [TableId(number, manufacturer=True) for number in sorted(OWN_PROCEDURES)]
        return [(table, False) for table in tables] + [(each, True) for each in procedures]

    def _access(self) -> dict[str, Any]:
        return {"ACCESS_CONTROL": [self._right(*each) for each in self._entries()]}

    def _right(self, table: TableId, procedure: bool) -> dict[str, Any]:
        """Return who may do what: the one user has bit 0."""
        secret = not table.manufacturer and table.number in SECRET
        read = not procedure and not secret
        return {
            "IDC": {
                "NUMBER": table.number,
                "MANUFACTURER": table.manufacturer,
                "PROCEDURE": procedure,
                "ANY_READ": read and (self._public or table in OPEN),
                "ANY_WRITE": False,
            },
            "READ": int(read),
            "WRITE": int(procedure or table in WRITABLE),
        }

    def _switches(self) -> list[tuple[Switch, int]]:
        tariff = self._config.tariff
        plans = ((tariff.weekday, WEEKDAY), (tariff.weekend, WEEKEND))
        return [(switch, schedule) for plan, schedule in plans for switch in plan]

    def _calendar(self) -> dict[str, Any]:
        switches = [
            {
                "TIER_SWITCH": {
                    "TIER": switch.rate - 1,
                    "SUMMATION": True,
                    "DEMAND": True,
                    "MINUTE": switch.minute % 60,
                    "HOUR": switch.minute // 60,
                },
                "DAY_SCH_NUM": schedule,
            }
            for switch, schedule in self._switches()
        ]
        return {
            "NON_RECURR_DATES": [],
            "RECURR_DATES": [],
            "TIER_SWITCHES": switches,
            "DAILY_SCHEDULE_ID": _SCHEDULES,
        }


def block_size(profile: Profile) -> int:
    """Return the octets of a block: its time, a bit and a status and values for each interval."""
    status = len(CHANNELS) // 2 + 1
    return 4 + -(-profile.intervals // 8) + profile.intervals * (status + 4 * len(CHANNELS))


DEVICE_CLASS: Final = b"OAMI"
WEEKDAY: Final = 0
WEEKEND: Final = 1
"""Numbers of the day schedules."""
_SCHEDULES: Final = bytes((WEEKEND, WEEKEND, WEEKDAY))  # Saturday, Sunday, the others
