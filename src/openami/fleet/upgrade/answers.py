"""What is done with one meter at a time, and how it comes out.

Numbers of class 18 are repeated here since this room knows no protocol; whoever talks to the
meter passes values.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum, unique


@unique
class Status(IntEnum):
    """image_transfer_status (Blue Book 4.4.6, attribute 6)."""

    NOT_INITIATED = 0
    INITIATED = 1
    VERIFYING = 2
    VERIFIED = 3
    VERIFICATION_FAILED = 4
    ACTIVATING = 5
    ACTIVATED = 6
    ACTIVATION_FAILED = 7


# What is done.


@dataclass(frozen=True, slots=True)
class Look:
    """Read attributes 2 to 7 and the version that runs."""


@dataclass(frozen=True, slots=True)
class Initiate:
    """Invoke method 1; with ``enable``, set attribute 5 first."""

    identifier: bytes
    size: int
    enable: bool = False


@dataclass(frozen=True, slots=True)
class Transfer:
    """Nothing by itself: the meter takes part in its group's rounds."""


@dataclass(frozen=True, slots=True)
class Verify:
    """Invoke method 3."""


@dataclass(frozen=True, slots=True)
class Poll:
    """Read attribute 6."""


@dataclass(frozen=True, slots=True)
class Activate:
    """Invoke method 4."""


@dataclass(frozen=True, slots=True)
class Rest:
    """Nothing until then; None: until something else happens."""

    until: float | None = None


Step = Look | Initiate | Transfer | Verify | Poll | Activate | Rest


# How it came out.


@dataclass(frozen=True, slots=True)
class Info:
    """One element of image_to_activate_info, attribute 7."""

    size: int
    identification: bytes


@dataclass(frozen=True, slots=True)
class Bits:
    """image_transferred_blocks_status as it came: octets, and how many bits of them count."""

    octets: bytes = field(repr=False)
    count: int


@dataclass(frozen=True, slots=True)
class Looked:
    """What a meter says of itself. Nothing of it is trusted alone.

    Attributes:
        version: what runs.
        status: attribute 6; one that is no ``Status`` counts as ``NOT_INITIATED``.
        bits: attribute 3; None: it would not say.
        first_gap: attribute 4; None: it would not say.
        reason: why the last upgrade failed, from the meter's event log.
        tested: whether what runs is on trial and has passed its self-test; None: it does not say.
    """

    version: str
    block_size: int
    status: int
    bits: Bits | None = None
    first_gap: int | None = None
    enabled: bool = True
    infos: tuple[Info, ...] = ()
    reason: str = ""
    tested: bool | None = None


@dataclass(frozen=True, slots=True)
class Polled:
    """Attribute 6 alone."""

    status: int


@dataclass(frozen=True, slots=True)
class Accepted:
    """The method was carried out."""


@dataclass(frozen=True, slots=True)
class Busy:
    """temporary-failure: it is being carried out, or cannot be just now."""


@dataclass(frozen=True, slots=True)
class Refused:
    """Another action-result or data-access-result; ``why`` is for a person."""

    why: str = ""


@dataclass(frozen=True, slots=True)
class Silent:
    """No answer: it may have been carried out, or not."""


@dataclass(frozen=True, slots=True)
class Fed:
    """Blocks are on their way to it."""


@dataclass(frozen=True, slots=True)
class Filled:
    """By its bitmap the meter has every block."""


@dataclass(frozen=True, slots=True)
class Stuck:
    """The meter takes blocks and does not show them."""


@dataclass(frozen=True, slots=True)
class Expired:
    """The order's time is over."""


Answer = Looked | Polled | Accepted | Busy | Refused | Silent | Fed | Filled | Stuck | Expired
