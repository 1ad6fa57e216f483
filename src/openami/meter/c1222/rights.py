"""Who may do what over C12.22.

Whoever asks may read what identifies the meter, and all that it measures where its public client
may. Who has a key, or has shown the password, reads every table but those of passwords and keys.
One user writes, who has shown the password. What acts on the supply, on what is kept and on the
firmware wants the key as well: a password in clear is anybody's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from openami.c1222.codes import SecurityMode
from openami.c1222.tables import Procedure, TableId, standard
from openami.meter.c1222.description import (
    IMAGE,
    IMAGE_ACTIVATE,
    IMAGE_INITIATE,
    IMAGE_VERIFY,
)

if TYPE_CHECKING:
    from openami.c1222.node import Caller
    from openami.c1222.tables.description import ProcedureKey

OPEN: Final = frozenset(map(standard, (0, 1, 5)))
"""Read by whoever asks."""
SECRET: Final = frozenset({42, 45})
"""Standard tables that nobody reads."""
WRITABLE: Final = frozenset({*map(standard, (5, 6, 7)), IMAGE})
PENDABLE: Final = frozenset(map(standard, (5, 6)))
"""Tables that may wait for their activation."""
PROTECTED_TABLES: Final = frozenset({IMAGE})
PROTECTED: Final[frozenset[ProcedureKey]] = frozenset(
    {
        (False, Procedure.COLD_START),
        (False, Procedure.WARM_START),
        (False, Procedure.CLEAR_DATA),
        (False, Procedure.RESET_LIST_POINTERS),
        (False, Procedure.REMOTE_RESET),
        (False, Procedure.SET_DATE_TIME),
        (False, Procedure.DIRECT_LOAD_CONTROL),
        IMAGE_INITIATE,
        IMAGE_VERIFY,
        IMAGE_ACTIVATE,
    }
)
"""What a message in clear does not do, whatever password is in it."""


@dataclass(frozen=True, slots=True)
class Rights:
    """Of one meter.

    Args:
        user: who writes.
        public: whether everybody reads what is measured.
    """

    user: int
    public: bool

    def reads(self, caller: Caller, table: TableId) -> bool:
        """Tell whether a caller may read a table."""
        if table.number in SECRET and not table.manufacturer:
            return False
        known = caller.authorized or caller.mode is not SecurityMode.CLEAR
        return known or ((table in OPEN or self.public) and not table.pending)

    def writes(self, caller: Caller) -> bool:
        """Tell whether a caller is the one who writes, and has shown so."""
        return caller.authorized and caller.user_id == self.user

    @staticmethod
    def protected(caller: Caller) -> bool:
        """Tell whether a key protected what a caller asks for."""
        return caller.mode is not SecurityMode.CLEAR
