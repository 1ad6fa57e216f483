"""What a client says to all stations at once: an unconfirmed ACTION that nobody answers.

The general form carries the client's system title, since no association was opened that could
have told it; the broadcast key is one that all of them have.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from openami.dlms.apdu.action import ActionRequestNormal
from openami.dlms.apdu.ciphered import Form
from openami.dlms.apdu.common import invoke_octet
from openami.dlms.security import SecurityControl, protect

if TYPE_CHECKING:
    from openami.core.identifiers import SystemTitle
    from openami.dlms.client.requests import InvokeMethod
    from openami.dlms.security import Keys


def broadcast_action(
    request: InvokeMethod, keys: Keys, *, title: SystemTitle, counter: int
) -> bytes:
    """Return the APDU that invokes a method at all stations; ``send_unconfirmed`` takes it.

    Args:
        request: what they shall do.
        keys: the broadcast key (gbek) and the authentication key that goes with it (gak).
        title: our own system title.
        counter: the invocation counter, never the same twice with these keys and title.

    Raises:
        SecurityError: a key is missing.
    """
    action = ActionRequestNormal(invoke_octet(0, confirmed=False), request.ref, request.parameter)
    return protect(
        action.encode(),
        keys,
        control=SecurityControl.of(authenticated=True, encrypted=True, broadcast=True),
        title=title.raw,
        counter=counter,
        form=Form.GENERAL_GLOBAL,
    )
