"""What is a DCU's own: where it is installed and what it is plugged into.

Everything else, how it reads and where its readings go, stands in its management tree, which a
server sets. A setting ``spool_octets`` is ``spool_octets = 1000000`` in a TOML file and
``OPENAMI_DCU_SPOOL_OCTETS=1000000`` in the environment, which wins over it.
"""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import SettingsConfigDict

from openami.core.errors import ConfigError
from openami.core.settings import Settings
from openami.dcu.settings import DcuSettings
from openami.omadm.auth import AuthPolicy
from openami.transport.clock import ClockSettings
from openami.transport.url import LinkKind, MeterUrl

if TYPE_CHECKING:
    from openami.omadm.objects.ami import AmiConfig

PREFIX: Final = "OPENAMI_DCU_"

# How collection calls what the tree has under another name.
_NAMES: Final[dict[str, dict[str, str]]] = {
    "collection": {
        "enabled": "collect",
        "load_profile": "load_profile",
        "load_period": "load_period_s",
        "daily_profile": "daily_profile",
        "billing_profile": "billing_profile",
        "event_logs": "event_logs",
        "log_period": "log_period_s",
        "settle": "settle_s",
        "spread": "spread_s",
        "repeat": "repeat_s",
        "history": "history_days",
        "window": "window_days",
        "visit_rows": "visit_rows",
        "timezone": "timezone",
    },
    "segment": {
        "addresses": "addresses",
        "address_octets": "address_octets",
        "logical_device": "logical_device",
        "public_client": "public_client",
        "introduction": "introduction_s",
        "probe_rest": "probe_rest_s",
        "backoff_first": "backoff_first_s",
        "backoff_most": "backoff_most_s",
        "unreachable_after": "unreachable_after",
    },
    "link": {
        "frame_octets": "frame_octets",
        "window": "window",
        "pdu_octets": "pdu_octets",
        "response_timeout": "response_timeout_s",
        "probe_timeout": "probe_timeout_s",
        "visit_timeout": "visit_timeout_s",
        "retries": "retries",
        "reconnect_first": "reconnect_first_s",
        "reconnect_most": "reconnect_most_s",
    },
    "time": {
        "set_clocks": "set_clocks",
        "threshold": "clock_threshold_s",
        "max_step": "clock_max_step_s",
        "margin": "clock_margin_s",
    },
    "upload": {
        "timeout": "upload_timeout_s",
        "retry_first": "retry_first_s",
        "retry_most": "retry_most_s",
        "batch_rows": "batch_rows",
        "batch_age": "batch_age_s",
        "report_every": "report_every_s",
        "long_poll": "long_poll_s",
    },
}


class Installation(Settings):
    """Everything about a DCU that no server decides."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="forbid", frozen=True)

    factory: Path = Field(
        description="Folder of the factory identity: certificate, key, whom to trust, device.toml, "
        "1.root.json."
    )
    state: Path = Field(
        default=Path("openami-dcu"),
        description="Folder of what must outlive a restart: management tree, keys, spool, cursors.",
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
    system_title: str | None = Field(
        default=None,
        pattern=r"^[0-9A-Fa-f]{16}$",
        description="The DCU's DLMS system title, 16 hexadecimal digits; made from its serial "
        "number if not given.",
    )
    wake: str | None = Field(
        default=None,
        description="Where notifications of the server are taken: HOST:PORT, port 0 any free one; "
        "not given: the DCU only polls.",
    )
    home: str | None = Field(
        default=None,
        description="Where displays come in that reach their meters through the DCU: HOST:PORT, "
        "port 0 any free one; not given: none do.",
    )
    weakest_proof: str = Field(
        default="digest-sha256",
        description="The weakest proof that an account may use, whatever its server sets: "
        "mac-sha256, digest-sha256, mac-md5, digest-md5 or basic; all before it may be used, too.",
    )
    spool_octets: int = Field(
        default=1024 * 2**20,
        ge=2**16,
        description="Room on disk for readings that the head-end does not have; when it is full "
        "no meter is read.",
    )
    clock: str | None = Field(
        default=None,
        description="A scaled clock START,FACTOR[,ORIGIN] as in 2024-07-01T00:00:00Z,600.",
    )
    stop_s: float = Field(
        default=10.0,
        ge=0,
        description="How long a stopping DCU finishes what it has in hand (real time).",
    )

    @field_validator("modem")
    @classmethod
    def _modem(cls, value: str) -> str:
        try:
            url = MeterUrl.parse(value)
        except ConfigError as error:
            raise ValueError(error.message) from error
        if url.link is not LinkKind.HDLC:
            raise ValueError("a line of many meters is hdlc+tcp or hdlc+serial")
        return value

    @field_validator("clock")
    @classmethod
    def _clock(cls, value: str | None) -> str | None:
        if value is not None:
            try:
                ClockSettings.parse(value)
            except ConfigError as error:
                raise ValueError(error.message) from error
        return value

    @field_validator("weakest_proof")
    @classmethod
    def _proof(cls, value: str) -> str:
        AuthPolicy.of([value])
        return value

    @field_validator("wake", "home")
    @classmethod
    def _listens(cls, value: str | None) -> str | None:
        if value is not None:
            listen_address(value)
        return value

    @property
    def allowed(self) -> AuthPolicy:
        """The schemes that an account may use."""
        return AuthPolicy.down_to(AuthPolicy.of([self.weakest_proof]).preferred)


def listen_address(text: str) -> tuple[str, int]:
    """Return host and port of ``HOST:PORT`` or ``[HOST]:PORT``.

    Raises:
        ValueError: it is something else.
    """
    host, colon, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not colon or not host or not port.isdecimal() or not 0 <= int(port) <= 0xFFFF:
        raise ValueError("an address to listen at reads HOST:PORT")
    return host, int(port)


def resolve(
    installation: Installation, config: AmiConfig, *, uid: str, headend: str
) -> DcuSettings:
    """Return how the DCU works: what the tree says, where the installation leaves it open.

    Args:
        installation: what no server decides.
        config: the AMI object.
        uid: the DCU.
        headend: where readings go if the tree does not say.

    Raises:
        ValueError: this DCU cannot work so; the text says why.
    """
    if config.time.source != "system":
        raise ValueError("Time/Source: this device takes its time from its system")
    values: dict[str, Any] = {
        "id": uid,
        "headend": config.upload.target or headend,
        "meters": config.meters,
        **{name: getattr(installation, name) for name in _OWN},
    }
    for part, names in _NAMES.items():
        section = getattr(config, part)
        values |= {names[f.name]: getattr(section, f.name) for f in fields(section)
                   if f.name in names}  # fmt: skip
    try:
        return DcuSettings(**values)
    except ValidationError as error:
        problem = error.errors(include_input=False, include_url=False)[0]
        raise ValueError(problem["msg"].removeprefix("Value error, ")) from error


_OWN: Final = ("state", "modem", "line_rate", "system_title", "spool_octets", "stop_s")
