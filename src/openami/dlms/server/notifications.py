"""What a server sends unasked (Green Book 9.5, DataNotification)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from openami.dlms.apdu.ciphered import Form
from openami.dlms.apdu.notification import DataNotification
from openami.dlms.association import Protection
from openami.dlms.server.session import State

if TYPE_CHECKING:
    from openami.dlms.data import Encodable
    from openami.dlms.server.session import Session

_MOST: Final = 0xFF_FFFF  # bits 0 to 23 of Long-Invoke-Id-And-Priority


def notification(session: Session, body: Encodable) -> bytes | None:
    """Return a DataNotification for a client that is associated.

    In a ciphered context it is ciphered as answers are, in the general form: the others have no
    tag for it.

    Returns:
        None: the client is not associated, or takes no APDU that long.

    Raises:
        SecurityError: no counters are left.
        StoreError: none could be reserved.
    """
    association, negotiated = session.association, session.negotiated
    if association is None or negotiated is None or session.state is not State.ASSOCIATED:
        return None
    session.notified = session.notified % _MOST + 1
    octets = DataNotification(session.notified, None, body).encode()
    if session.ciphered and session.channel is not None and association.security is not None:
        control = association.security.response_control
        octets = session.channel.protect(octets, Protection(control, Form.GENERAL_GLOBAL))
    return None if 0 < negotiated.max_send < len(octets) else octets
