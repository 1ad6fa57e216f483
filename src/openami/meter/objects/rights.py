"""What clients may do with what is measured."""

from __future__ import annotations

from typing import TYPE_CHECKING

from openami.dlms.cosem import FOR_READERS, AttributeMode, ClientKind, Rights

if TYPE_CHECKING:
    from openami.dlms.cosem import AccessTable


def rights(*, public: bool) -> AccessTable:
    """Return the rights to measurements; with ``public`` the public client reads them too."""
    if not public:
        return FOR_READERS
    return {**FOR_READERS, ClientKind.PUBLIC: Rights(AttributeMode.READ)}
