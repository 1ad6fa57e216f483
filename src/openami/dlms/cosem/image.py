"""Image transfer (Blue Book 4.4.6): blocks of a firmware image into a store of the meter."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, ClassVar, Final, Protocol

from openami.core.obis import Obis
from openami.dlms.cosem.access import FOR_READERS, AccessTable
from openami.dlms.cosem.base import ActionError, Attribute, Context, CosemObject, Method
from openami.dlms.cosem.fields import boolean, number
from openami.dlms.data import BitString, Data, DataType, Encodable, array, octets, structure
from openami.dlms.results import ActionResult

if TYPE_CHECKING:
    from collections.abc import Mapping

IMAGE_OBIS: Final = Obis.parse("0.0.44.0.0.255")
# The image of a meter is under 1 MiB; 16 MiB bounds what one initiate can make us reserve.
MAX_IMAGE: Final = 16 << 20
MAX_IDENTIFIER: Final = 64
_INITIATE_ITEMS: Final = 2


class ImageStatus(IntEnum):
    """Attribute 6."""

    NOT_INITIATED = 0
    INITIATED = 1
    VERIFICATION_INITIATED = 2
    VERIFICATION_SUCCESSFUL = 3
    VERIFICATION_FAILED = 4
    ACTIVATION_INITIATED = 5
    ACTIVATION_SUCCESSFUL = 6
    ACTIVATION_FAILED = 7


@dataclass(frozen=True, slots=True)
class ImageInfo:
    """One element of image_to_activate_info."""

    size: int
    identification: bytes
    signature: bytes = b""

    def encode(self) -> Data:
        return structure(
            Data(DataType.UINT32, self.size), octets(self.identification), octets(self.signature)
        )


class ImageStore(Protocol):
    """Keeps one image and knows how far it is, over restarts if the meter wants that.

    What a client does at the wrong time, or wrongly, raises ``ActionError``, and so does what
    cannot be done now (``TEMPORARY_FAILURE``).
    """

    @property
    def block_size(self) -> int:
        """Octets of a block; the last may be shorter."""
        ...

    @property
    def status(self) -> ImageStatus:
        """How far the image is."""
        ...

    @property
    def to_activate(self) -> tuple[ImageInfo, ...]:
        """What would be activated: nothing before the image has been verified."""
        ...

    def size(self) -> int:
        """Return the size of the image begun, 0 if none was."""
        ...

    def begin(self, identifier: bytes, size: int) -> None:
        """Forget what is there and make room for ``size`` octets."""

    def put(self, number: int, block: bytes) -> None:
        """Keep the block of a number, counted from 0; the same block may come again."""

    def has(self, number: int) -> bool:
        """Say whether a block is kept."""
        ...

    def verify(self) -> None:
        """Check the image, or begin to (``TEMPORARY_FAILURE``: ``status`` tells the result)."""

    def activate(self) -> None:
        """Put the image into service, or begin to (``TEMPORARY_FAILURE``, as above)."""


class ImageTransfer(CosemObject):
    """Class 18: takes an image block by block.

    Args:
        obis: the logical name.
        store: keeps the image.
        enabled: whether images are taken at all.
        access: what each kind of client may do with it.
    """

    CLASS_ID = 18

    def __init__(
        self,
        obis: Obis | str = IMAGE_OBIS,
        *,
        store: ImageStore,
        enabled: bool = True,
        access: AccessTable = FOR_READERS,
    ) -> None:
        super().__init__(obis, access=access)
        self.store = store
        self.enabled = enabled

    @property
    def block_size(self) -> int:
        """Octets of a block."""
        return self.store.block_size

    @property
    def status(self) -> ImageStatus:
        """How far the image is."""
        return self.store.status

    @property
    def blocks(self) -> int:
        """How many blocks the image has."""
        return -(-self.store.size() // self.block_size)

    @property
    def first_gap(self) -> int:
        """Number of the first block not transferred; the number of blocks if there is none."""
        return next((n for n in range(self.blocks) if not self.store.has(n)), self.blocks)

    def _require_enabled(self) -> None:
        if not self.enabled:
            raise ActionError(ActionResult.READ_WRITE_DENIED, "image transfer is disabled")

    def initiate(self, parameter: Data | None, _: Context) -> None:
        """Method 1: begin with a new image; what was there is forgotten."""
        self._require_enabled()
        items = () if parameter is None else parameter.items(_INITIATE_ITEMS)
        identifier, size = items[0].octets(), items[1].integer()
        if not 0 < size <= MAX_IMAGE or len(identifier) > MAX_IDENTIFIER:
            raise ActionError(ActionResult.OTHER_REASON, f"1 to {MAX_IMAGE} octets")
        self.store.begin(identifier, size)

    def transfer(self, parameter: Data | None, _: Context) -> None:
        """Method 2: take a block; the same block again changes nothing."""
        self._require_enabled()
        items = () if parameter is None else parameter.items(2)
        number, block = items[0].integer(), items[1].octets()
        wanted = min(self.block_size, self.store.size() - number * self.block_size)
        if not 0 <= number < self.blocks or len(block) != wanted:
            raise ActionError(ActionResult.OTHER_REASON, "no such block, or of another size")
        self.store.put(number, block)

    def verify(self, _: Data | None, __: Context) -> None:
        """Method 3: check the image; refused if blocks are missing or nothing can check it."""
        self._require_enabled()
        self._require_whole()
        self.store.verify()

    def activate(self, _: Data | None, __: Context) -> None:
        """Method 4: put an image into service that has been verified, or is by that."""
        self._require_enabled()
        self._require_whole()
        self.store.activate()

    def _require_whole(self) -> None:
        if not self.store.size() or self.first_gap < self.blocks:
            raise ActionError(ActionResult.OTHER_REASON, "the image is not complete")

    def bitmap(self, _: Context) -> Encodable:
        """Attribute 3: a bit for each block, block 0 first."""
        bits = "".join("1" if self.store.has(n) else "0" for n in range(self.blocks))
        return Data(DataType.BIT_STRING, BitString.of(bits))

    ATTRIBUTES: ClassVar[Mapping[int, Attribute]] = {
        2: number("image_block_size", DataType.UINT32, "block_size", writable=False),
        3: Attribute("image_transferred_blocks_status", bitmap),
        4: number(
            "image_first_not_transferred_block_number", DataType.UINT32, "first_gap", writable=False
        ),
        5: boolean("image_transfer_enabled", "enabled"),
        6: number("image_transfer_status", DataType.ENUM, "status", writable=False),
        7: Attribute(
            "image_to_activate_info", lambda o, _: array(*(i.encode() for i in o.store.to_activate))
        ),
    }
    METHODS: ClassVar[Mapping[int, Method]] = {
        1: Method("image_transfer_initiate", initiate, (DataType.STRUCTURE,)),
        2: Method("image_block_transfer", transfer, (DataType.STRUCTURE,)),
        3: Method("image_verify", verify),
        4: Method("image_activate", activate),
    }
