"""What a meter image carries: a zip of ``firmware.json`` and ``application.py``.

The zip has one form: these two members in this order, stored, of the first of January 1980, for
everybody to read. So the same application is the same octets wherever it is built, and a payload
has one meaning for every reader. What is not in that form raises ``DecodeError`` with the code
``firmware.payload``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Self, TypeVar

from openami.core.errors import DecodeError
from openami.core.obis import Obis
from openami.firmware import documents, zips
from openami.firmware.documents import Fields, check_token
from openami.firmware.image import HARDWARE_NAME
from openami.firmware.version import Version

if TYPE_CHECKING:
    from collections.abc import Callable

    from openami.firmware.image import Image

T = TypeVar("T")

CODE: Final = "firmware.payload"
SCHEMA: Final = 1

MAX_ABOUT: Final = 64 << 10  # octets of firmware.json: 512 objects of 24 characters are a fifth
MAX_APPLICATION: Final = 4 << 20  # octets: a hundred times the factory's; it is compiled at once
MAX_HARDWARE: Final = 32  # types of meters: one for each build of a product line
MAX_OBJECTS: Final = 512  # that are expected: a three-phase meter has fewer
MAX_DEADLINE_S: Final = 3600  # a self-test that takes longer is one that never ends
MAX_TRIAL_S: Final = 86_400  # after a day without a fault nobody waits for another

_ABOUT: Final = "firmware.json"
_APPLICATION: Final = "application.py"
# Of a member's local header (APPNOTE 4.3.7): its octets, and where the size is.
_HEADER: Final = 30
_SIZE_AT: Final = 18
_OBJECT: Final = re.compile(r"([1-9]\d{0,4})/(\d{1,3}(?:\.\d{1,3}){5})", re.ASCII)

ObjectName = tuple[int, Obis]


@dataclass(frozen=True, slots=True)
class SelfTest:
    """What must hold before an image is kept.

    Args:
        deadline_s: seconds within which the application's self-test has ended.
        trial_s: seconds that it must go on without a fault after that.
        objects: COSEM objects, by class and logical name, that it must have and let be read.
    """

    deadline_s: int = 60
    trial_s: int = 0
    objects: tuple[ObjectName, ...] = ()


@dataclass(frozen=True, slots=True)
class About:
    """``firmware.json``: what an image is; ``hardware`` names the types that it is built for."""

    name: str
    version: Version
    hardware: tuple[str, ...]
    self_test: SelfTest = field(default_factory=SelfTest)

    @property
    def identifier(self) -> str:
        """What a meter shows as its active firmware identifier."""
        return f"{self.name}-{self.version}"

    def encode(self) -> bytes:
        test = self.self_test
        return documents.canonical(
            {
                "schema": SCHEMA,
                "name": self.name,
                "version": str(self.version),
                "hardware": [{"name": name} for name in self.hardware],
                "self_test": {
                    "deadline_s": test.deadline_s,
                    "trial_s": test.trial_s,
                    "objects": [{"name": f"{kind}/{obis}"} for kind, obis in test.objects],
                },
            }
        )

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Read a ``firmware.json``.

        Raises:
            DecodeError: it is none (``firmware.payload``).
        """
        fields = documents.parse(data, most=MAX_ABOUT, code=CODE)
        fields.whole("schema", least=SCHEMA, most=SCHEMA)
        found = cls(
            fields.text("name", check_token),
            fields.text("version", _version),
            _names(fields, "hardware"),
            _self_test(fields.object("self_test")),
        )
        fields.finish()
        return found


@dataclass(frozen=True, slots=True)
class Payload:
    """An application and what it says of itself.

    Args:
        about: ``firmware.json``.
        application: the source of the management application, UTF-8.
    """

    about: About
    application: bytes = field(repr=False)

    def encode(self) -> bytes:
        """Return the zip.

        Raises:
            ValueError: the application is empty, or longer than ``MAX_APPLICATION``.
        """
        if not 0 < len(self.application) <= MAX_APPLICATION:
            raise ValueError(f"an application of 1 to {MAX_APPLICATION} octets wanted")
        return zips.stored(((_ABOUT, self.about.encode()), (_APPLICATION, self.application)))

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Read a payload.

        Raises:
            DecodeError: it is none, or not in the one form (``firmware.payload``).
        """
        # What is read here without a check is checked by being written again.
        about = _member(data, 0, _ABOUT)
        application = _member(data, _HEADER + len(_ABOUT) + len(about), _APPLICATION)
        if not 0 < len(application) <= MAX_APPLICATION or len(about) > MAX_ABOUT:
            raise DecodeError(f"{_ABOUT} and {_APPLICATION} wanted, in their sizes", code=CODE)
        found = cls(About.decode(about), application)
        if found.encode() != data:
            raise DecodeError("a payload in its one form wanted", code=CODE)
        return found

    @classmethod
    def of(cls, image: Image) -> Self:
        """Return the payload of an image, which must be what the image says that it is.

        Raises:
            DecodeError: it is no payload, or one of another version or hardware than the image
                (``firmware.payload``).
        """
        found = cls.decode(image.payload)
        about = found.about
        if (about.version, set(about.hardware)) != (image.version, set(image.hardware)):
            raise DecodeError("a payload of the image's version and hardware wanted", code=CODE)
        return found


def _member(data: bytes, offset: int, name: str) -> bytes:
    """Return the member whose local header is at ``offset``, as far as it is there."""
    size = int.from_bytes(data[offset + _SIZE_AT :][:4], "little")
    return data[offset + _HEADER + len(name) :][:size]


def _names(fields: Fields, name: str) -> tuple[str, ...]:
    items = fields.items(name, most=MAX_HARDWARE)
    if not items:
        raise fields.error(name, "one at least")
    return tuple(_only(item, _hardware) for item in items)


def _self_test(fields: Fields) -> SelfTest:
    found = SelfTest(
        fields.whole("deadline_s", least=1, most=MAX_DEADLINE_S),
        fields.whole("trial_s", most=MAX_TRIAL_S),
        tuple(_only(item, _object) for item in fields.items("objects", most=MAX_OBJECTS)),
    )
    fields.finish()
    return found


def _only(fields: Fields, check: Callable[[str], T]) -> T:
    found = fields.text("name", check)
    fields.finish()
    return found


def _hardware(text: str) -> str:
    if not HARDWARE_NAME.fullmatch(text):
        raise ValueError("1 to 64 characters of ASCII, no space at either end")
    return text


def _version(text: str) -> Version:
    try:
        return Version.parse(text)
    except DecodeError as error:
        raise ValueError(error.reason) from None


def _object(text: str) -> ObjectName:
    found = _OBJECT.fullmatch(text)
    if found is None:
        raise ValueError("a class and a logical name wanted, such as 3/1.0.1.8.0.255")
    return int(found[1]), Obis.parse(found[2])
