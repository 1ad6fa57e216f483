"""The authorities of an installation: their keys rest in the vault, and nowhere else.

The root signs the authorities for devices, servers and operators, and each of these signs end
entities and nothing else. One that comes to its end is followed by another: from then on the newer
one signs, and what the older one has signed is good until its own time is over.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from cryptography.hazmat.primitives.asymmetric import ec

from openami.core.errors import ConfigError
from openami.crypto import certificates
from openami.crypto.certificates import Identity, Validity
from openami.fleet.certificates import AuthorityName, authority_id
from openami.headend.errors import RequestError
from openami.headend.files import locked

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from openami.fleet.ports import Vault
    from openami.headend.installation import Installation

DAY: Final = 86_400
ROOT_DAYS: Final = 40 * 365  # nothing follows it: the factory gives it to devices for their lives
AUTHORITY_DAYS: Final = 20 * 365  # longer than a meter is in service
BACKDATE_S: Final = 3600  # a peer whose clock is an hour slow can still connect
FOLLOWING: Final = 99  # of one name: more than a root of twenty years sees
_SERIAL_BITS: Final = 159  # RFC 5280 4.1.2.2: 20 octets, positive
AUTHORITIES_HINT: Final = "openami pki show names them"
_KIND: Final = "authority"
_NAME: Final = "key"


@dataclass(frozen=True, slots=True)
class Authorities:
    """The authorities with their keys; of one name those that followed each other, in order."""

    by_name: Mapping[AuthorityName, tuple[Identity, ...]]

    @property
    def root(self) -> Identity:
        return self.of(AuthorityName.ROOT)

    @property
    def devices(self) -> Identity:
        return self.of(AuthorityName.DEVICES)

    @property
    def servers(self) -> Identity:
        return self.of(AuthorityName.SERVERS)

    @property
    def operators(self) -> Identity:
        return self.of(AuthorityName.OPERATORS)

    def of(self, name: AuthorityName) -> Identity:
        """Return the one that signs now."""
        return self.by_name[name][-1]

    def number(self, name: AuthorityName) -> int:
        """Return which of its name signs now."""
        return len(self.by_name[name])

    def by_id(self) -> Mapping[str, Identity]:
        """Return all, by what ``authority_id`` names them."""
        return {
            authority_id(name, number): identity
            for name, identities in self.by_name.items()
            for number, identity in enumerate(identities, 1)
        }


class AuthorityKeeper:
    """The authorities of an installation, in memory; they are made where they are not there.

    Raises:
        ConfigError: as ``open_authorities``.
    """

    def __init__(self, home: Installation, vault: Vault, *, now: float) -> None:
        self._home = home
        self._vault = vault
        self.present = open_authorities(home, vault, now=now)

    def refresh(self) -> bool:
        """Look whether another process has let one be followed; tell whether it has."""
        found = {
            name: _all(self._vault, name, known) for name, known in self.present.by_name.items()
        }
        changed = found != self.present.by_name
        if changed:
            self.present = Authorities(found)
        return changed

    def follow(
        self, name: AuthorityName, *, now: float, announce: Callable[[str], None] | None = None
    ) -> str:
        """Make the authority that follows the one of a name; return what names it.

        Args:
            name: of the one before.
            now: seconds UTC.
            announce: takes what will name it, before it is there.

        Raises:
            RequestError: ``request.authority``, nothing follows the root, or there are too many.
        """
        if name is AuthorityName.ROOT:
            raise RequestError(
                "every device trusts the root: nothing can follow it", code="request.authority"
            )
        with locked(self._home.pki):
            self.refresh()
            number = self.present.number(name) + 1
            if number > FOLLOWING:
                raise RequestError(f"{FOLLOWING} {name} at most", code="request.authority")
            made = _lower(self.present.root, name, now, number)
            if announce is not None:
                announce(authority_id(name, number))
            self._vault.put(_KIND, authority_id(name, number), _NAME, made.pem())
        self.refresh()
        return authority_id(name, number)


def open_authorities(home: Installation, vault: Vault, *, now: float) -> Authorities:
    """Return the authorities of an installation; those that are not there are made.

    The keys of older installations, which stood in files, are moved into the vault: a file is
    deleted once the vault has what it holds.

    Raises:
        ConfigError: ``config.pki``: a file can not be used, or holds another key than the vault;
            or the vault does not hold the root's key, though there was one.
    """
    with locked(home.pki):
        root = _kept(home, vault, AuthorityName.ROOT, lambda: _root(home, now))
        lower: dict[AuthorityName, Identity] = {
            name: _kept(home, vault, name, lambda name=name: _lower(root, name, now))  # type: ignore[misc] # a name bound early
            for name in AuthorityName
            if name is not AuthorityName.ROOT
        }
    first = {AuthorityName.ROOT: root, **lower}
    return Authorities({name: _all(vault, name, (one,)) for name, one in first.items()})


def new_key() -> ec.EllipticCurvePrivateKey:
    """Return a new private key on P-256."""
    return ec.generate_private_key(ec.SECP256R1())


def new_serial() -> int:
    """Return a serial number by chance (CA/Browser Forum BR 7.1: at least 64 bits of it)."""
    return secrets.randbits(_SERIAL_BITS) | 1


def lasting(days: float, *, now: float) -> Validity:
    """Return a validity of so many days from ``now``."""
    return Validity(now - BACKDATE_S, now + days * DAY)


def _kept(
    home: Installation, vault: Vault, name: AuthorityName, make: Callable[[], Identity]
) -> Identity:
    file = home.pki / f"{name}.pem"
    from_file = Identity.from_pem(file.read_bytes()) if file.exists() else None
    sealed = vault.find(_KIND, name).get(_NAME)
    if sealed is None:
        identity = from_file or make()
        vault.put(_KIND, name, _NAME, identity.pem())
    else:
        identity = Identity.from_pem(sealed)
    if from_file is not None:
        if from_file.certificate != identity.certificate:
            raise ConfigError(
                f"{file} holds another authority than the vault",
                code="config.pki",
                hint="keep the one that signed the devices' certificates; move the file away",
            )
        file.unlink()
    return identity


def _all(vault: Vault, name: AuthorityName, known: tuple[Identity, ...]) -> tuple[Identity, ...]:
    """Return the authorities of a name, with those that have followed the ones known."""
    following = authority_id(name, len(known) + 1)
    while name is not AuthorityName.ROOT and (pem := vault.find(_KIND, following).get(_NAME)):
        known = (*known, Identity.from_pem(pem))
        following = authority_id(name, len(known) + 1)
    return known


def _root(home: Installation, now: float) -> Identity:
    if home.authority.exists():
        # Every device trusts this certificate; a new root would shut them all out.
        raise ConfigError(
            f"{home.authority} is there, but the vault does not hold its key",
            code="config.pki",
            hint=f"restore {home.vault.name} and {home.kek.name} from the backup",
        )
    validity = lasting(ROOT_DAYS, now=now)
    return certificates.make_root("openami root", new_key(), serial=new_serial(), validity=validity)


def _lower(root: Identity, name: AuthorityName, now: float, number: int = 1) -> Identity:
    end = root.certificate.not_valid_after_utc.timestamp()
    validity = Validity(now - BACKDATE_S, min(now + AUTHORITY_DAYS * DAY, end))
    # Another name as well: a list of what is revoked is found by the name of who signed it.
    title = f"openami {name}" if number == 1 else f"openami {name} {number}"
    return certificates.make_authority(
        root, title, new_key(), serial=new_serial(), validity=validity
    )
