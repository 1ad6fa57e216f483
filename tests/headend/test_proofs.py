"""Which proofs an account accepts, and who says so."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from tests.support.management import add_account

from openami.core.clock import ManualClock
from openami.core.errors import NotFoundError, StoreError
from openami.headend.errors import RequestError
from openami.headend.management.proofs import Proofs
from openami.omadm.auth import AuthPolicy, Hash, Scheme
from openami.store.relational import RelationalStore

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NOW = 1_800_000_000.0


@pytest.fixture
def store(tmp_path: Path) -> Iterator[RelationalStore]:
    with closing(RelationalStore.open(tmp_path / "db.sqlite")) as store:
        add_account(store.accounts, "D1", "d1")
        yield store


@pytest.fixture
def proofs(store: RelationalStore) -> Proofs:
    return Proofs(store.accounts, wall=ManualClock(NOW))


def test_an_account_accepts_sha256_until_somebody_says_otherwise(
    proofs: Proofs, store: RelationalStore
) -> None:
    view = proofs.view("D1")
    assert view.policy == AuthPolicy()
    assert view.policy.labels == ("mac-sha256", "digest-sha256")
    assert view.notified
    assert not view.policy.weak

    view = proofs.allow("D1", ["basic", "mac-md5"], who="anna", why="a meter maker's")
    assert view.policy.schemes == (Scheme.MAC_MD5, Scheme.BASIC)  # the best first
    assert view.policy.hashes() == (Hash.MD5,)
    assert view.policy.weak
    (entry,) = store.audit.list(subject="dcu-D1").items
    assert (entry.who, entry.what) == ("anna", "account.accepts mac-md5 basic")
    assert (entry.when, entry.why) == (NOW, "a meter maker's")

    assert not proofs.allow("D1", ["basic"], who="anna").notified
    proofs.allow("D1", ["mac-sha256", "digest-sha256"], who="anna")
    assert store.accounts.accounts(["D1"])["D1"].allows == ""  # as those of which nobody spoke


def test_what_is_no_proof_is_refused(proofs: Proofs) -> None:
    for labels in ([], ["md4"], ["basic", ""]):
        with pytest.raises(RequestError) as raised:
            proofs.allow("D1", labels, who="anna")
        assert raised.value.code == "request.proofs"
        assert "mac-sha256, digest-sha256, mac-md5, digest-md5, basic" in raised.value.message
    for ask in (proofs.view, lambda uid: proofs.allow(uid, ["basic"], who="anna")):
        with pytest.raises(NotFoundError):
            ask("nobody")
    assert proofs.view("D1").policy == AuthPolicy()


def test_proofs_of_another_version_are_not_taken_for_the_usual(
    proofs: Proofs, store: RelationalStore
) -> None:
    add_account(store.accounts, "D2", "d1", allows="mac-sha3")
    with pytest.raises(StoreError) as raised:
        proofs.view("D2")
    assert raised.value.code == "dm.proofs"
