"""What is checked of an image before it is installed and before every jump.

An image that is not for this device raises ``SecurityError`` with one of the codes
``firmware.hash``, ``firmware.key``, ``firmware.signature``, ``firmware.hardware``,
``firmware.dependency`` and ``firmware.counter``.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from openami.core.errors import SecurityError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from openami.firmware.image import Dependency, Image
    from openami.firmware.keys import ImageKey
    from openami.firmware.version import Version


@dataclass(frozen=True, slots=True)
class Target:
    """A device, as far as an image must fit it.

    Args:
        keys: whose signatures it takes.
        hardware: its type, as images name it.
        modules: the versions of its other images by their numbers, of metrology for one.
    """

    keys: tuple[ImageKey, ...]
    hardware: str
    modules: Mapping[int, Version] = field(default_factory=dict)


def check_signature(image: Image, keys: Iterable[ImageKey]) -> None:
    """Check the hash, and that one of ``keys`` signed it.

    Raises:
        SecurityError: ``firmware.hash``, ``firmware.key`` or ``firmware.signature``.
    """
    digest = hashlib.sha256(image.signed).digest()
    if digest != image.digest:
        raise SecurityError("the image's hash is not right", code="firmware.hash")
    key = next((key for key in keys if key.id == image.key_id), None)
    if key is None:
        raise SecurityError("no key that is trusted signed the image", code="firmware.key")
    if not key.verifies(digest, image.signature):
        raise SecurityError("the image's signature is not right", code="firmware.signature")


def check_fit(image: Image, target: Target, *, counter: int) -> None:
    """Check that an image whose signature is right may run on a device.

    Args:
        image: the image.
        target: the device.
        counter: the security counter that the device stores.

    Raises:
        SecurityError: ``firmware.hardware``, ``firmware.dependency`` or ``firmware.counter``.
    """
    if target.hardware not in image.hardware:
        names = ", ".join(image.hardware) or "no hardware"
        raise SecurityError(f"the image is for {names}", code="firmware.hardware")
    for other in image.dependencies:
        if other.image:
            check_dependency(other, target.modules.get(other.image))
    if image.counter is None or image.counter < counter:
        message = f"security counter {image.counter}, {counter} or higher wanted"
        raise SecurityError(message, code="firmware.counter")


def check_dependency(wanted: Dependency, found: Version | None) -> None:
    """Check the version of another image, or of the one that runs.

    Raises:
        SecurityError: there is none, or it is lower (``firmware.dependency``).
    """
    if found is None or found < wanted.version:
        message = f"image {wanted.image} {wanted.version} wanted, {found or 'none'} found"
        raise SecurityError(message, code="firmware.dependency")


def verify(image: Image, target: Target, *, counter: int) -> None:
    """Check signature and fit: everything that is checked before a jump.

    Raises:
        SecurityError: with one of the codes of this module.
    """
    check_signature(image, target.keys)
    check_fit(image, target, counter=counter)
