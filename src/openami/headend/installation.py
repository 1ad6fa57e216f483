"""What a head-end's folder holds, made on its first start and found again on every later one.

::

    <state>/
      pki/server.pem    key and certificates of the listeners
      ca.pem            the root's certificate: what DCUs and browsers are to trust
      clients.pem       what the device listener trusts
      kek               the key-encryption key of the vault: keep its backup apart from the rest
      admin-password    of the first account, while nobody has changed it
      installation      its name, which the database has, too: another's database is not touched
      openami.sqlite    devices, jobs, events, operators, certificates, audit log
      vault.sqlite      the authorities' and the meters' keys, sealed
      lake/             readings
      releases/         files of releases, under their digests

Each file appears whole or not at all, and a missing one is made: a start that was killed is
finished by the next one. All but the two public ones are readable by their owner only.
"""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from openami.core.errors import ConfigError
from openami.crypto.certificates import Identity, names_of
from openami.headend.files import PUBLIC, locked, private_folder, write_whole

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from openami.headend.security.pki import Pki

LOCAL_NAMES: Final = ("localhost", "127.0.0.1", "::1")
RENEW_DAYS: Final = 30  # this many days before the end a new certificate is made
NAME_OCTETS: Final = 16
_NAME: Final = re.compile("[0-9a-f]{32}")
PASSWORD_OCTETS: Final = 15  # 120 bits, 20 characters


class Installations(Protocol):
    """Knows whose a database is."""

    def claim(self, name: str) -> str:
        """Make it an installation's unless it is one's already; return whose it is."""
        ...


@dataclass(frozen=True, slots=True)
class Installation:
    """The folder of one head-end, complete; made by ``open_installation``."""

    root: Path

    @property
    def pki(self) -> Path:
        """The folder of what is not in the vault."""
        return self.root / "pki"

    @property
    def server(self) -> Path:
        """Key and certificates of the listeners: TLS reads them from a file."""
        return self.pki / "server.pem"

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
    def name(self) -> Path:
        """The name by which the database knows the installation."""
        return self.root / "installation"

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
    def releases(self) -> Path:
        """The files of releases."""
        return self.root / "releases"

    @property
    def admin_password(self) -> Path:
        """The first account's password, while nobody has changed it."""
        return self.root / "admin-password"


def open_installation(root: Path) -> Installation:
    """Return the installation in ``root``, making its folders where they are not there."""
    private_folder(root)
    home = Installation(root)
    private_folder(home.pki)
    return home


def name_of(home: Installation) -> str:
    """Return the installation's name; a new one is on the disk before a database has it.

    Raises:
        ConfigError: ``config.installation``, its file can not be read or holds none.
    """
    with locked(home.root):
        if not home.name.exists():
            write_whole(home.name, secrets.token_hex(NAME_OCTETS).encode() + b"\n")
    try:
        name = home.name.read_text("ascii").strip()
    except (OSError, UnicodeDecodeError):
        name = ""
    if not _NAME.fullmatch(name):
        raise ConfigError(f"{home.name} holds no installation's name", code="config.installation")
    return name


def claim(home: Installation, installations: Installations) -> None:
    """Make a database this installation's, at its first start.

    Raises:
        ConfigError: ``config.installation``, it is another's: its numbers of sessions and jobs,
            its sealed keys and its readings belong to that one's folder.
    """
    name = name_of(home)
    found = installations.claim(name)
    if found != name:
        raise ConfigError(
            f"the database is that of installation {found}, and {home.root} is {name}",
            hint=f"start with that one's folder; to take its place with this one, and only when it "
            f"will never run again, put {found} into {home.name}",
            code="config.installation",
        )


def publish(home: Installation, pki: Pki, *, names: Iterable[str] = (), now: float) -> None:
    """Put into the files what TLS reads from them.

    The servers' certificate is made anew when it is about to end, has been revoked or lacks one
    of ``names``; who serves reloads it.

    Args:
        home: the installation.
        pki: its authorities.
        names: host names and addresses beside the local ones.
        now: the time of the machine; certificates know no other.

    Raises:
        ConfigError: a file that is there can not be used.
    """
    publish_authorities(home, pki)
    wanted = tuple(dict.fromkeys((*LOCAL_NAMES, *names)))
    if home.server.exists() and _serves(home.server.read_bytes(), pki, wanted, now):
        return
    write_whole(home.server, pki.issue_server(wanted, now=now).pem() + pki.servers_pem())


def publish_authorities(home: Installation, pki: Pki) -> None:
    """Put into the files whom others are to trust."""
    _publish(home.authority, pki.root_pem())
    _publish(home.clients, pki.devices_pem())


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


def _serves(pem: bytes, pki: Pki, names: tuple[str, ...], now: float) -> bool:
    """Tell whether a server's certificate is good for some more weeks."""
    present = Identity.from_pem(pem).certificate
    ends = present.not_valid_after_utc.timestamp()
    return (
        names_of(present) >= set(names) and ends - now > RENEW_DAYS * 86_400 and pki.serves(present)
    )


def _publish(path: Path, content: bytes) -> None:
    if not path.exists() or path.read_bytes() != content:
        write_whole(path, content, mode=PUBLIC)
