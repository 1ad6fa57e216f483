"""The tickets of requests that may be made again."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from openami.fleet.tasks import MAX_KEY
from openami.headend.errors import RequestError

if TYPE_CHECKING:
    from openami.fleet.tasks import Ticket

_KEY: Final = re.compile(rf"[\x21-\x7e]{{1,{MAX_KEY}}}")


def check_ticket(ticket: Ticket | None) -> None:
    """Return if a request has no ticket, or one whose key can be kept.

    Raises:
        RequestError: ``request.key``.
    """
    if ticket is not None and not _KEY.fullmatch(ticket.key):
        raise RequestError(
            f"a key has 1 to {MAX_KEY} printable characters of ASCII", code="request.key"
        )
