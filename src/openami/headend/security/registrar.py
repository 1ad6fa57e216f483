"""SSMP's registrar over the stores: what it answers is durable (``docs/ssmp.md``).

Passwords are sealed in the vault before the database names them, and the database makes an
account live in one transaction. A server that dies between two commits has therefore left at most
a secret or a certificate that nothing names; the device asks the same again and is answered from
what the database says. What nothing names is taken away when the accounts become live.
"""

from __future__ import annotations

import math
import secrets
from dataclasses import replace
from typing import TYPE_CHECKING, Final, cast

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from openami.crypto.certificates import load_certificate
from openami.fleet import admission, moves
from openami.fleet.devices import LifecycleState
from openami.fleet.registration import (
    Activate,
    Claim,
    Issued,
    Reason,
    Registration,
    Ruling,
    Standing,
    Verdict,
)
from openami.headend.security.changes import TRIES, busy
from openami.headend.security.offering import Offering
from openami.headend.security.renewals import Renewals
from openami.ssmp import messages as m

if TYPE_CHECKING:
    from collections.abc import Mapping

    from openami.fleet.registration import ExpectedStore
    from openami.headend.security.alarms import Alarms
    from openami.headend.security.changes import Changes
    from openami.headend.security.offering import Issuer, Terms
    from openami.headend.security.offers import Offers
    from openami.ssmp.server import Asked, Peer

GRANT_OCTETS: Final = 16
SHOWN: Final = 250_000  # certificates of which it is known that they were shown: a country's DCUs

# Who has just begun to wait for a person asks this soon: somebody may be at the console.
PENDING_FIRST_S: Final = 5

# A device that is refused for one of these does better at once.
_SOON: Final = frozenset({Reason.EXPIRED, Reason.SPENT, Reason.UNKNOWN})
_DECIDED: Final = frozenset({Standing.BLOCKED, Standing.REFUSED, Standing.RETIRED})


class Registrar:
    """Implements ``openami.ssmp.server.Registrar``."""

    def __init__(
        self,
        changes: Changes,
        expected: ExpectedStore,
        offers: Offers,
        issuer: Issuer,
        alarms: Alarms,
        *,
        terms: Terms,
    ) -> None:
        self._changes = changes
        self._expected = expected
        self._offering = Offering(offers, issuer, terms=terms)
        self._issuer = issuer
        self._renewals = Renewals(alarms)
        self._terms = terms
        self._shown: set[int] = set()

    def manage_at(self, url: str) -> None:
        """Offer this address of device management from now on.

        Raises:
            ConfigError: ``config.dm-url``, no device could use it.
        """
        self._offering.manage_at(url)

    def register(
        self, peer: Peer, message: m.Register, asked: Asked, *, now: float
    ) -> m.Approved | m.Pending | m.Refused:
        uid, claim = peer.uid, _claim(peer, message, asked, now)

        def decide(registration: Registration | None) -> Ruling:
            expected, policy = self._expected.get(uid), self._terms.policy
            grant = secrets.token_bytes(GRANT_OCTETS)
            expired = self._expired(registration, now)
            ruling = admission.request(
                registration, uid, claim, expected, policy, grant=grant, expired=expired
            )
            return self._unless_shut(registration, ruling, uid)

        with self._changes.alone(uid):
            ruling = self._changes.decide(uid, decide, who=_who(uid))
        if ruling.verdict is Verdict.APPROVED:
            return m.Approved(message.exchange, _of(ruling).grant)
        if ruling.reason is Reason.SPENT:
            self._changes.ask_anew(uid)
        if ruling.verdict is Verdict.PENDING:
            waited = now - _of(ruling).claim.when
            return m.Pending(message.exchange, pending_wait(waited, self._terms.pending_s))
        return self._refused(message, ruling)

    def fetch(self, peer: Peer, message: m.Fetch, *, now: float) -> m.Bootstrap | m.Refused:
        with self._changes.alone(peer.uid):
            for _ in range(TRIES):
                found = self._fetch(peer, message, now)
                if found is not None:
                    return found
        raise busy(peer.uid)

    def _fetch(self, peer: Peer, message: m.Fetch, now: float) -> m.Bootstrap | m.Refused | None:
        """Return the answer; None where the registration has changed meanwhile."""
        before = self._changes.now(peer.uid)
        ruling = self._shut(peer.uid, before) or admission.fetch(
            before,
            exchange=message.exchange,
            factory=peer.fingerprint,
            grant=message.grant,
            now=now,
        )
        if ruling.verdict is Verdict.REFUSED:
            return self._refused(message, ruling)
        found = _of(ruling)
        kept = self._offering.kept(found) if ruling.verdict is Verdict.AGAIN else None
        if kept is not None:
            return kept
        made, offer = self._offering.make(found, message, now=now)
        offered = admission.offered(found, offer)
        if not self._changes.commit(found, offered, who=_who(peer.uid)):
            return None
        self._changes.tidy(_of(offered))
        return made

    def acknowledge(
        self, peer: Peer, message: m.Acknowledge, *, now: float
    ) -> m.Confirmed | m.Refused:
        uid = peer.uid

        def decide(registration: Registration | None) -> Ruling:
            ruling = self._shut(uid, registration) or admission.acknowledge(
                registration,
                exchange=message.exchange,
                factory=peer.fingerprint,
                grant=message.grant,
                digest=message.digest,
                now=now,
            )
            live = any(isinstance(effect, Activate) for effect in ruling.effects)
            if live and not self._offering.keep_account(uid, message.digest):
                return moves.refusal(registration, Reason.EXPIRED)
            return ruling

        with self._changes.alone(uid):
            ruling = self._changes.decide(uid, decide, who=_who(uid))
            if ruling.verdict is Verdict.REFUSED:
                return self._refused(message, ruling)
            # Also for a request that comes again: the server may have died before it came here.
            self._changes.tidy(_of(ruling))
        return m.Confirmed(message.exchange, message.digest)

    def renew(
        self, peer: Peer, message: m.Renew, asked: Asked, *, now: float
    ) -> m.Renewed | m.Refused:
        uid = peer.uid
        made: dict[str, Issued] = {}  # what is issued once serves every try

        def decide(registration: Registration | None) -> Ruling:
            ruling = self._unless_shut(
                registration,
                admission.renew(registration, shown=peer.serial, key=asked.fingerprint, now=now),
                uid,
            )
            if ruling.verdict is not Verdict.MAKE:
                return ruling
            if uid not in made:
                made[uid] = self._renewed(uid, asked, now)
            renewed = admission.renewed(_of(ruling), made[uid])
            return replace(renewed, effects=ruling.effects + renewed.effects)

        with self._changes.alone(uid):
            ruling = self._changes.decide(uid, decide, who=_who(uid))
        certificate = None if ruling.registration is None else ruling.registration.certificate
        if ruling.reason is Reason.SOON and certificate is not None:
            wait = max(1, math.ceil(admission.renewable_in(certificate, now)))
            self._renewals.refused(uid, wait=wait, now=now)
            return m.Refused(message.exchange, m.Reason.SOON, wait)
        if ruling.verdict is Verdict.REFUSED or certificate is None:
            return self._refused(message, ruling)
        self._renewals.renewed(uid)
        return m.Renewed(message.exchange, self._issuer.chain(certificate.serial))

    def _renewed(self, uid: str, asked: Asked, now: float) -> Issued:
        made = self._issuer.issue_device(uid, asked.key, now=now)
        ends = load_certificate(made.chain[0]).not_valid_after_utc.timestamp()
        return Issued(made.serial, asked.fingerprint, now, ends)

    def knows_shown(self, serial: int) -> bool:
        """Tell, from memory, whether a certificate need not be said to be ``shown`` again."""
        return serial in self._shown

    def shown(self, uid: str, serial: int) -> None:
        """Take that a device has connected with a certificate: the one before it ends with that.

        Blocks.
        """

        def decide(registration: Registration | None) -> Ruling:
            if registration is None or registration.standing in _DECIDED:
                return Ruling(Verdict.CONFIRMED, registration)
            return admission.show(registration, serial)

        with self._changes.alone(uid):
            registration = self._changes.decide(uid, decide, who=_who(uid)).registration
        if registration is not None and registration.standing in _DECIDED:
            return  # what it shows counts once it is let in again
        if len(self._shown) >= SHOWN:
            self._shown.clear()
        self._shown.add(serial)

    def _unless_shut(self, registration: Registration | None, ruling: Ruling, uid: str) -> Ruling:
        """Return a ruling, or the refusal of a device that a person shut out.

        That a device is there twice is told at once, also while it is suspended.
        """
        shut = self._shut(uid, registration)
        suspended = shut is not None and shut.reason is Reason.OPERATOR
        return ruling if shut is None or (suspended and moves.suspects(ruling)) else shut

    def _shut(self, uid: str, registration: Registration | None) -> Ruling | None:
        """Return the refusal of a device that a person shut out in the registry, if one did."""
        standing = None if registration is None else registration.standing
        device = None if standing in _DECIDED else self._changes.device(uid)
        reason = None if device is None else _OUT.get(device.state)
        return None if reason is None else moves.refusal(registration, reason)

    def _expired(self, registration: Registration | None, now: float) -> bool:
        """Tell whether the certificate is out of its time that a device is known to have.

        A renewed one counts once it was shown: its device may never have received it.
        """
        good = None if registration is None else registration.previous or registration.certificate
        if good is None:
            return False
        leaf = load_certificate(self._issuer.chain(good.serial)[0])
        return leaf.not_valid_after_utc.timestamp() < now

    def _refused(self, message: m.Request, ruling: Ruling) -> m.Refused:
        reason = ruling.reason or Reason.UNKNOWN
        wait = self._terms.pending_s if reason in _SOON else self._terms.refused_s
        return m.Refused(message.exchange, m.Reason[reason.name], wait)


def pending_wait(waited: float, most: int) -> int:
    """Return the seconds until a device asks again that waits for a person.

    They double: it asks again after as long as it has waited.

    Args:
        waited: since it first asked.
        most: the longest.
    """
    return min(max(int(waited), PENDING_FIRST_S), most)


_OUT: Final[Mapping[LifecycleState, Reason]] = {
    LifecycleState.SUSPENDED: Reason.OPERATOR,
    LifecycleState.RETIRED: Reason.RETIRED,
}


def _claim(peer: Peer, message: m.Register, asked: Asked, now: float) -> Claim:
    info = message.info
    return Claim(
        exchange=message.exchange,
        factory=peer.fingerprint,
        key=asked.fingerprint,
        manufacturer=peer.manufacturer,
        model=info.model,
        hardware=info.hardware,
        firmware=info.firmware,
        when=now,
        public=asked.key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
    )


def _of(ruling: Ruling) -> Registration:
    """Return the registration of a ruling that is no refusal: then there is one."""
    return cast("Registration", ruling.registration)


def _who(uid: str) -> str:
    return f"dcu {uid}"
