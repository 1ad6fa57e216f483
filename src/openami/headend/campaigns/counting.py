"""What the registry has for a campaign: DCUs, and how many of their devices a release fits."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from openami.core.errors import DecodeError
from openami.firmware.fits import Installed, why_not
from openami.firmware.version import Version
from openami.fleet.campaigns.records import DcuFacts, number_of
from openami.fleet.campaigns.sites import Census, Fitting, Sites, judge
from openami.fleet.devices import LifecycleState

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from openami.core.clock import Clock
    from openami.firmware.manifest import Manifest
    from openami.fleet.campaigns.model import Campaign
    from openami.fleet.campaigns.records import ClassCount
    from openami.headend.campaigns.ports import CampaignStore

NOT_REPORTING: Final = "campaign.not-reporting"
SHUT_OUT: Final = "campaign.shut-out"
_OUT: Final = frozenset({LifecycleState.SUSPENDED.value, LifecycleState.RETIRED.value})
_VERSION: Final = re.compile(r"(?:^|-)(\d+\.\d+\.\d+(?:\+\d+)?)$", re.ASCII)
"""Devices show ``<name>-<version>`` as what they run, or the version alone."""


@dataclass(frozen=True, slots=True)
class Rates:
    """Octets a second: of a DCU's link, and of its line to meters, where nothing else is known."""

    link: int
    line: int


@dataclass(frozen=True, slots=True, eq=False)
class Counted:
    """The DCUs that have devices which a campaign's filter finds.

    Attributes:
        sites: one row each, with how many of its devices the release fits.
        fitting: the same, and what was left out.
        serials: of the DCUs.
        names: of area, cell and segment.
    """

    sites: Sites
    fitting: Fitting
    serials: Sequence[str]
    names: Sequence[tuple[str, str, str]]


class Counting:
    """Counts devices for campaigns. Calls block.

    Args:
        store: counts the registry.
        clock: the registry's times are by.
        rates: of links and lines.
        lost_s: a DCU that was heard once and is silent for longer is left out.
    """

    def __init__(self, store: CampaignStore, *, clock: Clock, rates: Rates, lost_s: float) -> None:
        self._store, self._clock = store, clock
        self._rates, self._lost_s = rates, lost_s

    def count(self, campaign: Campaign, manifest: Manifest) -> Counted:
        """Count the devices that a campaign would be for."""
        found = self._store.census(campaign.kind, campaign.which)
        serials = sorted({one.dcu for one in found})
        row = {serial: number for number, serial in enumerate(serials)}
        known = {facts.serial: facts for facts in self._store.dcus()}
        facts = [known.get(serial) or DcuFacts(serial, "", "", None) for serial in serials]
        fitting = judge(
            *_classes(found, row, manifest), rows=len(serials), barred=self._barred(facts)
        )
        names = [place_of(one.region) for one in facts]
        return Counted(self._sites(serials, names, fitting), fitting, serials, names)

    def _sites(
        self, serials: Sequence[str], names: Sequence[tuple[str, str, str]], fitting: Fitting
    ) -> Sites:
        numbers = {name: number_of(name) for some in names for name in some}
        areas, cells, segments = (
            np.array([numbers[some[place]] for some in names], np.int64) for place in range(3)
        )
        return Sites(
            dcu=np.array([number_of(serial) for serial in serials], np.int64),
            devices=fitting.devices,
            area=areas,
            cell=cells,
            segment=segments,
            rate=np.full(len(serials), self._rates.link),
            line_rate=np.full(len(serials), self._rates.line),
            areas={area: numbers[area] for area, _, _ in names},
            cells={cell: numbers[cell] for _, cell, _ in names},
        )

    def _barred(self, facts: Sequence[DcuFacts]) -> Mapping[str, Iterable[int]]:
        lost = self._clock.now() - self._lost_s
        rows = list(enumerate(facts))
        return {
            SHUT_OUT: [row for row, one in rows if one.state in _OUT],
            NOT_REPORTING: [
                row for row, one in rows if one.last_seen is not None and one.last_seen < lost
            ],
        }


def place_of(region: str) -> tuple[str, str, str]:
    """Return the area, the cell and the segment of a DCU's region, such as ``north/cell-4``.

    What stands before the last slash is the area; the whole is the communication cell, which is
    also the segment of the network.
    """
    return region.rpartition("/")[0] or region, region, region


def verdict(manifest: Manifest, model: str, hardware: str, firmware: str) -> str | None:
    """Return the code of why a release is not for a class of devices; None: it is.

    Where the hardware is not known, the release is for the class if it is for any hardware of its
    model: the device itself takes no other.
    """
    known = {fit.hardware for fit in manifest.fits if fit.model == model}
    installed = version_of(firmware)
    found = [
        why_not(manifest, Installed(model, one, installed))
        for one in ([hardware] if hardware else sorted(known) or [""])
    ]
    return None if None in found else next(one.code for one in found if one is not None)


def version_of(firmware: str) -> Version | None:
    """Return the version that a device says that it runs; None: it is none of ours."""
    found = _VERSION.search(firmware)
    try:
        return None if found is None else Version.parse(found.group(1))
    except DecodeError:
        return None


def _classes(
    found: Sequence[ClassCount], row: Mapping[str, int], manifest: Manifest
) -> tuple[Census, list[str | None]]:
    kinds: dict[tuple[str, str, str], int] = {}
    for one in found:
        kinds.setdefault((one.model, one.hardware, one.firmware), len(kinds))
    census = Census(
        row=np.array([row[one.dcu] for one in found], np.int64),
        kind=np.array([kinds[one.model, one.hardware, one.firmware] for one in found], np.int64),
        count=np.array([one.count for one in found], np.int64),
    )
    return census, [verdict(manifest, *kind) for kind in kinds]
