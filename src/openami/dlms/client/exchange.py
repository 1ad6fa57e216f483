"""The APDUs of one request: generators that yield what to send and are sent what came.

Each returns the items of the answer. It raises ``RemoteProtocolError`` when the meter breaks the
standard, which closes the association, and ``TooLongError`` when the request does not fit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from openami.dlms.client import actions, gets, sets
from openami.dlms.client.requests import (
    GetAttribute,
    GetList,
    InvokeList,
    InvokeMethod,
    Request,
    SetAttribute,
    SetList,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from openami.dlms.client.blocks import (
        Exchange,
        Terms,
    )


def exchange(request: Request, terms: Terms) -> Exchange:
    """Return the exchange of a request."""
    return _EXCHANGES[type(request)](request, terms)


_EXCHANGES: Final[Mapping[type, Callable[[Any, Terms], Exchange]]] = {
    GetAttribute: gets.get_one,
    GetList: gets.get_list,
    SetAttribute: sets.set_one,
    SetList: sets.set_list,
    InvokeMethod: actions.invoke_one,
    InvokeList: actions.invoke_list,
}
