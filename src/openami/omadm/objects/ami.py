"""AMI: how a concentrator reads its meters (``urn:openami:mo:ami:1.0``, this project's own)."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from openami.core.clock import time_zone
from openami.core.obis import Obis
from openami.omadm.codes import Status
from openami.omadm.objects.values import between, leaves, one_of
from openami.omadm.tree.node import Node, find
from openami.omadm.tree.refusal import TreeRefusedError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from openami.omadm.tree.draft import Change
    from openami.omadm.tree.schema import Check

URN: Final = "urn:openami:mo:ami:1.0"
PLACE: Final = ("AMI",)
# IEC 62056-46, table 3: lower addresses are reserved, higher ones mean all or are calling.
_FIRST_STATION: Final = 0x10
_LAST_STATION: Final = 0x3FFD
# More would be a sweep of hours; a segment of a power line carries some hundred meters.
MAX_STATIONS: Final = 4096
_RANGE: Final = re.compile(r"([0-9]{1,5})(?:-([0-9]{1,5}))?")
_TITLE: Final = re.compile(r"[0-9A-Fa-f]{16}")


def stations(text: str) -> tuple[int, ...]:
    """Return the stations of ``16-125,200``, in order.

    Raises:
        ValueError: the text has another form, or names too many.
    """
    found: set[int] = set()
    for part in text.split(",") if text else ():
        match = _RANGE.fullmatch(part.strip())
        if match is None:
            raise ValueError("stations read 16-125,200")
        first = int(match[1])
        last = int(match[2] or first)
        if not _FIRST_STATION <= first <= last <= _LAST_STATION:
            raise ValueError(f"stations are {_FIRST_STATION} to {_LAST_STATION}")
        found.update(range(first, last + 1))
        if len(found) > MAX_STATIONS:
            raise ValueError(f"over {MAX_STATIONS} stations")
    return tuple(sorted(found))


def _is_stations(value: str) -> None:
    stations(value)


def _is_profile(value: str) -> None:
    if value:
        _is_obis(value)


def _is_obis(value: str) -> None:
    Obis.parse(value)


def _are_logs(value: str) -> None:
    if value.count(",") > 32:
        raise ValueError("there are up to 32 event logs")
    for name in value.split(",") if value else ():
        _is_obis(name.strip())


def _is_zone(value: str) -> None:
    time_zone(value)


def _is_title(value: str) -> None:
    if not _TITLE.fullmatch(value):
        raise ValueError("a system title has 16 hexadecimal digits")


def _is_serial(value: str) -> None:
    if not 1 <= len(value) <= 64 or not value.isprintable():
        raise ValueError("a serial number has 1 to 64 characters")


def _is_url(value: str) -> None:
    parts = urlsplit(value)
    if parts.scheme != "https" or not parts.hostname or parts.username or parts.password:
        raise ValueError("the value is an https URL without credentials")


def _is_target(value: str) -> None:
    if value:
        _is_url(value)


def _is_source(value: str) -> None:
    if value != "system":
        _is_url(value)


CHECKS: Final[Mapping[str, Check]] = MappingProxyType(
    {
        "Collection/LoadProfile": _is_profile,
        "Collection/LoadPeriod": between(60, 86_400),
        "Collection/DailyProfile": _is_profile,
        "Collection/BillingProfile": _is_profile,
        "Collection/EventLogs": _are_logs,
        "Collection/LogPeriod": between(60, 604_800),
        "Collection/Settle": between(0, 3600),
        "Collection/Spread": between(0, 86_400),
        "Collection/Repeat": between(1, 86_400),
        "Collection/History": between(0.1, 3660),
        "Collection/Window": between(0.01, 3660),
        "Collection/VisitRows": between(1, 100_000),
        "Collection/Timezone": _is_zone,
        "Meters/<X>/Serial": _is_serial,
        "Meters/<X>/SystemTitle": _is_title,
        "Meters/<X>/Address": between(_FIRST_STATION, _LAST_STATION),
        "Segment/Addresses": _is_stations,
        "Segment/AddressOctets": one_of("2", "4"),
        "Segment/LogicalDevice": between(1, _LAST_STATION),
        "Segment/PublicClient": between(1, 0x7F),
        "Segment/Introduction": between(0, 86_400),
        "Segment/ProbeRest": between(0, 86_400),
        "Segment/BackoffFirst": between(1, 86_400),
        "Segment/BackoffMost": between(1, 86_400),
        "Segment/UnreachableAfter": between(1, 100),
        "Link/FrameOctets": between(32, 2030),
        "Link/Window": between(1, 7),
        "Link/PduOctets": between(64, 65_535),
        "Link/ResponseTimeout": between(0.1, 60),
        "Link/ProbeTimeout": between(0.1, 60),
        "Link/VisitTimeout": between(1, 3600),
        "Link/Retries": between(0, 20),
        "Link/ReconnectFirst": between(0.1, 86_400),
        "Link/ReconnectMost": between(0.1, 86_400),
        "Time/Source": _is_source,
        "Time/Threshold": between(0.1, 86_400),
        "Time/MaxStep": between(0.1, 86_400),
        "Time/Margin": between(0, 3600),
        "Upload/Target": _is_target,
        "Upload/Timeout": between(1, 3600),
        "Upload/RetryFirst": between(0.1, 86_400),
        "Upload/RetryMost": between(0.1, 86_400),
        "Upload/BatchRows": between(1, 1_000_000),
        "Upload/BatchAge": between(0, 3600),
        "Upload/ReportEvery": between(1, 86_400),
        "Upload/LongPoll": between(0, 300),
        "Management/PollEvery": between(10, 86_400),
    }
)


@dataclass(frozen=True, slots=True)
class Collection:
    """What is read, and when; seconds, and days for ``history`` and ``window``."""

    enabled: bool
    load_profile: str
    load_period: int
    daily_profile: str
    billing_profile: str
    event_logs: str
    log_period: int
    settle: float
    spread: float
    repeat: float
    history: float
    window: float
    visit_rows: int
    timezone: str


@dataclass(frozen=True, slots=True)
class MeterEntry:
    """A meter that belongs here; ``address`` None: it is searched for."""

    serial: str
    system_title: str = ""
    address: int | None = None
    enabled: bool = True


@dataclass(frozen=True, slots=True)
class Segment:
    """Where meters may be found."""

    addresses: str
    address_octets: int
    logical_device: int
    public_client: int
    introduction: float
    probe_rest: float
    backoff_first: float
    backoff_most: float
    unreachable_after: int


@dataclass(frozen=True, slots=True)
class LinkSettings:
    """How a meter is talked to."""

    frame_octets: int
    window: int
    pdu_octets: int
    response_timeout: float
    probe_timeout: float
    visit_timeout: float
    retries: int
    reconnect_first: float
    reconnect_most: float


@dataclass(frozen=True, slots=True)
class TimeSource:
    """Whose time counts."""

    source: str
    set_clocks: bool
    threshold: float
    max_step: float
    margin: float


@dataclass(frozen=True, slots=True)
class Upload:
    """Where readings go; an empty ``target``: as the device was set up."""

    target: str
    timeout: float
    retry_first: float
    retry_most: float
    batch_rows: int
    batch_age: float
    report_every: float
    long_poll: float


@dataclass(frozen=True, slots=True)
class Management:
    """When the device asks to be managed; seconds."""

    poll_every: int


@dataclass(frozen=True, slots=True)
class AmiConfig:
    """The whole object; ``meters`` empty: all that are found."""

    collection: Collection
    segment: Segment
    link: LinkSettings
    time: TimeSource
    upload: Upload
    management: Management
    meters: tuple[MeterEntry, ...] = field(default=())

    @classmethod
    def read(cls, root: Node) -> AmiConfig:
        """Return what a tree says.

        Raises:
            ValueError: its values do not go together; the text says which.
        """
        config = cls(
            leaves(Collection, find(root, (*PLACE, "Collection"))),
            leaves(Segment, find(root, (*PLACE, "Segment"))),
            leaves(LinkSettings, find(root, (*PLACE, "Link"))),
            leaves(TimeSource, find(root, (*PLACE, "Time"))),
            leaves(Upload, find(root, (*PLACE, "Upload"))),
            leaves(Management, find(root, (*PLACE, "Management"))),
            _meters(find(root, (*PLACE, "Meters"))),
        )
        config.check()
        return config

    def check(self) -> None:
        """Refuse values that do not go together.

        Raises:
            ValueError: the text says which.
        """
        if self.time.threshold > self.time.max_step:
            raise ValueError("Time/Threshold is at most Time/MaxStep")
        if 4 * self.time.margin >= self.collection.load_period:
            raise ValueError("Time/Margin is less than a quarter of Collection/LoadPeriod")
        if self.segment.backoff_first > self.segment.backoff_most:
            raise ValueError("Segment/BackoffFirst is at most Segment/BackoffMost")
        if self.link.reconnect_first > self.link.reconnect_most:
            raise ValueError("Link/ReconnectFirst is at most Link/ReconnectMost")
        if self.upload.retry_first > self.upload.retry_most:
            raise ValueError("Upload/RetryFirst is at most Upload/RetryMost")
        serials = [meter.serial for meter in self.meters]
        if len(serials) != len(set(serials)):
            raise ValueError("two of Meters have one Serial")


def _meters(node: Node | None) -> tuple[MeterEntry, ...]:
    """Return the meters whose Serial is known: a server may add a meter leaf by leaf."""
    entries = [] if node is None else [child for _, child in sorted(node.children.items())]
    return tuple(leaves(MeterEntry, entry) for entry in entries if "Serial" in entry.children)


class AmiListener:
    """Keeps the AMI object whole, and tells each new one; a ``Listener`` of the tree.

    Args:
        apply: is given what has become durable.
        refuse: may refuse by ``ValueError`` what this device cannot do.
    """

    def __init__(
        self,
        apply: Callable[[AmiConfig], None],
        refuse: Callable[[AmiConfig], None] | None = None,
    ) -> None:
        self._apply = apply
        self._refuse = refuse
        self._next: AmiConfig | None = None

    def check(self, tree: Node, _changes: Sequence[Change]) -> None:
        try:
            config = AmiConfig.read(tree)
            if self._refuse is not None:
                self._refuse(config)
        except ValueError as error:
            raise TreeRefusedError(Status.COMMAND_FAILED, str(error)) from error
        self._next = config

    def changed(self, _changes: Sequence[Change]) -> None:
        config, self._next = self._next, None
        if config is not None:
            self._apply(config)
