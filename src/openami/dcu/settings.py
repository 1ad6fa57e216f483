"""How an inner ``Dcu`` works: what the management tree says, and what is installed.

``openami.dcu.installation.resolve`` makes them. Times are by the DCU's clock unless their
description says real time, which differs only where a scaled clock is used.
"""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - pydantic looks the annotations up
from typing import Final, Self

from pydantic import AnyHttpUrl, BaseModel, ConfigDict, Field, field_validator, model_validator

from openami.core.clock import time_zone
from openami.core.identifiers import check_serial
from openami.core.obis import Obis
from openami.core.settings import Words  # noqa: TC001 - as above
from openami.omadm.objects.ami import MeterEntry, stations

# IEC 62056-46, table 3: the highest station that an address of so many octets can name.
LAST_STATION: Final = {2: 0x7D, 4: 0x3FFD}


class DcuSettings(BaseModel):
    """Everything about a DCU's collection."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str = Field(description="The DCU's serial number, the one in its certificate.")
    system_title: str | None = Field(
        default=None,
        pattern=r"^[0-9A-Fa-f]{16}$",
        description="The DCU's DLMS system title, 16 hexadecimal digits; made from its id if not "
        "given.",
    )
    state: Path = Field(
        description="Folder of what must outlive a restart: spool, cursors, known meters, vault.",
    )

    modem: str = Field(
        description="The line: hdlc+tcp://HOST:PORT or hdlc+serial:/dev/ttyUSB0?baud=9600."
    )
    line_rate: int = Field(
        default=0,
        ge=0,
        description="Octets a second that the line behind the modem carries (real time): what is "
        "said to all meters is sent no faster. 0: as fast as exchanges with meters show it to be.",
    )
    addresses: str = Field(
        default="16-125",
        description="HDLC stations at which meters may be found: ranges and single ones, with "
        "commas between.",
    )
    address_octets: int = Field(
        default=4, description="Octets of a meter's HDLC address on this line: 2 or 4."
    )
    logical_device: int = Field(
        default=1, ge=1, le=0x3FFD, description="Upper HDLC address: the management device."
    )
    public_client: int = Field(
        default=16, ge=1, le=0x7F, description="SAP of the client that needs no credentials."
    )
    response_timeout_s: float = Field(
        default=3.0,
        gt=0,
        le=60,
        description="How long a meter may be silent before it is asked again (real time).",
    )
    retries: int = Field(
        default=3, ge=0, le=20, description="How often a frame without an answer is repeated."
    )
    probe_timeout_s: float = Field(
        default=1.0,
        gt=0,
        le=60,
        description="How long an address may be silent before it counts as empty (real time).",
    )
    visit_timeout_s: float = Field(
        default=120.0,
        gt=0,
        description="Longest that one visit to a meter holds the line (real time).",
    )
    frame_octets: int = Field(
        default=1024, ge=32, le=2030, description="Largest HDLC information field to propose."
    )
    window: int = Field(default=1, ge=1, le=7, description="Largest HDLC window to propose.")
    pdu_octets: int = Field(
        default=8192, ge=64, le=0xFFFF, description="Largest APDU to propose to a meter."
    )
    reconnect_first_s: float = Field(
        default=1.0, gt=0, description="Wait before a lost line is opened again (real time)."
    )
    reconnect_most_s: float = Field(
        default=60.0, gt=0, description="Longest such wait, which doubles (real time)."
    )
    probe_rest_s: float = Field(
        default=30.0,
        ge=0,
        description="Rest between two probes once every address was probed (real time).",
    )

    introduction_s: float = Field(
        default=30.0,
        ge=0,
        description="How long a new meter waits for the head-end to say what it has of it and "
        "how to open it, before it is read from its beginning (real time).",
    )

    meters: tuple[MeterEntry, ...] = Field(
        default=(), description="The meters that belong here; none: all that are found."
    )
    collect: bool = Field(default=True, description="Whether meters are read by schedule.")
    load_profile: str = Field(
        default="1.0.99.1.0.255", description="Logical name of the load profile; empty: none."
    )
    load_period_s: int = Field(
        default=900, ge=1, description="How often the load profile is read, on whole multiples."
    )
    daily_profile: str = Field(
        default="1.0.99.2.0.255", description="Logical name of the daily profile; empty: none."
    )
    billing_profile: str = Field(
        default="0.0.98.1.0.255", description="Logical name of the monthly billing; empty: none."
    )
    event_logs: Words = Field(
        default=(*(f"0.0.99.98.{log}.255" for log in (0, 1, 2, 6, 7, 8)), "1.0.99.97.0.255"),
        description="Logical names of the event logs.",
    )
    log_period_s: int = Field(default=3600, ge=1, description="How often event logs are read.")
    settle_s: float = Field(
        default=20.0, ge=0, description="How long after a capture a meter is given to make it."
    )
    spread_s: float = Field(
        default=120.0, ge=0, description="Time over which a line's meters are spread."
    )
    repeat_s: float = Field(
        default=300.0,
        gt=0,
        description="When a meter that had not made its entry is asked again.",
    )
    history_days: float = Field(
        default=60.0,
        gt=0,
        description="How far back a profile is read that cannot say where it begins.",
    )
    window_days: float = Field(
        default=4.0, gt=0, description="Longest stretch of a load profile in one request."
    )
    visit_rows: int = Field(
        default=1000,
        ge=1,
        description="Rows after which a visit ends, so that a meter far behind does not keep "
        "others waiting.",
    )
    timezone: str = Field(default="UTC", description="Time zone of the line's midnights.")
    backoff_first_s: float = Field(
        default=30.0,
        gt=0,
        description="Wait before a meter that failed is tried again (real time).",
    )
    backoff_most_s: float = Field(
        default=3600.0, gt=0, description="Longest such wait, which doubles (real time)."
    )
    unreachable_after: int = Field(
        default=3, ge=1, description="Failures in a row after which a meter is unreachable."
    )

    set_clocks: bool = Field(default=True, description="Whether meters' clocks are set.")
    clock_threshold_s: float = Field(
        default=10.0, gt=0, description="Offset up to which a meter's clock is left alone."
    )
    clock_max_step_s: float = Field(
        default=3600.0,
        gt=0,
        description="Offset beyond which a clock is reported instead of set, unless the meter "
        "itself calls it invalid.",
    )
    clock_margin_s: float = Field(
        default=15.0, ge=0, description="Distance from a capture in which no clock is set."
    )
    headend: AnyHttpUrl = Field(description="The head-end's device listener: https://HOST:PORT.")
    upload_timeout_s: float = Field(
        default=60.0, gt=0, description="Longest that an upload may take (real time)."
    )
    retry_first_s: float = Field(
        default=1.0, gt=0, description="Wait before a failed request is repeated (real time)."
    )
    retry_most_s: float = Field(
        default=300.0, gt=0, description="Longest such wait, which doubles (real time)."
    )
    report_every_s: float = Field(
        default=60.0, gt=0, description="How often the DCU reports (real time)."
    )
    long_poll_s: float = Field(
        default=20.0, ge=0, le=300, description="How long a request for work waits (real time)."
    )
    spool_octets: int = Field(
        default=1024 * 2**20,
        ge=2**16,
        description="Room on disk for readings that the head-end does not have; when it is full "
        "no meter is read.",
    )
    batch_rows: int = Field(
        default=20_000, ge=1, le=1_000_000, description="Readings after which a batch is closed."
    )
    batch_age_s: float = Field(
        default=5.0,
        ge=0,
        description="How long readings wait for others to fill a batch (real time).",
    )
    stop_s: float = Field(
        default=10.0,
        ge=0,
        description="How long a stopping DCU finishes what it has in hand (real time).",
    )

    @property
    def listed(self) -> frozenset[str] | None:
        """The serial numbers that are read; None: all that are found."""
        return frozenset(m.serial for m in self.meters if m.enabled) if self.meters else None

    @property
    def titles(self) -> dict[str, str]:
        """The system titles that meters must have, by serial, where that is said."""
        return {m.serial: m.system_title.upper() for m in self.meters if m.system_title}

    @field_validator("id")
    @classmethod
    def _id(cls, value: str) -> str:
        return check_serial(value)

    @field_validator("addresses")
    @classmethod
    def _addresses(cls, value: str) -> str:
        stations(value)
        return value

    @field_validator("address_octets")
    @classmethod
    def _octets(cls, value: int) -> int:
        if value not in (2, 4):
            raise ValueError("an address with a station has 2 or 4 octets")
        return value

    @field_validator("load_profile", "daily_profile", "billing_profile")
    @classmethod
    def _name(cls, value: str) -> str:
        return str(Obis.parse(value)) if value else value

    @field_validator("event_logs")
    @classmethod
    def _names(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(str(Obis.parse(name)) for name in value)

    @field_validator("timezone")
    @classmethod
    def _zone(cls, value: str) -> str:
        time_zone(value)
        return value

    @field_validator("headend")
    @classmethod
    def _secure(cls, value: AnyHttpUrl) -> AnyHttpUrl:
        if value.scheme != "https":
            raise ValueError("the head-end is reached by https only")
        return value

    @model_validator(mode="after")
    def _together(self) -> Self:
        found = stations(self.addresses)
        if found and found[-1] > LAST_STATION[self.address_octets]:
            raise ValueError(f"addresses: {found[-1]} needs address_octets = 4")
        if self.clock_threshold_s > self.clock_max_step_s:
            raise ValueError("clock_threshold_s is at most clock_max_step_s")
        if 4 * self.clock_margin_s >= self.load_period_s:
            raise ValueError("clock_margin_s is less than a quarter of load_period_s")
        for first, most in (
            (self.backoff_first_s, self.backoff_most_s),
            (self.reconnect_first_s, self.reconnect_most_s),
            (self.retry_first_s, self.retry_most_s),
        ):
            if first > most:
                raise ValueError("a first wait is at most the longest")
        return self
