"""Who may ask a display: only pages of its own, under a name of its own, of its own household.

A browser in the house opens pages of strangers, too. These can send it to an address in the house
(cross-site requests), and give their own name this address (DNS rebinding); what comes so is
refused by ``Origin`` and by ``Host``.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from http.cookies import CookieError, SimpleCookie
from ipaddress import ip_address
from typing import TYPE_CHECKING, Final

from starlette.datastructures import Headers

from openami.core.errors import SecurityError
from openami.crypto.compare import equal
from openami.headend.errors import BusyError, RequestError
from openami.headend.throttle import Throttle
from openami.web.errors import incident
from openami.web.headers import default_headers
from openami.web.ihd.errors import respond

if TYPE_CHECKING:
    from collections.abc import Collection, Hashable

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from openami.core.clock import Clock

API: Final = "/api/v1"
UNLOCK: Final = f"{API}/unlock"
COOKIE: Final = "openami-ihd"
COOKIE_S: Final = 400 * 86_400
"""What browsers keep a cookie at most: a tablet on a wall is not asked again each week."""
JSON: Final = "application/json"
SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
TRIES: Final = 5
TRIES_S: Final = 60.0
"""So many PINs in a minute: of a million, one in five months is found."""


class Household:
    """Who belongs to the household: whoever has the PIN, or the token of the display's folder.

    Args:
        pin: None: nobody is asked.
        secret: octets that outlive the display, so that its tablets stay let in.
        token: for commands on this machine.
        clock: the machine's.
    """

    def __init__(self, pin: str | None, secret: bytes, token: str, clock: Clock) -> None:
        self._pin = pin
        self._token = token.encode()
        self._clock = clock
        # Another PIN, and all cookies are void.
        self._key = hmac.digest(secret, b"openami-ihd " + (pin or "").encode(), hashlib.sha256)
        self._throttle = Throttle(window_s=TRIES_S, clock=clock)

    @property
    def asked(self) -> bool:
        """Whether a PIN is wanted."""
        return self._pin is not None

    def unlock(self, pin: str) -> str:
        """Return the cookie's value.

        Raises:
            BusyError: ``home.pin-throttled``, there were too many wrong ones.
            SecurityError: ``home.pin``, it is another.
        """
        limits: dict[Hashable, int] = {"pin": TRIES}
        if (wait := self._throttle.wait(limits)) > 0:
            raise BusyError("too many wrong PINs", retry_after=wait, code="home.pin-throttled")
        if self._pin is None or not equal(pin.encode(), self._pin.encode()):
            self._throttle.fail(limits)
            raise SecurityError("this is not the PIN", code="home.pin")
        made = f"{int(self._clock.now())}.{secrets.token_urlsafe(12)}"
        return f"{made}.{self._seal(made)}"

    def knows(self, headers: Headers) -> bool:
        """Tell whether a request comes from the household."""
        if self._pin is None:
            return True
        scheme, _, token = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and equal(token.encode(), self._token):
            return True
        made, _, seal = _cookie(headers).rpartition(".")
        if not made or not equal(seal.encode(), self._seal(made).encode()):
            return False
        return int(made.partition(".")[0]) + COOKIE_S > self._clock.now()

    def _seal(self, made: str) -> str:
        return hmac.digest(self._key, made.encode(), hashlib.sha256).hex()


def _cookie(headers: Headers) -> str:
    try:
        found = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
    except CookieError:
        return ""
    return "" if found is None else found.value


class Guard:
    """Lets in what the display's own pages and its household send; adds the security headers.

    Args:
        app: the display's application.
        hosts: names by which browsers may ask, beside addresses and localhost.
        household: who may ask for data.
        tls: whether it answers inside TLS.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        hosts: Collection[str],
        household: Household,
        tls: bool,
    ) -> None:
        self._app = app
        self._hosts = {"localhost", *(host.lower() for host in hosts)}
        self._household = household
        self._headers = default_headers(tls=tls)
        self._scheme = "https" if tls else "http"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started: list[bool] = []

        async def guard(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = message.setdefault("headers", [])
                there = {name for name, _ in headers}
                headers.extend([one for one in self._headers if one[0] not in there])
                started.append(True)
            await send(message)

        try:
            self._check(scope["method"], scope["path"], Headers(scope=scope))
        except (SecurityError, RequestError) as error:
            await respond(error)(scope, receive, guard)
            return
        try:
            await self._app(scope, receive, guard)
        except Exception as error:
            if started:  # half an answer is out: only cutting it off can say that it is none
                raise
            await incident(error)(scope, receive, guard)

    def _check(self, method: str, path: str, headers: Headers) -> None:
        """Raise SecurityError or RequestError unless a request may go on."""
        host = headers.get("host", "")
        if not self._is_ours(_name(host)):
            raise SecurityError(
                "this display has another name",
                hint="ask for it by its address, or give it the name: --host",
                code="home.host",
            )
        if method not in SAFE:
            self._check_origin(host, headers)
            self._check_type(method, headers)
        wanted = path.startswith(f"{API}/") and path != UNLOCK and not by_token(method, path)
        if wanted and not self._household.knows(headers):
            raise SecurityError("the household's PIN is wanted", code="home.pin")

    def _is_ours(self, name: str) -> bool:
        # Nobody can have a browser take an address for another one.
        try:
            ip_address(name)
        except ValueError:
            return name in self._hosts
        return True

    def _check_origin(self, host: str, headers: Headers) -> None:
        origin = headers.get("origin")
        site = headers.get("sec-fetch-site", "same-origin")
        if site not in {"same-origin", "none"} or origin not in {None, f"{self._scheme}://{host}"}:
            raise SecurityError("another site's page asked for this", code="home.origin")

    def _check_type(self, method: str, headers: Headers) -> None:
        bare = method == "DELETE" and headers.get("content-length", "0") == "0"
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        if not bare and kind != JSON:
            raise RequestError("a body is application/json", code="request.type")


def by_token(method: str, path: str) -> bool:
    """Tell whether a request is an appliance's, which shows its own token, or asks for one."""
    parts = path.removeprefix(f"{API}/appliances").strip("/").split("/")
    if not path.startswith(f"{API}/appliances"):
        return False
    return (method == "POST" and parts == [""]) or (
        len(parts) == 2 and parts[1] in {"work", "report"}
    )


def _name(host: str) -> str:
    """Return the name in a ``Host`` header, without port and brackets."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0].lower()
