"""Push setup (Blue Book 4.4.8): what is pushed, to whom and how; to be read, not to be changed."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

from openami.core.obis import Obis
from openami.dlms.cosem.access import FOR_READERS, AccessTable
from openami.dlms.cosem.base import Attribute, Context, CosemObject
from openami.dlms.data import Data, DataType, Encodable, array, octets, structure, u8, u16

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from openami.dlms.references import CaptureObject

PUSH_OBIS: Final = Obis.parse("0.0.25.9.0.255")
TCP: Final = 0
A_XDR: Final = 0
"""Transport service and message type of attribute 3."""


class PushSetup(CosemObject):
    """Class 40, version 0, for a server that pushes on associations that clients have opened.

    There is no destination to set, and no method: who has an association is pushed to.

    Args:
        objects: what is pushed.
        obis: the logical name.
        access: what each kind of client may do with it.
    """

    CLASS_ID = 40

    def __init__(
        self,
        objects: Iterable[CaptureObject],
        *,
        obis: Obis | str = PUSH_OBIS,
        access: AccessTable = FOR_READERS,
    ) -> None:
        super().__init__(obis, access=access)
        self.objects = tuple(objects)

    def get_objects(self, _: Context) -> Encodable:
        return array(*(each.data() for each in self.objects))

    def get_destination(self, _: Context) -> Encodable:
        return structure(Data(DataType.ENUM, TCP), octets(b""), Data(DataType.ENUM, A_XDR))

    ATTRIBUTES: ClassVar[Mapping[int, Attribute]] = {
        2: Attribute("push_object_list", get_objects),
        3: Attribute("send_destination_and_method", get_destination),
        4: Attribute("communication_window", lambda _, __: array()),
        5: Attribute("randomisation_start_interval", lambda _, __: u16(0)),
        6: Attribute("number_of_retries", lambda _, __: u8(0)),
        7: Attribute("repetition_delay", lambda _, __: u16(0)),
    }
