"""The authorities of an installation, for tests that issue what they would not."""

import time
from contextlib import closing

from cryptography.hazmat.primitives.serialization import Encoding

from openami.core.identifiers import DCU_URN
from openami.crypto.certificates import Identity, Validity, issue_ldevid
from openami.headend.installation import Installation
from openami.headend.security.authorities import Authorities, lasting, new_key, open_authorities
from openami.headend.security.pki import key_pem
from openami.store.vault import FileVault


def authorities_of(home: Installation) -> Authorities:
    """Return the authorities with their keys, out of the vault."""
    with closing(FileVault(home.vault, kek=home.kek)) as vault:
        return open_authorities(home, vault, now=time.time())


def issue_by_hand(
    authority: Identity, name: str, *, now: float, validity: Validity | None = None
) -> tuple[bytes, bytes]:
    """Return a chain and a key in PEM for the DCU's URI with ``name``, recorded nowhere."""
    key = new_key()
    leaf = issue_ldevid(
        authority,
        "D1",
        DCU_URN + name,
        key.public_key(),
        serial=2,
        validity=validity or lasting(30, now=now),
    )
    return leaf.public_bytes(Encoding.PEM) + authority.certificate_pem(), key_pem(key)
