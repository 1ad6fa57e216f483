"""An account: whom two ends take each other for, and what they are about to prove it with."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from openami.omadm.auth import RESYNC_NONCE, AuthPolicy, Credentials


@dataclass(frozen=True, slots=True)
class Account:
    """What both ends keep of one server and one device.

    Attributes:
        server_id: the server's name, also in notifications.
        server: what the server proves itself with; its name is ``server_id`` as a rule.
        client: what the device proves itself with.
        policy: the schemes that either end accepts from the other.
        client_nonce: given by the server; the client's next proof holds it.
        server_nonce: given by the client; the server's next proof and notification hold it.
    """

    server_id: str
    server: Credentials
    client: Credentials
    policy: AuthPolicy = field(default_factory=AuthPolicy)
    client_nonce: bytes = field(default=b"", repr=False)
    server_nonce: bytes = field(default=b"", repr=False)

    def resynchronised(self) -> Account:
        """Return the account with both nonces as after a loss (OMA-TS-DM_Security 1.2, 5.3.3).

        For one session only: the one that a notification with this nonce asks for.
        """
        return replace(self, client_nonce=RESYNC_NONCE, server_nonce=RESYNC_NONCE)
