"""The head-end as a DCU sees it: the requests of its device listener, and what may come of them.

Every call either returns what was asked for, or raises

* ``HeadEndAwayError``: not reached, or not able now: the same request is worth repeating;
* ``HeadEndRefusalError``: the same request will be refused for ever.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from openami.core.clock import parse_utc
from openami.core.errors import DecodeError, OpenAmiError, RemoteProtocolError, TransportError
from openami.dcu.demand.orders import Instructions as DemandInstructions
from openami.dcu.upgrade.orders import MAX_NUMBER, Instructions
from openami.mdm.readings import CONTENT_TYPE
from openami.omadm.download.answers import retry_after

if TYPE_CHECKING:
    from openami.core.identifiers import SystemTitle
    from openami.transport.http import HttpAnswer, HttpClient

PREFIX: Final = "/device/v1"

# Answers that no repeat of the same request changes: it is malformed, not allowed, about nothing
# that exists, it contradicts what is stored, is too large, of another type or of no meaning.
PERMANENT: Final = frozenset({400, 403, 404, 409, 413, 415, 422})
NOT_FOUND: Final = 404

_MESSAGE: Final = 500  # characters of somebody else's message in ours

M = TypeVar("M", bound=BaseModel)


class BatchKind(StrEnum):
    """What a batch holds."""

    READINGS = "readings"
    EVENTS = "events"


class HeadEndAwayError(TransportError):
    """The head-end could not be reached, or cannot answer now.

    Args:
        message: what happened.
        retry_after: the least number of seconds to wait, if the head-end said so.
    """

    code = "headend.away"

    def __init__(
        self, message: str, *, retry_after: float | None = None, code: str | None = None
    ) -> None:
        super().__init__(message, code=code)
        self.retry_after = retry_after


class HeadEndRefusalError(OpenAmiError):
    """The head-end will not take this request, now or later.

    Args:
        message: what it said.
        status: its HTTP status.
    """

    code = "headend.refused"

    def __init__(self, message: str, *, status: int, code: str | None = None) -> None:
        super().__init__(message, code=code)
        self.status = status


@dataclass(frozen=True, slots=True)
class Stored:
    """A batch is durable; ``repeated``: it had been already."""

    repeated: bool
    rows: int


class _Answer(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class _StoredAnswer(_Answer):
    status: Literal["stored", "repeated"]
    rows: int


class _ReportAnswer(_Answer):
    time: str


class _CursorsAnswer(_Answer):
    meters: dict[str, dict[str, str]]


HexKey = Annotated[str, Field(pattern=r"^([0-9A-Fa-f]{2}){1,64}$", repr=False)]


HexKey16 = Annotated[str, Field(pattern=r"^[0-9A-Fa-f]{32}$", repr=False)]


class _BroadcastAnswer(_Answer):
    client: int = Field(ge=1, le=0x7F)
    gbek: HexKey16
    gak: HexKey16

    def credentials(self) -> BroadcastCredentials:
        return BroadcastCredentials(self.client, bytes.fromhex(self.gbek), bytes.fromhex(self.gak))


class _CredentialsAnswer(_Answer):
    client: int = Field(ge=1, le=0x7F)
    mechanism: str
    guek: HexKey
    gak: HexKey
    broadcast: _BroadcastAnswer | None = None


class Attribute(_Answer):
    """One attribute that a job asks for."""

    class_id: int = Field(ge=0, le=0xFFFF)
    obis: str
    attribute: int = Field(ge=-128, le=127)


class Work(_Answer):
    """One job that the head-end offers."""

    id: Annotated[str, Field(min_length=1, max_length=128, pattern=r"^[A-Za-z0-9._-]+$")]
    kind: str
    meter: str
    attributes: list[Attribute] = Field(default_factory=list, max_length=512)


class Offer(_Answer):
    """What the head-end has for a DCU to do.

    Attributes:
        jobs: on-demand reads.
        upgrade: the number of what it says about upgrades; None: it says nothing of them.
        demand: the same of demand response.
    """

    jobs: list[Work]
    upgrade: Annotated[int, Field(ge=0, le=MAX_NUMBER)] | None = None
    demand: Annotated[int, Field(ge=0, le=MAX_NUMBER)] | None = None


@dataclass(frozen=True, slots=True)
class BroadcastCredentials:
    """What a meter hears that is said to all of its line (suite 0: keys of 16 octets)."""

    client: int
    gbek: bytes = field(repr=False)
    gak: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Credentials:
    """What opens a meter's management association (suite 0: keys of 16 octets).

    Without ``broadcast`` it hears nothing that is said to all.
    """

    client: int
    mechanism: str
    guek: bytes = field(repr=False)
    gak: bytes = field(repr=False)
    broadcast: BroadcastCredentials | None = None


class HeadEnd:
    """Speaks to one head-end.

    Args:
        client: knows the head-end's address and both sides' certificates.
        upload_timeout_s: the longest that an upload may take.
    """

    def __init__(self, client: HttpClient, *, upload_timeout_s: float = 60.0) -> None:
        self._client = client
        self._upload_timeout = upload_timeout_s

    async def upload(self, batch: str, kind: BatchKind, body: bytes) -> Stored:
        """Hand a batch over; it may be dropped once this returns."""
        digest = base64.b64encode(hashlib.sha256(body).digest()).decode()
        answer = await self._call(
            "POST",
            f"/batches/{batch}",
            content=body,
            headers={
                "Content-Type": CONTENT_TYPE,
                "OpenAMI-Kind": kind.value,
                "Content-Digest": f"sha-256=:{digest}:",
            },
            timeout_s=self._upload_timeout,
        )
        stored = _parsed(_StoredAnswer, answer)
        return Stored(stored.status == "repeated", stored.rows)

    async def report(self, report: dict[str, Any]) -> float:
        """Hand a report over; return the head-end's time."""
        answer = _parsed(_ReportAnswer, await self._call("POST", "/report", json_body=report))
        return _moment(answer.time)

    async def cursors(self) -> dict[str, dict[str, int]]:
        """Return by meter and profile the time of the last entry that the head-end has."""
        answer = _parsed(_CursorsAnswer, await self._call("GET", "/cursors"))
        return {
            meter: {profile: int(_moment(time)) for profile, time in profiles.items()}
            for meter, profiles in answer.meters.items()
        }

    async def credentials(self, title: SystemTitle) -> Credentials | None:
        """Return what opens the meter with this title; None: the head-end has nothing for us."""
        try:
            answer = await self._call("GET", f"/meters/{title}/credentials")
        except HeadEndRefusalError as error:
            if error.status == NOT_FOUND:
                return None
            raise
        found = _parsed(_CredentialsAnswer, answer)
        guek, gak = bytes.fromhex(found.guek), bytes.fromhex(found.gak)
        broadcast = None if found.broadcast is None else found.broadcast.credentials()
        return Credentials(found.client, found.mechanism, guek, gak, broadcast)

    async def work(
        self, wait: float, *, upgrade: int | None = None, demand: int | None = None
    ) -> Offer:
        """Return what is offered, waiting up to ``wait`` seconds for a job or for another number.

        Args:
            wait: seconds.
            upgrade: the number of what is known about upgrades.
            demand: the same of demand response.
        """
        numbers = {"upgrade": upgrade, "demand": demand}
        known = {name: str(number) for name, number in numbers.items() if number is not None}
        answer = await self._call(
            "GET",
            "/work",
            params={"wait": f"{wait:g}", **known},
            timeout_s=wait + self._upload_timeout,
        )
        return _parsed(Offer, answer)

    async def upgrade(self, told: dict[str, Any]) -> Instructions:
        """Tell how far the meters' upgrades are; return all orders that hold."""
        return _parsed(Instructions, await self._call("POST", "/upgrade", json_body=told))

    async def demand(self, told: dict[str, Any]) -> DemandInstructions:
        """Tell what became of demand response; return all that holds."""
        return _parsed(DemandInstructions, await self._call("POST", "/demand", json_body=told))

    async def tell_job(self, job: str, state: dict[str, Any]) -> None:
        """Say how far a job is."""
        await self._call("POST", f"/jobs/{job}", json_body=state)

    async def _call(self, method: str, path: str, **options: Any) -> HttpAnswer:
        try:
            answer = await self._client.request(method, PREFIX + path, **options)
        except (TransportError, RemoteProtocolError) as error:
            raise HeadEndAwayError(error.message, code=error.code) from error
        if answer.ok:
            return answer
        code, message = _told(answer)
        words = f"{method} {path}: {answer.status} {message}"
        if answer.status in PERMANENT:
            raise HeadEndRefusalError(words, status=answer.status, code=code)
        raise HeadEndAwayError(words, retry_after=retry_after(answer.headers), code=code)


def _told(answer: HttpAnswer) -> tuple[str | None, str]:
    """Return the code and message of an error answer, which may be a proxy's and hold neither."""
    try:
        error = answer.json()["error"]
        return str(error["code"])[:_MESSAGE], str(error["message"])[:_MESSAGE]
    except (DecodeError, LookupError, TypeError):
        return None, "without a reason"


def _parsed(model: type[M], answer: HttpAnswer) -> M:
    try:
        return model.model_validate_json(answer.body)
    except ValidationError as error:
        where = "; ".join(
            ".".join(map(str, problem["loc"])) + ": " + problem["msg"]
            for problem in error.errors(include_input=False, include_url=False)[:3]
        )
        raise HeadEndAwayError(
            f"the head-end's answer makes no sense: {where}", code="headend.answer"
        ) from None


def _moment(text: str) -> float:
    try:
        return parse_utc(text)
    except ValueError as error:
        raise HeadEndAwayError(f"{text[:40]!r} is no time", code="headend.answer") from error
