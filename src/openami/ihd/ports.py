"""What the display wants of a store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping


class ApplianceStore(Protocol):
    """Keeps the appliances of a home: what is kept is durable when the call returns.

    A record is a JSON text of at most 2,000 characters, and holds no secret.
    """

    def appliances(self) -> Mapping[str, str]:
        """Return every record by the appliance's id; StoreError."""
        ...

    def keep_appliance(self, appliance: str, record: str) -> None:
        """Put a record in place of the one before, if there is any; StoreError."""
        ...

    def forget_appliance(self, appliance: str) -> None:
        """Drop a record; one that is not there is no error; StoreError."""
        ...
