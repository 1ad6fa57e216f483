"""Components of a DCU beside its firmware: the image of a release of the kind ``dcu-component``.

An image is a zip. In it ``component.json`` says what it is; the rest are the modules of a library
or an application, which Python imports from the zip as it is: what runs is the one file whose
digest is known. Settings and certificates have no other file.
"""

from __future__ import annotations

import io
import re
import zipfile
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, Self

from openami.core.errors import DecodeError
from openami.firmware import documents, zips
from openami.firmware.documents import check_text, check_token
from openami.firmware.manifest_codec import version_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from openami.firmware.version import Version

ABOUT: Final = "component.json"
CODE: Final = "firmware.component"

MAX_IMAGE: Final = 16 << 20
"""Octets: an application with what it brings along; a DCU holds one in memory to look at it."""
MAX_FILES: Final = 2048
MAX_OPENED: Final = 64 << 20
"""Octets of all files, not packed: what a small device has room for in memory, twice."""
MAX_ABOUT: Final = 256 * 1024  # settings of some thousand nodes
MAX_SETTINGS: Final = 1024
MAX_VALUE: Final = 4096  # characters

_SCHEMA: Final = 1
_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*(/[A-Za-z0-9_][A-Za-z0-9_.-]*)*")
_NAME_MOST: Final = 200
_MODULE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}(\.[A-Za-z_][A-Za-z0-9_]{0,63}){0,7}")
_URI: Final = re.compile(r"\./(AMI|SCHED)/[^?\s]{1,500}")


class ComponentKind(StrEnum):
    """What a component is."""

    SETTINGS = "settings"
    CERTIFICATES = "certificates"
    LIBRARY = "library"
    APPLICATION = "application"


@dataclass(frozen=True, slots=True)
class Component:
    """What a component says of itself.

    Attributes:
        kind: what it is.
        name: the same over all its versions; a device has one version of a name.
        version: of it.
        main: the module that an application runs.
        settings: values by the addresses of the nodes of AMI and SCHED that get them.
        anchors: certificates of authorities that servers may be certified by, in PEM.
    """

    kind: ComponentKind
    name: str
    version: Version
    main: str = ""
    settings: Mapping[str, str] = field(default_factory=dict)
    anchors: str = ""

    def build(self, files: Mapping[str, bytes] | None = None) -> bytes:
        """Return an image with these files, by their names in it."""
        octets = io.BytesIO()
        with zipfile.ZipFile(octets, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, data in ((ABOUT, self._encode()), *sorted((files or {}).items())):
                archive.writestr(zipfile.ZipInfo(name, zips.DATE), data, zipfile.ZIP_DEFLATED)
        return octets.getvalue()

    def _encode(self) -> bytes:
        said: dict[str, Any] = {
            "schema": _SCHEMA,
            "type": self.kind.value,
            "name": self.name,
            "version": str(self.version),
        }
        match self.kind:
            case ComponentKind.APPLICATION:
                said["main"] = self.main
            case ComponentKind.CERTIFICATES:
                said["anchors"] = self.anchors
            case ComponentKind.SETTINGS:
                said["settings"] = [
                    {"uri": uri, "value": value} for uri, value in sorted(self.settings.items())
                ]
        return documents.canonical(said)

    @classmethod
    def decode(cls, image: bytes) -> Self:
        """Read an image.

        Raises:
            DecodeError: it is none, or beyond a bound (``firmware.component``).
        """
        if len(image) > MAX_IMAGE:
            raise _malformed(f"of {len(image)} octets; {MAX_IMAGE} are taken")
        with zips.opened(io.BytesIO(image), "component", CODE) as archive:
            names = _checked(archive)
            with archive.open(ABOUT) as member:
                said = member.read(MAX_ABOUT + 1)
        return cls._read(said, names)

    @classmethod
    def _read(cls, said: bytes, names: frozenset[str]) -> Self:
        fields = documents.parse(said, most=MAX_ABOUT, code=CODE)
        fields.whole("schema", least=_SCHEMA, most=_SCHEMA)
        kind = fields.text("type", ComponentKind)
        name, version = fields.text("name", check_token), fields.text("version", version_of)
        main, anchors, settings = "", "", {}
        match kind:
            case ComponentKind.APPLICATION:
                main = fields.text("main", _module)
            case ComponentKind.CERTIFICATES:
                anchors = fields.text("anchors", _pem)
            case ComponentKind.SETTINGS:
                for item in fields.items("settings", most=MAX_SETTINGS):
                    uri = item.text("uri", _uri)
                    settings[uri] = item.text("value", _value)
                    item.finish()
        fields.finish()
        code = kind in {ComponentKind.APPLICATION, ComponentKind.LIBRARY}
        if bool(names - {ABOUT}) != code:
            raise _malformed("files are what libraries and applications have, and others have not")
        return cls(kind, name, version, main, settings, anchors)


def _checked(archive: zipfile.ZipFile) -> frozenset[str]:
    """Return the names of the files; ValueError if one can not be, or there is too much."""
    entries = archive.infolist()
    if len(entries) > MAX_FILES or sum(entry.file_size for entry in entries) > MAX_OPENED:
        raise ValueError(f"more than {MAX_FILES} files, or {MAX_OPENED} octets")
    names = [entry.filename for entry in entries]
    if len(set(names)) != len(names):
        raise ValueError("a name stands twice")
    for name in names:
        if len(name) > _NAME_MOST or not _NAME.fullmatch(name):
            raise ValueError(f"no file is called {name[:80]!a}")
    return frozenset(names)


def _module(text: str) -> str:
    if not _MODULE.fullmatch(text):
        raise ValueError("the name of a module wanted")
    return text


def _uri(text: str) -> str:
    if not _URI.fullmatch(text):
        raise ValueError("the address of a node of AMI or SCHED wanted")
    return text


def _value(text: str) -> str:
    return text and check_text(text, most=MAX_VALUE)


def _pem(text: str) -> str:
    if "-----BEGIN CERTIFICATE-----" not in text or "PRIVATE KEY" in text:
        raise ValueError("certificates in PEM wanted")
    return check_text(text.replace("\r", ""), most=MAX_ABOUT, lines=True)


def _malformed(message: str) -> DecodeError:
    return DecodeError(f"component: {message}", code=CODE)
