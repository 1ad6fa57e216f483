"""ApTitles: absolute, relative, as text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openami.c1222.titles import ApTitle
from openami.core.errors import DecodeError
from openami.wire.reader import Reader

TEXT = "2.16.124.113620.1.22.0.123.8437"


def test_the_paper_s_meter() -> None:
    """ApTitle 2.16.124.113620.1.22.0.123.8437 of a meter, 80 03 7BC175 on the wire."""
    absolute, relative = ApTitle.parse(TEXT), ApTitle.parse(".123.8437")
    assert relative.encode().hex() == "80037bc175"
    assert absolute.encode().hex() == "060b607c86f7540116007bc175"
    assert (str(absolute), str(relative)) == (TEXT, ".123.8437")
    assert repr(relative) == "ApTitle('.123.8437')"
    assert relative.absolute() == absolute
    assert absolute.absolute() == absolute
    assert absolute.shortest() == relative
    assert relative.shortest() == relative
    assert absolute.name == relative.name
    assert absolute != relative


@pytest.mark.parametrize("text", ["2.16.124.113620.1.22.0", "1.3.6.1"])
def test_some_have_no_relative_form(text: str) -> None:
    title = ApTitle.parse(text)
    assert title.shortest() == title


@given(st.lists(st.integers(0, 2**32), min_size=1, max_size=8).filter(lambda n: len(n) < 9))
def test_every_title_comes_back(numbers: list[int]) -> None:
    title = ApTitle.parse("." + ".".join(map(str, numbers)))
    r = Reader(title.encode())
    assert ApTitle.read(r) == title
    assert ApTitle.parse(str(title)) == title
    assert ApTitle.parse(str(title.absolute())) == title.absolute()


@pytest.mark.parametrize("text", ["", ".", "1", "2.", "x.y", ".-1", "3.1.1", ".²", "." + "9" * 30])
def test_no_titles(text: str) -> None:
    with pytest.raises(ValueError, match=r"ApTitle|identifier|arc"):
        ApTitle.parse(text)


def test_no_title_is_longer_than_one_may_be_read() -> None:
    ApTitle.parse(".1" * 64)
    with pytest.raises(ValueError, match="64 octets at most"):
        ApTitle.parse(".1" * 65)


def test_services_may_have_a_third_tag() -> None:
    octets = bytes.fromhex("0d037bc175")
    assert ApTitle.read_within(Reader(octets)) == ApTitle.parse(".123.8437")
    with pytest.raises(DecodeError):
        ApTitle.read(Reader(octets))
