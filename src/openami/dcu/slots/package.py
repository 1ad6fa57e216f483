"""The image of a DCU's software: a zip that Python runs as it is.

The zip has one form: ``package.json``, then the package's files in the order of their names,
stored, of the first of January 1980. So the same software is the same octets wherever it is built,
and a delta is small. It is never unpacked: what is verified at every start is, octet for octet,
what was signed, and there is no file beside it that could differ.

Libraries are not in it. They are the device's, and ``package.json`` says which it was built with.
"""

from __future__ import annotations

import re
import sys
import zipfile
from dataclasses import dataclass, field
from importlib import metadata
from typing import TYPE_CHECKING, BinaryIO, Final, Self

from openami.firmware import documents, zips
from openami.firmware.documents import Fields, check_text, check_token
from openami.firmware.image import HARDWARE_NAME
from openami.firmware.manifest import Finding
from openami.firmware.manifest_codec import MAX_COUNTER, version_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from openami.firmware.version import Version

CODE: Final = "slots.package"
MODULE: Final = "openami"
MAX_ABOUT: Final = 64 * 1024  # octets of package.json: 500 libraries and 30 types of devices
MAX_LIBRARIES: Final = 500
MAX_FITS: Final = 32  # one for each build of a product line

_ABOUT: Final = "package.json"
_SCHEMA: Final = 1
_NOT_OURS: Final = frozenset({"headend", "meter", "web"})
"""Rooms of the other applications: a DCU imports none of them."""
_STORES: Final = frozenset({"lake", "relational"})  # the head-end's
_VERSION_LINE: Final = re.compile(rb'^__version__ = "[^"\n]*"$', re.MULTILINE)
_LIBRARY: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass(frozen=True, slots=True)
class About:
    """``package.json``: what an image says of itself.

    Args:
        name: the product.
        version: of it.
        counter: its release counter.
        fits: the types of device that it is for, by model and hardware.
        python: the version of Python that it is for, as ``3.11``.
        libraries: those that it was built with, and their versions.
    """

    name: str
    version: Version
    counter: int
    fits: tuple[tuple[str, str], ...]
    python: str
    libraries: Mapping[str, str] = field(default_factory=dict)

    def encode(self) -> bytes:
        return documents.canonical(
            {
                "schema": _SCHEMA,
                "name": self.name,
                "version": str(self.version),
                "counter": self.counter,
                "fits": [{"model": model, "hardware": kind} for model, kind in self.fits],
                "python": self.python,
                "libraries": [
                    {"name": name, "version": version}
                    for name, version in sorted(self.libraries.items())
                ],
            }
        )

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Read a ``package.json``.

        Raises:
            DecodeError: it is none (``slots.package``).
        """
        fields = documents.parse(data, most=MAX_ABOUT, code=CODE)
        fields.whole("schema", least=_SCHEMA, most=_SCHEMA)
        found = cls(
            fields.text("name", check_token),
            fields.text("version", version_of),
            fields.whole("counter", most=MAX_COUNTER),
            tuple(_pair(each, "model", "hardware") for each in fields.items("fits", most=MAX_FITS)),
            fields.text("python", _short),
            dict(
                _pair(each, "name", "version")
                for each in fields.items("libraries", most=MAX_LIBRARIES)
            ),
        )
        fields.finish()
        return found

    def objection(self) -> Finding | None:
        """Return why this environment cannot run it; None: it can."""
        if self.python != python_here():
            text = f"it is for Python {self.python}; here is {python_here()}"
            return Finding("slots.package.python", text)
        for name, version in self.libraries.items():
            here = _installed(name)
            if here != version:
                text = f"it needs {name} {version}; here is {here or 'none'}"
                return Finding("slots.package.library", text)
        return None


def read_about(file: BinaryIO) -> About:
    """Return what an image says of itself.

    Raises:
        DecodeError: it is no image (``slots.package``).
    """
    with zips.opened(file, "not the image of a DCU's software", CODE) as archive:
        if any(member.compress_type != zipfile.ZIP_STORED for member in archive.infolist()):
            raise ValueError("it is compressed")
        with archive.open(_ABOUT) as member:
            data = member.read(MAX_ABOUT + 1)
    return About.decode(data)


def build(about: About, files: Mapping[str, bytes]) -> bytes:
    """Return an image.

    Args:
        about: what it says of itself.
        files: those of the package ``openami`` by their names in it, with ``/``.

    Raises:
        ValueError: there is no line in it that says its version.
    """
    init, lines = _VERSION_LINE.subn(
        f'__version__ = "{about.version}"'.encode(), files.get("__init__.py", b"")
    )
    if lines != 1:
        raise ValueError("__init__.py with one __version__ wanted")
    named = sorted({**files, "__init__.py": init}.items())
    members = [(f"{MODULE}/{name}", data) for name, data in named]
    return zips.stored([(_ABOUT, about.encode()), *members])


def files_of(tree: Path) -> dict[str, bytes]:
    """Return the files of an installed ``openami`` that a DCU's software is made of."""
    found = (file for file in tree.rglob("*") if file.is_file())
    named = ((file.relative_to(tree), file) for file in found)
    return {
        name.as_posix(): file.read_bytes()
        for name, file in named
        if "__pycache__" not in name.parts
        and name.parts[0] not in _NOT_OURS
        and not (name.parts[0] == "store" and name.parts[1] in _STORES)
    }


def libraries_here() -> dict[str, str]:
    """Return the libraries that the installed ``openami`` names, and their versions here."""
    return dict(sorted(_libraries()))


def python_here() -> str:
    """Return the version of the Python that runs."""
    return f"{sys.version_info.major}.{sys.version_info.minor}"


def _libraries() -> Iterator[tuple[str, str]]:
    for line in metadata.requires(MODULE) or ():
        found = _LIBRARY.match(line)
        version = found and "extra ==" not in line and _installed(found[0])
        if found and version:
            yield found[0], version


def _installed(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _pair(fields: Fields, first: str, second: str) -> tuple[str, str]:
    found = fields.text(first, _short), fields.text(second, _short)
    fields.finish()
    return found


def _short(text: str) -> str:
    return check_text(text, most=64)


def check_type(text: str) -> str:
    """Return ``text`` if it names a model or a hardware.

    Raises:
        ValueError: it does not.
    """
    if not HARDWARE_NAME.fullmatch(text):
        raise ValueError(f"{text!r}: 1 to 64 characters of ASCII, no space at either end")
    return text
