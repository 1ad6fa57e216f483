"""Requests and answers in a few words, for the columns of a table."""

from __future__ import annotations

import re
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final

from openami.c1222.inspect import table_name
from openami.c1222.services import Failure, Identified, LoggedOn, Registered, Request, TableData

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from openami.c1222.services import Response

_CAPITAL: Final = re.compile(r"(?<!^)(?=[A-Z])")


def _name(thing: object) -> str:
    return _CAPITAL.sub(" ", type(thing).__name__).capitalize()


def of_request(request: Request | bytes) -> str:
    """Return what is asked: ``Read ST-0``, ``Read offset ST-0``, ``service 2F``."""
    if isinstance(request, bytes):
        return f"service {request[:1].hex().upper()}"
    table = getattr(request, "table", None)
    return _name(request) if table is None else f"{_name(request)} {table_name(table)}"


def of_requests(requests: Iterable[Request | bytes]) -> str:
    """Return what is asked in one message: ``Security, 20 × Read ST-0``."""
    return _gathered(map(of_request, requests), ", ")


_WORDS: Final[Mapping[type[Response], Callable[[Any], str]]] = {
    Failure: lambda answer: answer.code.name,
    TableData: lambda answer: f"OK, {len(answer.data)} octets",
    Identified: lambda answer: f"OK, version {answer.version}.{answer.revision}",
    LoggedOn: lambda answer: f"OK, {answer.timeout} s",
    Registered: lambda answer: f"OK, {answer.title}",
}


def of_response(response: Response) -> str:
    """Return what was answered: ``OK, 27 octets``, ``SNS``."""
    return _WORDS.get(type(response), lambda _: "OK")(response)


def of_responses(responses: Iterable[Response]) -> str:
    """Return what was answered in one message: ``OK; 20 × OK, 45 octets``."""
    return _gathered(map(of_response, responses), "; ")


def _gathered(said: Iterable[str], between: str) -> str:
    groups = ((words, len([*same])) for words, same in groupby(said))
    return between.join(words if count == 1 else f"{count} × {words}" for words, count in groups)
