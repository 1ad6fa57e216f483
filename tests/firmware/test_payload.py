"""What an image carries: one form, read back as it was, and nothing else is one."""

from __future__ import annotations

import io
import zipfile
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.firmware import make_image

from openami.core.errors import DecodeError
from openami.core.obis import Obis
from openami.firmware import payload
from openami.firmware.documents import canonical
from openami.firmware.image import Image
from openami.firmware.payload import About, Payload, SelfTest
from openami.firmware.version import Version

ABOUT = About(
    "openami",
    Version(1, 2, 3),
    ("OA1-100", "OA3-100"),
    SelfTest(30, 10, ((3, Obis.parse("1.0.1.8.0.255")), (18, Obis.parse("0.0.44.0.0.255")))),
)
GOOD = Payload(ABOUT, b"def start(hardware): ...\n")


def refused(data: bytes) -> str:
    with pytest.raises(DecodeError) as raised:
        Payload.decode(data)
    return raised.value.code


def zipped(*members: tuple[str, bytes], kind: int = zipfile.ZIP_STORED) -> bytes:
    octets = io.BytesIO()
    with zipfile.ZipFile(octets, "w", kind) as archive:
        for name, data in members:
            archive.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), data, kind)
    return octets.getvalue()


def test_it_is_read_back_as_it_was() -> None:
    octets = GOOD.encode()
    assert octets == GOOD.encode()
    assert Payload.decode(octets) == GOOD
    assert GOOD.about.identifier == "openami-1.2.3"
    with zipfile.ZipFile(io.BytesIO(octets)) as archive:
        assert archive.namelist() == ["firmware.json", "application.py"]
        assert archive.read("application.py") == GOOD.application
    assert GOOD.application not in repr(GOOD).encode()


def test_every_cut_and_every_octet_too_many_is_refused() -> None:
    octets = GOOD.encode()
    for size in range(len(octets)):
        assert refused(octets[:size]) == payload.CODE
    assert refused(octets + b"x") == payload.CODE
    assert refused(b"x" + octets) == payload.CODE


@given(st.integers(0, 10**6), st.integers(1, 255))
def test_a_changed_octet_is_refused_or_is_another_payload(place: int, change: int) -> None:
    octets = bytearray(GOOD.encode())
    octets[place % len(octets)] ^= change
    with suppress(DecodeError):
        assert Payload.decode(bytes(octets)).encode() == octets


def test_a_zip_in_another_form_is_refused() -> None:
    about, application = ABOUT.encode(), GOOD.application
    one, two = ("firmware.json", about), ("application.py", application)
    for data in (
        zipped(two, one),
        zipped(one),
        zipped(one, two, ("more", b"")),
        zipped(one, two, kind=zipfile.ZIP_DEFLATED),
        zipped(("firmware.json", about.replace(b":", b": ")), two),
        zipped(one, ("application.py", b"")),
        zipped(("firmware.json", bytes(payload.MAX_ABOUT + 1)), two),
        b"\0" * (payload.MAX_APPLICATION + 2 * payload.MAX_ABOUT + 1),
    ):
        assert refused(data) == payload.CODE


@pytest.mark.parametrize(
    "changes",
    [
        {"schema": 2},
        {"name": "a b"},
        {"version": "1.2"},
        {"hardware": []},
        {"hardware": [{"name": " x"}]},
        {"hardware": [{"name": "x", "more": 1}]},
        {"self_test": {"deadline_s": 0, "trial_s": 0, "objects": []}},
        {"self_test": {"deadline_s": 1, "trial_s": 86_401, "objects": []}},
        {"self_test": {"deadline_s": 1, "trial_s": 0, "objects": [{"name": "3/1.0.1.8.0.256"}]}},
        {"self_test": {"deadline_s": 1, "trial_s": 0, "objects": [{"name": "1.0.1.8.0.255"}]}},
        {"more": 1},
    ],
)
def test_what_is_no_firmware_json_is_refused(changes: dict[str, Any]) -> None:
    good: dict[str, Any] = {
        "schema": 1,
        "name": "a",
        "version": "1.2.3",
        "hardware": [{"name": "x"}],
        "self_test": {"deadline_s": 1, "trial_s": 0, "objects": []},
    }
    About.decode(canonical(good))
    with pytest.raises(DecodeError) as raised:
        About.decode(canonical(good | changes))
    assert raised.value.code == payload.CODE


def test_an_application_has_a_size() -> None:
    for octets in (b"", bytes(payload.MAX_APPLICATION + 1)):
        with pytest.raises(ValueError, match="application"):
            replace(GOOD, application=octets).encode()


def test_it_is_what_the_image_says() -> None:
    def image(version: str, *hardware: str) -> Image:
        return Image.decode(make_image(version, payload=GOOD.encode(), hardware=hardware))

    assert Payload.of(image("1.2.3", "OA3-100", "OA1-100")) == GOOD
    for other in (image("1.2.4", "OA3-100", "OA1-100"), image("1.2.3", "OA1-100")):
        with pytest.raises(DecodeError) as raised:
            Payload.of(other)
        assert raised.value.code == payload.CODE
