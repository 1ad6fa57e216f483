"""What a DCU believes of a repository, and every attack that it does not."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from securesystemslib.signer import Signature, SSlibKey
from tests.support.repositories import (
    DAY,
    FILES,
    NOW,
    ROOT,
    SNAPSHOT,
    STRANGER,
    TARGETS,
    TIMESTAMP,
    Office,
    fetch,
    keeper,
    publics,
    sign,
)
from tuf.api.metadata import Metadata, MetaFile, Root, Snapshot, Targets, Timestamp

from openami.core.clock import utc
from openami.core.errors import DecodeError, LocalProtocolError, OpenAmiError, SecurityError
from openami.firmware.metadata import MAX_SIZE, read, read_any
from openami.firmware.refresh import MAX_ROOTS, Refresh
from openami.firmware.repository import Keeper, RoleKeys, add_signature, draft_root
from openami.firmware.target import Receiving, TargetFile
from openami.firmware.trust import Trusted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


def code_of(act: Callable[[], object]) -> str:
    with pytest.raises((SecurityError, DecodeError)) as caught:
        act()
    return caught.value.code.removeprefix("firmware.trust.")


def signed(body: Any, keepers: Iterable[Keeper]) -> bytes:
    return sign(Metadata(body).to_bytes(), keepers)


def timestamp(version: int, meta: MetaFile, *, expires: float = NOW + DAY) -> bytes:
    body = Timestamp(version=version, expires=utc(expires), snapshot_meta=meta)
    return signed(body, TIMESTAMP)


def snapshot(version: int, meta: dict[str, MetaFile], *, expires: float = NOW + DAY) -> bytes:
    return signed(Snapshot(version=version, expires=utc(expires), meta=meta), SNAPSHOT)


@pytest.fixture
def office() -> Office:
    office = Office()
    office.publish()
    return office


@pytest.fixture
def factory(office: Office) -> Trusted:
    return Trusted.start(office.roots[0])


def up_to_date(office: Office) -> Trusted:
    assert office.published is not None
    files = office.published.files()
    return fetch(Trusted.start(office.roots[0]), files, now=office.now)[0].trusted


def test_a_device_from_the_factory_takes_what_is_published(
    office: Office, factory: Trusted
) -> None:
    assert office.published is not None
    refresh, names = fetch(factory, office.published.files(), now=NOW)
    assert names == ["timestamp.json", "1.snapshot.json", "1.targets.json"]
    assert refresh.done
    assert refresh.wanted() is None
    targets = {one.path: one for one in refresh.trusted.all_targets(now=NOW)}
    assert set(targets) == set(FILES)
    two = refresh.trusted.target("folder/two", now=NOW)
    assert two == targets["folder/two"]
    assert two.check(FILES["folder/two"]) == FILES["folder/two"]
    digest = hashlib.sha256(FILES["folder/two"]).hexdigest()
    assert two.stored_path == f"folder/{digest}.two"
    assert targets["one"].stored_path == f"{targets['one'].sha256}.one"


def test_a_device_that_knows_all_fetches_the_timestamp_alone(office: Office) -> None:
    trusted = up_to_date(office)
    office.now += DAY / 2
    published = office.publish()
    refresh, names = fetch(trusted, published.files(), now=office.now)
    assert names == ["timestamp.json"]
    assert refresh.done
    assert refresh.trusted.snapshot == trusted.snapshot


def test_the_same_timestamp_again_changes_nothing(office: Office) -> None:
    trusted = up_to_date(office)
    assert office.published is not None
    refresh, _ = fetch(trusted, office.published.files(), now=NOW + 60)
    assert refresh.trusted is trusted


def test_a_new_release_is_taken_by_the_documents_that_changed(office: Office) -> None:
    trusted = up_to_date(office)
    published = office.publish({**FILES, "three": b"third"})
    refresh, names = fetch(trusted, published.files(), now=NOW)
    assert names == ["timestamp.json", "2.snapshot.json", "2.targets.json"]
    assert refresh.trusted.target("three", now=NOW).size == 5


def test_a_cut_after_any_document_keeps_what_was_verified(office: Office) -> None:
    files = office.publish({"new": b"new"}).files()
    stored = Trusted.start(office.roots[0]).encode()
    asked: list[list[str]] = []
    for _ in range(3):  # the power fails after the next document that was not there before
        refresh = Refresh(Trusted.restore(stored), now=NOW)
        refresh.absent()
        asked.append([])
        while refresh.trusted.encode() == stored and (wanted := refresh.wanted()):
            asked[-1].append(wanted.name)
            refresh.receive(files[wanted.name])
        stored = refresh.trusted.encode()
    again = ["timestamp.json"]
    assert asked == [again, [*again, "2.snapshot.json"], [*again, "2.targets.json"]]
    assert Trusted.restore(stored).target("new", now=NOW)


def test_what_a_device_stores_is_what_it_believes(office: Office, factory: Trusted) -> None:
    trusted = up_to_date(office)
    assert Trusted.restore(trusted.encode()) == trusted
    assert Trusted.restore(factory.encode()) == factory


def test_a_stored_trust_that_was_changed_is_refused(office: Office) -> None:
    trusted = up_to_date(office)
    data = trusted.encode()
    for size in range(len(data)):
        assert code_of(lambda size=size: Trusted.restore(data[:size])) in {  # type: ignore[misc]
            "malformed", "signatures", "protocol.decode",
        }  # fmt: skip
    assert code_of(lambda: Trusted.restore(data + b"x")) == "protocol.decode"
    other = replace(trusted, timestamp=read(resigned(trusted), Timestamp))
    assert code_of(lambda: Trusted.restore(other.encode())) == "signatures"


def resigned(trusted: Trusted) -> bytes:
    assert trusted.timestamp is not None
    return signed(trusted.timestamp.signed, [STRANGER])


# Roots and their keys


def test_roots_follow_each_other_in_any_number(office: Office, factory: Trusted) -> None:
    for number in range(5):
        before = office.root
        office.root = (*before[1:], keeper(100 + number))
        office.add_root(also=before)
    published = office.publish()
    refresh, names = fetch(factory, published.files(), now=NOW)
    assert names[:5] == [f"{n}.root.json" for n in range(2, 7)]
    assert refresh.done
    assert refresh.trusted.root.signed.version == 6


def test_expired_roots_lead_to_one_that_is_not() -> None:
    office = Office(life=DAY)
    office.publish()
    factory = Trusted.start(office.roots[0])
    for _ in range(3):
        office.now += 10 * DAY
        office.add_root()
    assert fetch(factory, office.publish().files(), now=office.now)[0].done


def test_more_roots_than_one_refresh_takes_come_with_the_next(factory: Trusted) -> None:
    office = Office()
    for _ in range(MAX_ROOTS + 2):
        office.add_root()
    files = office.publish().files()
    refresh = Refresh(factory, now=NOW)
    for version in range(2, MAX_ROOTS + 2):
        refresh.receive(files[f"{version}.root.json"])
    one_more = files[f"{MAX_ROOTS + 2}.root.json"]
    assert code_of(lambda: refresh.receive(one_more)) == "endless"
    assert refresh.trusted.root.signed.version == MAX_ROOTS + 1
    assert fetch(refresh.trusted, files, now=NOW)[0].done


def test_a_new_key_of_the_timestamp_ends_what_the_old_one_signed(office: Office) -> None:
    """Fast forward: whoever had the key pushed the version out of reach."""
    trusted = up_to_date(office)
    meta = MetaFile(10**9, None, None)
    trusted = trusted.take_timestamp(timestamp(10**9, meta), now=NOW)
    assert code_of(lambda: fetch(trusted, office.publish().files(), now=NOW)) == "rollback"
    office.timestamp = (keeper(42),)
    office.add_root()
    refresh, _ = fetch(trusted, office.publish().files(), now=NOW)
    assert refresh.done


@pytest.mark.parametrize("role", ["timestamp", "snapshot"])
def test_a_key_of_one_online_role_that_goes_takes_what_both_signed(
    office: Office, role: str
) -> None:
    trusted = up_to_date(office)
    office = replace(office, **{role: (keeper(43),)})  # type: ignore[arg-type]  # a role's keepers
    later = trusted.take_root(office.add_root())
    assert (later.timestamp, later.snapshot) == (None, None)
    assert later.targets == trusted.targets


def test_a_root_that_demands_more_signatures_forgets_what_has_fewer(office: Office) -> None:
    trusted = up_to_date(office)
    office.timestamp = (*office.timestamp, keeper(44))
    later = trusted.take_root(office.add_root())
    assert later.timestamp is None
    assert later.snapshot == trusted.snapshot
    assert Trusted.restore(later.encode()) == later


def test_a_root_that_keeps_the_online_keys_keeps_what_was_seen(office: Office) -> None:
    trusted = up_to_date(office)
    later = trusted.take_root(office.add_root())
    assert (later.timestamp, later.snapshot, later.targets) == (
        trusted.timestamp, trusted.snapshot, trusted.targets,
    )  # fmt: skip


def test_a_root_with_other_keys_of_targets_forgets_the_targets(office: Office) -> None:
    trusted = up_to_date(office)
    office.targets = (keeper(23), keeper(24))
    later = trusted.take_root(office.add_root())
    assert later.timestamp is not None
    assert later.targets is None


def test_a_root_has_to_be_signed_by_the_one_before_and_by_itself(factory: Trusted) -> None:
    new = (keeper(14), keeper(15))
    roles = {**Office().roles(), "root": RoleKeys(publics(new), 2)}
    draft = draft_root(roles, version=2, expires=NOW + DAY)
    assert code_of(lambda: factory.take_root(sign(draft, new))) == "signatures"
    assert code_of(lambda: factory.take_root(sign(draft, ROOT))) == "signatures"
    assert code_of(lambda: factory.take_root(sign(draft, [*new, ROOT[0]]))) == "signatures"
    assert factory.take_root(sign(draft, [*new, *ROOT[:2]])).root.signed.version == 2


@pytest.mark.parametrize("version", [1, 3])
def test_a_root_that_is_not_the_next_is_refused(factory: Trusted, version: int) -> None:
    root = sign(draft_root(Office().roles(), version=version, expires=NOW + DAY), ROOT)
    assert code_of(lambda: factory.take_root(root)) == "order"


def test_one_key_under_two_names_does_not_make_two_signatures() -> None:
    one = SSlibKey.from_crypto(ROOT[0].public)
    pem = str(one.keyval["public"]).rstrip()
    other = SSlibKey("another", one.keytype, one.scheme, {"public": pem})
    root = read(draft_root(Office().roles(), version=1, expires=NOW + DAY), Root).signed
    root.keys[other.keyid] = other
    root.roles["root"].keyids = [one.keyid, other.keyid]
    with pytest.raises(DecodeError, match="one key under two names"):
        read(Metadata(root).to_bytes(), Root)


def test_a_factory_root_that_does_not_sign_itself_is_refused() -> None:
    draft = draft_root(Office().roles(), version=1, expires=NOW + DAY)
    assert code_of(lambda: Trusted.start(draft)) == "signatures"
    assert code_of(lambda: Trusted.start(add_signature(draft, ROOT[0]))) == "signatures"
    twice = json.loads(add_signature(draft, ROOT[0]))
    twice["signatures"] *= 2
    assert code_of(lambda: Trusted.start(json.dumps(twice).encode())) == "malformed"


# Attacks


def test_arbitrary_metadata(office: Office, factory: Trusted) -> None:
    meta = MetaFile(1)
    body = Timestamp(version=9, expires=utc(NOW + DAY), snapshot_meta=meta)
    for keepers in ([], [STRANGER], SNAPSHOT, TARGETS):
        forged = signed(body, keepers)
        assert code_of(lambda f=forged: factory.take_timestamp(f, now=NOW)) == "signatures"  # type: ignore[misc]
    trusted = factory.take_timestamp(timestamp(9, meta), now=NOW)
    forged = signed(Snapshot(version=1, expires=utc(NOW + DAY)), TIMESTAMP)
    assert code_of(lambda: trusted.take_snapshot(forged, now=NOW)) == "signatures"
    listed = office.list({"evil": b"evil"})
    named = snapshot(1, {"targets.json": MetaFile(2)})
    trusted = trusted.take_snapshot(named, now=NOW)
    half = signed(read(listed, Targets).signed, TARGETS[:1])
    assert code_of(lambda: trusted.take_targets(half, now=NOW)) == "signatures"


def test_freeze(office: Office) -> None:
    trusted = up_to_date(office)
    assert office.published is not None
    files = office.published.files()
    assert code_of(lambda: fetch(trusted, files, now=NOW + 2 * DAY)) == "expired"
    assert code_of(lambda: trusted.target("one", now=NOW + 2 * DAY)) == "expired"
    known = files["timestamp.json"]
    assert code_of(lambda: trusted.take_timestamp(known, now=NOW + 2 * DAY)) == "expired"
    first = Trusted.start(office.roots[0])
    assert code_of(lambda: fetch(first, files, now=NOW + 2 * DAY)) == "expired"
    assert code_of(lambda: first.take_timestamp(known, now=NOW + 2 * DAY)) == "expired"
    taken = first.take_timestamp(known, now=NOW)
    named = files["1.snapshot.json"]
    assert code_of(lambda: taken.take_snapshot(named, now=NOW + 2 * DAY)) == "expired"


def test_freeze_of_the_root_under_a_good_timestamp(factory: Trusted) -> None:
    late = NOW + 400 * DAY
    good = timestamp(1, MetaFile(1), expires=late + DAY)
    assert code_of(lambda: factory.take_timestamp(good, now=late)) == "expired"
    taken = factory.take_timestamp(good, now=NOW)
    named = snapshot(1, {"targets.json": MetaFile(1)}, expires=late + DAY)
    taken = taken.take_snapshot(named, now=NOW)
    assert code_of(lambda: taken.has_targets(now=late)) == "expired"


def test_freeze_of_snapshot_and_targets_under_a_good_timestamp(
    office: Office, factory: Trusted
) -> None:
    stale = snapshot(1, {"targets.json": MetaFile(1)}, expires=NOW + 60)
    trusted = factory.take_timestamp(timestamp(1, MetaFile(1)), now=NOW)
    assert code_of(lambda: trusted.take_snapshot(stale, now=NOW + 61)) == "expired"
    known = trusted.take_snapshot(stale, now=NOW)
    again = timestamp(2, MetaFile(1))
    assert code_of(lambda: fetch(known, {"timestamp.json": again}, now=NOW + 61)) == "expired"
    assert code_of(lambda: known.take_targets(b"{}", now=NOW + 61)) == "expired"
    good = trusted.take_snapshot(snapshot(1, {"targets.json": MetaFile(1)}), now=NOW)
    late = signed(Targets(version=1, expires=utc(NOW + 60)), TARGETS)
    assert code_of(lambda: good.take_targets(late, now=NOW + 61)) == "expired"
    taken = good.take_targets(late, now=NOW)
    assert code_of(lambda: taken.target("one", now=NOW + 61)) == "expired"


def test_rollback_of_the_timestamp(office: Office) -> None:
    assert office.published is not None
    old = office.published.timestamp
    office.publish({"two": b"2"})
    trusted = up_to_date(office)
    assert code_of(lambda: trusted.take_timestamp(old, now=NOW)) == "rollback"
    trusted = trusted.take_timestamp(timestamp(40, MetaFile(2)), now=NOW)
    same_snapshot = timestamp(39, MetaFile(2))
    assert code_of(lambda: trusted.take_timestamp(same_snapshot, now=NOW)) == "rollback"
    lower = timestamp(50, MetaFile(1))
    assert code_of(lambda: trusted.take_timestamp(lower, now=NOW)) == "rollback"


def test_rollback_of_targets_under_a_new_snapshot(office: Office) -> None:
    office.publish({"two": b"2"})
    trusted = up_to_date(office)
    older = snapshot(50, {"targets.json": MetaFile(1)})
    seen = trusted.take_timestamp(timestamp(50, MetaFile(50)), now=NOW)
    assert code_of(lambda: seen.take_snapshot(older, now=NOW)) == "rollback"


def test_rollback_by_a_document_that_vanished(factory: Trusted) -> None:
    both = {"targets.json": MetaFile(1), "vendor.json": MetaFile(1)}
    trusted = factory.take_timestamp(timestamp(1, MetaFile(1)), now=NOW)
    trusted = trusted.take_snapshot(snapshot(1, both), now=NOW)
    trusted = trusted.take_timestamp(timestamp(2, MetaFile(2)), now=NOW)
    one = snapshot(2, {"targets.json": MetaFile(1)})
    assert code_of(lambda: trusted.take_snapshot(one, now=NOW)) == "rollback"
    none = snapshot(2, {"vendor.json": MetaFile(1)})
    assert code_of(lambda: trusted.take_snapshot(none, now=NOW)) == "mixed"


def test_mix_and_match(office: Office, factory: Trusted) -> None:
    """Each document is rightly signed, and none belongs to the others."""
    first = office.published
    second = office.publish({"other": b"other"})
    assert first is not None
    trusted = factory.take_timestamp(second.timestamp, now=NOW)
    assert code_of(lambda: trusted.take_snapshot(first.snapshot, now=NOW)) == "mixed"
    trusted = trusted.take_snapshot(second.snapshot, now=NOW)
    assert code_of(lambda: trusted.take_targets(first.targets, now=NOW)) == "mixed"


def test_mix_and_match_where_no_digest_is_named(factory: Trusted) -> None:
    trusted = factory.take_timestamp(timestamp(1, MetaFile(2)), now=NOW)
    other = snapshot(3, {"targets.json": MetaFile(1)})
    assert code_of(lambda: trusted.take_snapshot(other, now=NOW)) == "mixed"
    same_version = snapshot(2, {"targets.json": MetaFile(1)})
    digest = MetaFile.from_data(2, same_version + b" ", ["sha256"])
    named = trusted.take_timestamp(timestamp(2, digest), now=NOW)
    assert code_of(lambda: named.take_snapshot(same_version, now=NOW)) == "mixed"


def test_a_document_that_was_made_anew_under_the_same_version_is_fetched(office: Office) -> None:
    trusted = up_to_date(office)
    other = snapshot(1, {"targets.json": MetaFile(1)})
    meta = MetaFile.from_data(1, other, ["sha256"])
    trusted = trusted.take_timestamp(timestamp(2, meta), now=NOW)
    assert not trusted.has_snapshot(now=NOW)
    assert code_of(lambda: trusted.take_snapshot(office_snapshot(office), now=NOW)) == "mixed"
    assert trusted.take_snapshot(other, now=NOW).has_targets(now=NOW)


def office_snapshot(office: Office) -> bytes:
    assert office.published is not None
    return office.published.snapshot


@pytest.mark.parametrize("role", ["root", "timestamp", "snapshot", "targets"])
def test_endless_data(office: Office, role: str) -> None:
    """A document that never ends is read to its bound, and that much is not even parsed."""
    assert office.published is not None
    files = {**office.published.files(), "2.root.json": office.add_root()}
    refresh = Refresh(Trusted.start(office.roots[0]), now=NOW)
    while (wanted := refresh.wanted()) is not None:
        bound = MAX_SIZE[wanted.name.split(".")[-2]]
        named = {"snapshot", "targets"} & set(wanted.name.split("."))  # with their length
        assert wanted.limit == (len(files[wanted.name]) if named else bound)
        if role in wanted.name:
            junk = files[wanted.name].ljust(wanted.limit + 1)
            assert code_of(lambda d=junk: refresh.receive(d)) == "endless"  # type: ignore[misc]
            assert refresh.wanted() is None
            assert not refresh.done
            return
        if wanted.name == "3.root.json":
            refresh.absent()
        else:
            refresh.receive(files[wanted.name])
    pytest.fail("it was never asked for")


def test_endless_data_of_a_payload() -> None:
    target = TargetFile("a", 4, hashlib.sha256(b"abcd").hexdigest())
    receiving = Receiving(target)
    receiving.take(b"abc")
    assert code_of(lambda: receiving.take(memoryview(b"de"))) == "endless"


def test_arbitrary_package(office: Office) -> None:
    one = up_to_date(office).target("one", now=NOW)
    assert code_of(lambda: one.check(b"fIrst")) == "payload"
    assert code_of(lambda: one.check(b"firs")) == "payload"
    assert code_of(lambda: one.check(b"firstx")) == "endless"


def test_a_file_that_nobody_listed(office: Office) -> None:
    assert code_of(lambda: up_to_date(office).target("three", now=NOW)) == "target"


def test_a_file_without_a_digest_that_we_know_is_not_there(office: Office) -> None:
    listed = read(office.list(FILES), Targets).signed
    listed.targets["one"].hashes = {"sha512": "00" * 64}
    listed.targets["folder/two"].hashes = {"sha256": "../../x"}
    trusted = up_to_date(office).take_timestamp(timestamp(9, MetaFile(9)), now=NOW)
    trusted = trusted.take_snapshot(snapshot(9, {"targets.json": MetaFile(2)}), now=NOW)
    trusted = trusted.take_targets(signed(listed, TARGETS), now=NOW)
    assert list(trusted.all_targets(now=NOW)) == []
    assert code_of(lambda: trusted.target("one", now=NOW)) == "target"


def test_a_document_of_another_role(office: Office, factory: Trusted) -> None:
    assert office.published is not None
    listed = office.published.targets
    assert code_of(lambda: factory.take_timestamp(listed, now=NOW)) == "malformed"


def test_a_repository_without_a_document(office: Office, factory: Trusted) -> None:
    assert office.published is not None
    files = office.published.files()
    del files["1.snapshot.json"]
    assert code_of(lambda: fetch(factory, files, now=NOW)) == "absent"


def test_a_repository_without_consistent_snapshots(office: Office) -> None:
    root = read(office.roots[0], Root).signed
    root.consistent_snapshot = False
    assert office.published is not None
    files = {name.split(".", 1)[-1]: data for name, data in office.published.files().items()}
    files["timestamp.json"] = office.published.timestamp
    factory = Trusted.start(signed(root, ROOT))
    assert fetch(factory, files, now=NOW)[1] == ["timestamp.json", "snapshot.json", "targets.json"]


# A caller that is wrong


def test_nothing_is_taken_out_of_order(office: Office, factory: Trusted) -> None:
    assert office.published is not None
    snap, listed = office.published.snapshot, office.published.targets
    for act in (
        lambda: factory.take_snapshot(snap, now=NOW),
        lambda: factory.take_targets(listed, now=NOW),
        lambda: factory.target("one", now=NOW),
    ):
        with pytest.raises(LocalProtocolError):
            act()
    trusted = up_to_date(office)
    newer = trusted.take_timestamp(timestamp(9, MetaFile(9)), now=NOW)
    with pytest.raises(LocalProtocolError, match="snapshot of the timestamp"):
        newer.target("one", now=NOW)
    newer = newer.take_snapshot(snapshot(9, {"targets.json": MetaFile(9)}), now=NOW)
    with pytest.raises(LocalProtocolError, match="targets of the snapshot"):
        newer.target("one", now=NOW)


def test_a_refresh_that_is_over_takes_nothing(office: Office, factory: Trusted) -> None:
    assert office.published is not None
    refresh, _ = fetch(factory, office.published.files(), now=NOW)
    with pytest.raises(LocalProtocolError):
        refresh.receive(office.published.timestamp)
    with pytest.raises(LocalProtocolError):
        refresh.absent()


# Whatever comes

OFFICE = Office()
PUBLISHED = OFFICE.publish()
ROLES: dict[Any, bytes] = {
    Root: OFFICE.roots[0],
    Timestamp: PUBLISHED.timestamp,
    Snapshot: PUBLISHED.snapshot,
    Targets: PUBLISHED.targets,
}
LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
JSON = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3)
    ),
    max_leaves=6,
)


def paths(value: Any, here: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    return [here, *(path for key, child in inner for path in paths(child, (*here, key)))]


def changed(data: bytes, path: tuple[Any, ...], value: Any) -> bytes:
    document: Any = [json.loads(data)]
    at = document
    for key in (full := (0, *path))[:-1]:
        at = at[key]
    at[full[-1]] = value
    return json.dumps(document[0]).encode()


@settings(max_examples=300, deadline=None)
@given(role=st.sampled_from(list(ROLES)), value=JSON, data=st.data())
def test_metadata_with_anything_anywhere_is_refused_by_its_own_error(
    role: Any, value: Any, data: st.DataObject
) -> None:
    """Or, where nothing signed was changed, says the same."""
    whole = ROLES[role]
    path = data.draw(st.sampled_from(paths(json.loads(whole))))
    trusted = Trusted.start(OFFICE.roots[0])
    try:
        document = read(changed(whole, path, value), role)
        if role is Root:
            Trusted.start(document.data)
        else:
            Trusted.restore(replace(trusted, **{role.type: document}).encode())
    except (SecurityError, DecodeError):
        return
    assert document.payload == read(whole, role).payload


@settings(max_examples=200, deadline=None)
@given(place=st.integers(0, len(PUBLISHED.timestamp) * 8 - 1))
def test_a_bit_that_flips_is_seen(place: int) -> None:
    data = bytearray(PUBLISHED.timestamp)
    data[place // 8] ^= 1 << place % 8
    trusted = Trusted.start(OFFICE.roots[0])
    try:
        taken = trusted.take_timestamp(bytes(data), now=NOW)
    except (SecurityError, DecodeError):
        return
    assert taken.timestamp is not None
    assert (
        taken.timestamp.payload == read(PUBLISHED.timestamp, Timestamp).payload
    )  # a digit of the signature became a capital


@given(st.binary(max_size=200))
def test_octets_are_metadata_or_one_error(data: bytes) -> None:
    for role in ROLES:
        with pytest.raises(DecodeError):
            read(data, role)
    with pytest.raises(DecodeError):
        read_any(data)


def with_root(**fields: Any) -> bytes:
    whole = json.loads(OFFICE.roots[0])
    whole["signed"].update(fields)
    return json.dumps(whole).encode()


def key(**fields: Any) -> dict[str, Any]:
    return {
        "k": {
            "keytype": "ecdsa",
            "scheme": "ecdsa-sha2-nistp256",
            "keyval": {"public": ""},
            **fields,
        }
    }


P384 = {
    "public": """-----BEGIN PUBLIC KEY-----
MHYwEAYHKoZIzj0CAQYFK4EEACIDYgAEEd4kosJRx3dXPKxeoCXkZ/II5R2/+Y/F
T2Zhy+Vlg7A3iC9KHKKX5gq828ODbYS8j6aWx3RA+S0PWDfpCgDnxShLRHdU1d7o
jJhlM7aQGusxd2htCuj7MxhEFKvmwXE6
-----END PUBLIC KEY-----
"""
}


@pytest.mark.parametrize(
    "data",
    [
        with_root(version=2**53),
        with_root(version=True),
        with_root(version="1"),
        with_root(version=1.5),
        with_root(expires="tomorrow"),
        with_root(keys={str(n): {"keytype": "ecdsa", "scheme": "ecdsa-sha2-nistp256", "keyval": {"public": "x"}} for n in range(65)}),
        with_root(keys=key()),
        with_root(keys=key(keyval={"public": "\ud800"})),
        with_root(keys=key(keyval=P384)),
        with_root(keys=key(scheme="ecdsa-sha2-nistp384")),
        with_root(keys=key(keytype="ed25519", scheme="ed25519", keyval={"public": "00" * 32})),
        with_root(roles={name: {"keyids": [], "threshold": True} for name in ("root", "timestamp", "snapshot", "targets")}),
        b"[" * 10_000,
        b'{"signed":' * 5_000,
        OFFICE.roots[0].replace(b'"version":1', b'"version":' + b"1" * 5000),
        json.dumps({**json.loads(OFFICE.roots[0]), "signatures": [{"keyid": str(n), "sig": ""} for n in range(65)]}).encode(),
    ],
)  # fmt: skip
def test_a_root_that_is_none(data: bytes) -> None:
    assert code_of(lambda: Trusted.start(data)) == "malformed"


def test_a_document_of_another_version_of_tuf_is_refused() -> None:
    with pytest.raises(DecodeError, match="Unsupported spec_version"):
        Trusted.start(with_root(spec_version="2.0.0"))


def test_metadata_of_any_role_is_bounded_by_its_own_role() -> None:
    assert read_any(PUBLISHED.targets).signed.type == "targets"
    with pytest.raises(SecurityError):
        read_any(PUBLISHED.timestamp.ljust(MAX_SIZE["timestamp"] + 1))
    with pytest.raises(OpenAmiError):
        read_any(b" " * (MAX_SIZE["targets"] + 1))


def test_a_signature_that_is_not_hexadecimal_is_none(factory: Trusted) -> None:
    name = SSlibKey.from_crypto(TIMESTAMP[0].public).keyid
    body = Timestamp(version=1, expires=utc(NOW + DAY))
    data = Metadata(body, {name: Signature(name, "zz")}).to_bytes()
    assert code_of(lambda: factory.take_timestamp(data, now=NOW)) == "signatures"
