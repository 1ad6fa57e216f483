"""The head-end's orders: what a DCU's meters shall run, as its answer says it.

Every answer has all orders that hold: an order that is not in it is void, and so is one whose epoch
is below the fleet's.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Final

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, FiniteFloat

from openami.core.errors import DecodeError
from openami.core.identifiers import check_serial
from openami.firmware.packages import Place

if TYPE_CHECKING:
    from openami.firmware.packages import PackageId

MAX_ORDERS: Final = 64
"""Orders at a time: a DCU's meters are of a few models, and each is in one or two campaigns."""
MAX_METERS: Final = 4096
"""Meters of an order: a concentrator's segment has some hundred, at most two thousand."""
MAX_ID: Final = 64
"""Characters of a campaign's id: it stands in every report."""
MAX_NUMBER: Final = 2**62
"""Of a report, an epoch, a revision: what both sides can count to."""
MAX_RATE: Final = 2**40
"""Octets a second: faster than any link."""


class Directive(StrEnum):
    """What is done with an order."""

    GO = "go"
    HOLD = "hold"


class _Model(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class Step(_Model):
    """A step that the DCU may take.

    Attributes:
        attempt: its number.
        begin: not before this.
        end: nothing is begun from then on.
        until: when the head-end gives it up if it hears nothing.
    """

    attempt: Annotated[int, Field(ge=1, le=MAX_NUMBER)]
    begin: FiniteFloat
    end: FiniteFloat
    until: FiniteFloat

    def open(self, now: float) -> bool:
        """Tell whether it may be begun now."""
        return self.begin <= now < self.end


class DownloadStep(Step):
    """Fetch the image, once for all meters; ``rate``: octets a second, 0: no matter how many."""

    rate: Annotated[int, Field(ge=0, le=MAX_RATE)] = 0


def _package(text: str) -> PackageId:
    return Place.parse(f"{text}/manifest.json").package


def _release(text: str) -> str:
    try:
        _package(text)
    except DecodeError as error:
        raise ValueError(error.reason) from None
    return text


def _meters(serials: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(serials)) != len(serials):
        raise ValueError("a meter is named twice")
    return tuple(check_serial(serial) for serial in serials)


class MeterOrder(_Model):
    """Which release some meters shall run.

    Attributes:
        campaign: whose it is; there is one order of each.
        epoch: of the fleet when it was given.
        release: as ``PackageId`` writes it.
        meters: the serials.
        directive: whether anything new may be begun.
        until: when what has not begun to switch is given up; None: never.
        download: fetch the image and bring it to the meters, up to and with its verification.
        activate: have meters run what they verified.
    """

    campaign: Annotated[str, Field(min_length=1, max_length=MAX_ID, pattern=r"^[A-Za-z0-9._:-]+$")]
    epoch: Annotated[int, Field(ge=0, le=MAX_NUMBER)]
    release: Annotated[str, Field(max_length=256), AfterValidator(_release)]
    meters: Annotated[tuple[str, ...], Field(max_length=MAX_METERS), AfterValidator(_meters)]
    directive: Directive
    until: FiniteFloat | None = None
    download: DownloadStep | None = None
    activate: Step | None = None

    @property
    def package(self) -> PackageId:
        """The release as an id."""
        return _package(self.release)

    def activate_at(self, now: float) -> float | None:
        """Return from when on meters may be told to activate; None: not now."""
        step = self.activate
        if step is None or self.directive is Directive.HOLD or now >= step.end:
            return None
        return step.begin


def _distinct(orders: tuple[MeterOrder, ...]) -> tuple[MeterOrder, ...]:
    if len({order.campaign for order in orders}) != len(orders):
        raise ValueError("a campaign has two orders")
    return orders


class Instructions(_Model):
    """All that the head-end has to say.

    Attributes:
        epoch: the fleet's.
        revision: changes whenever this would be another.
        taken: by campaign the number of a report that is durable.
        orders: all that hold.
    """

    epoch: Annotated[int, Field(ge=0, le=MAX_NUMBER)]
    revision: Annotated[int, Field(ge=0, le=MAX_NUMBER)]
    taken: Annotated[
        dict[str, Annotated[int, Field(ge=0, le=MAX_NUMBER)]], Field(max_length=4 * MAX_ORDERS)
    ] = Field(default_factory=dict)
    orders: Annotated[
        tuple[MeterOrder, ...], Field(max_length=MAX_ORDERS), AfterValidator(_distinct)
    ]
