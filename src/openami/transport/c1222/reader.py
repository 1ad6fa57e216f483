"""Reads and writes tables of any device: whole, whatever fits into one answer, and as values."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeVar

from openami.c1222.codes import ResponseCode
from openami.c1222.services import (
    Done,
    Failure,
    Read,
    ReadOffset,
    Request,
    Response,
    Security,
    TableData,
    Write,
)
from openami.c1222.tables import STANDARD, Description, TableId, Tables, standard
from openami.core.errors import RemoteProtocolError, SecurityError

if TYPE_CHECKING:
    from openami.c1222.tables.layout import Record

R = TypeVar("R", bound=Response)
Ask = Callable[..., Awaitable[Sequence[Response]]]
"""Sends requests in one message, and returns their answers: ``AsyncClient.ask``."""

PART: Final = 8192
"""Octets of a part where a device does not say how much it gives at once."""
_LEAST_PART: Final = 16
_OF_SECURITY: Final = frozenset({ResponseCode.ISC, ResponseCode.SME})
_HINTS: Final = {
    ResponseCode.ISC: "this user may not, or the password is wrong: --password-file, ?user=ID",
    ResponseCode.ONP: "the device has no such table, or does not let it be written",
    ResponseCode.ISSS: "another session is under way",
    ResponseCode.UAT: "nobody is registered under that title: it registers when it has power",
    ResponseCode.NETR: "the relay's way to it is broken: see that it runs, or let it register anew",
    ResponseCode.SNS: "not by this node: who registers, resolves and traces is a relay",
    ResponseCode.SME: "another key, or a mode that protects more",
}


def expect(response: Response, kind: type[R], what: str) -> R:
    """Return an answer that says OK.

    Raises:
        SecurityError: ``c1222.isc`` or ``c1222.sme``: it was refused for want of rights.
        RemoteProtocolError: it was refused, ``c1222.onp``, …; or it answers something else.
    """
    if isinstance(response, Failure):
        code = response.code
        error = SecurityError if code in _OF_SECURITY else RemoteProtocolError
        raise error(
            f"{what}: {code.meaning}", hint=_HINTS.get(code), code=f"c1222.{code.name.lower()}"
        )
    if not isinstance(response, kind):
        raise RemoteProtocolError(f"{what}: no answer to that", code="c1222.answer")
    return response


def with_password(ask: Ask, password: bytes, user: int) -> Ask:
    """Return what shows a password in each message before it asks.

    Raises (when it asks):
        SecurityError: ``c1222.isc``: the password is wrong.
    """
    shown = Security.of(password, user)

    async def asked(*requests: Request, **options: Any) -> Sequence[Response]:
        first, *others = await ask(shown, *requests, **options)
        expect(first, Done, f"the password of user {user}")
        return others

    return asked


class TableReader:
    """The tables of one device, of which ST-00 and dimensions are read once, when they are needed.

    Args:
        ask: sends requests.
        description: what its tables look like.
    """

    def __init__(self, ask: Ask, description: Description = STANDARD) -> None:
        self._ask = ask
        self._description = description
        self._tables: Tables | None = None

    async def tables(self, table: TableId) -> Tables:
        """Return the device's tables, with all that the layout of ``table`` needs.

        Raises:
            ConfigError: ``c1219.table``, it is not described.
            OpenAmiError: see ``read``.
        """
        if self._tables is None:
            config = await self.read(standard(0))
            self._tables = Tables.of_config(config, self._description)
        for each in self._tables.missing(table):
            self._tables = self._tables.learn(each, await self.read(each))
        return self._tables

    async def layout(self, table: TableId) -> Record:
        """Return the layout of a table; see ``tables`` for what it raises."""
        return (await self.tables(table)).layout(table)

    async def read(self, table: TableId) -> bytes:
        """Return a table whole, in parts where it is too long for one answer.

        Raises:
            SecurityError: see ``expect``.
            RemoteProtocolError: likewise.
            TransportError: see ``AsyncClient.ask``.
        """
        (answer,) = await self._ask(Read(table.wire))
        too_long = isinstance(answer, Failure) and answer.code is ResponseCode.RSTL
        if not too_long or table == standard(0):
            return expect(answer, TableData, str(table)).data
        assert isinstance(answer, Failure)
        return await self._in_parts(table, answer.largest)

    async def values(self, table: TableId) -> dict[str, Any]:
        """Return the values of a table.

        Raises:
            DecodeError: what was read is not that table.
            OpenAmiError: see ``tables`` and ``read``.
        """
        tables = await self.tables(table)
        return tables.decode(table, await self.read(table))

    async def write(self, table: TableId, octets: bytes) -> None:
        """Write a table whole; see ``read`` for what it raises."""
        (answer,) = await self._ask(Write(table.wire, octets))
        expect(answer, Done, str(table))

    async def _in_parts(self, table: TableId, largest: int | None) -> bytes:
        size = (await self.layout(table)).size
        part = max(min(largest or PART, PART), _LEAST_PART)
        octets = b""
        while len(octets) < size:
            count = min(part, size - len(octets))
            (answer,) = await self._ask(ReadOffset(table.wire, len(octets), count))
            found = expect(answer, TableData, str(table)).data
            if len(found) != count:
                raise RemoteProtocolError(
                    f"{table}: {len(found)} octets of {count}", code="c1222.answer"
                )
            octets += found
        return octets
