"""The procedures: how each is called is in ST-07, what it answers in ST-08."""

from __future__ import annotations

from typing import Final

PROCEDURES: Final = """
procedure SP0 COLD_START
procedure SP1 WARM_START
procedure SP3 CLEAR_DATA
procedure SP4 RESET_LIST_POINTERS
    LIST u8
procedure SP5 UPDATE_LAST_READ_ENTRY
    LIST         u8
    ENTRIES_READ u16
bits RESET_ACTION u8
    DEMAND_RESET 0
    SELF_READ    1
procedure SP9 REMOTE_RESET
    ACTION RESET_ACTION
bits SET_MASK_BFLD u8
    SET_TIME           0
    SET_DATE           1
    SET_TIME_DATE_QUAL 2
procedure SP10 SET_DATE_TIME
    SET_MASK       SET_MASK_BFLD
    DATE_TIME      ltime
    TIME_DATE_QUAL TIME_DATE_QUAL_BFLD
answer SP10
    BEFORE ltime
    AFTER  ltime
procedure SP11 EXECUTE_DIAGNOSTICS
procedure SP12 ACTIVATE_ALL_PENDING
procedure SP13 ACTIVATE_PENDING
    EVENT EVENT_RCD
procedure SP14 CLEAR_ALL_PENDING
procedure SP15 CLEAR_PENDING
    EVENT EVENT_RCD
procedure SP16 START_LOAD_PROFILE
procedure SP17 STOP_LOAD_PROFILE
procedure SP21 DIRECT_LOAD_CONTROL
    LEVEL   u8
    ACTIONS u8
    TIMING  tail(8)
"""
