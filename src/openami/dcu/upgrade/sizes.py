"""How many octets of line time a block and a question take, from the frames that carry them.

Every APDU here is made as it is sent, with keys of zeros: what it says does not change its length.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from openami.core.errors import LocalProtocolError
from openami.core.identifiers import SystemTitle
from openami.dcu.upgrade.class18 import BITMAP, block
from openami.dlms.apdu.action import ActionOutcome, ActionRequestNormal, ActionResponseNormal
from openami.dlms.apdu.ciphered import Form
from openami.dlms.apdu.get import GetRequestNormal, GetResponseNormal
from openami.dlms.client import broadcast_action
from openami.dlms.data import BitString, Data, DataType
from openami.dlms.hdlc import Control, Frame, FrameKind, HdlcAddress, HdlcClientLink, HdlcParameters
from openami.dlms.hdlc.frame import MAX_INFO
from openami.dlms.results import ActionResult
from openami.dlms.security import BOTH, Keys, protect
from openami.fleet.upgrade import Costs

TURN_S: Final = 0.02
"""From the end of a question to the beginning of its answer, and back: a modem turns round."""
_IMAGE: Final = 256 << 10
"""Octets of an image whose bitmap is asked for: those of meters have about as many."""

_ZEROS: Final = bytes(16)
_KEYS: Final = Keys(guek=_ZEROS, gak=_ZEROS, gbek=_ZEROS)
_TITLE: Final = SystemTitle(bytes(8))
_LLC: Final = 3


@dataclass(frozen=True, slots=True)
class Framing:
    """How frames are made on a line.

    Attributes:
        info: information octets of a frame of a link, as they are proposed.
        window: frames that are sent before they are acknowledged.
        address: octets of a meter's address.
        device: upper address of the management device.
        octet_rate: octets a second that the line carries; 0: it takes no noticeable time to turn
            round.
    """

    info: int
    window: int = 1
    address: int = 4
    device: int = 1
    octet_rate: float = 0.0

    @property
    def all_stations(self) -> HdlcAddress:
        """The address that every station hears."""
        everywhere = HdlcAddress(self.device, 0, self.address).all_stations
        return HdlcAddress(self.device, everywhere, self.address)

    def exchange(self, question: int, answer: int) -> float:
        """Return the octets of line time of two APDUs of so many octets, with their frames."""
        turns = 2
        total = 0
        for octets in (question + _LLC, answer + _LLC):
            frames = -(-octets // self.info)
            acknowledged = -(-frames // self.window) - 1
            whole, rest = divmod(octets, self.info)
            total += whole * self._frame(self.info) + (self._frame(rest) if rest else 0)
            total += acknowledged * self._frame(0)
            turns += 2 * acknowledged
        return total + turns * TURN_S * self.octet_rate

    def _frame(self, info: int) -> int:
        meter, client = HdlcAddress(self.device, 16, self.address), HdlcAddress(1)
        kind = FrameKind.I if info else FrameKind.RR
        return len(Frame(meter, client, Control.of(kind), bytes(info)).encode())


def broadcast_frame(apdu: bytes, to: HdlcAddress, client: int) -> bytes:
    """Return the UI frame of an APDU for all stations.

    Raises:
        LocalProtocolError: no frame can carry it.
    """
    link = HdlcClientLink(client, to, HdlcParameters(max_info_tx=MAX_INFO))
    link.send_unconfirmed(apdu)
    (frame,) = link.data_to_send()
    return frame


@lru_cache(maxsize=64)  # a line has meters of a few makers
def costs(framing: Framing, block_size: int) -> Costs:
    """Return what blocks of a size cost; a broadcast that no frame can carry has no end."""
    request = block(0, bytes(block_size))
    sent = _ciphered(ActionRequestNormal(0, request.ref, request.parameter).encode())
    taken = _ciphered(ActionResponseNormal(0, ActionOutcome(ActionResult.SUCCESS)).encode())
    asked = _ciphered(GetRequestNormal(0, BITMAP).encode())
    blocks = -(-_IMAGE // block_size)
    bits = Data(DataType.BIT_STRING, BitString(bytes(-(-blocks // 8)), blocks))
    told = _ciphered(GetResponseNormal(0, bits).encode())
    try:
        apdu = broadcast_action(request, _KEYS, title=_TITLE, counter=0)
        broadcast = float(len(broadcast_frame(apdu, framing.all_stations, 1)))
    except LocalProtocolError:
        broadcast = math.inf
    return Costs(broadcast, framing.exchange(sent, taken), framing.exchange(asked, told))


def _ciphered(apdu: bytes) -> int:
    return len(protect(apdu, _KEYS, control=BOTH, title=_TITLE.raw, counter=0, form=Form.GLOBAL))
