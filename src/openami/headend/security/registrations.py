"""What people decide on registrations, and the list of devices that are expected."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from openami.core.errors import ConflictError, NotFoundError
from openami.fleet import admission
from openami.fleet.devices import LifecycleState
from openami.fleet.expected import read_expected
from openami.fleet.registration import (
    ASKS_S,
    RegistrationRecord,
    Resume,
    Ruling,
    Standing,
    Suspend,
    Verdict,
)
from openami.headend.registry import reason
from openami.headend.security.registrar import GRANT_OCTETS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from openami.core.clock import Clock
    from openami.fleet.certificates import CertificateRecord
    from openami.fleet.expected import ExpectedDevice
    from openami.fleet.ports import Page
    from openami.fleet.registration import ExpectedStore, Registration, RegistrationStore
    from openami.headend.security.changes import Changes
    from openami.headend.security.pki import Pki

# A device in one of these is let in: it may be suspended for a while and resumed.
_IN: Final = frozenset({Standing.APPROVED, Standing.OFFERED, Standing.LIVE})


@dataclass(frozen=True, slots=True)
class Known(RegistrationRecord):
    """All that is known of a device's registration, with the certificate that is good."""

    certificate: CertificateRecord | None


class Registrations:
    """Registrations of devices, for people. Calls block."""

    def __init__(
        self,
        changes: Changes,
        registrations: RegistrationStore,
        expected: ExpectedStore,
        pki: Pki,
        *,
        wall: Clock,
    ) -> None:
        self._changes = changes
        self._registrations = registrations
        self._expected = expected
        self._pki = pki
        self._wall = wall

    def list(
        self,
        standing: Standing | None = None,
        *,
        asking: bool = False,
        after: str | None = None,
        limit: int = 100,
    ) -> Page[RegistrationRecord]:
        """Return registrations by uid; ``asking``: of live devices that ask to register anew."""
        since = self._asked_since() if asking else None
        return self._registrations.list(standing, asked_since=since, after=after, limit=limit)

    def counts(self) -> Mapping[Standing, int]:
        """Return how many registrations stand where."""
        return self._registrations.counts()

    def asking(self) -> int:
        """Return how many live devices ask to register anew."""
        return self._registrations.asking(since=self._asked_since())

    def _asked_since(self) -> float:
        return self._wall.now() - ASKS_S

    def get(self, uid: str) -> Known:
        """Return all that is known of a device's registration; NotFoundError."""
        record = self._registrations.known(uid)
        if record is None:
            raise _unknown(uid)
        issued = record.registration.certificate
        return Known(
            record.registration,
            record.device,
            record.expected,
            record.asked,
            None if issued is None else self._pki.certificate(issued.serial),
        )

    # Decisions. Each raises NotFoundError, and ConflictError where the registration does not
    # stand so that it could be decided.

    def approve(self, uid: str, *, who: str, why: str = "") -> Known:
        """Let in a device that is held or was refused."""

        def decide(registration: Registration) -> Ruling:
            return admission.approve(registration, grant=secrets.token_bytes(GRANT_OCTETS))

        return self._decide(uid, decide, who, why)

    def refuse(self, uid: str, *, who: str, why: str) -> Known:
        """Keep out a device; what it had is revoked."""
        return self._decide(uid, admission.refuse, who, reason(why))

    def suspend(self, uid: str, *, who: str, why: str) -> Known:
        """Let nobody use the device's account and certificates for now."""
        return self._decide(uid, self._suspended, who, reason(why))

    def resume(self, uid: str, *, who: str, why: str, to: LifecycleState | None = None) -> Known:
        """Let a suspended device work again, in the state of life it had or ``to``."""
        return self._decide(uid, lambda now: self._resumed(now, to), who, reason(why))

    def retire(self, uid: str, *, who: str, why: str) -> Known:
        """Take a device out for good; what it had is revoked."""
        return self._decide(uid, admission.retire, who, reason(why))

    def reopen(self, uid: str, *, who: str, why: str) -> Known:
        """Let a live device, or the one that replaces it, register anew."""
        return self._decide(uid, admission.reopen, who, reason(why))

    def keep(self, uid: str, *, who: str, why: str) -> Known:
        """Decide that the first of two is the device."""
        return self._decide(uid, admission.keep, who, reason(why))

    def take_rival(self, uid: str, *, who: str, why: str) -> Known:
        """Decide that the second of two is the device; what the first had is revoked."""

        def decide(registration: Registration) -> Ruling:
            return admission.take_rival(registration, grant=secrets.token_bytes(GRANT_OCTETS))

        return self._decide(uid, decide, who, reason(why))

    def follow(self, uid: str, to: LifecycleState, *, who: str, why: str) -> bool:
        """Decide what a move of the device in the registry means; False where it means nothing.

        The device moves with it.
        """
        registration, device = self._registrations.get(uid), self._changes.device(uid)
        if registration is None or registration.standing is Standing.RETIRED:
            return False
        if to is LifecycleState.RETIRED:
            self.retire(uid, who=who, why=why)
            return True
        # A DCU that was enrolled by hand has a life of its own until its registration is decided.
        if registration.standing is Standing.PENDING:
            return False
        if device is not None and device.state is LifecycleState.SUSPENDED:
            self.resume(uid, who=who, why=why, to=to)
            return True
        if to is LifecycleState.SUSPENDED and registration.standing in _IN:
            self.suspend(uid, who=who, why=why)
            return True
        return False

    # Expected devices.

    def expected(self, *, after: str | None = None, limit: int = 100) -> Page[ExpectedDevice]:
        """Return the devices that are expected, by uid."""
        return self._expected.list(after=after, limit=limit)

    def import_expected(self, text: str, *, who: str) -> int:
        """Expect the devices of a list (CSV) as well; return how many it names.

        Raises:
            ConfigError: ``request.expected``, a line is wrong: nothing of the list is taken.
        """
        devices = read_expected(text)
        self.expect(devices, who=who)
        return len(devices)

    def expect(self, devices: Sequence[ExpectedDevice], *, who: str) -> None:
        """Expect these devices, too."""
        self._expected.put(devices, who=who, when=self._wall.now())

    def expect_no_more(self, uid: str, *, who: str) -> None:
        """Take a device from the list; NotFoundError. One that is let in stays."""
        self._expected.remove(uid, who=who, when=self._wall.now())

    def _decide(
        self, uid: str, decide: Callable[[Registration], Ruling], who: str, why: str
    ) -> Known:
        with self._changes.alone(uid):
            ruling = self._changes.decide(
                uid, lambda registration: decide(_found(uid, registration)), who=who, why=why
            )
            if ruling.registration is not None:
                self._changes.tidy(ruling.registration)
        return self.get(uid)

    def _suspended(self, registration: Registration) -> Ruling:
        self._check_in(registration, "be suspended", suspended=False)
        return Ruling(Verdict.REFUSED, registration, (Suspend(),))

    def _resumed(self, registration: Registration, to: LifecycleState | None) -> Ruling:
        self._check_in(registration, "work again", suspended=True)
        return Ruling(Verdict.APPROVED, registration, (Resume(to),))

    def _check_in(self, registration: Registration, what: str, *, suspended: bool) -> None:
        device = self._changes.device(registration.uid)
        is_so = device is not None and device.state is LifecycleState.SUSPENDED
        if registration.standing not in _IN or is_so is not suspended:
            suspended_in = is_so and registration.standing in _IN
            how = "suspended" if suspended_in else registration.standing
            raise ConflictError(
                f"{registration.uid} is {how}: it cannot {what}",
                code="registration.transition",
            )


def _found(uid: str, registration: Registration | None) -> Registration:
    if registration is None:
        raise _unknown(uid)
    return registration


def _unknown(uid: str) -> NotFoundError:
    return NotFoundError(f"{uid} has not asked to be registered", code="registration.unknown")
