"""Integers without a sign, and object identifiers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openami.core.errors import DecodeError
from openami.wire import ber, oid
from openami.wire.reader import Reader

# C12.22: 2.16.124.113620.1.22.0
BASE = bytes.fromhex("607c86f754011600")


@pytest.mark.parametrize(
    ("value", "octets"),
    [(0, "020100"), (3, "020103"), (200, "0201c8"), (0xEB4889DA, "0204eb4889da")],
)
def test_integers_without_a_sign_both_ways(value: int, octets: str) -> None:
    raw = bytes.fromhex(octets)
    assert ber.write_unsigned(value) == raw
    assert ber.unsigned(Reader(raw), "number") == value


@pytest.mark.parametrize("octets", ["0200", "02050102030405", "0101ff", "020201", ""])
def test_no_integers(octets: str) -> None:
    for read in (ber.unsigned, ber.integer):
        with pytest.raises(DecodeError):
            read(Reader(bytes.fromhex(octets)), "number")


def test_an_identifier_both_ways() -> None:
    arcs = (2, 16, 124, 113620, 1, 22, 0)
    assert oid.absolute(BASE) == arcs
    assert oid.encode_absolute(arcs) == BASE
    assert oid.arcs(bytes.fromhex("7bc175")) == (123, 8437)
    assert oid.encode((123, 8437)) == bytes.fromhex("7bc175")
    oid.check(BASE)


@given(st.sampled_from([0, 1, 2]), st.lists(st.integers(0, 2**64 - 81), min_size=1, max_size=6))
def test_every_identifier_comes_back(root: int, others: list[int]) -> None:
    numbers = (root, others[0] % 40 if root < 2 else others[0], *others[1:])
    assert oid.absolute(oid.encode_absolute(numbers)) == numbers


@given(st.binary(min_size=1, max_size=70))
def test_any_octets_are_arcs_or_the_one_error(content: bytes) -> None:
    try:
        oid.check(content)
    except DecodeError:
        return
    assert oid.encode(oid.arcs(content)) == content
    assert oid.encode_absolute(oid.absolute(content)) == content


@pytest.mark.parametrize("octets", ["", "81", "8001", "00" * 65, "01" + "ff" * 10 + "7f"])
def test_no_identifiers(octets: str) -> None:
    with pytest.raises(DecodeError):
        oid.check(bytes.fromhex(octets))


@pytest.mark.parametrize("numbers", [(), (2,), (3, 1), (1, 40), (-1, 3), (2, -90), (2, 1 << 64)])
def test_no_arcs(numbers: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"ident|arc"):
        oid.encode_absolute(numbers)
