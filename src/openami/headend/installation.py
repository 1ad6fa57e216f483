"""What a head-end's folder holds, made on its first start and found again on every later one.

::

    <state>/
      pki/root.pem      key and certificate of the root authority
      pki/devices.pem   key and certificate of the authority that signs DCUs
      pki/server.pem    key and certificate of both listeners
      ca.pem            the root's certificate: what DCUs and browsers are to trust
      clients.pem       what the device listener trusts
      kek               the key-encryption key of the vault: keep its backup apart from the rest
      admin-password    of the first account, while nobody has changed it
      openami.sqlite    devices, jobs, events, operators, audit log
      vault.sqlite      meters' keys, sealed
      lake/             readings

Each file appears whole or not at all, and a missing one is made: a start that was killed is
finished by the next one. All but the two public ones are readable by their owner only.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from openami.core.errors import ConfigError
from openami.core.identifiers import check_serial
from openami.headend import pki
from openami.headend.files import PUBLIC, private_folder, write_whole

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

LOCAL_NAMES: Final = ("localhost", "127.0.0.1", "::1")
RENEW_DAYS: Final = 30  # this many days before the end a new certificate is made
PASSWORD_OCTETS: Final = 15  # 120 bits, 20 characters


class DcuCredentials(NamedTuple):
    """What a DCU needs to connect, each in PEM; the key is kept nowhere else."""

    certificate: bytes
    key: bytes
    authority: bytes

    def __repr__(self) -> str:
        return "DcuCredentials(...)"


@dataclass(frozen=True, slots=True)
class Installation:
    """The folder of one head-end, complete; made by ``open_installation``."""

    root: Path

    @property
    def server(self) -> Path:
        """Key and certificate of the listeners."""
        return self.root / "pki" / "server.pem"

    @property
    def authority(self) -> Path:
        """The root's certificate, public."""
        return self.root / "ca.pem"

    @property
    def clients(self) -> Path:
        """The authorities that a DCU's certificate may come from, public."""
        return self.root / "clients.pem"

    @property
    def kek(self) -> Path:
        """The vault's key-encryption key."""
        return self.root / "kek"

    @property
    def vault(self) -> Path:
        return self.root / "vault.sqlite"

    @property
    def database(self) -> Path:
        return self.root / "openami.sqlite"

    @property
    def lake(self) -> Path:
        return self.root / "lake"

    @property
    def admin_password(self) -> Path:
        """The first account's password, while nobody has changed it."""
        return self.root / "admin-password"

    def enroll_dcu(self, dcu: str, *, now: float) -> DcuCredentials:
        """Return a new certificate and key for the DCU ``dcu``; earlier ones stay valid.

        Raises:
            ConfigError: ``dcu`` can not be an identifier.
        """
        try:
            check_serial(dcu)
        except ValueError as error:
            raise ConfigError(str(error), code="config.dcu") from error
        devices = pki.Identity.from_pem((self.root / "pki" / "devices.pem").read_bytes())
        identity = pki.issue_dcu(devices, dcu, now=now)
        return DcuCredentials(
            identity.certificate_pem() + devices.certificate_pem(),
            identity.key_pem(),
            self.authority.read_bytes(),
        )

    def fingerprint(self) -> str:
        """Return the root certificate's SHA-256, for a person to compare."""
        root = pki.Identity.from_pem((self.root / "pki" / "root.pem").read_bytes())
        return pki.fingerprint(root.certificate)


def open_installation(root: Path, *, names: Iterable[str] = (), now: float) -> Installation:
    """Return the installation in ``root``, making what is not there.

    The servers' certificate is made anew when it is about to end or lacks one of ``names``.

    Args:
        root: the state folder.
        names: host names and addresses beside the local ones.
        now: the time of the machine; certificates know no other.

    Raises:
        ConfigError: a file that is there can not be used.
    """
    private_folder(root)
    private_folder(root / "pki")
    home = Installation(root)
    authority = _identity(root / "pki" / "root.pem", lambda: pki.make_root("openami root", now=now))
    devices = _identity(
        root / "pki" / "devices.pem",
        lambda: pki.make_authority(authority, "openami devices", now=now),
    )
    _server(home, authority, names, now)
    _publish(home.authority, authority.certificate_pem())
    _publish(home.clients, devices.certificate_pem() + authority.certificate_pem())
    return home


def renew_server(home: Installation, *, names: Iterable[str] = (), now: float) -> None:
    """Make the servers' certificate anew as ``open_installation`` would; who serves reloads it.

    Raises:
        ConfigError: a file can not be used.
    """
    authority = pki.Identity.from_pem((home.root / "pki" / "root.pem").read_bytes())
    _server(home, authority, names, now)


def first_password(home: Installation) -> str:
    """Return the password for the first account: the one in its file, or a new one put there.

    It is on the disk before the account is, so that no kill leaves an account that nobody can
    use.
    """
    if not home.admin_password.exists():
        write_whole(home.admin_password, secrets.token_urlsafe(PASSWORD_OCTETS).encode() + b"\n")
    return read_password(home.admin_password)


def read_password(file: Path) -> str:
    """Return the first line of ``file``.

    Raises:
        ConfigError: there is no such file, or nothing in its first line.
    """
    try:
        lines = file.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file} can not be read", code="config.password") from error
    if not lines or not lines[0]:
        raise ConfigError(f"{file} holds no password", code="config.password")
    return lines[0]


def _identity(path: Path, make: Callable[[], pki.Identity]) -> pki.Identity:
    if path.exists():
        return pki.Identity.from_pem(path.read_bytes())
    identity = make()
    write_whole(path, identity.pem())
    return identity


def _server(home: Installation, authority: pki.Identity, others: Iterable[str], now: float) -> None:
    names = tuple(dict.fromkeys((*LOCAL_NAMES, *others)))
    if home.server.exists():
        present = pki.Identity.from_pem(home.server.read_bytes())
        covered = pki.names_of(present.certificate) >= set(names)
        if covered and present.days_left(now) > RENEW_DAYS:
            return
    write_whole(home.server, pki.issue_server(authority, names, now=now).pem())


def _publish(path: Path, content: bytes) -> None:
    if not path.exists() or path.read_bytes() != content:
        write_whole(path, content, mode=PUBLIC)
