"""How a decision on a registration becomes true: committed, told to who watches, tidied up after.

Devices and people decide at the same time: what was decided on a registration that has changed
since is decided anew.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final, TypeAlias

import structlog

from openami.core.errors import ConflictError, NotFoundError
from openami.fleet.devices import DeviceKind, device_id
from openami.fleet.registration import Alarm
from openami.headend.bus import LiveEvent, Topic
from openami.headend.errors import BusyError
from openami.headend.registry import device_news
from openami.headend.seldom import Seldom

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from openami.core.clock import Clock
    from openami.fleet.devices import Device
    from openami.fleet.ports import DeviceStore
    from openami.fleet.registration import Registration, RegistrationStore, Ruling
    from openami.headend.bus import Bus
    from openami.headend.security.offers import Offers

log = structlog.get_logger(__name__)

Decide: TypeAlias = "Callable[[Registration | None], Ruling]"

# Two at a device's registration at once are a device and a person; more are a repeated request.
TRIES: Final = 4
_LOCKS: Final = 64  # devices that are decided on at once; each takes two commits
ASKED_S: Final = 600.0
"""Between two notes that the same device asks to register anew: some in the time that counts."""
_LOST: Final = frozenset({"registration.changed", "store.conflict"})


class Changes:
    """Reads registrations, and commits what is decided on them."""

    def __init__(
        self,
        registrations: RegistrationStore,
        devices: DeviceStore,
        offers: Offers,
        *,
        bus: Bus,
        wall: Clock,
        revoked: Callable[[str], None] = lambda _uid: None,
    ) -> None:
        self._registrations = registrations
        self._devices = devices
        self._offers = offers
        self._bus = bus
        self._wall = wall
        self._revoked = revoked
        self._asked = Seldom(ASKED_S)
        self._locks = tuple(threading.Lock() for _ in range(_LOCKS))

    def alone(self, uid: str) -> AbstractContextManager[object]:
        """Give the block a device for itself, within this process.

        What is in the vault and what is in the database are two commits: who tidies up the first
        must not do so between another's two.
        """
        return self._locks[hash(uid) % _LOCKS]

    def now(self, uid: str) -> Registration | None:
        """Return the registration of a device as it is stored."""
        return self._registrations.get(uid)

    def device(self, uid: str) -> Device | None:
        """Return the device in the registry, if it is there."""
        try:
            return self._devices.get(device_id(DeviceKind.DCU, uid))
        except NotFoundError:
            return None

    def decide(self, uid: str, decide: Decide, *, who: str, why: str = "") -> Ruling:
        """Decide and commit; ``decide`` may be called again when somebody else was quicker.

        Raises:
            BusyError: somebody else was quicker every time.
        """
        for _ in range(TRIES):
            before = self.now(uid)
            ruling = decide(before)
            if self.commit(before, ruling, who=who, why=why):
                return ruling
        raise busy(uid)

    def commit(
        self, before: Registration | None, ruling: Ruling, *, who: str, why: str = ""
    ) -> bool:
        """Commit a decision on ``before``; False where that has changed."""
        after = ruling.registration
        if after is None or (after == before and not ruling.effects):
            return True
        try:
            self._registrations.put(
                after,
                replacing=before,
                effects=ruling.effects,
                who=who,
                when=self._wall.now(),
                why=why,
            )
        except ConflictError as error:
            if error.code not in _LOST:
                raise
            return False
        if any(not isinstance(effect, Alarm) for effect in ruling.effects):
            self._revoked(after.uid)  # certificates may have been: nobody is to believe them
        self._tell(before, after, ruling, who)
        return True

    def ask_anew(self, uid: str) -> None:
        """Take that a live device asks to register anew, for people to see."""
        now = self._wall.now()
        if not self._asked.due(uid, now):
            return
        self._registrations.ask_anew(uid, when=now)
        log.info("asks to register anew", dcu=uid)
        self._bus.publish(LiveEvent(Topic.REGISTRATION, uid, now, {"asks_anew": True}, dcu=uid))

    def tidy(self, registration: Registration) -> None:
        """Forget every password that is of no use any more; may be done again."""
        offer = registration.offer
        self._offers.forget_others(
            registration.uid,
            offer=None if offer is None else offer.digest,
            account=registration.live,
        )

    def _tell(
        self, before: Registration | None, after: Registration, ruling: Ruling, who: str
    ) -> None:
        now, uid = self._wall.now(), after.uid
        was = None if before is None else before.standing.value
        standing = after.standing.value
        log.info("registration", dcu=uid, standing=standing, was=was, who=who)
        data = {"standing": standing, "was": was}
        self._bus.publish(LiveEvent(Topic.REGISTRATION, uid, now, data, dcu=uid))
        for effect in ruling.effects:
            if isinstance(effect, Alarm):
                log.warning("alarm", code=effect.code, dcu=uid, message=effect.message)
                told = {"code": effect.code, "message": effect.message}
                self._bus.publish(
                    LiveEvent(Topic.ALARM, device_id(DeviceKind.DCU, uid), now, told, dcu=uid)
                )
        device = self.device(uid)
        if device is not None:
            self._bus.publish(device_news(device, now))


def busy(uid: str) -> BusyError:
    """Return the error for a registration that others change all the time."""
    return BusyError(
        f"the registration of {uid} is being changed", retry_after=1.0, code="busy.registration"
    )
