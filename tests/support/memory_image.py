"""A store of images in memory: what class 18 does is seen without a flash."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, Protocol

from openami.dlms.cosem import ActionError, ImageInfo, ImageStatus, ImageTransfer
from openami.dlms.results import ActionResult

if TYPE_CHECKING:
    from collections.abc import Iterator


class Installer(Protocol):
    """Checks an image in memory and puts it into service."""

    def verify(self, store: MemoryImageStore) -> tuple[ImageInfo, ...]:
        """Return what the image would activate.

        Raises:
            ActionError: it is refused, or (``TEMPORARY_FAILURE``) the check still runs.
        """
        ...

    def activate(self, store: MemoryImageStore) -> None:
        """Put the image into service.

        Raises:
            ActionError: it is not, or (``TEMPORARY_FAILURE``) not yet.
        """


class MemoryImageStore:
    """An image in memory.

    Args:
        installer: verifies and activates; without one every image is refused at verification.
        block_size: octets of a block.
    """

    def __init__(self, installer: Installer | None = None, *, block_size: int = 128) -> None:
        self.installer = installer
        self.block_size = block_size
        self.status = ImageStatus.NOT_INITIATED
        self.to_activate: tuple[ImageInfo, ...] = ()
        self._identifier = b""
        self._size = 0
        self._blocks: dict[int, bytes] = {}

    def size(self) -> int:
        return self._size

    def identifier(self) -> bytes:
        """Return the identifier of the image begun."""
        return self._identifier

    def begin(self, identifier: bytes, size: int) -> None:
        self._identifier, self._size = identifier, size
        self._blocks.clear()
        self.to_activate = ()
        self.status = ImageStatus.INITIATED

    def put(self, number: int, block: bytes) -> None:
        if self.status is not ImageStatus.INITIATED:
            raise ActionError(ActionResult.OTHER_REASON, "no transfer has been initiated")
        self._blocks[number] = block

    def has(self, number: int) -> bool:
        return number in self._blocks

    def read(self) -> bytes:
        """Return the image; blocks that are missing are FF, as in erased flash."""
        image = bytearray(b"\xff") * self._size
        for place, block in self._blocks.items():
            offset = place * self.block_size
            image[offset : offset + len(block)] = block
        return bytes(image)

    def verify(self) -> None:
        if self.installer is None:
            self.status = ImageStatus.VERIFICATION_FAILED
            raise ActionError(ActionResult.OTHER_REASON, "nothing here can verify an image")
        self.status = ImageStatus.VERIFICATION_INITIATED
        with self._failing(ImageStatus.VERIFICATION_FAILED):
            self.to_activate = self.installer.verify(self)
        self.status = ImageStatus.VERIFICATION_SUCCESSFUL

    def activate(self) -> None:
        if self.status not in _ACTIVATABLE or self.installer is None:
            raise ActionError(ActionResult.OTHER_REASON, "no image has been verified")
        self.status = ImageStatus.ACTIVATION_INITIATED
        with self._failing(ImageStatus.ACTIVATION_FAILED):
            self.installer.activate(self)
        self.status = ImageStatus.ACTIVATION_SUCCESSFUL

    @contextmanager
    def _failing(self, status: ImageStatus) -> Iterator[None]:
        try:
            yield
        except ActionError as error:
            if error.result is not ActionResult.TEMPORARY_FAILURE:
                self.status = status
            raise


def image_in_memory(
    installer: Installer | None = None, *, block_size: int = 128, **options: Any
) -> ImageTransfer:
    """Return an image transfer whose image is kept in memory."""
    return ImageTransfer(store=MemoryImageStore(installer, block_size=block_size), **options)


_ACTIVATABLE: Final = frozenset(
    {ImageStatus.VERIFICATION_SUCCESSFUL, ImageStatus.ACTIVATION_INITIATED}
)
