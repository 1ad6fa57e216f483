"""What a client tells its caller."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from openami.dlms.data import Data, decode_data
from openami.dlms.results import ActionResult, DataAccessResult
from openami.dlms.security import NOTHING, SecurityControl

if TYPE_CHECKING:
    from openami.dlms.apdu.notification import DataNotification, EventNotification
    from openami.dlms.client.requests import Request
    from openami.dlms.conformance import Conformance


@dataclass(frozen=True, slots=True)
class Agreement:
    """What the meter agreed to: its services, the longest APDU it takes (0: any), its title."""

    conformance: Conformance
    max_pdu: int
    title: bytes | None = None


@dataclass(frozen=True, slots=True)
class Opened:
    """The association stands, and for HLS the meter has shown that it holds the keys."""

    agreement: Agreement


@dataclass(frozen=True, slots=True)
class Item:
    """One attribute read or written, or one method invoked.

    ``raw`` is the octets of the Data that came, not looked at; None if none came.
    """

    result: DataAccessResult | ActionResult
    raw: bytes | None = field(default=None, repr=False)

    @property
    def ok(self) -> bool:
        return self.result == DataAccessResult.SUCCESS

    @property
    def data(self) -> Data:
        """The Data, decoded now; null-data if none came.

        Raises:
            DecodeError: the octets are no Data.
        """
        return decode_data(b"\x00" if self.raw is None else self.raw)


@dataclass(frozen=True, slots=True)
class Answered:
    """The answer to a request: an item for each of its own, in its order."""

    request: Request
    items: tuple[Item, ...]

    @property
    def ok(self) -> bool:
        """Whether every item was done."""
        return all(item.ok for item in self.items)

    @property
    def raw(self) -> bytes | None:
        """The octets of the first item's Data."""
        return self.items[0].raw

    @property
    def data(self) -> Data:
        """The first item's Data, decoded now; raises ``DecodeError`` if it is none."""
        return self.items[0].data


@dataclass(frozen=True, slots=True)
class Failed:
    """A request was not answered, but the association still stands; ask for something else.

    ``code`` is ``exception.`` and the service-error, or ``pdu-too-long`` if the request does not
    fit what the meter takes.
    """

    request: Request
    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Progress:
    """A block came or was taken; ``octets`` of the answer or of the request so far."""

    octets: int


@dataclass(frozen=True, slots=True)
class Notified:
    """The meter sent a notification of its own accord; ``control`` is how it was protected."""

    notification: DataNotification | EventNotification
    control: SecurityControl = NOTHING


@dataclass(frozen=True, slots=True)
class Closed:
    """It is over; nothing more comes.

    ``code`` is stable: ``closed`` as asked for; ``association.`` and the diagnostic; ``security.``
    and what was wrong; ``exception.`` and the service-error; ``protocol`` for a meter that broke
    the standard; ``timeout``; or ``link.`` and the link's code.
    """

    code: str
    message: str = ""


ClientEvent = Opened | Answered | Failed | Progress | Notified | Closed
