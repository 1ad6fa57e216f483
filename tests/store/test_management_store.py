"""The contract of the store of device management's accounts and sessions, on every backend."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import func, select
from tests.support.management import add_account

from openami.core.errors import ConflictError, NotFoundError
from openami.fleet.accounts import (
    LoggedSession,
    MessageRecord,
    NonceUpdate,
    SessionRecord,
    WakeUp,
)
from openami.fleet.devices import AuditEntry
from openami.store.relational.management_models import DmMessageRow
from openami.store.relational.management_sessions import IDLE_KEPT, KEPT, TRIM_EVERY

if TYPE_CHECKING:
    from openami.fleet.accounts import AccountStore
    from openami.store.relational import RelationalStore

NOW = 1_800_000_000.0
FIRST = 1_800_000_000_000_001  # no multiple of TRIM_EVERY


def update_of(uid: str, *, digest: str = "d1", began: float | None = None) -> NonceUpdate:
    return NonceUpdate(uid, digest, b"c1", b"s1", began)


def session_of(number: int, uid: str = "D1", *, began: float = NOW) -> LoggedSession:
    record = SessionRecord(
        number, uid, "2A", began, began + 1.5, "refused", "omadm.auth.failed", "no", True, 2, 90, 3
    )
    messages = (
        MessageRecord(1, False, began, "application/vnd.syncml.dm+wbxml", 60, b"\x02" * 60),
        MessageRecord(2, True, began + 1, "application/vnd.syncml.dm+wbxml", 30),
    )
    return LoggedSession(record, messages)


@pytest.fixture
def accounts(store: RelationalStore) -> AccountStore:
    for uid in ("D1", "D2", "D3"):
        add_account(store.accounts, uid, "d1")
    return store.accounts


def test_accounts_are_found_by_their_devices(accounts: AccountStore) -> None:
    found = accounts.accounts(["D2", "D1", "nobody"])
    assert sorted(found) == ["D1", "D2"]
    assert (found["D1"].digest, found["D1"].client_nonce) == ("d1", b"")
    assert accounts.accounts([]) == {}


def test_what_an_account_accepts_is_kept_with_who_said_so(
    accounts: AccountStore, store: RelationalStore
) -> None:
    assert accounts.accounts(["D1"])["D1"].allows == ""
    said = AuditEntry("anna", NOW, "account.accepts mac-md5 basic", "dcu-D1", "old make")
    for _ in range(2):  # what is so already is not said again
        accounts.allow("D1", "mac-md5 basic", said=said)
    found = accounts.accounts(["D1", "D2"])
    assert (found["D1"].allows, found["D2"].allows) == ("mac-md5 basic", "")
    (entry,) = store.audit.list(subject="dcu-D1").items
    assert replace(entry, id=0) == said
    with pytest.raises(NotFoundError) as raised:
        accounts.allow("nobody", "", said=said)
    assert raised.value.code == "dm.no-account"


def test_nonces_are_kept(accounts: AccountStore) -> None:
    accounts.commit([update_of("D2"), update_of("D1", began=NOW)], [])
    found = accounts.accounts(["D1", "D2", "D3"])
    assert [(found[u].client_nonce, found[u].server_nonce) for u in ("D1", "D2", "D3")] == [
        (b"c1", b"s1"),
        (b"c1", b"s1"),
        (b"", b""),
    ]
    assert [found[u].last_session for u in ("D1", "D2")] == [NOW, None]
    assert "c1" not in repr(found["D1"])


def test_nonces_of_an_account_that_was_replaced_are_not(accounts: AccountStore) -> None:
    gone = accounts.commit([update_of("D1", digest="older"), update_of("D2")], [])
    assert gone == {"D1"}
    found = accounts.accounts(["D1", "D2"])
    assert (found["D1"].client_nonce, found["D2"].client_nonce) == (b"", b"c1")


def test_accounts_that_were_suspended_or_removed_are_told(store: RelationalStore) -> None:
    add_account(store.accounts, "good", "d1")
    add_account(store.accounts, "bad", "d1", suspended=True)
    gone = store.accounts.commit([update_of(uid) for uid in ("good", "bad", "nobody")], [])
    assert gone == {"bad", "nobody"}


def test_a_session_answers_what_was_wished_for_before_it(store: RelationalStore) -> None:
    add_account(store.accounts, "earlier", "d1", wake_due=NOW - 1)
    add_account(store.accounts, "repeated", "d1", wake_due=NOW + 60, wake_failures=2)
    add_account(store.accounts, "later", "d1", wake_due=NOW + 1)
    uids = ["earlier", "repeated", "later"]
    store.accounts.commit([update_of(uid, began=NOW) for uid in uids], [])
    found = store.accounts.accounts(uids)
    assert [found[uid].wake_due for uid in uids] == [None, None, NOW + 1]
    assert {found[uid].wake_failures for uid in uids} == {0}


def test_what_is_due_can_be_reached_and_is_not_suspended(store: RelationalStore) -> None:
    url = "http://192.0.2.1:7000/wake"
    add_account(store.accounts, "second", "d1", wake_due=NOW, wake_url=url)
    add_account(store.accounts, "first", "d1", wake_due=NOW - 9)
    store.accounts.reach("first", url)
    add_account(store.accounts, "future", "d1", wake_due=NOW + 1, wake_url=url)
    add_account(store.accounts, "unreachable", "d1", wake_due=NOW)
    add_account(store.accounts, "suspended", "d1", wake_due=NOW, wake_url=url, suspended=True)
    add_account(store.accounts, "content", "d1", wake_url=url)
    due = store.accounts.due(now=NOW, silent=False, limit=10)
    assert [(one.uid, one.wake_url) for one in due] == [("first", url), ("second", url)]
    assert [one.uid for one in store.accounts.due(now=NOW, silent=False, limit=1)] == ["first"]


def test_an_attempt_moves_what_it_was_made_for_only(store: RelationalStore) -> None:
    add_account(store.accounts, "asleep", "d1", wake_due=NOW - 1)
    add_account(store.accounts, "wished for again", "d1", wake_due=NOW + 3)
    add_account(store.accounts, "came", "d1")
    uids = ["asleep", "wished for again", "came"]
    attempts = [WakeUp(uid, NOW - 1, NOW + 30, 1, 7, silent=True) for uid in uids]
    store.accounts.woken(attempts)
    store.accounts.woken([])
    found = store.accounts.accounts(uids)
    assert [found[uid].wake_due for uid in uids] == [NOW + 30, NOW + 3, None]
    assert [found[uid].wake_failures for uid in uids] == [1, 0, 0]
    assert {found[uid].wake_session for uid in uids} == {7}
    assert [found[uid].wake_silent for uid in uids] == [True, False, False]
    store.accounts.woken([WakeUp("asleep", NOW + 30, None, 0, 8)])
    assert store.accounts.accounts(["asleep"])["asleep"].wake_due is None


def test_who_took_nothing_is_due_apart_until_a_session_begins(store: RelationalStore) -> None:
    url = "http://192.0.2.1:7000/wake"
    for uid in ("quick", "silent"):
        add_account(store.accounts, uid, "d1", wake_due=NOW, wake_url=url)
    store.accounts.woken([WakeUp("silent", NOW, NOW + 1, 1, 1, silent=True)])

    def due(*, silent: bool) -> list[str]:
        return [one.uid for one in store.accounts.due(now=NOW + 1, silent=silent, limit=9)]

    assert (due(silent=False), due(silent=True)) == (["quick"], ["silent"])
    store.trees.wake(["silent"], now=NOW + 1)  # another wish makes nobody answer
    assert due(silent=False) == ["quick"]
    store.accounts.commit([update_of("silent", began=NOW)], [])
    assert due(silent=False) == ["quick", "silent"]


def test_a_session_comes_back_with_its_messages(accounts: AccountStore) -> None:
    logged = session_of(FIRST)
    accounts.commit([], [logged])
    assert accounts.session(FIRST) == logged
    assert "\\x02" not in repr(accounts.session(FIRST))
    with pytest.raises(NotFoundError):
        accounts.session(FIRST + 1)


def test_sessions_come_in_pages_the_latest_first(accounts: AccountStore) -> None:
    numbers = [FIRST + 2 * n for n in range(5)]
    accounts.commit([], [session_of(n, "D1" if n % 4 == 1 else "D2") for n in numbers])
    first = accounts.sessions(limit=3)
    second = accounts.sessions(limit=3, after=first.next)
    assert [one.id for one in (*first.items, *second.items)] == numbers[::-1]
    assert second.next is None
    assert {one.uid for one in accounts.sessions(uid="D1").items} == {"D1"}
    with pytest.raises(ConflictError):
        accounts.sessions(after="none")


def test_old_sessions_are_forgotten(store: RelationalStore) -> None:
    sessions = [session_of(FIRST + n, began=NOW + n) for n in range(4)]
    store.accounts.commit([], sessions)
    assert store.accounts.forget_sessions(before=NOW + 3, limit=2) == 2
    assert store.accounts.forget_sessions(before=NOW + 3) == 1
    assert [one.id for one in store.accounts.sessions().items] == [FIRST + 3]
    with store.accounts._transactions.reading() as session:
        assert session.scalars(select(func.count()).select_from(DmMessageRow)).one() == 2


def test_a_device_keeps_its_last_sessions_only(accounts: AccountStore) -> None:
    bare = [replace(session_of(FIRST + n), messages=()) for n in range(KEPT + 20)]
    accounts.commit([], [*bare, session_of(FIRST + 500, "D2")])
    last = FIRST + 1000 + TRIM_EVERY - (FIRST + 1000) % TRIM_EVERY
    accounts.commit([], [session_of(last)])
    first = accounts.sessions(uid="D1", limit=KEPT)
    assert [one.id for one in first.items][-1] == FIRST + 21
    assert first.next is None
    assert len(accounts.sessions(uid="D2").items) == 1


def test_polls_with_nothing_to_say_push_nothing_out(accounts: AccountStore) -> None:
    said = session_of(FIRST)
    polls = [
        replace(poll, session=replace(poll.session, end="done", orders=0), messages=())
        for poll in (session_of(FIRST + n) for n in range(1, KEPT + 20))
    ]
    accounts.commit([], [said, *polls])
    last = FIRST + 1000 + TRIM_EVERY - (FIRST + 1000) % TRIM_EVERY
    accounts.commit([], [session_of(last)])
    kept = [one.id for one in accounts.sessions(uid="D1").items]
    assert kept == [last, *range(FIRST + KEPT + 19, FIRST + KEPT + 20 - IDLE_KEPT, -1), FIRST]
    assert accounts.session(FIRST) == said


def test_a_session_whose_account_is_gone_was_refused(store: RelationalStore) -> None:
    add_account(store.accounts, "D1", "d1", suspended=True)
    add_account(store.accounts, "D2", "d1")
    ends = ("done", "timeout")
    for number, end in enumerate(ends):
        logged = session_of(FIRST + number)
        done = replace(logged, session=replace(logged.session, end=end, code=None, message=""))
        other = replace(done, session=replace(done.session, id=FIRST + 10 + number, uid="D2"))
        store.accounts.commit([update_of("D1"), update_of("D2")], [done, other])
    told = [(one.end, one.code) for one in store.accounts.sessions(uid="D1").items]
    assert told == [("timeout", None), ("refused", "dm.suspended")]
    assert [one.end for one in store.accounts.sessions(uid="D2").items] == ["timeout", "done"]


def test_a_group_is_kept_whole_or_not_at_all(accounts: AccountStore) -> None:
    accounts.commit([], [session_of(FIRST)])
    with pytest.raises(ConflictError):
        accounts.commit([update_of("D1")], [session_of(FIRST)])
    assert accounts.accounts(["D1"])["D1"].client_nonce == b""
