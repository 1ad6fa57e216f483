"""Speaking to one node: requests out, octets of tables in; what is refused is an error."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from openami.c1222.codes import ResponseCode
from openami.c1222.services import (
    Failure,
    Read,
    ReadOffset,
    Request,
    Response,
    Security,
    TableData,
    Write,
)
from openami.c1222.services.requests import PASSWORD_SIZE
from openami.c1222.tables import ProcedureRequest, ProcedureResponse, standard
from openami.core.errors import RemoteProtocolError
from openami.headend.c1222.errors import NodeRefusedError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Sequence
    from typing import Protocol

    from openami.c1222.tables import TableId, Tables

    class Ask(Protocol):
        """Sends requests to a node in one message."""

        def __call__(self, *requests: Request) -> Awaitable[tuple[Response, ...]]: ...


INITIATE: Final = standard(7).wire
RESULT: Final = standard(8).wire


class Talk:
    """One node that is spoken to.

    Args:
        ask: sends requests in one message, returns their answers.
        user: in whose name; None: in nobody's.
        password: of that user.
    """

    def __init__(self, ask: Ask, *, user: int | None = None, password: bytes = b"") -> None:
        self._ask = ask
        self._sequence = 0
        known = user is not None and bool(password)
        padded = password.ljust(PASSWORD_SIZE)
        self._security = Security(padded, user) if known else None
        self._shown = False  # a password goes out only where it is wanted

    async def ask(self, *requests: Request) -> tuple[Response, ...]:
        """Return the answers to some requests; what the password opens is asked for with it."""
        answers = await self._asked(requests)
        wanted = any(isinstance(a, Failure) and a.code is ResponseCode.ISC for a in answers)
        if not wanted or self._shown or self._security is None:
            return answers
        self._shown = True
        return await self._asked(requests)

    async def _asked(self, requests: Sequence[Request]) -> tuple[Response, ...]:
        if not self._shown or self._security is None:
            return await self._ask(*requests)
        first, *rest = await self._ask(self._security, *requests)
        if isinstance(first, Failure):
            raise _refusal(first, "the password")
        return tuple(rest)

    async def read(self, *tables: TableId) -> list[bytes]:
        """Return the octets of tables, asked for in one message.

        Raises:
            NodeRefusedError: one of them is not given.
            TransportTimeoutError: no answer came.
        """
        answers = await self.ask(*(Read(table.wire) for table in tables))
        return [octets(answer, str(table)) for answer, table in zip(answers, tables, strict=True)]

    async def parts(
        self, table: TableId, parts: Sequence[tuple[int, int]], *others: TableId
    ) -> list[bytes]:
        """Return parts of a table, offset and length, then whole other tables: of one moment."""
        cut = [ReadOffset(table.wire, at, size) for at, size in parts]
        answers = await self.ask(*cut, *(Read(other.wire) for other in others))
        named = [*(str(table) for _ in parts), *map(str, others)]
        return [octets(answer, name) for answer, name in zip(answers, named, strict=True)]

    async def do(self, tables: Tables, request: ProcedureRequest) -> ProcedureResponse:
        """Have a procedure done and return what became of it.

        Raises:
            NodeRefusedError: it can not be asked for.
            RemoteProtocolError: what is answered is the answer to something else.
        """
        self._sequence = self._sequence % 0xFF + 1
        asked = replace(request, sequence=self._sequence)
        written = Write(INITIATE, asked.encode(tables))
        self._shown = self._shown or self._security is not None
        first, second = await self.ask(written, Read(RESULT))
        if isinstance(first, Failure):
            raise _refusal(first, f"procedure {request.number}")
        found = ProcedureResponse.decode(tables, octets(second, "ST8"))
        if not found.answers(asked):
            raise RemoteProtocolError("ST8 answers another procedure", code="c1222.procedure")
        return found


def octets(answer: Response, what: str) -> bytes:
    """Return the octets that an answer brings; NodeRefusedError."""
    if isinstance(answer, TableData):
        return answer.data
    if isinstance(answer, Failure):
        raise _refusal(answer, what)
    raise NodeRefusedError(f"{what}: no data", code="c1222.err")


def _refusal(answer: Failure, what: str) -> NodeRefusedError:
    return NodeRefusedError(
        f"{what}: {answer.code.meaning}", code=f"c1222.{answer.code.name.lower()}"
    )
