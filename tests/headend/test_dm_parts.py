"""The parts of device management: accounts, transcripts, alarms, the log."""

from __future__ import annotations

import asyncio
import json
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
import structlog
from tests.support.management import DIGEST, add_account

from openami.core.clock import ManualClock
from openami.core.errors import (
    ConflictError,
    DecodeError,
    RemoteProtocolError,
    SecurityError,
    StoreError,
    StoreFullError,
)
from openami.core.inspection import Node
from openami.fleet.accounts import LoggedSession, MessageRecord, NonceUpdate, SessionRecord
from openami.headend.management import accounts as accounts_module
from openami.headend.management import sessionlog as sessionlog_module
from openami.headend.management import transcript as transcript_module
from openami.headend.management import watch as watch_module
from openami.headend.management.accounts import Accounts, Kept
from openami.headend.management.answers import conclusion_of
from openami.headend.management.sessionlog import SessionLog
from openami.headend.management.transcript import Transcript
from openami.headend.management.watch import Watch
from openami.omadm.codes import AlertCode
from openami.omadm.messages.media import MediaType
from openami.omadm.messages.model import Alert, Item, Location, Meta
from openami.omadm.session.events import End, SessionEnded
from openami.store.relational import RelationalStore
from openami.store.vault import FileVault

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

NOW = 1_800_000_000.0


@pytest.fixture
def store(tmp_path: Path) -> Iterator[RelationalStore]:
    with closing(RelationalStore.open(tmp_path / "db.sqlite")) as store:
        yield store


@pytest.fixture
def vault(tmp_path: Path) -> Iterator[FileVault]:
    with closing(FileVault(tmp_path / "vault", kek=tmp_path / "kek")) as vault:
        yield vault


def session_of(number: int, *, began: float = NOW, body: bytes = b"") -> LoggedSession:
    record = SessionRecord(number, "D1", "2A", began, began, "done", messages=1)
    message = MessageRecord(1, False, began, MediaType.WBXML.value, len(body), body)
    return LoggedSession(record, (message,))


# Accounts


def account(vault: FileVault, store: RelationalStore, uid: str, **changes: Any) -> None:
    told = dict.fromkeys(("server_id", "server_password", "client_id", "client_password"), "x")
    told["server_url"] = "https://head-end.example/dm"
    vault.put("dm-account", uid, DIGEST, json.dumps(told).encode())
    add_account(store.accounts, uid, DIGEST, **changes)


async def test_accounts_are_read(store: RelationalStore, vault: FileVault) -> None:
    account(vault, store, "good")
    account(vault, store, "suspended", suspended=True)
    account(vault, store, "empty")
    vault.delete("dm-account", "empty", DIGEST)
    accounts = Accounts(store.accounts, vault)
    uids = ("good", "suspended", "empty", "nobody")
    answers = await asyncio.gather(*map(accounts.read, uids), return_exceptions=True)
    good, *others = answers
    assert not isinstance(good, BaseException)
    assert good.server_url == "https://head-end.example/dm"
    assert "x" not in repr(good.account.client).removeprefix("Credentials(name='x'")
    assert [getattr(error, "code", "") for error in others] == [
        "dm.suspended",
        "dm.secrets",
        "dm.unknown",
    ]
    await accounts.stop()


class Broken:
    """A store that keeps nothing with a certain device."""

    def __init__(self, error: StoreError) -> None:
        self.error = error
        self.groups: list[int] = []

    def commit(self, nonces: Sequence[NonceUpdate], sessions: Sequence[Any]) -> frozenset[str]:
        self.groups.append(len(nonces) + len(sessions))
        if any(each.uid == "bad" for each in nonces):
            raise self.error
        return frozenset({"gone"})


@pytest.mark.parametrize("error", [ConflictError("twice"), StoreFullError("full")])
async def test_one_that_cannot_be_kept_is_no_others_loss(
    vault: FileVault, error: StoreError
) -> None:
    """A full disk is everybody's."""
    broken: Any = Broken(error)
    accounts = Accounts(broken, vault)
    uids = ("gone", "bad", "good")
    items = [Kept(NonceUpdate(uid, DIGEST, b"c", b"s")) for uid in uids]
    answers = await asyncio.gather(*map(accounts.keep, items), return_exceptions=True)
    full = isinstance(error, StoreFullError)
    assert answers == ([error] * 3 if full else [False, error, True])
    assert broken.groups == ([3] if full else [3, 1, 1, 1])
    await accounts.stop()


async def test_who_comes_a_moment_later_is_in_the_same_transaction(
    vault: FileVault, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(accounts_module, "WRITE_WINDOW_S", 3600.0)
    store: Any = Broken(StoreError("never"))
    accounts = Accounts(store, vault)
    kept = []
    for uid in ("one", "another"):
        kept.append(asyncio.create_task(accounts.keep(Kept(NonceUpdate(uid, DIGEST, b"c", b"s")))))
        for _ in range(20):
            await asyncio.sleep(0)
    await accounts.stop()  # which waits for nobody else
    assert await asyncio.gather(*kept) == [True, True]
    assert store.groups == [2]


# Transcripts


def test_a_transcript_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transcript_module, "MAX_OCTETS", 100)
    monkeypatch.setattr(transcript_module, "MAX_MESSAGES", 4)
    transcript = Transcript(7, "D1", "2A", notified=True, now=NOW)
    for n, body in enumerate((b"a" * 60, b"./DMAcc/1/AAuthSecret", b"b" * 50, b"c", b"d")):
        transcript.add(body, "x/y", sent=bool(n % 2), now=NOW + n)
    end = SessionEnded(End.REFUSED, "omadm.auth.failed", "no")
    logged = transcript.close(end, orders=3, now=NOW + 9)
    assert logged.session == SessionRecord(
        7, "D1", "2A", NOW, NOW + 9, "refused", "omadm.auth.failed", "no", True, 5, 133, 3
    )
    assert [(m.number, m.sent, m.octets, len(m.body)) for m in logged.messages] == [
        (1, False, 60, 60),
        (2, True, 21, 0),
        (3, False, 50, 0),
        (4, True, 1, 0),
    ]


@pytest.mark.parametrize(
    ("end", "orders", "told", "kept"),
    [
        (End.DONE, 0, False, 0),
        (End.DONE, 1, False, 1),
        (End.DONE, 0, True, 1),
        (End.TIMEOUT, 0, False, 1),
    ],
)
def test_of_a_poll_with_nothing_to_say_no_message_is_kept(
    end: End, orders: int, told: bool, kept: int
) -> None:
    transcript = Transcript(7, "D1", "2A", notified=False, now=NOW)
    transcript.add(b"a", "x/y", sent=False, now=NOW)
    logged = transcript.close(SessionEnded(end), orders=orders, told=told, now=NOW)
    assert len(logged.messages) == kept
    assert (logged.session.messages, logged.session.octets) == (1, 1)


def test_what_a_device_calls_itself_and_its_messages_is_cut() -> None:
    transcript = Transcript(7, "D1", "A" * 99, notified=False, now=NOW)
    transcript.add(b"a", "x/" + "y" * 99, sent=False, now=NOW)
    logged = transcript.close(SessionEnded(End.DONE), orders=0, now=NOW)
    assert (len(logged.session.session), len(logged.messages[0].media)) == (16, 64)


@pytest.mark.parametrize("secret", [b"AAuthSecret", b"AAuthData", b"syncml:auth-basic"])
def test_a_message_with_a_password_is_not_kept(secret: bytes) -> None:
    transcript = Transcript(7, "D1", "2A", notified=False, now=NOW)
    transcript.add(b"before " + secret + b" hunter2", "x/y", sent=True, now=NOW)
    (message,) = transcript.close(SessionEnded(End.DONE), orders=0, now=NOW).messages
    assert message.body == b""


# Alarms


class Bell:
    def __init__(self) -> None:
        self.rung: list[tuple[str, str]] = []

    def about_dcu(self, uid: str, code: str, message: str) -> None:
        assert message
        self.rung.append((uid, code))

    def about(self, subject: str, code: str, message: str) -> None:
        raise AssertionError((subject, code, message))


def test_three_wrong_proofs_in_a_row_are_an_alarm() -> None:
    bell = Bell()
    watch = Watch(bell)
    assert not watch.failed("D1", [], now=NOW)
    assert not watch.failed("D1", [407, 407, 407], now=NOW)
    assert not watch.failed("D1", [401], now=NOW)
    assert not watch.failed("D2", [401, 401], now=NOW)
    assert not watch.failed("D1", [401], now=NOW)
    watch.proved("D2")
    assert not watch.failed("D2", [401], now=NOW)
    assert watch.failed("D1", [401], now=NOW)
    watch.raise_wrong("D1")
    assert bell.rung == [("D1", "dm.authentication")]


def test_refusals_are_logged_seldom() -> None:
    watch = Watch(Bell())
    error = SecurityError("no", code="dm.unknown")
    with structlog.testing.capture_logs() as logs:
        for now in (NOW, NOW + 59, NOW + 61):
            assert not watch.refused("D1", error, now=now)
        watch.refused("D2", error, now=NOW)
        watch.refused("D1", RemoteProtocolError("no", code="omadm.session.closed"), now=NOW)
    assert [(line["dcu"], line["code"]) for line in logs] == [
        ("D1", "dm.unknown"),
        ("D1", "dm.unknown"),
        ("D2", "dm.unknown"),
        ("D1", "omadm.session.closed"),
    ]


@pytest.mark.parametrize(
    ("code", "alarm"),
    [
        ("omadm.session.replay", "dm.replay"),
        ("omadm.auth.downgrade", "dm.downgrade"),
        ("omadm.doctype", "dm.message"),
        ("omadm.too-large", "dm.message"),
    ],
)
def test_some_refusals_are_alarms(code: str, alarm: str) -> None:
    bell = Bell()
    watch = Watch(bell)
    error = DecodeError("no", code=code)
    assert watch.refused("D1", error, now=NOW)
    watch.raise_for("D1", error)
    assert bell.rung == [("D1", alarm)]


def test_not_all_devices_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch_module, "REMEMBERED", 2)
    watch = Watch(Bell())
    for uid in ("D1", "D2", "D3"):
        watch.failed(uid, [401, 401], now=NOW)
    assert [watch.failed(uid, [401], now=NOW) for uid in ("D3", "D1")] == [True, False]


# The log


async def test_what_is_old_is_forgotten(
    store: RelationalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessionlog_module, "SLICE", 2)
    log = SessionLog(store.accounts, wall=ManualClock(NOW), keep_days=1)
    old = [session_of(n, began=NOW - 90_000) for n in range(1, 6)]
    store.accounts.commit([], [*old, session_of(9)])
    left = [(len(log.list().items), await log.forget()) for _ in range(4)]
    assert left == [(6, 2), (4, 2), (2, 1), (1, 0)]
    assert [one.id for one in log.list().items] == [9]


def test_no_octets_that_are_shown_have_a_nonce() -> None:
    nonce = Node("NextNonce", "secret", 6, b"-secret-")
    whole = Node("SyncML", None, 0, b"SyncML-secret-", (nonce, Node("Final", "", 9, b"Final")))
    shown = sessionlog_module._masked(whole)
    assert "secret" not in repr(shown)
    assert shown.children[1].octets == b"Final"


def test_a_message_that_cannot_be_read_says_why(store: RelationalStore) -> None:
    log = SessionLog(store.accounts, wall=ManualClock(NOW), keep_days=1)
    store.accounts.commit([], [session_of(1, body=b"\x02\xa4\x01"), session_of(2)])
    (broken,) = log.show(1).messages
    assert broken.node is None
    assert "cut off" in broken.note
    (empty,) = log.show(2).messages
    assert empty.note.startswith("not kept: ")


def test_the_cause_of_a_failure_stands_behind_its_result() -> None:
    source = Location("./FUMO/1")
    result = Item(source=source, meta=Meta("int", "x", "minor"), data="410")
    why = Item(source=source, meta=Meta("chr", "urn:openami:alert:cause", "minor"), data="a.b no")
    plain = conclusion_of(Alert(0, AlertCode.GENERIC, (result,)))
    assert (plain.status, plain.format, plain.value) == (410, "int", "410")
    told = conclusion_of(Alert(0, AlertCode.GENERIC, (result, why)))
    assert (told.uri, told.status, told.format, told.value) == (
        "./FUMO/1", 410, "chr", "410 a.b no",
    )  # fmt: skip
    many = conclusion_of(Alert(0, AlertCode.GENERIC, (result, *[why] * 2000)))
    assert many.value == "410 a.b no a.b no a.b no"
