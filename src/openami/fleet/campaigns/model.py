"""What a campaign is: which devices get which release, in which groups, when and how fast.

A campaign is a value that is approved as a whole; what becomes of it is a ``Run`` (``machine``).
Shares are in ten-thousandths of devices, whole numbers, so that thresholds are exact. Times are
seconds since 1970-01-01T00:00:00Z, rates are octets a second.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, StrEnum, unique
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from openami.core.backoff import backoff
from openami.fleet.campaigns.windows import MAX_WINDOWS, Window
from openami.fleet.devices import DeviceKind

if TYPE_CHECKING:
    from collections.abc import Mapping

    from openami.fleet.ports import DeviceFilter

WHOLE: Final = 10_000
"""All of it: a share of 0.01 % is finer than any threshold that is set."""
MAX_GROUPS: Final = 64
"""Groups of a campaign: more than a person follows on a page."""
MAX_NAMES: Final = 10_000
"""Areas or cells that one group names: a country's."""
MAX_TEXT: Final = 200
"""Characters of a name."""


@unique
class DeviceState(Enum):
    """How far one device is in a campaign; the number is its column in counts.

    ``DISCARDED`` is an image that the device threw away before it ran, ``REVERTED`` one that ran
    and was taken back, ``FAILED`` everything else that ended badly.
    """

    WAITING = 0
    OFFERED = 1
    DOWNLOADED = 2
    TRANSFERRED = 3
    VERIFIED = 4
    ACTIVATED = 5
    SELF_TESTED = 6
    CONFIRMED = 7
    REVERTED = 8
    DISCARDED = 9
    FAILED = 10

    @property
    def word(self) -> str:
        """What it is called in reports, answers and addresses, such as ``self-tested``."""
        return self.name.lower().replace("_", "-")


STATES: Final = tuple(DeviceState)
BY_WORD: Final[Mapping[str, DeviceState]] = MappingProxyType(
    {state.word: state for state in STATES}
)
NOT_FETCHED: Final = (DeviceState.WAITING, DeviceState.OFFERED)
READY: Final = (
    DeviceState.VERIFIED,
    DeviceState.ACTIVATED,
    DeviceState.SELF_TESTED,
    DeviceState.CONFIRMED,
)
"""The new image is on the device, and verified."""
SWITCHING: Final = READY[:3]
"""There is something to activate, or it is being activated."""
ERRORS: Final = (DeviceState.REVERTED, DeviceState.DISCARDED, DeviceState.FAILED)


class StepKind(StrEnum):
    """The two things that a DCU is told to do, each at its own time."""

    DOWNLOAD = "download"
    ACTIVATE = "activate"


@dataclass(frozen=True, slots=True)
class Share:
    """A part of all devices that the campaign is for, from any area and cell."""

    parts: int

    def __post_init__(self) -> None:
        if not 0 < self.parts <= WHOLE:
            raise ValueError(f"a share is 1 to {WHOLE} ten-thousandths")


@dataclass(frozen=True, slots=True)
class Areas:
    """The devices of some areas."""

    names: frozenset[str]

    def __post_init__(self) -> None:
        _check_names(self.names)


@dataclass(frozen=True, slots=True)
class Cells:
    """The devices of some communication cells."""

    names: frozenset[str]

    def __post_init__(self) -> None:
        _check_names(self.names)


@dataclass(frozen=True, slots=True)
class Rest:
    """Whatever no group before takes."""


Rule = Share | Areas | Cells | Rest


@dataclass(frozen=True, slots=True)
class Thresholds:
    """When a group is good enough, and when it is too bad.

    Attributes:
        success: the share of a group's devices that must be confirmed.
        error: the share of failed devices at which the campaign pauses; checked first.
        least: failed devices that it takes at least: one bad meter is no reason in a small group.
    """

    success: int = 9_500
    error: int = 200
    least: int = 1

    def __post_init__(self) -> None:
        if not (0 < self.success <= WHOLE and 0 <= self.error <= WHOLE and self.least >= 1):
            raise ValueError(f"thresholds are 0 to {WHOLE} ten-thousandths, and success not none")

    def needed(self, devices: int) -> int:
        """Return how many of so many devices are enough."""
        return -(-devices * self.success // WHOLE)

    def too_many(self, errors: int, devices: int) -> bool:
        """Return whether so many failures are too many."""
        return errors >= self.least and errors * WHOLE >= self.error * devices


@dataclass(frozen=True, slots=True)
class Group:
    """Some of a campaign's devices, which go together.

    Attributes:
        soak_s: how long the group is watched after it succeeded, before the next one.
        canary: it stands first and is small, to find out.
    """

    name: str
    rule: Rule = field(default_factory=Rest)
    thresholds: Thresholds = field(default_factory=Thresholds)
    soak_s: float = 0.0
    canary: bool = False

    def __post_init__(self) -> None:
        _check_text(self.name)
        if self.soak_s < 0:
            raise ValueError("a group is watched for no negative time")


@dataclass(frozen=True, slots=True)
class Step:
    """When one step is taken: not before a time, and within windows; without any, always."""

    not_before: float = 0.0
    windows: tuple[Window, ...] = ()

    def __post_init__(self) -> None:
        if len(self.windows) > MAX_WINDOWS:
            raise ValueError(f"a step has at most {MAX_WINDOWS} windows")


@dataclass(frozen=True, slots=True)
class Budget:
    """What downloads may take at the same time; None: as much as there is.

    Every DCU has one download at a time, of all campaigns.

    Attributes:
        rate: octets a second of the head-end.
        jobs: downloads from the head-end.
        segment_rate: octets a second of each segment of the network.
        segment_jobs: downloads in each segment.
        link_rate: octets a second of each DCU's link.
    """

    rate: int | None = None
    jobs: int | None = None
    segment_rate: int | None = None
    segment_jobs: int | None = None
    link_rate: int | None = None

    def __post_init__(self) -> None:
        limits = (self.rate, self.jobs, self.segment_rate, self.segment_jobs, self.link_rate)
        if any(limit is not None and limit < 1 for limit in limits):
            raise ValueError("a budget is at least 1")

    def rate_of(self, link: int) -> int:
        """Return the rate at which a DCU with such a link downloads: the narrowest of all."""
        caps = (self.rate, self.segment_rate, self.link_rate)
        return max(1, min([link, *(cap for cap in caps if cap is not None)]))


@dataclass(frozen=True, slots=True)
class Retry:
    """What is done about a step that did not go well.

    Only what a DCU says has failed counts as an attempt. A DCU that is silent is tried again for
    as long as the campaign runs: absence says nothing of a release.

    Attributes:
        attempts: failed ones, after which it is given up.
        first_s: the rest after the first, which doubles with each one after.
        most_s: the longest rest.
        lease_s: how long a DCU may be silent about a step that it was given.
        longest_s: how long it may take in all, whatever it says meanwhile: it holds a part of the
            budget.
    """

    attempts: int = 3
    first_s: float = 900.0
    most_s: float = 86_400.0
    lease_s: float = 7_200.0
    longest_s: float = 86_400.0

    def __post_init__(self) -> None:
        if self.attempts < 1 or not 0 < self.first_s <= self.most_s:
            raise ValueError("a retry policy has attempts, and rests from first_s to most_s")
        if not 0 < self.lease_s <= self.longest_s:
            raise ValueError("a lease is not longer than the longest step")

    def rest(self, failures: int) -> float:
        """Return how long is waited after so many attempts in a row have failed."""
        return backoff(failures, first=self.first_s, most=self.most_s)


@dataclass(frozen=True, slots=True)
class Campaign:
    """Which devices get which release, in which groups, when and how fast.

    Attributes:
        release: the release's id, as its shelf names it.
        zone: name of the time zone in which the windows are.
        activations: DCUs that activate at the same time, at most; None: any number.
        jitter_s: what is given at one time begins within this time, each DCU at its own moment.
        dynamic: devices that come to fit while it runs are taken in.
        ahead: a group downloads while the one before it activates; activation waits for its turn.
        until: when it ends whatever was reached.
    """

    id: str
    name: str
    release: str
    which: DeviceFilter
    groups: tuple[Group, ...]
    kind: DeviceKind = DeviceKind.METER
    zone: str = "UTC"
    download: Step = field(default_factory=Step)
    activation: Step = field(default_factory=Step)
    budget: Budget = field(default_factory=Budget)
    retry: Retry = field(default_factory=Retry)
    activations: int | None = None
    jitter_s: float = 60.0
    dynamic: bool = False
    ahead: bool = False
    until: float | None = None

    def __post_init__(self) -> None:
        for text in (self.id, self.name, self.release, self.zone):
            _check_text(text)
        if self.kind not in {DeviceKind.DCU, DeviceKind.METER}:
            raise ValueError("a campaign is for DCUs or for meters")
        if self.which.kind not in {None, self.kind}:
            raise ValueError("a campaign's filter finds devices of its kind")
        if self.jitter_s < 0 or (self.activations is not None and self.activations < 1):
            raise ValueError("jitter is not negative, and at least one DCU activates at a time")
        self._check_groups()

    @property
    def open_ended(self) -> bool:
        """Whether the last group takes whatever no other does, and who comes late."""
        shares = (group.rule.parts for group in self.groups if isinstance(group.rule, Share))
        return isinstance(self.groups[-1].rule, Rest) or (
            isinstance(self.groups[-1].rule, Share) and sum(shares) == WHOLE
        )

    def _check_groups(self) -> None:
        if not 0 < len(self.groups) <= MAX_GROUPS:
            raise ValueError(f"a campaign has 1 to {MAX_GROUPS} groups")
        if len({group.name for group in self.groups}) != len(self.groups):
            raise ValueError("two groups have the same name")
        if any(group.canary for group in self.groups[1:]):
            raise ValueError("the canary is the first group")
        if any(isinstance(group.rule, Rest) for group in self.groups[:-1]):
            raise ValueError("the group that takes the rest is the last")
        shares = (group.rule.parts for group in self.groups if isinstance(group.rule, Share))
        if sum(shares) > WHOLE:
            raise ValueError("the groups' shares are more than all devices")


def _check_text(text: str) -> None:
    if not 0 < len(text) <= MAX_TEXT or not text.isprintable():
        raise ValueError(f"a name has 1 to {MAX_TEXT} characters that print")


def _check_names(names: frozenset[str]) -> None:
    if not 0 < len(names) <= MAX_NAMES:
        raise ValueError(f"a group names 1 to {MAX_NAMES} places")
    for name in names:
        _check_text(name)
