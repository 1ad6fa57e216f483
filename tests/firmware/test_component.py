"""Components of a DCU: read, or refused with one error."""

from __future__ import annotations

import io
import json
import zipfile
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.firmware.test_intake import FILES, MANIFEST, attachment

from openami.core.errors import DecodeError
from openami.firmware import component
from openami.firmware.component import ABOUT, Component, ComponentKind
from openami.firmware.intake import check
from openami.firmware.manifest import ReleaseKind
from openami.firmware.version import Version

V1 = Version(1, 2, 3)
PEM = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
SETTINGS = Component(
    ComponentKind.SETTINGS, "fast", V1, settings={"./AMI/Collection/LoadPeriod": "300"}
)
CERTIFICATES = Component(ComponentKind.CERTIFICATES, "anchors", V1, anchors=PEM)
LIBRARY = Component(ComponentKind.LIBRARY, "tools", V1)
APPLICATION = Component(ComponentKind.APPLICATION, "monitor", V1, main="monitor.run")
CODE = {"monitor/__init__.py": b"", "monitor/run.py": b"print(1)"}


@pytest.mark.parametrize(
    ("what", "files"),
    [(SETTINGS, {}), (CERTIFICATES, {}), (LIBRARY, CODE), (APPLICATION, CODE)],
    ids=lambda value: str(value)[:20],
)
def test_what_was_built_is_read(what: Component, files: dict[str, bytes]) -> None:
    image = what.build(files)
    assert Component.decode(image) == what
    assert what.build(files) == image


def packed(said: object, files: dict[str, bytes] | None = None) -> bytes:
    octets = io.BytesIO()
    with zipfile.ZipFile(octets, "w") as archive:
        archive.writestr(ABOUT, json.dumps(said))
        for name, data in (files or {}).items():
            archive.writestr(name, data)
    return octets.getvalue()


GOOD: dict[str, Any] = {
    "schema": 1, "type": "settings", "name": "fast", "version": "1.2.3",
    "settings": [{"uri": "./AMI/Link/Window", "value": ""}],
}  # fmt: skip


@pytest.mark.parametrize(
    "change",
    [
        {"schema": 2},
        {"type": "virus"},
        {"name": "../x"},
        {"version": "1"},
        {"settings": "x"},
        {"settings": [{"uri": "./DMAcc/1/AppAddr/1/Addr", "value": "https://elsewhere"}]},
        {"settings": [{"uri": "./AMI/Link/Window?prop=ACL", "value": "x"}]},
        {"settings": [{"uri": "./AMI/Link/Window", "value": "\u202e"}]},
        {"settings": [{"uri": "./AMI/Link/Window", "value": "1", "more": "1"}]},
        {"type": "library"},
        {"type": "certificates", "settings": None},
        {"more": 1},
    ],
)
def test_what_is_none_is_refused(change: dict[str, Any]) -> None:
    assert Component.decode(packed(GOOD)).settings == {"./AMI/Link/Window": ""}
    with pytest.raises(DecodeError) as caught:
        Component.decode(packed({**GOOD, **change}))
    assert caught.value.code == "firmware.component"


@pytest.mark.parametrize(
    ("said", "files", "why"),
    [
        (GOOD, {"a.py": b""}, "files are what libraries and applications have"),
        ({**GOOD, "type": "application", "main": "a b"}, {"a.py": b""}, "name of a module"),
        ({**GOOD, "type": "certificates", "anchors": "none"}, {}, "certificates in PEM"),
        (
            {**GOOD, "type": "certificates", "anchors": f"{PEM}-----BEGIN PRIVATE KEY-----"},
            {},
            "certificates in PEM",
        ),
        (GOOD, {"../a.py": b""}, "no file is called"),
        (GOOD, {"/a.py": b""}, "no file is called"),
        (GOOD, {"a/" * 120 + "a": b""}, "no file is called"),
    ],
)
def test_other_contents_are_refused(
    said: dict[str, Any], files: dict[str, bytes], why: str
) -> None:
    said = {key: value for key, value in said.items() if key != "settings" or said is GOOD}
    with pytest.raises(DecodeError, match=why):
        Component.decode(packed(said, files))


@pytest.mark.parametrize(
    ("name", "room", "why"),
    [
        ("MAX_IMAGE", -1, "octets; [0-9]+ are taken"),
        ("MAX_FILES", 2, "more than 2 files"),
        ("MAX_OPENED", 100_000, "or 100000 octets"),
    ],
)
def test_bounds_hold(name: str, room: int, why: str, monkeypatch: pytest.MonkeyPatch) -> None:
    image = LIBRARY.build({"a.py": bytes(100_000), "b.py": b""})
    assert Component.decode(image) == LIBRARY
    monkeypatch.setattr(component, name, len(image) + room if room < 0 else room)
    with pytest.raises(DecodeError, match=why):
        Component.decode(image)


@pytest.mark.parametrize("how", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_what_may_unpack_to_anything_is_not_opened(how: int) -> None:
    octets = io.BytesIO()
    with zipfile.ZipFile(octets, "w", how) as archive:
        archive.writestr(ABOUT, json.dumps(GOOD))
    with pytest.raises(DecodeError, match="compressed as none is"):
        Component.decode(octets.getvalue())


def test_a_name_that_stands_twice_is_refused() -> None:
    octets = io.BytesIO(LIBRARY.build({"a.py": b"1"}))
    with zipfile.ZipFile(octets, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("a.py", b"2")
    with pytest.raises(DecodeError, match="stands twice"):
        Component.decode(octets.getvalue())


@given(st.data())
def test_anything_else_gives_the_one_error(data: st.DataObject) -> None:
    image = bytearray(APPLICATION.build(CODE))
    at = data.draw(st.integers(0, len(image) - 1))
    image[at] ^= data.draw(st.integers(1, 255))
    with suppress(DecodeError):  # an octet of a module, or of a date, is none of what it says
        assert Component.decode(bytes(image)) == APPLICATION
    with pytest.raises(DecodeError):
        Component.decode(bytes(image[:at]))


def test_the_intake_looks_at_components() -> None:
    image = SETTINGS.build()

    def codes(**changes: Any) -> list[str]:
        files = {**FILES, "a.img": changes.pop("image", image)}
        told = attachment("a.img", files)
        kind = ReleaseKind.DCU_COMPONENT
        base = replace(MANIFEST, kind=kind, name="fast", version=V1, images=(told,))
        return [one.code for one in check(replace(base, **changes), files, (), ())]

    assert codes() == []
    assert codes(name="slow") == ["firmware.release.image"]
    assert codes(image=b"none") == ["firmware.component"]
