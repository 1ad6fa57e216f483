"""A registrar over real stores in a folder, that can be killed at every commit."""

from __future__ import annotations

import json
import secrets
from contextlib import ExitStack, closing, contextmanager
from typing import TYPE_CHECKING, Any

from argon2 import PasswordHasher
from tests.support.ssmp_office import DEVICES, NOW, ServerKilledError, der

from openami.core.clock import ManualClock
from openami.crypto import certificates as c
from openami.fleet.registration import RegistrationPolicy
from openami.headend.bus import LocalBus
from openami.headend.security.alarms import Alarms
from openami.headend.security.changes import Changes
from openami.headend.security.offering import Terms
from openami.headend.security.offers import ACCOUNT, OFFER, Offers
from openami.headend.security.registrar import Registrar
from openami.ssmp.server import Server
from openami.store.relational import RelationalStore, open_engine, upgrade
from openami.store.relational.management_models import AccountRow
from openami.store.relational.security_models import CertificateRow
from openami.store.vault import FileVault

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey

    from openami.fleet.expected import ExpectedDevice
    from openami.ssmp.bootstrap import BootstrapBlock
    from openami.ssmp.server import Peer

URL = "https://dm.example/dm"
DAY = 86_400.0
QUICK = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)  # of passwords that nobody has


class Issued:
    def __init__(self, serial: int, chain: tuple[bytes, ...]) -> None:
        self.serial = serial
        self.chain = chain


class Issuer:
    """The authority for devices, which keeps what it has issued in the database."""

    def __init__(self, store: RelationalStore) -> None:
        self._transactions = store.registrations._transactions

    def issue_device(self, uid: str, key: EllipticCurvePublicKey, *, now: float) -> Issued:
        serial = secrets.randbits(150) | 1
        leaf = c.issue_ldevid(
            DEVICES, uid, f"urn:openami:dcu:{uid}", key, serial=serial,
            validity=c.Validity(now - 60, now + 365 * DAY),
        )  # fmt: skip
        row = CertificateRow(
            serial=f"{serial:x}", authority="devices", kind="device", subject=uid, der=der(leaf),
            issued=now, not_after=now + 365 * DAY, revoked=None, reason="",
        )  # fmt: skip
        with self._transactions.writing() as session:
            session.add(row)
        return Issued(serial, self.chain(serial))

    def chain(self, serial: int) -> tuple[bytes, ...]:
        with self._transactions.reading() as session:
            row = session.get_one(CertificateRow, f"{serial:x}")
            return (row.der, der(DEVICES.certificate))


class FolderOffice:
    """A security server whose disk survives what its memory does not.

    Args:
        folder: of its stores.
        commit: called with ``before`` and ``after`` around every commit; may raise or kill.
    """

    def __init__(self, folder: Path, commit: Callable[[str], None] | None = None) -> None:
        self._stack = ExitStack()
        path = folder / "db.sqlite"
        engine = open_engine(path)
        if not path.exists():
            upgrade(engine)
        self.store = self._stack.enter_context(closing(RelationalStore(engine, hasher=QUICK)))
        self.vault = self._stack.enter_context(
            closing(FileVault(folder / "vault.sqlite", kek=folder / "kek"))
        )
        self.clock = ManualClock(NOW)
        self.bus = LocalBus()
        offers = Offers(self.vault)
        self.changes = Changes(
            self.store.registrations, self.store.devices, offers, bus=self.bus, wall=self.clock
        )
        terms = Terms("openami", 7 * DAY, 60, 3600, RegistrationPolicy())
        self.registrar = Registrar(
            self.changes,
            self.store.expected,
            offers,
            Issuer(self.store),
            Alarms(self.store.alarms, bus=self.bus, wall=self.clock),
            terms=terms,
        )
        self.registrar.manage_at(URL)
        self.server = Server(self.registrar)
        if commit is not None:
            self._watch(commit)

    def expect(self, *devices: ExpectedDevice) -> None:
        self.store.expected.put(devices, who="test", when=NOW)

    def close(self) -> None:
        self._stack.close()

    def account(self, uid: str) -> AccountRow | None:
        with self.store.registrations._transactions.reading() as session:
            return session.get(AccountRow, uid)

    def good_certificates(self, uid: str) -> list[int]:
        with self.store.registrations._transactions.reading() as session:
            rows = session.query(CertificateRow).filter_by(subject=uid, revoked=None)
            return [int(row.serial, 16) for row in rows]

    def accounts(self, uid: str) -> dict[str, Any]:
        """Return the device's accounts in the vault, by digest."""
        found = self.vault.find(ACCOUNT, uid)
        return {digest: json.loads(text) for digest, text in found.items()}

    def check_one_account(self, uid: str, block: BootstrapBlock) -> None:
        """Assert that the device has this account and no other, and one good certificate."""
        account, registration = self.account(uid), self.store.registrations.get(uid)
        assert account is not None
        assert registration is not None
        assert not account.suspended
        assert registration.live is not None
        assert account.digest == registration.live.hex()
        (digest, secret), *others = self.accounts(uid).items()
        assert others == []
        assert digest == account.digest
        assert (secret["server_password"], secret["client_password"]) == (
            block.server_password, block.client_password,
        )  # fmt: skip
        assert self.vault.find(OFFER, uid) == {}
        assert registration.certificate is not None
        assert self.good_certificates(uid) == [registration.certificate.serial]
        said = [entry.what for entry in self.store.audit.list(subject=f"dcu-{uid}").items]
        assert said.count("account.live") == 1

    def _watch(self, commit: Callable[[str], None]) -> None:
        watch_writing(self.store.registrations._transactions, commit)
        for name in ("put", "delete"):
            setattr(self.vault, name, around(getattr(self.vault, name), commit))


def around(call: Callable[..., Any], commit: Callable[[str], None]) -> Callable[..., Any]:
    def wrapped(*arguments: Any) -> Any:
        commit("before")
        given = call(*arguments)
        commit("after")
        return given

    return wrapped


def watch_writing(transactions: Any, commit: Callable[[str], None]) -> None:
    """Call ``commit`` around the end of every transaction that writes."""
    real = transactions.writing

    @contextmanager
    def writing() -> Iterator[Any]:
        with real() as session:
            yield session
            commit("before")
        commit("after")

    transactions.writing = writing


class Killer:
    """Kills the server at its n-th chance, once."""

    def __init__(self, chance_number: int) -> None:
        self._left = chance_number
        self.killed = False

    def __call__(self, moment: str) -> None:
        del moment
        if self.killed:
            return
        self._left -= 1
        if self._left < 0:
            self.killed = True
            raise ServerKilledError


class Mortal:
    """A server that is started again whenever it was killed; fits ``Device.round``.

    Attributes:
        commit: called around every commit; may kill.
    """

    def __init__(self, folder: Path, commit: Callable[[str], None] | None = None) -> None:
        self._folder = folder
        self.commit = commit
        self.office = FolderOffice(folder, self._at_commit)
        self.server = self
        self.die_before_commit = False

    def answer(self, octets: bytes, peer: Peer, *, now: float) -> bytes:
        try:
            self.office.clock.set(now)
            return self.office.server.answer(octets, peer, now=now)
        except ServerKilledError:
            self.office.close()
            self.office = FolderOffice(self._folder, self._at_commit)
            raise

    def _at_commit(self, moment: str) -> None:
        if self.commit is not None:
            self.commit(moment)
