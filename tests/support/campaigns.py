"""A head-end's campaigns over real stores, and DCUs that say what a test wants them to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.support.releases import approved, trust_vendor

from openami.fleet.campaigns.machine import Act
from openami.fleet.campaigns.model import Campaign, DeviceState, Group, Rest, Retry, Share
from openami.fleet.devices import Contact, DeviceKind, Sighting
from openami.fleet.ports import DeviceFilter
from openami.headend.campaigns.uplink import Asked, Said, SaidMark, Told

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from openami.core.clock import ManualClock
    from openami.fleet.campaigns.progress import StepFailed
    from openami.headend.campaigns.views import View
    from openami.headend.services import Services, Stores

D = DeviceState
CANARY = Group("canary", Share(3_300), canary=True)
OTHERS = Group("others", Rest())
RETRY = Retry(attempts=2, first_s=10.0, most_s=100.0, lease_s=1_000.0, longest_s=5_000.0)


def offer(services: Services, folder: Path, version: str = "1.4.0", **others: Any) -> str:
    """Put a release on the shelf that devices are offered; return its name."""
    if not services.firmware.keys.list():
        trust_vendor(services.firmware)
    shelved = approved(services.firmware, folder, version, **others)
    released = services.firmware.shelf.release(shelved.number, who="boris")
    return str(released.release.id)


def register(
    stores: Stores, dcus: Mapping[str, int], *, now: float, firmware: str = "1.3.0"
) -> None:
    """Let DCUs be heard, with so many meters each: A-1, A-2 and so on at DCU A."""
    sightings = []
    for dcu, meters in dcus.items():
        sightings.append(Sighting(DeviceKind.DCU, dcu, contact=Contact.OK, last_read=now))
        sightings += [
            Sighting(
                DeviceKind.METER, f"{dcu}-{n}", model="M", firmware=f"meter-{firmware}", dcu=dcu
            )
            for n in range(1, meters + 1)
        ]
    stores.devices.sight(sightings, now=now)


def campaign(release: str, **changes: Any) -> Campaign:
    base: dict[str, Any] = {
        "id": "new",
        "name": "Spring",
        "release": release,
        "which": DeviceFilter(),
        "groups": (CANARY, OTHERS),
        "jitter_s": 0.0,
        "retry": RETRY,
    }
    return Campaign(**{**base, **changes})


class Office:
    """Operators of a head-end, its time, and its DCUs."""

    def __init__(self, services: Services, wall: ManualClock) -> None:
        self.services, self.wall = services, wall
        self.numbers: dict[tuple[str, str], int] = {}

    @property
    def campaigns(self) -> Any:
        return self.services.campaigns

    def drafted(self, release: str, **changes: Any) -> View:
        view: View = self.campaigns.draft(campaign(release, **changes), who="ann")
        return view

    def act(self, id_: str, act: Act, who: str = "ann") -> View:
        number = self.campaigns.get(id_).run.commands + 1
        view: View = self.campaigns.command(id_, act, who=who, number=number)
        return view

    def started(self, release: str, **changes: Any) -> str:
        id_ = self.drafted(release, **changes).id
        self.act(id_, Act.PLAN)
        self.act(id_, Act.APPROVE, "bob")
        self.act(id_, Act.START)
        self.round()
        return id_

    def round(self, seconds: float = 0.0) -> None:
        """Let time pass, and the head-end do what it does each second."""
        self.wall.advance(seconds)
        self.services.upgrades.rounds.go()

    def ask(self, dcu: str, *reports: Said) -> Told:
        (told,) = self.services.upgrades.uplink._together([Asked(dcu, reports)])
        return told

    def say(
        self,
        dcu: str,
        id_: str,
        counts: Mapping[D, int],
        *,
        codes: Mapping[str, int] | None = None,
        failed: StepFailed | None = None,
        marks: Iterable[SaidMark] = (),
    ) -> Told:
        """Let a DCU report, and the head-end go on."""
        number = self.numbers[dcu, id_] = self.numbers.get((dcu, id_), 0) + 1
        said = Said(id_, number, counts, codes or {}, failed, tuple(marks))
        told = self.ask(dcu, said)
        assert told.taken == {id_: number}
        self.round()
        return told

    def working(self, dcus: Iterable[str]) -> list[str]:
        """Return which DCUs have an order."""
        return [dcu for dcu in dcus if self.ask(dcu).orders]
