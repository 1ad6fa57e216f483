"""The chain of the audit log, and every way to spoil an export of it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from openami.firmware.keys import ImageKey, signer
from openami.fleet.audit import (
    FIRST,
    AuditError,
    Head,
    begin_line,
    entry_line,
    extend,
    head_line,
    link,
    read_head,
    sign,
)
from openami.fleet.audit_check import Verifier
from openami.fleet.devices import AuditEntry

if TYPE_CHECKING:
    from collections.abc import Sequence

PRIVATE: Final = ec.generate_private_key(ec.SECP256R1())
KEY: Final = ImageKey(PRIVATE.public_key())
OTHER: Final = ec.generate_private_key(ec.SECP256R1())
NOW: Final = 1_764_000_000.123456
NOTHING: Final = Head()

ENTRIES: Final = tuple(
    extend(
        Head(),
        [
            AuditEntry("anna", NOW + n, f"release.approved {n}", f"release-{n}", "tried “it”\n")
            for n in range(6)
        ],
    )
)


def head_of(entries: Sequence[AuditEntry], private: ec.EllipticCurvePrivateKey = PRIVATE) -> Head:
    key = ImageKey(private.public_key())
    if not entries:
        return sign(0, FIRST, when=NOW, key=key.id, by=signer(private))
    last = entries[-1]
    assert last.number is not None
    assert last.hash is not None
    return sign(last.number, last.hash, when=NOW, key=key.id, by=signer(private))


def exported(entries: Sequence[AuditEntry] = ENTRIES, *, after: Head = NOTHING) -> list[str]:
    return [begin_line(after), *map(entry_line, entries), head_line(head_of(entries))]


def check(lines: Sequence[str], *, kept: Head | None = None) -> Head:
    verifier = Verifier(KEY, kept=kept)
    for line in lines:
        verifier.take(line)
    return verifier.finish()


def refusal(lines: Sequence[str], *, kept: Head | None = None) -> tuple[str, int]:
    with pytest.raises(AuditError) as caught:
        check(lines, kept=kept)
    return caught.value.code, caught.value.number


def test_an_export_is_what_was_signed() -> None:
    lines = exported()
    assert check(lines) == head_of(ENTRIES)
    assert check(exported(())) == head_of(())
    assert read_head(lines[-1]) == head_of(ENTRIES)


def test_the_hashes_are_what_the_reference_says() -> None:
    """With nothing but SHA-256 and JSON: what a verifier of somebody else's does."""
    before = bytes(32)
    for line in exported()[1:-1]:
        said = json.loads(line)
        names = ("number", "time", "who", "what", "subject", "why")
        text = json.dumps([said[name] for name in names], ensure_ascii=False, separators=(",", ":"))
        before = hashlib.sha256(before + text.encode()).digest()
        assert said["hash"] == before.hex()
    first = ENTRIES[0]
    assert link(first, 1, FIRST) == first.hash
    assert json.loads(entry_line(first))["time"] == "2025-11-24T16:00:00.123456Z"


def test_a_part_is_checked_from_where_it_begins() -> None:
    second = head_of(ENTRIES[:2])
    lines = exported(ENTRIES[2:], after=second)
    verifier = Verifier(KEY, kept=second)
    for line in lines:
        verifier.take(line)
    assert (verifier.first, verifier.number, verifier.finish().number) == (3, 6, 6)


@pytest.mark.parametrize("at", range(1, 7))
def test_any_octet_that_is_changed_is_found_in_its_entry(at: int) -> None:
    lines = exported()
    whole = lines[at]
    for place in range(len(whole)):
        spoilt = chr(ord(whole[place]) ^ 1)
        lines[at] = whole[:place] + spoilt + whole[place + 1 :]
        code, number = refusal(lines)
        assert code in {"audit.changed", "audit.unreadable", "audit.inserted", "audit.missing"}
        # A number that became lower tells of itself, all else of its place.
        assert number == at or code == "audit.inserted"


@pytest.mark.parametrize("at", [0, 7])
def test_any_octet_of_the_first_line_and_of_the_head_counts(at: int) -> None:
    lines = exported()
    whole = lines[at]
    for place in range(len(whole)):
        lines[at] = whole[:place] + chr(ord(whole[place]) ^ 1) + whole[place + 1 :]
        refusal(lines)


@pytest.mark.parametrize("name", ["who", "what", "subject", "why"])
def test_a_word_that_is_changed_is_found(name: str) -> None:
    forged = replace(ENTRIES[2], **{name: "nobody"})  # type: ignore[arg-type]  # a word of it
    assert refusal(exported((*ENTRIES[:2], forged, *ENTRIES[3:]))) == ("audit.changed", 3)


def test_a_change_with_its_hash_made_anew_is_found_at_the_next_entry() -> None:
    (forged,) = extend(head_of(ENTRIES[:2]), [replace(ENTRIES[2], who="nobody")])
    assert refusal(exported((*ENTRIES[:2], forged, *ENTRIES[3:]))) == ("audit.changed", 4)


def test_a_chain_made_anew_is_not_the_one_of_the_head() -> None:
    forged = extend(Head(), [replace(entry, who="nobody") for entry in ENTRIES])
    lines = [begin_line(Head()), *map(entry_line, forged), head_line(head_of(ENTRIES))]
    assert refusal(lines) == ("audit.head", 6)
    lines[-1] = head_line(replace(head_of(ENTRIES), hash=forged[-1].hash or b""))
    assert refusal(lines) == ("audit.signature", 0)
    lines[-1] = head_line(head_of(forged, OTHER))
    assert refusal(lines) == ("audit.signature", 0)


def test_an_entry_that_is_taken_out_is_missing() -> None:
    lines = exported()
    assert refusal(lines[:3] + lines[4:]) == ("audit.missing", 3)
    assert refusal(lines[:1] + lines[3:]) == ("audit.missing", 1)


def test_entries_that_change_places_are_out_of_order() -> None:
    lines = exported()
    lines[2], lines[3] = lines[3], lines[2]
    assert refusal(lines) == ("audit.order", 2)
    lines = exported()
    lines[2], lines[6] = lines[6], lines[2]
    assert refusal(lines) == ("audit.order", 2)


def test_an_entry_that_is_put_in_is_found() -> None:
    lines = exported()
    assert refusal([*lines[:4], lines[2], *lines[4:]]) == ("audit.inserted", 2)
    more = extend(head_of(ENTRIES), [ENTRIES[0]])
    assert refusal([*lines[:-1], entry_line(more[0]), lines[-1]]) == ("audit.head", 6)
    (put,) = extend(head_of(ENTRIES[:2]), [ENTRIES[0]])
    renumbered = [replace(entry, number=(entry.number or 0) + 1) for entry in ENTRIES[2:]]
    assert refusal(exported((*ENTRIES[:2], put, *renumbered))) == ("audit.changed", 4)
    assert refusal([*lines, lines[1]]) == ("audit.head", 0)


def test_a_tail_that_is_cut_off_is_missed() -> None:
    lines = exported()
    for size in range(1, len(lines)):
        assert refusal(lines[:size]) == ("audit.cut", size)
    assert refusal([*lines[:4], lines[-1]]) == ("audit.cut", 4)
    assert refusal([]) == ("audit.cut", 1)


def test_a_head_that_was_kept_shows_what_no_export_can() -> None:
    """Whoever has database and key can sign a shorter log, or another one."""
    kept = head_of(ENTRIES)
    assert check(exported(), kept=kept) == kept
    shorter = exported(ENTRIES[:4])
    assert check(shorter).number == 4
    assert refusal(shorter, kept=kept) == ("audit.cut", 5)
    forged = extend(Head(), [replace(entry, who="nobody") for entry in (*ENTRIES, ENTRIES[0])])
    assert refusal(exported(forged), kept=kept) == ("audit.rewritten", 6)
    part = exported(ENTRIES[4:], after=head_of(ENTRIES[:4]))
    assert refusal(part, kept=head_of(ENTRIES[:3])) == ("audit.rewritten", 0)
    assert refusal(exported(ENTRIES[4:], after=head_of(forged[:4])), kept=head_of(ENTRIES[:4])) == (
        "audit.rewritten",
        4,
    )
    with pytest.raises(AuditError) as caught:
        Verifier(KEY, kept=replace(kept, number=5))
    assert caught.value.code == "audit.signature"


def test_a_chain_begins_with_nothing() -> None:
    lines = exported()
    lines[0] = begin_line(Head(0, bytes(31) + b"\1"))
    assert refusal(lines) == ("audit.changed", 0)
    assert refusal(lines[1:]) == ("audit.unreadable", 1)
    assert refusal(lines[-1:]) == ("audit.unreadable", 1)
    assert refusal([exported()[0], exported()[0]]) == ("audit.unreadable", 1)


@given(
    st.text() | st.builds(json.dumps, st.recursive(st.none() | st.floats() | st.text(), st.lists))
)
def test_whatever_stands_there_is_refused_by_name(line: str) -> None:
    for before in ([], exported()[:2]):
        with pytest.raises(AuditError):
            check([*before, line, exported()[-1]])
    with pytest.raises(AuditError):
        read_head(line)
