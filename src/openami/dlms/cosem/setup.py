"""SAP assignment, IEC HDLC setup and TCP-UDP setup (Blue Book 4.4.5, 4.7.2 and 4.9.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

from openami.core.obis import Obis
from openami.dlms.cosem.access import FOR_READERS, AccessTable
from openami.dlms.cosem.base import (
    ActionError,
    Attribute,
    Context,
    CosemObject,
    Method,
)
from openami.dlms.cosem.fields import number
from openami.dlms.data import Data, DataType, Encodable, array, octets, structure
from openami.dlms.results import ActionResult

if TYPE_CHECKING:
    from collections.abc import Mapping

SAP_OBIS: Final = Obis.parse("0.0.41.0.0.255")
HDLC_OBIS: Final = Obis.parse("0.0.22.0.0.255")
TCP_UDP_OBIS: Final = Obis.parse("0.0.25.0.0.255")

# Blue Book 4.4.5: a physical device has few logical devices; an address has 14 bits on HDLC.
MAX_SAP: Final = 0x3FFF
MAX_NAME: Final = 255


class SapAssignment(CosemObject):
    """Class 17: which logical devices there are.

    Args:
        devices: SAP to logical device name.
        obis: the logical name.
        access: what each kind of client may do with it.
    """

    CLASS_ID = 17

    def __init__(
        self,
        devices: Mapping[int, bytes],
        *,
        obis: Obis | str = SAP_OBIS,
        access: AccessTable = FOR_READERS,
    ) -> None:
        super().__init__(obis, access=access)
        self.devices = dict(devices)

    def get_list(self, _: Context) -> Encodable:
        return array(
            *(
                structure(Data(DataType.UINT16, sap), octets(name))
                for sap, name in sorted(self.devices.items())
            )
        )

    def connect(self, parameter: Data | None, _: Context) -> None:
        """Method 1: give a logical device a SAP, or take it away with SAP 0."""
        sap, name = () if parameter is None else parameter.items(2)
        number, title = sap.integer(), name.octets()
        known = [other for other, has in self.devices.items() if has == title]
        if not known or number > MAX_SAP or number in self.devices:
            raise ActionError(ActionResult.OTHER_REASON, "no such device, or the SAP is taken")
        for other in known:
            del self.devices[other]
        if number:
            self.devices[number] = title

    ATTRIBUTES: ClassVar[Mapping[int, Attribute]] = {2: Attribute("SAP_assignment_list", get_list)}
    METHODS: ClassVar[Mapping[int, Method]] = {
        1: Method("connect_logical_device", connect, (DataType.STRUCTURE,))
    }


class HdlcSetup(CosemObject):
    """Class 23: the parameters of the HDLC link; the meter applies what was written.

    Args:
        obis: the logical name.
        speed: code of the line's speed: 0 is 300 baud, 5 is 9600, 9 is 115200.
        window_transmit: frames sent before an acknowledgement is awaited.
        window_receive: frames taken before one is acknowledged.
        max_info_transmit: octets of information in a frame sent.
        max_info_receive: octets of information in a frame taken.
        inter_octet_timeout: milliseconds.
        inactivity_timeout: seconds, 0 for none.
        device_address: the physical (lower) address.
        access: what each kind of client may do with it.
    """

    CLASS_ID = 23
    VERSION = 1
    ATTRIBUTES: ClassVar[Mapping[int, Attribute]] = {
        2: number("comm_speed", DataType.ENUM, "speed", high=9),
        3: number("window_size_transmit", DataType.UINT8, "window_transmit", low=1, high=7),
        4: number("window_size_receive", DataType.UINT8, "window_receive", low=1, high=7),
        5: number(
            "max_info_field_length_transmit",
            DataType.UINT16,
            "max_info_transmit",
            low=32,
            high=2030,
        ),
        6: number(
            "max_info_field_length_receive", DataType.UINT16, "max_info_receive", low=32, high=2030
        ),
        7: number(
            "inter_octet_time_out", DataType.UINT16, "inter_octet_timeout", low=20, high=6000
        ),
        8: number("inactivity_time_out", DataType.UINT16, "inactivity_timeout"),
        9: number("device_address", DataType.UINT16, "device_address", low=16, high=0x3FFD),
    }

    def __init__(
        self,
        obis: Obis | str = HDLC_OBIS,
        *,
        speed: int = 5,
        window_transmit: int = 1,
        window_receive: int = 1,
        max_info_transmit: int = 128,
        max_info_receive: int = 128,
        inter_octet_timeout: int = 25,
        inactivity_timeout: int = 120,
        device_address: int = 16,
        access: AccessTable = FOR_READERS,
    ) -> None:
        super().__init__(obis, access=access)
        self.speed = speed
        self.window_transmit = window_transmit
        self.window_receive = window_receive
        self.max_info_transmit = max_info_transmit
        self.max_info_receive = max_info_receive
        self.inter_octet_timeout = inter_octet_timeout
        self.inactivity_timeout = inactivity_timeout
        self.device_address = device_address


class TcpUdpSetup(CosemObject):
    """Class 41: the port that the wrapper listens on.

    Args:
        obis: the logical name.
        port: the TCP and UDP port.
        ip_reference: the logical name of the IP setup object, zeros for none.
        segment_size: maximum segment size.
        connections: how many clients at once.
        inactivity_timeout: seconds, 0 for none.
        access: what each kind of client may do with it.
    """

    CLASS_ID = 41
    ATTRIBUTES: ClassVar[Mapping[int, Attribute]] = {
        2: number("TCP-UDP_port", DataType.UINT16, "port"),
        3: Attribute("IP_reference", lambda o, _: octets(o.ip_reference.raw)),
        4: number("MSS", DataType.UINT16, "segment_size", low=40, high=65535),
        5: number("nb_of_sim_conn", DataType.UINT8, "connections", low=1),
        6: number("inactivity_time_out", DataType.UINT16, "inactivity_timeout"),
    }

    def __init__(
        self,
        obis: Obis | str = TCP_UDP_OBIS,
        *,
        port: int = 4059,
        ip_reference: Obis | str = "0.0.0.0.0.0",
        segment_size: int = 576,
        connections: int = 1,
        inactivity_timeout: int = 180,
        access: AccessTable = FOR_READERS,
    ) -> None:
        super().__init__(obis, access=access)
        self.port = port
        self.ip_reference = (
            ip_reference if isinstance(ip_reference, Obis) else Obis.parse(ip_reference)
        )
        self.segment_size = segment_size
        self.connections = connections
        self.inactivity_timeout = inactivity_timeout
