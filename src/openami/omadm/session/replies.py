"""What a server says: its messages, and the orders in them (OMA-TS-DM_Protocol 1.2, clause 8)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from openami.omadm.auth import RESYNC_NONCE
from openami.omadm.messages.media import MediaType
from openami.omadm.messages.model import Get, Header, Item, Location, Meta
from openami.omadm.session.events import Outgoing
from openami.omadm.session.numbering import header_status, items_of, walk
from openami.omadm.session.outbox import Outbox, Sent, data_size

if TYPE_CHECKING:
    from openami.omadm.session.events import Order
    from openami.omadm.session.orders import Orders
    from openami.omadm.session.server import ServerConfig
    from openami.omadm.session.trust import Prover, Verdict


# A device gives the next nonce with its answer to a command (OMA-TS-DM_Security 1.2, 5.3.2):
# without any, the nonce of resynchronisation, which everybody knows, would be the account's for
# good.
_NONCE_PLEASE: Final = Get(0, (Item(Location("./DevInfo/DevId")),))


class Replies:
    """Make a server's messages.

    Args:
        config: of the server.
        prover: proves who it is.
        orders: learns what goes out, and what never will.

    Attributes:
        outbox: what waits.
        msg_id: of the last message.
        sent: the commands in it.
        middle: the own package is not complete with it.
        ended: it holds no command, and nothing more follows.
        largest: octets of an object that the device takes; None: it has not said.
    """

    def __init__(self, config: ServerConfig, prover: Prover, orders: Orders) -> None:
        self._config = config
        self._prover = prover
        self._orders = orders
        self.outbox = Outbox(MediaType.WBXML)
        self.msg_id = 0
        self.sent: tuple[Sent, ...] = ()
        self.middle = False
        self.ended = False
        self.largest: int | None = None
        self._asked_for_nonce = False

    def order(self, order: Order) -> bool:
        """Let an order go out with the next message; False: the device cannot take its object."""
        largest = self.largest
        if largest is not None:
            for part in walk(order.command):
                if any(data_size(item.data) > largest for item in items_of(part)):
                    return False
        self.outbox.add(order.command, order.id)
        return True

    def ask_for_nonce(self) -> None:
        """Let the device give a nonce in place of the known one, if nothing else makes it do so.

        Once in a session: a device that proves nothing by nonces has none to give.
        """
        due = self._prover.nonce == RESYNC_NONCE and not self._asked_for_nonce
        if due and not self.outbox.commands:
            self._asked_for_nonce = True
            self.outbox.add(_NONCE_PLEASE)

    def take_back(self) -> None:
        """Let wait again what the device has not looked at."""
        self._orders.forget(self.msg_id)
        self.outbox.put_back(self.sent)

    def make(
        self, answered: Header, verdict: Verdict, *, own: bool, alone: bool = False
    ) -> Outgoing:
        """Return the next message.

        Args:
            answered: the header of the device's message.
            verdict: what its Status says.
            own: the device's package is complete, so the own one may go on.
            alone: the answers are the whole package.

        Raises:
            RemoteProtocolError: as ``Outbox.pack``.
        """
        msg_id, outbox = self.msg_id + 1, self.outbox
        first = header_status(answered, verdict.status, verdict.chal)
        packed = outbox.pack(self._header(answered, msg_id), first, own=own, alone=alone)
        self.msg_id = msg_id
        self.sent = packed.sent
        self._orders.sent(msg_id, packed.sent)
        for entry in packed.dropped:
            self._orders.fail(entry.order)
        self.middle = own and not packed.final
        self.ended = own and packed.final and not packed.sent
        return Outgoing(packed.body, outbox.media, self._prover.hmac(packed.body))

    def _header(self, answered: Header, msg_id: int) -> Header:
        config = self._config
        return Header(
            answered.session_id,
            msg_id,
            Location(answered.source.uri),
            Location(config.uri, self._prover.name),
            resp_uri=config.resp_uri,
            cred=self._prover.cred(),
            meta=Meta(max_msg_size=config.max_msg_size, max_obj_size=config.max_obj_size),
        )
