"""A maker of meters: the key that signs their firmware, and the image that they leave with."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cache, cached_property
from importlib import resources
from typing import TYPE_CHECKING, Final, Self

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from openami import __version__
from openami.core.errors import ConfigError
from openami.core.obis import Obis
from openami.firmware.build import Plan, assemble, sign
from openami.firmware.keys import ImageKey, private_key, signer
from openami.firmware.payload import About, Payload, SelfTest
from openami.firmware.sparse import split
from openami.firmware.version import Version
from openami.meter.board import GEOMETRY, factory_flash
from openami.meter.files import read_secret, write_secret
from openami.meter.identity import MODELS

if TYPE_CHECKING:
    from pathlib import Path

NAME: Final = "openami"
FACTORY_COUNTER: Final = 0  # as it is in a new flash: none is written to before its first upgrade
DEADLINE_S: Final = 60
TRIAL_S: Final = 5

# What a head-end and a DCU cannot do without: an image that lacks one of these is not kept.
EXPECTED: Final = (
    (8, Obis.parse("0.0.1.0.0.255")),
    (18, Obis.parse("0.0.44.0.0.255")),
    (3, Obis.parse("1.0.1.8.0.255")),
    (7, Obis.parse("1.0.99.1.0.255")),
    (1, Obis.parse("1.0.0.2.0.255")),
)


@dataclass(frozen=True)
class Maker:
    """A maker, by the private key that signs the firmware of its meters."""

    key: ec.EllipticCurvePrivateKey = field(repr=False)

    @property
    def public(self) -> ImageKey:
        """The key that its meters verify images by."""
        return ImageKey(self.key.public_key())

    def sign(self, payload: Payload, *, counter: int) -> bytes:
        """Return the image of a payload, with a security counter."""
        about = payload.about
        plan = Plan(about.version, counter, about.hardware)
        return sign(assemble(plan, payload.encode()), self.public, signer(self.key))

    @cached_property
    def factory(self) -> bytes:
        """What the flash of a new meter holds, from its first octet."""
        return factory_flash(self.sign(factory_payload(), counter=FACTORY_COUNTER))

    @cached_property
    def pages(self) -> dict[int, bytes]:
        """The same, as the pages that meters of one process share."""
        return split(self.factory, GEOMETRY)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read the maker's key, made at the first time.

        Args:
            path: PEM, as imgtool writes it, without a password, which only its owner can read.

        Raises:
            ConfigError: it is no such file, or cannot be written.
        """
        if not path.exists():
            made = cls.generate()
            write_secret(path, made.pem())
            return made
        text = read_secret(path)
        try:
            return cls(private_key(text))
        except ConfigError as error:
            error.message = f"{path}: {error.message}"
            raise

    @classmethod
    def generate(cls) -> Self:
        """Return a new maker."""
        return cls(ec.generate_private_key(ec.SECP256R1()))

    def pem(self) -> bytes:
        """Return the private key in PEM, which no other file or log may hold."""
        return self.key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )


@cache
def process_maker() -> Maker:
    """Return the maker of meters that live no longer than this process."""
    return Maker.generate()


def factory_payload() -> Payload:
    """Return what the factory's image carries: this package's application, for all its models."""
    source = resources.files("openami.meter").joinpath("application.py").read_bytes()
    return Payload(
        About(
            NAME,
            Version.parse(_RELEASE.sub("", __version__)),
            tuple(sorted(MODELS.values())),
            SelfTest(DEADLINE_S, TRIAL_S, EXPECTED),
        ),
        source,
    )


_RELEASE: Final = re.compile(r"[^0-9.].*")  # 0.2.0rc1 is 0.2.0 to a boot code
