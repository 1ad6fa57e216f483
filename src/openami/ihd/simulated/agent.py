"""An appliance's side of the display's API: it registers, waits for orders, reports."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

import structlog

from openami.core.backoff import backoff
from openami.core.clock import parse_utc
from openami.core.errors import DecodeError, OpenAmiError, RemoteProtocolError, SecurityError
from openami.ihd.appliance_rules import Mode
from openami.ihd.simulated.physics import Command
from openami.ihd.simulated.tokens import Token
from openami.transport.clock import monotonic

if TYPE_CHECKING:
    from collections.abc import Callable

    from openami.core.clock import Clock
    from openami.ihd.appliances import Registration
    from openami.ihd.simulated.tokens import Tokens
    from openami.transport.http import HttpAnswer, HttpClient

WAIT_S: Final = 25
REPORT_S: Final = 10.0
CHANGE: Final = 0.05
"""Of its rated power: a change of that is reported at once."""

FORGET_S: Final = 300.0
"""Without the display for so long an order that has no end is over."""

RETRY_FIRST_S: Final = 1.0
RETRY_MOST_S: Final = 60.0
ANSWER_OCTETS: Final = 16_384
ANSWER_S: Final = 10.0

log = structlog.get_logger("appliance")


class Agent:
    """One appliance at one display.

    Args:
        client: of the display.
        asked: what it says of itself when it registers.
        tokens: where its token is kept.
        key: its name there.
        clock: by which orders end.
        tick: seconds that never run backwards.
        retry_s: the first and the longest wait before the display is tried again.
    """

    def __init__(
        self,
        client: HttpClient,
        asked: Registration,
        tokens: Tokens,
        key: str,
        *,
        clock: Clock,
        tick: Callable[[], float] = monotonic,
        retry_s: tuple[float, float] = (RETRY_FIRST_S, RETRY_MOST_S),
    ) -> None:
        self._client = client
        self._asked = asked
        self._tokens = tokens
        self._key = key
        self._clock = clock
        self._tick = tick
        self._retry_s = retry_s
        self._command = Command()
        self._revision = ""
        self._until: float | None = None
        self._heard = tick()
        self._power: float | None = None
        self._words = ""
        self._told: tuple[float, float] | None = None
        self._changed = asyncio.Event()

    @property
    def command(self) -> Command:
        """How the appliance shall run now; without orders: as it likes."""
        over = (
            self._tick() - self._heard > FORGET_S
            if self._until is None
            else self._clock.now() >= self._until
        )
        return Command() if over else self._command

    def says(self, power_w: float, words: str) -> None:
        """Take what the appliance draws now."""
        self._power, self._words = power_w, words
        if self._due(power_w):
            self._changed.set()

    async def run(self) -> None:
        """Go on until cancelled; a display that is away is tried again and again.

        Raises:
            ConfigError: the token cannot be kept.
        """
        async with asyncio.TaskGroup() as group:
            group.create_task(self._obey())
            group.create_task(self._report())

    async def _obey(self) -> None:
        failures = 0
        while True:
            try:
                token = await self._token()
                query = {"wait": str(WAIT_S), "revision": self._revision}
                answer = await self._client.get(
                    f"/api/v1/appliances/{token.appliance}/work",
                    params=query,
                    headers=_shown(token),
                    timeout_s=WAIT_S + ANSWER_S,
                    max_octets=ANSWER_OCTETS,
                )
                self._take(self._checked(answer).json())
                failures = 0
            except (OpenAmiError, KeyError, TypeError, ValueError) as error:
                failures += 1
                first, most = self._retry_s
                wait = backoff(failures, first=first, most=most, jitter=0.0)
                if isinstance(error, SecurityError):  # it registers anew, once a minute at most
                    wait = most
                if failures == 1:
                    log.warning("no orders", appliance=self._key, error=str(error))
                await asyncio.sleep(wait)

    async def _token(self) -> Token:
        """Return what is shown to the display; register if there is nothing yet."""
        kept = self._tokens.get(self._client.base_url, self._key)
        if kept is not None:
            return kept
        asked = self._asked
        answer = await self._client.post(
            "/api/v1/appliances",
            json_body={
                "name": asked.name,
                "kind": asked.kind,
                "rated_w": asked.rated_w,
                "least_w": asked.least_w,
                "can": sorted(asked.can),
            },
            timeout_s=ANSWER_S,
            max_octets=ANSWER_OCTETS,
        )
        given = self._checked(answer).json()
        token = Token(str(given["id"]), str(given["token"]))
        self._tokens.put(self._client.base_url, self._key, token)
        log.info("registered", appliance=self._key, id=token.appliance)
        self._changed.set()  # what it said before, nobody could be told
        return token

    def _checked(self, answer: HttpAnswer) -> HttpAnswer:
        if answer.ok:
            return answer
        if answer.status in {401, 404}:  # the household has removed it: it asks to be let in anew
            self._tokens.put(self._client.base_url, self._key, None)
            raise SecurityError("the display does not know this appliance", code="appliance.token")
        raise RemoteProtocolError(f"the display answers {answer.status}", code="http.status")

    def _take(self, order: dict[str, Any]) -> None:
        limit, until = order["limit_w"], order["until"]
        if limit is not None and not isinstance(limit, int | float):
            raise DecodeError("limit_w is no number")
        self._command = Command(Mode(order["mode"]), limit, order.get("prepare") is True)
        self._until = None if until is None else parse_utc(until)
        self._revision, self._heard = str(order["revision"]), self._tick()

    def _due(self, power_w: float) -> bool:
        if self._told is None:
            return True
        power, at = self._told
        changed = abs(power_w - power) >= CHANGE * self._asked.rated_w
        return changed or self._tick() - at >= REPORT_S

    async def _report(self) -> None:
        while True:
            await self._changed.wait()
            self._changed.clear()
            token, power = self._tokens.get(self._client.base_url, self._key), self._power
            if token is None or power is None:
                continue
            self._told = power, self._tick()
            try:
                await self._client.post(
                    f"/api/v1/appliances/{token.appliance}/report",
                    json_body={"power_w": round(power, 1), "state": self._words},
                    headers=_shown(token),
                    timeout_s=ANSWER_S,
                    max_octets=ANSWER_OCTETS,
                )
            except OpenAmiError as error:  # that the display is away, ``_obey`` sees and tells
                log.debug("not reported", appliance=self._key, error=error.message)


def _shown(token: Token) -> dict[str, str]:
    return {"Authorization": f"Bearer {token.secret}"}
