"""The authorities of an installation, for tests that issue what they would not."""

import shutil
import time
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.serialization import Encoding
from tests.support.headend import settings_in
from tests.support.registering import QUICK

from openami.core.clock import ManualClock
from openami.core.identifiers import DCU_URN
from openami.crypto.certificates import Identity, Validity, issue_ldevid
from openami.headend.installation import Installation, open_installation
from openami.headend.security.authorities import Authorities, lasting, new_key, open_authorities
from openami.headend.security.issued import key_pem
from openami.headend.security.pki import Pki
from openami.store.relational import RelationalStore, open_engine
from openami.store.vault import FileVault


class House:
    """An installation's authorities and their stores, without all else that a head-end is.

    Args:
        folder: of the installation; a copy of what ``build`` made.
        wall: the time.
    """

    def __init__(self, folder: Path, wall: ManualClock) -> None:
        self._stack = ExitStack()
        self._folder = folder
        self.wall = wall
        self.home = open_installation(settings_in(folder).state)
        engine = open_engine(self.home.database)
        self.store = self._stack.enter_context(closing(RelationalStore(engine, hasher=QUICK)))
        vault = FileVault(self.home.vault, kek=self.home.kek)
        self.vault = self._stack.enter_context(closing(vault))

    @classmethod
    def build(cls, folder: Path) -> Path:
        """Make an installation that others are copies of."""
        home = open_installation(settings_in(folder).state)
        RelationalStore.open(home.database).close()
        authorities_of(home)
        return folder

    @classmethod
    def copy(cls, built: Path, folder: Path, wall: ManualClock) -> "House":
        shutil.copytree(built, folder, dirs_exist_ok=True)
        return cls(folder, wall)

    def pki(self, **options: Any) -> Pki:
        """Return what another process sees of the authorities."""
        settings = settings_in(self._folder, **options)
        return Pki.open(
            self.home, self.store.certificates, self.vault, settings=settings, wall=self.wall
        )

    def close(self) -> None:
        self._stack.close()


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
