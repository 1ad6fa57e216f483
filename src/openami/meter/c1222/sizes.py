"""The bits of dimension tables by their names, and the sizes that nothing makes differ."""

from __future__ import annotations

from typing import Final

from openami.metrology.events import Event

EVENTS: Final = 100
"""Events in ST-76: so many of the newest are in the rings for certain."""
CODE_OCTETS: Final = 32  # of the set of event codes, 0 to 255

SOURCE_FLAGS: Final = (
    *("PF_EXCLUDE", "RESET_EXCLUDE", "BLOCK_DEMAND", "SLIDING_DEMAND", "THERMAL_DEMAND"),
    *("SET1_PRESENT", "SET2_PRESENT", "CONVERSION_ALG"),
)
REG_FUNC_1: Final = (
    *("SEASON_INFO", "DATE_TIME", "DEMAND_RESET_CTR", "DEMAND_RESET_LOCK", "CUM_DEMAND"),
    *("CONT_CUM_DEMAND", "TIME_REMAINING"),
)
REG_FUNC_2: Final = (
    *("SELF_READ_INHIBIT_OVERFLOW", "SELF_READ_SEQ_NBR", "DAILY_SELF_READ"),
    *("WEEKLY_SELF_READ", "SELF_READ_DEMAND_RESET"),
)
TIME_FUNC_1: Final = (
    *("TOU_SELF_READ", "SEASON_SELF_READ", "SEASON_DEMAND_RESET", "SEASON_CHNG_ARMED"),
    *("SORT_DATES", "ANCHOR_DATE"),
)
TIME_FUNC_2: Final = (
    *("CAP_DST_AUTO", "SEPARATE_WEEKDAYS", "SEPARATE_SUM_DEMANDS", "SORT_TIER_SWITCHES"),
    "CAP_TM_ZN_OFFSET",
)
LP_FLAGS: Final = {
    **{f"INHIBIT_OVF_SET{number}": False for number in (1, 2, 3, 4)},
    "BLK_END_READ": False,
    "BLK_END_PULSE": False,
    **{f"SCALAR_DIVISOR_SET{number}": False for number in (1, 2, 3, 4)},
    "EXTENDED_INT_STATUS": True,
    "SIMPLE_INT_STATUS": True,
    "BLK_END_RD_INDICATOR": False,
}
LP_FORMATS: Final = {
    name: name == "U32" for name in ("U8", "U16", "U32", "I8", "I16", "I32", "NI1", "NI2")
}
LOG_SIZE: Final = {
    "LOG_FLAGS": dict.fromkeys(
        ("EVENT_NUMBER", "HIST_DATE_TIME", "HIST_SEQ_NBR", "HIST_INHIBIT_OVF", "EVENT_INHIBIT_OVF"),
        False,
    ),
    "NBR_STD_EVENTS": 0,
    "NBR_MFG_EVENTS": CODE_OCTETS,
    "HIST_DATA_LENGTH": 0,
    "EVENT_DATA_LENGTH": 0,
    "NBR_HISTORY_ENTRIES": 0,
    "NBR_EVENT_ENTRIES": EVENTS,
}
EVENT_CODES: Final = {
    "STD_EVENTS_SUPPORTED": frozenset[int](),
    "MFG_EVENTS_SUPPORTED": frozenset(map(int, Event)),
}
