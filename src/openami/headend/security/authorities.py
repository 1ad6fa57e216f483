"""The authorities of an installation: their keys rest in the vault, and nowhere else.

The root signs the authorities for devices, servers and operators, and each of these signs end
entities and nothing else.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from cryptography.hazmat.primitives.asymmetric import ec

from openami.core.errors import ConfigError
from openami.crypto import certificates
from openami.crypto.certificates import Identity, Validity
from openami.fleet.certificates import AuthorityName
from openami.headend.files import locked

if TYPE_CHECKING:
    from collections.abc import Callable

    from openami.fleet.ports import Vault
    from openami.headend.installation import Installation

DAY: Final = 86_400
AUTHORITY_DAYS: Final = 20 * 365  # longer than a meter is in service
BACKDATE_S: Final = 3600  # a peer whose clock is an hour slow can still connect
_SERIAL_BITS: Final = 159  # RFC 5280 4.1.2.2: 20 octets, positive
_KIND: Final = "authority"
_NAME: Final = "key"


@dataclass(frozen=True, slots=True)
class Authorities:
    """The authorities with their keys."""

    root: Identity
    devices: Identity
    servers: Identity
    operators: Identity

    def of(self, name: AuthorityName) -> Identity:
        """Return one by its name."""
        identity = getattr(self, name.value)
        assert isinstance(identity, Identity)
        return identity


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
        lower = {
            name: _kept(home, vault, name, lambda name=name: _lower(root, name, now))  # type: ignore[misc] # a name bound early
            for name in AuthorityName
            if name is not AuthorityName.ROOT
        }
    return Authorities(
        root,
        lower[AuthorityName.DEVICES],
        lower[AuthorityName.SERVERS],
        lower[AuthorityName.OPERATORS],
    )


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


def _root(home: Installation, now: float) -> Identity:
    if home.authority.exists():
        # Every device trusts this certificate; a new root would shut them all out.
        raise ConfigError(
            f"{home.authority} is there, but the vault does not hold its key",
            code="config.pki",
            hint=f"restore {home.vault.name} and {home.kek.name} from the backup",
        )
    validity = lasting(AUTHORITY_DAYS, now=now)
    return certificates.make_root("openami root", new_key(), serial=new_serial(), validity=validity)


def _lower(root: Identity, name: AuthorityName, now: float) -> Identity:
    end = root.certificate.not_valid_after_utc.timestamp()
    validity = Validity(now - BACKDATE_S, min(now + AUTHORITY_DAYS * DAY, end))
    title = f"openami {name}"
    return certificates.make_authority(
        root, title, new_key(), serial=new_serial(), validity=validity
    )
