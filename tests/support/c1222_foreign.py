"""A C12.19 meter of another maker, in memory: big-endian, BCD times in local time, decimals.

Its load profile stands newest first, in blocks of four intervals of 15 minutes, of which the newest
is filled partly; its log is ST-74.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from openami.c1222.codes import ResponseCode
from openami.c1222.services import (
    Done,
    Failure,
    Read,
    Request,
    Response,
    Security,
    Write,
)
from openami.c1222.tables import (
    ProcedureRequest,
    ProcedureResponse,
    Result,
    TableMemory,
    Tables,
    serve,
    standard,
)

if TYPE_CHECKING:
    from collections.abc import Callable

ZONE: Final = 9 * 3600
PERIOD: Final = 900
BLOCKS: Final = 5
INTERVALS: Final = 4
ENTRIES: Final = 6
PASSWORD: Final = b"open sesame"
USER: Final = 7
EPOCH: Final = datetime(1970, 1, 1)  # noqa: DTZ001 - the meter's clock
_QUADRANTS: Final = {"Q1": False, "Q2": False, "Q3": False, "Q4": False}


def uom(code: int, base: int, *quadrants: int, multiplier: int = 0, **more: Any) -> dict[str, Any]:
    """Return a unit of ST-12."""
    return {
        "ID_CODE": code,
        "TIME_BASE": base,
        "MULTIPLIER": multiplier,
        **_QUADRANTS,
        **{f"Q{number}": True for number in quadrants},
        "NET_FLOW": False,
        "SEGMENTATION": 0,
        "HARMONIC": False,
        "ID_RESOURCE": 0,
        "NFS": False,
        **more,
    }


UNITS: Final = [uom(0, 0, 1, 4, multiplier=1), uom(1, 0, 1, 2), uom(40, 0), uom(0, 3, 1, 4)]
CONFIG: Final[dict[str, Any]] = {
    "FORMAT_CONTROL_1": {"DATA_ORDER": True, "CHAR_FORMAT": 1, "MODEL_SELECT": 0},
    "FORMAT_CONTROL_2": {
        "TM_FORMAT": 1,
        "DATA_ACCESS_METHOD": 3,
        "ID_FORM": False,
        "INT_FORMAT": 0,
    },
    "FORMAT_CONTROL_3": {"NI_FORMAT1": 4, "NI_FORMAT2": 1},
    "DEVICE_CLASS": b"FRGN",
    "NAMEPLATE_TYPE": 2,
    "DEFAULT_SET_USED": 0,
    "MAX_PROC_PARM_LENGTH": 30,
    "MAX_RESP_DATA_LEN": 30,
    "STD_VERSION_NO": 2,
    "STD_REVISION_NO": 0,
    "DIM_STD_TBLS_USED": 10,
    "DIM_MFG_TBLS_USED": 1,
    "DIM_STD_PROC_USED": 3,
    "DIM_MFG_PROC_USED": 1,
    "DIM_MFG_STATUS_USED": 0,
    "NBR_PENDING": 0,
    "STD_TBLS_USED": frozenset({0, 1, 7, 8, 11, 12, 16, 21, 22, 23, 52, 61, 62, 63, 64, 71, 74}),
    "MFG_TBLS_USED": frozenset[int](),
    "STD_PROC_USED": frozenset({10}),
    "MFG_PROC_USED": frozenset[int](),
    "STD_TBLS_WRITE": frozenset({7}),
    "MFG_TBLS_WRITE": frozenset[int](),
}


def flags(*names: str, set_: tuple[str, ...] = ()) -> dict[str, bool]:
    """Return bits by name, those of ``set_`` set."""
    return {name: name in set_ for name in names}


class ForeignMeter:
    """A meter; ``ask`` answers requests. What it has counted in an interval is its number."""

    def __init__(
        self, now: float, *, intervals: int = 14, used: frozenset[int] = frozenset()
    ) -> None:
        self.now = now
        self.first = int(now) // PERIOD - intervals  # the number of the interval before the first
        self.last = int(now) // PERIOD
        self.invalid: set[int] = set()
        self.asked: list[tuple[Request, ...]] = []
        self.closed = False  # whether it wants a password
        self.before: Callable[[tuple[Request, ...]], None] = lambda _: None
        self.result = Result.DONE
        self.set_to: datetime | None = None
        self.events: list[tuple[float, int, bool]] = []
        self.version = 1
        self.skew = 0.0
        config = {**CONFIG, "STD_TBLS_USED": CONFIG["STD_TBLS_USED"] - used}
        tables = Tables.of_values(config)
        self.memory = TableMemory(tables, {standard(0): tables.encode(standard(0), config)})
        self._dimensions()
        self.refresh()

    def _put(self, number: int, values: dict[str, Any]) -> None:
        table = standard(number)
        self.memory.contents[table] = self.memory.tables.encode(table, values)

    def _learn(self, number: int, values: dict[str, Any]) -> None:
        self._put(number, values)
        octets = self.memory.contents[standard(number)]
        self.memory.tables = self.memory.tables.learn(standard(number), octets)

    def _dimensions(self) -> None:
        sizes = {"NBR_UOM_ENTRIES": 4, "NBR_SOURCES": 5, "CONSTANTS_SELECTOR": 2}
        for name in ("DEMAND_CTRL_ENTRIES", "DATA_CTRL_ENTRIES", "CONSTANTS_ENTRIES"):
            sizes[f"NBR_{name}"] = 0
        none = ("PF_EXCLUDE", "RESET_EXCLUDE", "BLOCK_DEMAND", "SLIDING_DEMAND", "THERMAL_DEMAND")
        more = ("SET1_PRESENT", "SET2_PRESENT", "CONVERSION_ALG")
        self._learn(11, {"SOURCE_FLAGS": flags(*none, *more), "DATA_CTRL_LENGTH": 0, **sizes})
        self._put(12, {"UOM_ENTRY": UNITS})
        rest = ("DEMAND_CTRL", "DATA_CTRL", "CONSTANTS", "PULSE_ENGR", "CONSTANT_TO_BE_APPLIED")
        # Source 0 has no unit: those that have one have them in turn.
        links = [{"UOM_ENTRY": place > 0, **flags(*rest)} for place in range(5)]
        self._put(16, {"SOURCES_LINK": links})
        numbers = dict.fromkeys(
            ("NBR_SELF_READS", "NBR_COIN_VALUES", "NBR_PRESENT_DEMANDS", "NBR_PRESENT_VALUES"), 0
        )
        first = ("SEASON_INFO", "DATE_TIME", "DEMAND_RESET_CTR", "DEMAND_RESET_LOCK")
        others = ("CUM_DEMAND", "CONT_CUM_DEMAND", "TIME_REMAINING")
        self._learn(21, {
            "FUNC1": flags(*first, *others),
            "FUNC2": {
                "SELF_READ_INHIBIT_OVERFLOW": False, "SELF_READ_SEQ_NBR": False,
                "DAILY_SELF_READ": False, "WEEKLY_SELF_READ": False, "SELF_READ_DEMAND_RESET": 0,
            },
            "NBR_SUMMATIONS": 2, "NBR_DEMANDS": 1, "NBR_OCCUR": 1, "NBR_TIERS": 1, **numbers,
        })  # fmt: skip
        self._put(22, {
            "SUMMATION_SELECT": [1, 3], "DEMAND_SELECT": [4], "MIN_OR_MAX_FLAGS": frozenset({0}),
            "COINCIDENT_SELECT": [], "COIN_DEMAND_ASSOC": [],
        })  # fmt: skip
        if self._has(64):
            self._profile_size()
        self._learn(71, {
            "LOG_FLAGS": flags("EVENT_NUMBER", "HIST_DATE_TIME", "HIST_SEQ_NBR",
                               "HIST_INHIBIT_OVF", "EVENT_INHIBIT_OVF", set_=("HIST_DATE_TIME",)),
            "NBR_STD_EVENTS": 1, "NBR_MFG_EVENTS": 1, "HIST_DATA_LENGTH": 1,
            "EVENT_DATA_LENGTH": 0, "NBR_HISTORY_ENTRIES": ENTRIES, "NBR_EVENT_ENTRIES": 0,
        })  # fmt: skip

    def _has(self, number: int) -> bool:
        return number in self.memory.tables.known[standard(0)]["STD_TBLS_USED"]

    def _profile_size(self) -> None:
        names = [f"INHIBIT_OVF_SET{number}" for number in range(1, 5)]
        names += ["BLK_END_READ", "BLK_END_PULSE"]
        names += [f"SCALAR_DIVISOR_SET{number}" for number in range(1, 5)]
        names += ["EXTENDED_INT_STATUS", "SIMPLE_INT_STATUS", "BLK_END_RD_INDICATOR"]
        chosen = ("SCALAR_DIVISOR_SET1", "SIMPLE_INT_STATUS")
        size = {
            "NBR_BLKS": BLOCKS,
            "NBR_BLK_INTS": INTERVALS,
            "NBR_CHNS": 2,
            "MAX_INT_TIME": PERIOD // 60,
        }
        forms = flags("U8", "U16", "U32", "I8", "I16", "I32", "NI1", "NI2", set_=("U16",))
        self._learn(61, {
            "LP_MEMORY_LEN": 0, "LP_FLAGS": flags(*names, set_=chosen), "LP_FMATS": forms,
            "SET1": size,
        })  # fmt: skip
        sources = [
            {"CHNL_FLAG": 0, "LP_SOURCE_SELECT": source, "END_BLK_RDG_SRC_SELECT": 0}
            for source in (1, 3)
        ]
        control = {"SOURCES": sources, "INT_FMT_CDE": 2, "SCALARS": [5, 1], "DIVISORS": [2, 1]}
        self._learn(62, {"SET1": control})

    # What changes

    def local(self, seconds: float) -> datetime:
        return EPOCH + timedelta(seconds=int(seconds) + ZONE)

    def refresh(self) -> None:
        """Bring the tables up to now."""
        self.last = int(self.now) // PERIOD
        self._put(1, {
            "MANUFACTURER": "FRGN", "ED_MODEL": "F1", "HW_VERSION_NUMBER": 1,
            "HW_REVISION_NUMBER": 0, "FW_VERSION_NUMBER": self.version, "FW_REVISION_NUMBER": 0,
            "MFG_SERIAL_NUMBER": "F-42",
        })  # fmt: skip
        qualifiers = ("DST", "GMT", "TM_ZN_APPLIED", "DST_APPLIED", "DST_SUPPORTED")
        self._put(52, {
            "CLOCK_CALENDAR": self.local(self.now + self.skew),
            "TIME_DATE_QUAL": {"DAY_OF_WEEK": 0, **flags(*qualifiers)},
        })  # fmt: skip
        block = {
            "SUMMATIONS": [Decimal("12345.6789"), Decimal(3)],
            "DEMANDS": [{"DEMAND": [1500.5]}],
            "COINCIDENTS": [],
        }
        self._put(23, {"TOT_DATA_BLOCK": block, "TIER_DATA_BLOCK": [block]})
        if self._has(64):
            self._profile()
        self._log()

    def _profile(self) -> None:
        count = self.last - self.first
        blocks = min(BLOCKS, -(-count // INTERVALS))
        newest, filled = (count - 1) // INTERVALS, (count - 1) % INTERVALS + 1 if count else 0
        # Newest first: a block that is one older stands one higher, round the ring.
        place = -newest % BLOCKS
        table: list[dict[str, Any]] = [self._block(-1, 0)] * BLOCKS
        for age in range(blocks):
            number = newest - age
            table[(place + age) % BLOCKS] = self._block(number, filled if not age else INTERVALS)
        self._put(64, {"BLOCKS": table})
        self._put(63, {"SET1": {
            "FLAGS": {
                "ORDER": True, "OVERFLOW": False, "LIST_TYPE": True, "INHIBIT": False,
                "INTERVAL_ORDER": False, "ACTIVE": True, "TEST": False,
            },
            "NBR_VALID_BLOCKS": blocks, "LAST_BLOCK_ELEMENT": place,
            "LAST_BLOCK_SEQ_NBR": newest + 1, "NBR_UNREAD_BLOCKS": 0, "NBR_VALID_INT": filled,
        }})  # fmt: skip

    def _block(self, number: int, filled: int) -> dict[str, Any]:
        start = self.first + number * INTERVALS
        ends = [start + place + 1 for place in range(INTERVALS)]
        return {
            "BLK_END_TIME": self.local((start + filled) * PERIOD) if filled else None,
            "SIMPLE_INT_STATUS": frozenset(
                place for place, end in enumerate(ends[:filled]) if end not in self.invalid
            ),
            "INTERVALS": [
                {"INT_DATA": [(end - self.first) * (place < filled), 7 * (place < filled)]}
                for place, end in enumerate(ends)
            ],
        }

    def _log(self) -> None:
        total = len(self.events)
        kept = self.events[-ENTRIES:]
        entries: list[dict[str, Any]] = [self._entry(None, 0, own=False)] * ENTRIES
        for place, (at, code, own) in enumerate(kept, total - len(kept)):
            entries[place % ENTRIES] = self._entry(at, code, own=own)
        self._put(74, {
            "HIST_FLAGS": 0x04, "NBR_VALID_ENTRIES": len(kept),
            "LAST_ENTRY_ELEMENT": (total - 1) % ENTRIES if total else 0,
            "LAST_ENTRY_SEQ_NBR": total, "NBR_UNREAD_ENTRIES": 0, "ENTRIES": entries,
        })  # fmt: skip

    def _entry(self, at: float | None, code: int, *, own: bool) -> dict[str, Any]:
        return {
            "HISTORY_TIME": None if at is None else self.local(at),
            "USER_ID": 0,
            "HISTORY_CODE": {"NUMBER": code, "MANUFACTURER": own, "SELECTOR": 0},
            "HISTORY_ARGUMENT": b"\0",
        }

    # What it is asked

    async def ask(self, *requests: Request) -> tuple[Response, ...]:
        self.before(requests)
        self.asked.append(requests)
        shown = not self.closed
        answers: list[Response] = []
        for request in requests:
            if isinstance(request, Security):
                shown = request.password == PASSWORD.ljust(20) and request.user_id == USER
                answers.append(Done() if shown else Failure(ResponseCode.ISC))
            elif not shown:
                answers.append(Failure(ResponseCode.ISC))
            else:
                answers.append(self._serve(request))
        return tuple(answers)

    def _serve(self, request: Request) -> Response:
        if isinstance(request, Write) and request.table == 7:
            asked = ProcedureRequest.decode(self.memory.tables, request.data)
            self.set_to = asked.parameters["DATE_TIME"]
            answer = ProcedureResponse.to(asked, self.result)
            self.memory.contents[standard(8)] = answer.encode(self.memory.tables)
            return Done()
        if isinstance(request, Read) and standard(request.table) not in self.memory.contents:
            return Failure(ResponseCode.ONP)
        return serve(self.memory, request)
