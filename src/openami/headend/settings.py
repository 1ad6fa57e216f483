"""The head-end's settings: a TOML file, and environment variables that win over it.

A setting ``commit_window_ms`` is ``commit_window_ms = 5`` in the file and
``OPENAMI_HEADEND_COMMIT_WINDOW_MS=5`` in the environment.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal, Self

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import SettingsConfigDict

from openami.core.clock import time_zone
from openami.core.settings import Settings, Words
from openami.mdm.tariffs.calendar import is_calendar

PREFIX: Final = "OPENAMI_HEADEND_"


def address(text: str) -> tuple[str, int]:
    """Return the host and port of ``host:port``, ``[::1]:port`` or ``:port`` (every address).

    Raises:
        ValueError: the text has another form.
    """
    host, colon, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not colon or not port.isdecimal() or int(port) > 0xFFFF or {*host} & {*"[]\"'/ "}:
        raise ValueError(f"{text!r} is not HOST:PORT")
    return host or "0.0.0.0", int(port)  # noqa: S104 - ":port" asks for it


class HeadendSettings(Settings):
    """Everything about a head-end that its operator decides."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="forbid", frozen=True)

    state: Path = Field(
        default=Path("openami-headend"),
        description="Folder of the installation: certificates, database, lake, vault.",
    )
    database: SecretStr | None = Field(
        default=None,
        description="URL of a PostgreSQL database for registry, jobs, events and accounts, such as "
        "postgresql://user@host/openami; SQLite in the installation's folder if not given.",
    )
    listen: str = Field(
        default="127.0.0.1:8443",
        description="HOST:PORT for operators: console, REST API, health, metrics. Port 0: any.",
    )
    device_listen: str = Field(
        default="127.0.0.1:8444",
        description="HOST:PORT for DCUs, with mutual TLS. Port 0 picks one.",
    )
    security_listen: str = Field(
        default="127.0.0.1:8445",
        description="HOST:PORT for devices that register, with mutual TLS. Port 0 picks one.",
    )
    c1222_listen: str | None = Field(
        default=None,
        description="HOST:PORT for C12.22 meters, TCP and UDP alike; 1153 is the standard's port. "
        "Port 0 picks one. Not listened on if not given: no certificate keeps strangers from it, "
        "and who has no such meters needs no such port.",
    )
    c1222_title: str = Field(
        default=".123.4",
        pattern=r"^\.?[0-9]{1,10}(\.[0-9]{1,10}){0,20}$",
        description="ApTitle of this head-end, by which its C12.22 meters know it.",
    )
    c1222_connections: int = Field(
        default=4096,
        ge=4,
        le=65536,
        description="Most TCP connections of C12.22 meters and relays; the oldest that are silent "
        "are closed. Those that speak UDP have none.",
    )
    c1222_registration_s: int = Field(
        default=3600,
        ge=10,
        le=0xFFFFFF,
        description="When a C12.22 meter has to register again, at the latest.",
    )
    c1222_timeout_s: float = Field(
        default=10.0,
        gt=0,
        le=300,
        description="How long a C12.22 meter may take for an answer until it is asked again, which "
        "it is twice.",
    )
    c1222_visits: int = Field(
        default=16, ge=1, le=512, description="Most C12.22 meters that are read at a time."
    )
    c1222_read_every_s: float = Field(
        default=900.0, ge=10, description="How often each C12.22 meter is read."
    )
    c1222_settle_s: float = Field(
        default=10.0,
        ge=0,
        description="How long after the end of a period a meter is given to close its interval.",
    )
    c1222_spread_s: float | None = Field(
        default=None,
        ge=0,
        description="Time over which the reads of a period are spread, each meter at its own "
        "place; the whole period if not given.",
    )
    c1222_backoff_s: float = Field(
        default=30.0,
        gt=0,
        description="When a C12.22 meter that could not be read is tried again; then after twice "
        "as long, and so on, up to an hour.",
    )
    c1222_history_days: float = Field(
        default=400.0,
        gt=0,
        description="How far back the load profile of a meter is read of which nothing is stored.",
    )
    c1222_set_clocks: bool = Field(
        default=True, description="Whether the clocks of C12.22 meters are set."
    )
    c1222_clock_threshold_s: float = Field(
        default=10.0, gt=0, description="Offsets of a meter's clock up to this are left alone."
    )
    c1222_clock_max_step_s: float = Field(
        default=3600.0,
        gt=0,
        description="Offsets beyond this are reported as a fault, and not corrected.",
    )
    c1222_clock_margin_s: float = Field(
        default=15.0,
        ge=0,
        lt=225,
        description="So near to an interval's boundary no clock is set.",
    )
    connections: int | None = Field(
        default=None,
        ge=4,
        le=65536,
        description="Most connections of operators; newcomers beyond are closed, and one address "
        "has at most half. A sixteenth of the file descriptors if not given.",
    )
    device_connections: int | None = Field(
        default=None,
        ge=4,
        le=65536,
        description="Most connections of DCUs: one of each waits for work, and one certificate has "
        "at most 8. Half of the file descriptors if not given.",
    )
    security_connections: int | None = Field(
        default=None,
        ge=4,
        le=65536,
        description="Most connections of devices that register, at most 8 with one certificate. A "
        "sixteenth of the file descriptors if not given.",
    )
    dm_url: str | None = Field(
        default=None,
        max_length=256,
        description="Address of device management that registered devices are given, such as "
        "https://head-end.example:8444/dm; made from names and device_listen if not given.",
    )
    dm_server_id: str = Field(
        default="openami",
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$",
        description="Name of this head-end in devices' accounts and access control lists.",
    )
    names: Words = Field(
        default=(),
        description="Host names and addresses for the servers' certificates, beside localhost, "
        "127.0.0.1 and ::1. In the environment: separated by commas.",
    )
    public_url: str | None = Field(
        default=None,
        description="Address that operators' browsers use, when a proxy stands in front.",
    )
    timezone: str = Field(
        default="UTC", description="Time zone of the console's pages, such as Asia/Seoul."
    )
    holidays: str | None = Field(
        default=None,
        max_length=12,
        description="Country of the public holidays, such as KR, or a part of it, such as AU-NSW: "
        "days that are like Sundays to baselines of demand response. None are, if not given.",
    )
    admin_name: str = Field(
        default="admin",
        min_length=1,
        max_length=64,
        description="Name of the first account of a new installation.",
    )
    admin_password: SecretStr | None = Field(
        default=None,
        description="Password of that account; made by chance if neither this nor a file is given.",
    )
    admin_password_file: Path | None = Field(
        default=None, description="File whose first line is the password of the first account."
    )
    device_certificate_days: float = Field(
        default=365.0,
        ge=1,
        le=20 * 365,
        description="How long a device's operational certificate is good; the device renews it "
        "when a third of that is left.",
    )
    operator_certificate_days: float = Field(
        default=365.0, ge=1, le=20 * 365, description="How long an operator's certificate is good."
    )
    offer_days: float = Field(
        default=7.0,
        ge=0.01,
        le=365,
        description="How long a registered device may take to acknowledge its accounts.",
    )
    hold_unexpected: bool = Field(
        default=True,
        description="Whether a device that no list names waits for approval, or is refused.",
    )
    pending_retry_s: int = Field(
        default=300,
        ge=1,
        le=7 * 86_400,
        description="The longest that a device which waits is told to wait before it asks again; "
        "at first it is five seconds.",
    )
    refused_retry_s: int = Field(
        default=3600, ge=1, le=7 * 86_400, description="When a refused device asks again."
    )
    dm_sessions: int = Field(
        default=4096,
        ge=1,
        le=65536,
        description="Most devices in a session of device management; more are told to come back.",
    )
    dm_idle_s: float = Field(
        default=120.0, gt=0, le=3600, description="How long a device may be silent in a session."
    )
    keep_changes_days: float = Field(
        default=730.0, gt=0, description="How long changes of devices' trees are kept."
    )
    keep_sessions_days: float = Field(
        default=30.0, gt=0, description="How long the log of sessions with devices is kept."
    )
    keep_campaigns_days: float = Field(
        default=730.0,
        gt=0,
        description="How long is kept what happened to each device in an upgrade campaign that is "
        "over; the campaign and its sums stay.",
    )
    wake_first_s: float = Field(
        default=30.0,
        gt=0,
        description="When a device that a notification did not wake is sent another; then after "
        "twice as long, and so on.",
    )
    wake_most_s: float = Field(
        default=900.0, gt=0, description="Longest time between two notifications."
    )
    wake_attempts: int = Field(
        default=6,
        ge=1,
        le=100,
        description="Notifications until a device is left to come by itself.",
    )
    commit_window_ms: float = Field(
        default=5.0,
        ge=0,
        le=1000,
        description="How long an upload waits for others, to be committed in one transaction.",
    )
    commit_batches: int = Field(
        default=64, ge=1, le=4096, description="Most uploads that one transaction commits."
    )
    queue_batches: int = Field(
        default=256,
        ge=1,
        le=65536,
        description="Most uploads that wait to be committed; more are told to come back.",
    )
    queue_octets: int = Field(
        default=256 * 2**20,
        ge=2**20,
        description="Most octets of uploads in memory; more are told to come back.",
    )
    batch_octets: int = Field(
        default=16 * 2**20,
        ge=1024,
        le=2**30,
        description="Largest upload; a DCU's day of 200 meters is well under 1 MiB.",
    )
    batch_rows: int = Field(
        default=2_000_000, ge=1, description="Most readings or events in one upload."
    )
    retry_after_s: int = Field(
        default=5, ge=1, le=3600, description="When a DCU that was told to come back should."
    )
    long_poll_s: float = Field(
        default=25.0, ge=0, le=300, description="Longest that a DCU's request for work is held."
    )
    job_expiry_s: float = Field(
        default=300.0, gt=0, description="How long an on-demand read may take before it expires."
    )
    keep_jobs_days: float = Field(
        default=30.0,
        gt=0,
        description="How long on-demand reads and jobs for devices are kept after their end.",
    )
    session_hours: float = Field(
        default=12.0, gt=0, le=24 * 30, description="Longest that a log-in lasts."
    )
    token_days: float = Field(
        default=365.0, gt=0, description="Longest that an API token may be valid."
    )
    customer_session_days: float = Field(
        default=30.0, gt=0, le=365, description="Longest that a customer stays signed in."
    )
    invitation_days: float = Field(
        default=14.0, gt=0, le=90, description="Longest that a customer's invitation is open."
    )
    customer_tariff: str = Field(
        default="kr-residential-low",
        description="Tariff of new customers: a name of `openami tariff list`.",
    )
    carbon_g_per_kwh: float | None = Field(
        default=None,
        gt=0,
        le=2000,
        description="Grams of carbon dioxide for a kWh from the grid, by which customers' pages "
        "estimate theirs; the official figure of their tariff's country if not given.",
    )
    login_attempts: int = Field(
        default=5, ge=1, description="Wrong passwords for one name or address before it must wait."
    )
    login_window_s: float = Field(
        default=300.0, gt=0, description="How long a name or an address then waits."
    )
    request_octets: int = Field(
        default=2**20,
        ge=1024,
        le=2**30,
        description="Largest body of an operator's request, meter shipments included.",
    )
    release_octets: int = Field(
        default=256 * 2**20,
        ge=2**20,
        le=2**30,
        description="Largest release that may be uploaded, with all its files.",
    )
    shelf_octets: int = Field(
        default=16 * 2**30,
        ge=2**20,
        description="Most octets of all files of releases, deltas included.",
    )
    release_keys: Literal["vault", "offline"] = Field(
        default="vault",
        description="Who signs the list of files that devices may fetch, and the root: keys in "
        "this head-end's vault, or keepers elsewhere, each with a key of their own.",
    )
    link_rate: int = Field(
        default=125_000,
        ge=100,
        le=2**40,
        description="Octets a second of a DCU's link to the head-end: the rate that a download of "
        "a campaign reserves and keeps to, if the campaign's budget allows no less.",
    )
    line_rate: int = Field(
        default=1_000,
        ge=1,
        le=2**40,
        description="Octets a second of a DCU's line to its meters, by which a campaign's plan "
        "says how long it takes.",
    )
    release_warn_days: float = Field(
        default=30.0,
        gt=0,
        description="How long before the end of what keepers elsewhere signed an alarm is raised.",
    )
    c1222_test_allowed: Words = Field(
        default=(),
        description="HOST:PORT of C12.22 nodes that the console may test beside meters that have "
        "registered; these are tested on this machine only where it is named, as in 127.0.0.1:*.",
    )
    page_rows: int = Field(
        default=10_000, ge=10, le=1_000_000, description="Most rows of readings in one page."
    )
    open_metrics: bool = Field(
        default=False, description="Whether /metrics may be read without an account."
    )
    read_every_s: float = Field(
        default=900.0,
        gt=0,
        description="How often a meter is expected to be read, and a DCU to report: one is late "
        "after 3 times as long, and out of reach after 24 times.",
    )
    compact_every_s: float = Field(
        default=900.0, gt=0, description="How often small files of the lake are merged."
    )
    drain_s: float = Field(
        default=10.0, ge=0, description="How long a stopping head-end finishes what it has begun."
    )

    @field_validator("timezone")
    @classmethod
    def _zone(cls, value: str) -> str:
        time_zone(value)
        return value

    @field_validator("holidays")
    @classmethod
    def _calendar(cls, value: str | None) -> str | None:
        country, _, part = (value or "").partition("-")
        if value is not None and not is_calendar(country, part or None):
            raise ValueError(f"{value!r} is no country whose public holidays are known")
        return value

    @field_validator("listen", "device_listen", "security_listen", "c1222_listen")
    @classmethod
    def _address(cls, value: str | None) -> str | None:
        if value is not None:
            address(value)
        return value

    @field_validator("c1222_test_allowed")
    @classmethod
    def _places(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(x for x in value if address(f"{x[:-1]}0" if x.endswith(":*") else x))

    @model_validator(mode="after")
    def _clocks(self) -> Self:
        if self.c1222_clock_threshold_s > self.c1222_clock_max_step_s:
            raise ValueError("c1222_clock_threshold_s is at most c1222_clock_max_step_s")
        return self
