"""The download descriptor and the statuses: what is read, what is written, what is refused."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openami.core.errors import DecodeError, LocalProtocolError
from openami.omadm.download.descriptor import (
    LIMITS,
    MAX_TEXT,
    MAX_TYPES,
    MAX_URL,
    NAMESPACE,
    WRONG_VERSION,
    Descriptor,
    origin_of,
)
from openami.omadm.download.ends import RESULTS, End, InstallStatus
from openami.omadm.objects.updates import FumoResult, ScomoResult

WHOLE = Descriptor(
    object_uri="https://headend:8443/objects/1?part=a&of=b",
    size=262_144,
    types=("application/octet-stream", "application/zip"),
    version="1.0",
    name="Meter <firmware>",
    vendor="Acme & Sons",
    description="2.1.0",
    install_notify_uri="https://headend:8443/told/1",
    next_url="https://headend/next",
    info_url="http://headend/info",
    icon_uri="http://headend/icon.png",
    install_param="inactive",
)
LEAST = Descriptor("https://h/o", 1, ("a/b",))


def media(inside: str, root: str = f'media xmlns="{NAMESPACE}"') -> bytes:
    return f"<{root}>{inside}</{root.split(maxsplit=1)[0]}>".encode()


GOOD = "<type>a/b</type><size>1</size><objectURI>https://h/o</objectURI>"


@pytest.mark.parametrize("one", [WHOLE, LEAST], ids=["every element", "the mandatory ones"])
def test_both_ways(one: Descriptor) -> None:
    assert Descriptor.decode(one.encode()) == one


@pytest.mark.parametrize("one", [WHOLE, LEAST])
def test_no_truncation_is_a_descriptor(one: Descriptor) -> None:
    raw = one.encode()
    for size in range(len(raw)):
        with pytest.raises(DecodeError):
            Descriptor.decode(raw[:size])


@pytest.mark.parametrize(
    ("octets", "is_"),
    [
        (media(GOOD, "media"), LEAST),
        (media(f"\n {GOOD} <later>1</later><x><y>2</y></x>\n"), LEAST),
        (media(f'<o:size xmlns:o="urn:other">7</o:size>{GOOD}'), LEAST),
        (media(f"<name/><name> </name>{GOOD}"), LEAST),
        (media(f"<DDVersion>1.5</DDVersion>{GOOD}"), replace(LEAST, version="1.5")),
        (media(GOOD, f'media xmlns="{NAMESPACE}" DDVersion="1.2"').replace(
            b'</media DDVersion="1.2">', b"</media>"), replace(LEAST, version="1.2")),
        (media(GOOD.replace("a/b", "A/B")), LEAST),
    ],
    ids=["no namespace", "unknown elements", "another's element", "empty ones", "minor version",
         "version as attribute", "type in capitals"],
)  # fmt: skip
def test_what_other_servers_write(octets: bytes, is_: Descriptor) -> None:
    assert Descriptor.decode(octets) == is_


@pytest.mark.parametrize("version", ["2.0", "0.9", "1", "x", "1.0.0", "11.0"])
def test_another_major_version_is_951(version: str) -> None:
    """Said before anything else of it is judged: its elements may be others."""
    for inside in (GOOD, ""):
        with pytest.raises(DecodeError) as caught:
            Descriptor.decode(media(f"<DDVersion>{version}</DDVersion>{inside}"))
        assert caught.value.code == WRONG_VERSION


@pytest.mark.parametrize(
    "octets",
    [
        b"",
        b"no XML",
        media(GOOD, "medium"),
        media(GOOD, 'media xmlns="urn:other"'),
        media("<type>a/b</type><size>1</size>"),
        media("<type>a/b</type><objectURI>https://h/o</objectURI>"),
        media("<size>1</size><objectURI>https://h/o</objectURI>"),
        media(GOOD.replace(">1<", ">0<")),
        media(GOOD.replace(">1<", ">-1<")),
        media(GOOD.replace(">1<", ">1e3<")),
        media(GOOD.replace(">1<", ">\u0661<")),
        media(GOOD.replace(">1<", ">" + "9" * 13 + "<")),
        media(GOOD.replace("a/b", "ab")),
        media(GOOD + "<type>a/b</type>" * MAX_TYPES),
        media(GOOD.replace("https://h/o", "o")),
        media(GOOD.replace("https://h/o", "ftp://h/o")),
        media(GOOD.replace("https://h/o", "https://user@h/o")),
        media(GOOD.replace("https://h/o", "https://h/o o")),
        media(GOOD.replace("https://h/o", "https://h:99999/o")),
        media(GOOD.replace("https://h/o", "https://[h/o")),
        media(GOOD.replace("https://h/o", "https://h/o#1")),
        media(GOOD.replace("https://h/o", "https://h////o")),
        media(GOOD.replace("https://h/o", "https://h/" + "o" * MAX_URL)),
        media(GOOD + "<size>2</size>"),
        media(GOOD + "<name>n<b/></name>"),
        media(GOOD + "<infoURL>nowhere</infoURL>"),
        media(GOOD + f"<name>{'n' * (MAX_TEXT + 1)}</name>"),
        media(GOOD + "<x/>" * LIMITS.elements),
        media(GOOD + "<x>" * LIMITS.depth + "</x>" * LIMITS.depth),
        media(GOOD + "<x>" + "x" * LIMITS.octets + "</x>"),
        b'<!DOCTYPE media [<!ENTITY e "1">]>' + media(GOOD.replace(">1<", ">&e;<")),
        b'<?xml version="1.0" encoding="ISO-8859-1"?>' + media(GOOD),
        media(GOOD).decode().encode("utf-16"),
    ],
)
def test_everything_else_is_906(octets: bytes) -> None:
    with pytest.raises(DecodeError) as caught:
        Descriptor.decode(octets)
    assert caught.value.code != WRONG_VERSION


@given(
    st.binary(max_size=200) | st.text("<>/mediatypszURIobjc 019&;!-", max_size=80).map(str.encode)
)
def test_parses_or_raises_the_one_error(octets: bytes) -> None:
    try:
        Descriptor.decode(octets)
    except DecodeError:
        return


@given(st.builds(
    replace,
    st.sampled_from([WHOLE, LEAST]),
    name=st.none() | st.text(max_size=MAX_TEXT),
    size=st.integers(-1, 2**41),
))  # fmt: skip
def test_what_is_written_is_read_again(one: Descriptor) -> None:
    """Or not written; white space around a text is not part of it."""
    try:
        octets = one.encode()
    except LocalProtocolError:
        return
    read = Descriptor.decode(octets)
    assert read.size == one.size
    name = one.name and one.name.strip().replace("\r", "\n")
    assert (read.name or "").replace("\r", "\n") == (name or "")


def test_what_could_not_be_read_is_not_written() -> None:
    for bad in (replace(LEAST, size=0), replace(LEAST, types=()), replace(LEAST, name="\0")):
        with pytest.raises(LocalProtocolError):
            bad.encode()


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://HeadEnd/x", "headend:443"),
        ("https://headend:8443/x?y", "headend:8443"),
        ("https://[::1]:8443/", "[::1]:8443"),
        ("http://headend/x", None),
        ("headend", None),
    ],
)
def test_origin(url: str, origin: str | None) -> None:
    assert origin_of(url) == origin


@pytest.mark.parametrize("status", InstallStatus)
def test_statuses_both_ways(status: InstallStatus) -> None:
    assert InstallStatus.decode(status.encode()) is status
    assert status.encode().startswith(f"{status.value} ".encode())


@pytest.mark.parametrize("body", [b"", b"Success", b"9", b"9000", b"904 ", b"\xff900"])
def test_no_status(body: bytes) -> None:
    with pytest.raises(DecodeError):
        InstallStatus.decode(body)


def test_every_end_has_its_results() -> None:
    assert set(RESULTS) == set(End)
    good = [end for end, results in RESULTS.items() if results.install is InstallStatus.SUCCESS]
    assert good == [End.OK]
    assert RESULTS[End.OK] == (InstallStatus.SUCCESS, FumoResult.OK, ScomoResult.OK)
    assert RESULTS[End.NO_ROOM].fumo == 501
    assert RESULTS[End.FORBIDDEN].fumo == 406
    assert RESULTS[End.BAD_VERSION].install == 951
    assert RESULTS[End.BAD_DESCRIPTOR].install == 906
    assert {results.install for results in RESULTS.values()} == set(InstallStatus)
