"""What a meter writes down: event codes, the log each belongs to, and status bits of a row.

The codes are those that IDIS and DSMR meters use; from 200 on they are our own.
"""

from __future__ import annotations

from enum import IntEnum, IntFlag
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping


class RowStatus(IntFlag):
    """The profile status of one row (AMR profile status, 0.0.96.10.1.255)."""

    CRITICAL_ERROR = 0x01
    CLOCK_INVALID = 0x02
    DATA_NOT_VALID = 0x04
    DAYLIGHT_SAVING = 0x08
    SPREAD = 0x10
    """Our own: the energy is exact in sum, how it lies over this row and its neighbours is not
    known."""
    CLOCK_ADJUSTED = 0x20
    POWER_DOWN = 0x80


class Alarm(IntFlag):
    """Bits of the alarm register (0.0.97.98.0.255)."""

    CLOCK_INVALID = 0x00000001
    POWER_UP = 0x00000004
    MEMORY_ERROR = 0x00000200
    MEASUREMENT_ERROR = 0x00000800
    FRAUD_ATTEMPT = 0x00001000
    AUTHENTICATION_FAILURE = 0x00002000
    DISCONNECTED = 0x00010000


class Ring(IntEnum):
    """The rings of rows that a meter keeps."""

    LOAD_PROFILE = 1
    DAILY = 2
    BILLING = 3
    SELF_READ = 4
    STANDARD_LOG = 16
    FRAUD_LOG = 17
    DISCONNECT_LOG = 18
    COMMUNICATION_LOG = 20
    QUALITY_LOG = 21
    POWER_FAILURE_LOG = 22
    SECURITY_LOG = 23
    POWER_LOG = 24
    CLOCK_LOG = 25


class Event(IntEnum):
    """What happened."""

    POWER_DOWN = 1
    POWER_UP = 2
    DAYLIGHT_SAVING_SWITCHED = 3
    CLOCK_OLD = 4
    CLOCK_NEW = 5
    CLOCK_INVALID = 6
    ERROR_CLEARED = 10
    ALARM_CLEARED = 11
    MEMORY_ERROR = 14
    WATCHDOG_ERROR = 15
    MEASUREMENT_ERROR = 16
    FIRMWARE_READY = 17
    FIRMWARE_ACTIVATED = 18
    TERMINAL_COVER_OPENED = 40
    TERMINAL_COVER_CLOSED = 41
    MAGNET_DETECTED = 42
    MAGNET_GONE = 43
    METER_COVER_OPENED = 44
    METER_COVER_CLOSED = 45
    AUTHENTICATION_FAILED = 46
    PARAMETERS_CHANGED = 47
    KEYS_CHANGED = 48
    DECIPHERING_FAILED = 49
    REPLAY_DETECTED = 50
    FIRMWARE_VERIFICATION_FAILED = 51
    MANUAL_RECONNECT_READY = 59
    MANUALLY_DISCONNECTED = 60
    MANUALLY_CONNECTED = 61
    REMOTELY_DISCONNECTED = 62
    REMOTELY_CONNECTED = 63
    LOCALLY_DISCONNECTED = 64
    LIMIT_EXCEEDED = 65
    LIMIT_KEPT = 66
    LIMIT_CHANGED = 67
    UNDERVOLTAGE_L1 = 76
    UNDERVOLTAGE_L2 = 77
    UNDERVOLTAGE_L3 = 78
    OVERVOLTAGE_L1 = 79
    OVERVOLTAGE_L2 = 80
    OVERVOLTAGE_L3 = 81
    MISSING_VOLTAGE_L1 = 82
    MISSING_VOLTAGE_L2 = 83
    MISSING_VOLTAGE_L3 = 84
    VOLTAGE_NORMAL_L1 = 85
    VOLTAGE_NORMAL_L2 = 86
    VOLTAGE_NORMAL_L3 = 87
    PHASE_SEQUENCE_REVERSED = 88
    CURRENT_REVERSED = 91
    ASSOCIATION_OPENED = 200
    ASSOCIATION_REFUSED = 201
    FIRMWARE_TRANSFER_BEGAN = 210
    FIRMWARE_TRIAL_BEGAN = 211
    FIRMWARE_SELF_TEST_PASSED = 212
    FIRMWARE_CONFIRMED = 213
    FIRMWARE_REVERTED = 214
    FIRMWARE_DISCARDED = 215
    FAILED_UPGRADE_PROCESS = 216
    FIRMWARE_REFUSED = 217
    FIRMWARE_RESCUED = 218
    APPLICATION_FAILED = 219
    DEMAND_RESET = 220
    RESTARTED = 221
    DIAGNOSTICS_PASSED = 222
    DIAGNOSTICS_FAILED = 223
    MEASUREMENT_RESTORED = 224
    MEASURING_PART_EXCHANGED = 225
    EXPORT_BEGAN = 226
    EXPORT_ENDED = 227
    CURRENT_WITHOUT_VOLTAGE = 228
    DISPLAY_PAIRED = 230
    PAIRING_REFUSED = 231
    DISPLAY_FORGOTTEN = 232
    LOAD_PROFILE_CLEARED = 254
    LOG_CLEARED = 255


_STANDARD: Final = (10, 11, 14, 15, 16, 17, 18, 47, 51, *range(210, 225), 254, 255)
_POWER: Final = (1, 2)
_CLOCK: Final = (3, 4, 5, 6)
_FRAUD: Final = (40, 41, 42, 43, 44, 45, 88, 91, 225, 228)
_SECURITY: Final = (46, 48, 49, 50, 230, 231, 232)
_DISCONNECT: Final = (59, 60, 61, 62, 63, 64, 65, 66, 67)
_QUALITY: Final = (*range(76, 88), 226, 227)
_COMMUNICATION: Final = (200, 201)

LOGS: Final[Mapping[Event, Ring]] = {
    Event(code): ring
    for ring, codes in (
        (Ring.STANDARD_LOG, _STANDARD),
        (Ring.POWER_LOG, _POWER),
        (Ring.CLOCK_LOG, _CLOCK),
        (Ring.FRAUD_LOG, _FRAUD),
        (Ring.SECURITY_LOG, _SECURITY),
        (Ring.DISCONNECT_LOG, _DISCONNECT),
        (Ring.QUALITY_LOG, _QUALITY),
        (Ring.COMMUNICATION_LOG, _COMMUNICATION),
    )
    for code in codes
}
"""The log that each event is written to."""

TAMPERS: Final = frozenset(
    {
        Event.MAGNET_DETECTED,
        Event.PHASE_SEQUENCE_REVERSED,
        Event.CURRENT_REVERSED,
        Event.CURRENT_WITHOUT_VOLTAGE,
    }
)
"""What a converter sees and somebody should look at: these raise the alarm of the fraud log."""

CAPACITY: Final[Mapping[Ring, int]] = {
    Ring.LOAD_PROFILE: 96 * 60,  # sixty days of quarter hours
    Ring.DAILY: 180,
    Ring.BILLING: 24,
    Ring.SELF_READ: 12,
    Ring.STANDARD_LOG: 200,
    Ring.FRAUD_LOG: 100,
    Ring.DISCONNECT_LOG: 100,
    Ring.COMMUNICATION_LOG: 100,
    Ring.QUALITY_LOG: 100,
    Ring.POWER_FAILURE_LOG: 50,
    Ring.SECURITY_LOG: 100,
    Ring.POWER_LOG: 100,
    Ring.CLOCK_LOG: 100,
}
"""How many rows each ring keeps; the oldest go first."""
