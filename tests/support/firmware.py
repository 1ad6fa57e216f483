"""Images of firmware, made by imgtool and by us, and their keys."""

from __future__ import annotations

import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from openami.firmware.build import Plan, assemble, sign
from openami.firmware.keys import ImageKey, signer
from openami.firmware.verify import Target
from openami.firmware.version import Version

if TYPE_CHECKING:
    from collections.abc import Sequence

HARDWARE: Final = "OA-1P"
IMGTOOL: Final = Path(sys.executable).with_name("imgtool")


@cache
def private_key(name: str = "vendor") -> ec.EllipticCurvePrivateKey:
    """Return the same key for the same name."""
    return ec.derive_private_key(int.from_bytes(name.encode(), "big"), ec.SECP256R1())


def image_key(name: str = "vendor") -> ImageKey:
    return ImageKey(private_key(name).public_key())


def target(**others: object) -> Target:
    return Target(**{"keys": (image_key(),), "hardware": HARDWARE, **others})  # type: ignore[arg-type]  # each test names what it changes


def make_image(
    version: str,
    *,
    counter: int = 1,
    payload: bytes = b"firmware",
    key: str = "vendor",
    hardware: Sequence[str] = (HARDWARE,),
) -> bytes:
    plan = Plan(Version.parse(version), counter, tuple(hardware))
    return sign(assemble(plan, payload), image_key(key), signer(private_key(key)))


def imgtool(*arguments: object) -> str:
    """Run imgtool; return what it says, or fail with that."""
    done = subprocess.run(
        [IMGTOOL, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert not done.returncode, done.stdout
    return done.stdout


def private_pem(folder: Path, name: str = "vendor") -> Path:
    """Write a key where imgtool finds it."""
    path = folder / f"{name}.pem"
    path.write_bytes(
        private_key(name).private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return path


def imgtool_signed(folder: Path, payload: bytes, *options: object) -> bytes:
    """Return what ``imgtool sign`` makes of a payload."""
    source, made = folder / "payload.bin", folder / "image.bin"
    source.write_bytes(payload)
    imgtool("sign", "--pad-header", "--slot-size", 65536, *options, source, made)
    return made.read_bytes()
