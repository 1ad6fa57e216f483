"""How a DCU comes to its certificate and its accounts, and keeps both good.

It runs the device's side of SSMP (``docs/ssmp.md``) over the security module. Every step is on
disk before the next request goes out, so that a DCU that is killed asks the same once more. One
task runs it all, whose writes no other has to wait for.

A registered DCU that cannot do with what it has (its certificate is out of its time, its key or
its account is lost, its server does not let it in) asks whether it is to register anew, and works
on meanwhile as well as it can.
"""

from __future__ import annotations

import asyncio
import random
import secrets
from typing import TYPE_CHECKING, Final, Self

import structlog

from openami.core.clock import isoformat
from openami.core.errors import NotFoundError, OpenAmiError, RemoteProtocolError, SecurityError
from openami.dcu.flow import Patience
from openami.dcu.threads import WorkThread
from openami.ssmp.client import FIRST_RETRY_S, Client, ClientState, Moved, Step, begin
from openami.ssmp.messages import EXCHANGE, MAX_MESSAGE, MEDIA_TYPE, Reason
from openami.store.vault import FileVault
from openami.transport.clock import SystemClock, monotonic

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from openami.core.clock import Clock
    from openami.dcu.flow import Stop
    from openami.dcu.module.client import CertificateFacts, SecurityModule
    from openami.ssmp.bootstrap import BootstrapBlock
    from openami.ssmp.client import Waiting
    from openami.transport.http import HttpAnswer, HttpClient

RENEW_LEFT: Final = 1 / 3
"""Of a certificate's life: what is left when it is renewed; months, to find out why it failed."""

CHECK_S: Final = 3600.0
"""How often a DCU looks how long its certificate is good: its clock may have been set."""

DOUBT_FIRST_S: Final = 60.0
DOUBT_MOST_S: Final = 900.0
"""After a server has said that all is well with a registration, while another lets nobody in."""

_SPREAD: Final = 1 / 30  # of a certificate's life, over which devices made in one night renew
_LATER: Final = 0.1  # of a wait that the server asks for, that is added by chance
_KIND, _NAME = "registration", "state"

log = structlog.get_logger("dcu")


class Enrolment:
    """The registration of one DCU; as a context manager it closes its file.

    Args:
        module: speaks with the security server as this device.
        state: the DCU's folder.
        wall: the true time, by which certificates are good.
        chance: returns a number from 0 to 1, so that DCUs do not ask in step.
        told: called with each step, once it is on disk.

    Raises:
        StoreError: what was kept can not be used.
        DecodeError: what was kept is something else.
    """

    def __init__(
        self,
        module: SecurityModule,
        state: Path,
        *,
        wall: Clock | None = None,
        chance: Callable[[], float] | None = None,
        told: Callable[[Step], None] | None = None,
    ) -> None:
        self._module = module
        self._wall = wall or SystemClock()
        self._chance = chance or random.SystemRandom().random
        self._told = told
        self._thread = WorkThread("registration")
        self._vault = FileVault(state / "registration.sqlite", kek=state / "registration.kek")
        self._kept = self._load()
        self._client = None if self._kept is None else self._client_of(self._kept)
        self._installed = self._refused = False
        self._doubted = asyncio.Event()
        self._doubts = Patience(DOUBT_FIRST_S, DOUBT_MOST_S, self._chance)
        self._doubts_from = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.close()
        self._vault.close()

    @property
    def step(self) -> Step | None:
        """What comes next, as it is on disk; None before the first request."""
        return None if self._kept is None else self._kept.step

    @property
    def block(self) -> BootstrapBlock | None:
        """The accounts of a registration that is live, until ``forget``."""
        return self._kept.block if self._kept is not None and self._live else None

    async def forget(self) -> None:
        """Forget the block: its accounts are where they belong."""
        if self._client is not None:
            self._client.forget()
            await self._commit(self._client)

    async def register(self, stop: Stop) -> None:
        """Return when the device has been registered, or shall end.

        Its certificate is in use then, unless it is about to register anew.
        """
        if self._kept is None:
            await self._turn(stop, self._recall)
        if not self._live and not self._settled:
            log.info("registers", uid=self._module.uid, url=self._module.security_url)
        while not stop and not self._settled:
            await self._turn(stop, self._towards_live)

    async def renew(self, stop: Stop, taken: Callable[[], Awaitable[None]]) -> None:
        """Keep certificate and accounts good until the device shall end.

        Args:
            stop: says that it shall end.
            taken: is called when there is a ``block``.
        """
        left = RENEW_LEFT - self._chance() * _SPREAD
        while not stop:
            await self._turn(stop, lambda: self._towards_fresh(left, taken))

    def doubt(self) -> None:
        """Take that a server does not let this device in: ask whether to register anew."""
        if monotonic() >= self._doubts_from:
            self._doubted.set()

    def trust(self) -> None:
        """Take that the server has let this device in."""
        self._doubted.clear()
        self._doubts.succeeded()
        self._doubts_from = 0.0

    # Turns

    async def _turn(self, stop: Stop, work: Callable[[], Awaitable[float]]) -> None:
        """Do one thing, and wait as long as it says, or as a failure asks for."""
        try:
            wait = await work()
        except OpenAmiError as error:
            wait = self._failed(error)
        if wait > 0:
            settled = self.step is Step.LIVE and not self._doubted.is_set()
            await stop.sleep(wait, *([self._doubted] if settled else []))

    async def _recall(self) -> float:
        """Go on with the certificate that is there, where what was known of it is lost."""
        if await self._module.certificate() is not None:
            state = ClientState(Step.LIVE, secrets.token_bytes(EXCHANGE), b"")
            await self._keep(state)
            self._client = self._client_of(state)
            log.warning("what was known of the registration is lost, its certificate is good")
        return 0.0

    async def _towards_live(self) -> float:
        if self._client is None:
            request = await self._module.new_key()
            state = begin(secrets.token_bytes(EXCHANGE), request)
            await self._keep(state)
            self._client = self._client_of(state)
        if not self._live:
            return await self._ask(self._client)
        try:
            await self._install()
        except SecurityError as error:
            if error.code != "module.certificate":
                raise
            await self._begin_anew(self._client, "its key is lost")
        return 0.0

    async def _towards_fresh(self, left: float, taken: Callable[[], Awaitable[None]]) -> float:
        """Renew where less than ``left`` of the certificate's life is left."""
        client = self._client
        if client is None:
            return CHECK_S
        fresh = self._live and not self._installed
        if fresh:
            await self._install()
            self.trust()
        if self.block is not None:
            await taken()
        if fresh:
            return CHECK_S  # whatever the clock says, it is a new one
        facts = await self._module.certificate()
        ended = _ended(facts, self._wall.now())
        why = ended or ("its server does not let it in" if self._doubted.is_set() else "")
        if self._live and why:
            await self._begin_anew(client, why)
            return 0.0
        if client.state.step is not Step.LIVE:
            return await self._ask_on(client, usable=not ended)
        return CHECK_S if facts is None else await self._until_due(client, facts, left)

    async def _begin_anew(self, client: Client, why: str) -> None:
        """Ask to register anew; without a sign of who it was, as a device that is new."""
        log.warning("asks to register anew", why=why, hint=_REOPEN)
        self._doubted.clear()
        self._doubts_from = monotonic() + self._doubts.failed()
        request = await self._module.new_key()
        if client.state.grant and client.state.chain:
            client.anew(request)
            await self._commit(client)
        else:
            state = begin(secrets.token_bytes(EXCHANGE), request)
            await self._keep(state)
            self._client = self._client_of(state)

    async def _ask_on(self, client: Client, *, usable: bool) -> float:
        """Ask what comes next; where nothing new is to be had, stay with what is usable."""
        wait = await self._ask(client)
        if self._refused and usable and client.state.may_stay:
            client.stay()
            await self._commit(client)
            return 0.0
        return wait

    async def _until_due(self, client: Client, facts: CertificateFacts, left: float) -> float:
        """Begin to renew the certificate if it is time; return how long it is until then."""
        due = facts.not_after - left * (facts.not_after - facts.not_before)
        if self._wall.now() < due:
            return min(CHECK_S, max(1.0, due - self._wall.now()))
        log.info("renews its certificate", until=isoformat(facts.not_after))
        client.renew(secrets.token_bytes(EXCHANGE), await self._module.new_key())
        await self._commit(client)
        return 0.0

    async def _ask(self, client: Client) -> float:
        """Ask what comes next; return how long to wait after."""
        self._refused = False
        request = client.next_request(monotonic())
        if request is not None:
            before = client.state.step
            answer = await self._carry(before, request)
            client.receive(answer, now=monotonic())
            await self._commit(client)
            self._say(before, client.state.step)
        due = client.next_timer()
        wait = 0.0 if due is None else due - monotonic()
        return max(0.0, wait) * (1 + _LATER * self._chance())

    async def _carry(self, step: Step, request: bytes) -> bytes:
        async with self._way(step) as client:
            answer = await client.post(
                "/ssmp",
                content=request,
                headers={"Content-Type": MEDIA_TYPE},
                max_octets=MAX_MESSAGE,
            )
        if not answer.ok:
            raise _refusal(answer)
        return answer.body

    def _way(self, step: Step) -> HttpClient:
        if step is Step.RENEWING:
            return self._module.operational_client(self._module.security_url)
        return self._module.factory_client()

    async def _install(self) -> None:
        """Use the certificate of a registration that is live; the module may have it already."""
        if self._kept is not None and self._kept.chain:
            facts = await self._module.install(self._kept.chain)
            log.info(
                "certificate in use", serial=f"{facts.serial:x}", until=isoformat(facts.not_after)
            )
        self._installed = True

    def _failed(self, error: OpenAmiError) -> float:
        """Return how long to wait after a failure."""
        wait = FIRST_RETRY_S * (0.5 + self._chance() / 2)
        if self._kept is not None:
            # What could not be kept did not happen.
            if self._client is None or self._client.state != self._kept:
                self._client = self._client_of(self._kept)
            self._client.failed(now=monotonic(), jitter=self._chance())
            due = self._client.next_timer()
            wait = wait if due is None else due - monotonic()
        log.warning("registration interrupted", code=error.code, message=error.message,
                    again_s=round(wait))  # fmt: skip
        return max(0.0, wait)

    # What is kept

    @property
    def _live(self) -> bool:
        return self.step in {Step.LIVE, Step.RENEWING}

    @property
    def _settled(self) -> bool:
        """Whether there is something to work with: the certificate in use, or one of before."""
        return (self._live and self._installed) or (self._kept is not None and self._kept.anew)

    def _client_of(self, state: ClientState) -> Client:
        return Client(state, uid=self._module.uid, info=self._module.info)

    def _load(self) -> ClientState | None:
        try:
            return ClientState.decode(self._vault.get(_KIND, self._module.uid, _NAME))
        except NotFoundError:
            return None

    async def _keep(self, state: ClientState) -> None:
        sealed = _KIND, self._module.uid, _NAME, state.encode()
        await self._thread.do(self._vault.put, *sealed)
        if self._kept is None or state.chain != self._kept.chain:
            self._installed = False
        self._kept = state
        if self._told is not None:
            self._told(state.step)

    async def _commit(self, client: Client) -> None:
        while (event := client.next_event()) is not None:
            if isinstance(event, Moved):
                await self._keep(event.state)
            else:
                self._refused = event.reason is not None and event.reason not in _SHUT_OUT
                _tell_wait(event)

    def _say(self, before: Step, after: Step) -> None:
        said = _SAID.get((before, after))
        if said is not None:
            log.info(said, uid=self._module.uid)


_SAID: Final = {
    (Step.REGISTERING, Step.FETCHING): "registration approved",
    (Step.FETCHING, Step.ACKNOWLEDGING): "accounts received",
    (Step.ACKNOWLEDGING, Step.LIVE): "registered",
    (Step.RENEWING, Step.LIVE): "certificate renewed",
}


def _tell_wait(event: Waiting) -> None:
    again = round(event.until - monotonic())
    if event.reason is None:
        log.info("pending approval", again_s=again)
        return
    hint = _HINTS.get(event.reason)
    told = {"hint": hint} if hint else {}
    reason = event.reason.name.lower()
    log.warning("registration refused", reason=reason, again_s=again, **told)


def _ended(facts: CertificateFacts | None, now: float) -> str:
    """Return why the device can not connect with what it has; empty if it can."""
    if facts is None:
        return "it has no certificate"
    return "" if now < facts.not_after else "its certificate is out of its time"


# Who is shut out for now may have been let in before that, and the answer lost: with another key it
# would look like another device. It renews nothing meanwhile either.
_SHUT_OUT: Final = frozenset({Reason.OPERATOR, Reason.TWICE})
_REOPEN: Final = "where the head-end does not let it, `openami device reopen` does"
_HINTS: Final = {
    Reason.STALE: "another device has this identity's place: who has it is decided at the head-end",
    Reason.SPENT: _REOPEN,
}


def _refusal(answer: HttpAnswer) -> RemoteProtocolError:
    """Return what an answer says that is not SSMP's."""
    try:
        code = str(answer.json()["error"]["code"])[:64]
    except (OpenAmiError, LookupError, TypeError):
        code = "no reason"
    return RemoteProtocolError(f"HTTP {answer.status}: {code}", code="ssmp.http")
