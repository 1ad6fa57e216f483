"""Log-in, roles, CSRF, throttling, headers."""

import asyncio
import hashlib
from http.cookies import SimpleCookie
from pathlib import Path

import httpx
import pytest
from tests.support.headend import (
    PASSWORD,
    login,
    operator_client,
    running_headend,
    token_client,
)

from openami.fleet.operators import Role
from openami.headend.server import Running
from openami.web.auth import COOKIE, csrf_token


def code(answer: httpx.Response) -> str:
    found: str = answer.json()["error"]["code"]
    return found


async def test_a_log_in_sets_a_cookie_that_only_this_host_gets(browser: httpx.AsyncClient) -> None:
    answer = await browser.post("/api/v1/login", json={"name": "admin", "password": PASSWORD})
    cookie = SimpleCookie(answer.headers["set-cookie"])[COOKIE]
    assert COOKIE.startswith("__Host-")
    assert (cookie["secure"], cookie["httponly"]) == (True, True)
    assert (cookie["samesite"].lower(), cookie["path"], cookie["domain"]) == ("strict", "/", "")
    assert int(cookie["max-age"]) > 3600
    assert answer.json()["role"] == "admin"
    assert answer.json()["csrf_token"] == csrf_token(cookie.value)
    assert cookie.value not in answer.text
    who = (await browser.get("/api/v1/session")).json()
    assert (who["name"], who["csrf_token"]) == ("admin", answer.json()["csrf_token"])


@pytest.mark.parametrize(
    ("name", "password"), [("admin", "wrong"), ("nobody", PASSWORD), ("", ""), ("admin", "x" * 900)]
)
async def test_a_wrong_name_or_password_tells_nothing(
    browser: httpx.AsyncClient, name: str, password: str
) -> None:
    answer = await browser.post("/api/v1/login", json={"name": name, "password": password})
    assert (answer.status_code, code(answer)) == (401, "security.login")
    assert answer.json()["error"]["message"] == "name or password is wrong"
    assert "set-cookie" not in answer.headers


async def test_a_log_out_ends_the_session(running: Running, browser: httpx.AsyncClient) -> None:
    await login(browser)
    secret = browser.cookies[COOKIE]
    assert (await browser.post("/api/v1/logout")).status_code == 204
    assert COOKIE not in browser.cookies
    again = await browser.get("/api/v1/session", headers={"Cookie": f"{COOKIE}={secret}"})
    assert (again.status_code, code(again)) == (401, "security.session")
    assert running.services.operators.authenticate(secret) is None


async def test_what_changes_something_needs_the_csrf_token(browser: httpx.AsyncClient) -> None:
    token = await login(browser)
    wish = {"label": "mine"}
    for wrong in ("", "0" * 64, token[:-1]):
        answer = await browser.post("/api/v1/tokens", json=wish, headers={"X-CSRF-Token": wrong})
        assert (answer.status_code, code(answer)) == (403, "security.csrf"), wrong
    del browser.headers["X-CSRF-Token"]
    assert code(await browser.post("/api/v1/tokens", json=wish)) == "security.csrf"
    assert (await browser.get("/api/v1/tokens")).status_code == 200
    good = await browser.post("/api/v1/tokens", json=wish, headers={"X-CSRF-Token": token})
    assert good.status_code == 201


async def test_another_sites_log_in_is_refused(browser: httpx.AsyncClient) -> None:
    wish = {"name": "admin", "password": PASSWORD}
    for origin in ("https://evil.example", "null"):
        answer = await browser.post("/api/v1/login", json=wish, headers={"Origin": origin})
        assert (answer.status_code, code(answer)) == (403, "security.csrf")
    own = str(browser.base_url).rstrip("/")
    good = await browser.post("/api/v1/login", json=wish, headers={"Origin": own})
    assert good.status_code == 200


async def test_a_token_needs_no_csrf_and_is_no_cookie(
    running: Running, browser: httpx.AsyncClient
) -> None:
    await login(browser)
    made = (await browser.post("/api/v1/tokens", json={"label": "export", "days": 1})).json()
    bearer = {"Authorization": f"Bearer {made['token']}"}
    async with operator_client(running, headers=bearer) as program:
        assert (await program.get("/api/v1/session")).json()["csrf_token"] is None
        more = await program.post("/api/v1/tokens", json={"label": "more"})
        assert (more.status_code, code(more)) == (403, "security.token")
    async with operator_client(running, headers={"Cookie": f"{COOKIE}={made['token']}"}) as odd:
        assert (await odd.get("/api/v1/session")).status_code == 401
    secret = browser.cookies[COOKIE]
    async with operator_client(running, headers={"Authorization": f"Bearer {secret}"}) as odd:
        assert (await odd.get("/api/v1/session")).status_code == 401
    listed = (await browser.get("/api/v1/tokens")).json()
    assert made["token"] not in str(listed)
    await browser.delete(f"/api/v1/tokens/{made['session']['id']}")
    async with operator_client(running, headers=bearer) as program:
        assert (await program.get("/api/v1/session")).status_code == 401


async def test_nobody_ends_anothers_session(
    running: Running, admin: httpx.AsyncClient, viewer: httpx.AsyncClient
) -> None:
    theirs = (await admin.get("/api/v1/tokens")).json()[0]["id"]
    answer = await viewer.delete(f"/api/v1/tokens/{theirs}")
    assert answer.status_code == 404
    assert (await admin.get("/api/v1/session")).status_code == 200


NEEDS: list[tuple[str, str, object, Role]] = [
    ("GET", "/api/v1/overview", None, Role.VIEWER),
    ("GET", "/api/v1/devices", None, Role.VIEWER),
    ("GET", "/api/v1/store", None, Role.VIEWER),
    ("GET", "/api/v1/jobs", None, Role.VIEWER),
    ("GET", "/api/v1/events", None, Role.VIEWER),
    ("GET", "/metrics", None, Role.VIEWER),
    (
        "POST",
        "/api/v1/devices/dcu-D9/state",
        {"to": "suspended", "why": "test"},
        Role.OPERATOR,
    ),
    ("PATCH", "/api/v1/devices/dcu-D9", {"label": "x"}, Role.OPERATOR),
    (
        "POST",
        "/api/v1/meters/M9/reads",
        {"attributes": [{"class_id": 3, "obis": "1.0.1.8.0.255"}]},
        Role.OPERATOR,
    ),
    ("POST", "/api/v1/meters/M9/dcu", {"dcu": "D9", "why": "test"}, Role.ADMIN),
    ("POST", "/api/v1/dcus", {"dcu": "D8"}, Role.ADMIN),
    ("POST", "/api/v1/shipments", {}, Role.ADMIN),
    ("GET", "/api/v1/audit", None, Role.ADMIN),
    ("GET", "/api/v1/operators", None, Role.ADMIN),
    ("POST", "/api/v1/operators", {"name": "x", "password": PASSWORD}, Role.ADMIN),
    ("PATCH", "/api/v1/operators/viewer-1", {"role": "viewer"}, Role.ADMIN),
]


async def test_roles(running: Running) -> None:
    for role in Role:
        async with token_client(running, role) as client:
            for method, path, body, needed in NEEDS:
                answer = await client.request(method, path, json=body)
                if role.includes(needed):
                    assert answer.status_code not in {401, 403}, (role, path, answer.text)
                else:
                    found = (answer.status_code, code(answer))
                    assert found == (403, "security.role"), (role, path)


async def test_nobody_is_told_to_log_in(browser: httpx.AsyncClient) -> None:
    for method, path, body, _ in NEEDS:
        answer = await browser.request(method, path, json=body)
        assert (answer.status_code, code(answer)) == (401, "security.session"), path
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")


async def test_every_endpoint_but_a_few_asks_who_it_is(
    running: Running, browser: httpx.AsyncClient, admin: httpx.AsyncClient
) -> None:
    """Walk the API's own description, so that an endpoint added later is in it."""
    document = (await admin.get("/api/v1/openapi.json")).json()
    open_to_all = {("/health", "get"), ("/api/v1/login", "post")}
    for path, methods in document["paths"].items():
        for method in methods:
            if (path, method) in open_to_all:
                continue
            url = path.replace("{session}", "1").replace("{", "").replace("}", "")
            answer = await browser.request(method, url, params={"meter": "M1"}, json={})
            assert answer.status_code in {401, 422}, (method, path)
            if answer.status_code == 422:
                assert code(answer) == "request.invalid"


async def test_wrong_passwords_have_to_wait(tmp_path: Path) -> None:
    async with (
        running_headend(tmp_path, login_attempts=3) as running,
        operator_client(running) as browser,
    ):
        wrong = {"name": "admin", "password": "wrong"}
        for _ in range(3):
            assert (await browser.post("/api/v1/login", json=wrong)).status_code == 401
        right = {"name": "admin", "password": PASSWORD}
        waits = await browser.post("/api/v1/login", json=right)
        assert (waits.status_code, code(waits)) == (429, "security.throttled")
        assert 0 < int(waits.headers["Retry-After"]) <= 300
        other = await browser.post("/api/v1/login", json={"name": "nobody", "password": "wrong"})
        assert other.status_code == 401
        text = running.services.metrics.exposition().decode()
        assert 'openami_logins_total{outcome="throttled"} 1.0' in text


async def test_log_ins_at_once_are_all_answered(browser: httpx.AsyncClient) -> None:
    right = {"name": "admin", "password": PASSWORD}
    answers = await asyncio.gather(*(browser.post("/api/v1/login", json=right) for _ in range(12)))
    assert {answer.status_code for answer in answers} == {200}


async def test_a_new_password_ends_every_session(
    running: Running, browser: httpx.AsyncClient
) -> None:
    await login(browser)
    change = {"old": "wrong", "new": "another good one"}
    assert code(await browser.post("/api/v1/password", json=change)) == "security.login"
    short = await browser.post("/api/v1/password", json={"old": PASSWORD, "new": "short"})
    assert code(short) == "request.operator"
    change["old"] = PASSWORD
    assert (await browser.post("/api/v1/password", json=change)).status_code == 204
    assert (await browser.get("/api/v1/session")).status_code == 401
    await login(browser, password="another good one")
    assert running.services.operators.list().items[0].last_login is not None


async def test_the_last_admin_stays(admin: httpx.AsyncClient) -> None:
    for change in ({"role": "viewer"}, {"disabled": True}):
        answer = await admin.patch("/api/v1/operators/admin", json=change)
        assert (answer.status_code, code(answer)) == (409, "operator.last-admin")
    second = {"name": "second", "password": PASSWORD, "role": "admin"}
    assert (await admin.post("/api/v1/operators", json=second)).status_code == 201
    assert (await admin.post("/api/v1/operators", json=second)).status_code == 409
    changed = await admin.patch("/api/v1/operators/admin", json={"role": "viewer"})
    assert changed.json()["role"] == "viewer"
    assert (await admin.get("/api/v1/operators")).status_code == 403


async def test_who_is_shut_out_is_out_at_once(
    running: Running, admin: httpx.AsyncClient, viewer: httpx.AsyncClient
) -> None:
    assert (await viewer.get("/api/v1/overview")).status_code == 200
    answer = await admin.patch("/api/v1/operators/viewer-1", json={"disabled": True})
    assert answer.json()["disabled"] is True
    assert (await viewer.get("/api/v1/overview")).status_code == 401


async def test_every_answer_has_the_security_headers(
    browser: httpx.AsyncClient, viewer: httpx.AsyncClient
) -> None:
    for answer in (
        await viewer.get("/api/v1/overview"),
        await browser.get("/api/v1/overview"),
        await browser.get("/nowhere"),
        await browser.get("/health"),
    ):
        policy = answer.headers["Content-Security-Policy"]
        assert "script-src 'self';" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Strict-Transport-Security"].startswith("max-age=")
        assert answer.headers["Cache-Control"] == "no-store"
        assert "server" not in answer.headers


async def test_a_body_over_the_limit_is_refused(tmp_path: Path) -> None:
    async with (
        running_headend(tmp_path, request_octets=2048) as running,
        operator_client(running) as browser,
    ):
        big = {"name": "x" * 5000, "password": "y"}
        answer = await browser.post("/api/v1/login", json=big)
        assert (answer.status_code, code(answer)) == (413, "request.too-large")

        async def pieces() -> object:
            for _ in range(50):
                yield b" " * 1000

        streamed = await browser.post(
            "/api/v1/login",
            content=pieces(),  # type: ignore[arg-type] # an async generator of bytes
        )
        assert (streamed.status_code, code(streamed)) == (413, "request.too-large")


async def test_a_refusal_repeats_nothing_secret(
    browser: httpx.AsyncClient, capsys: pytest.CaptureFixture[str]
) -> None:
    secret = "hunter2hunter2"
    answer = await browser.post(
        "/api/v1/login", json={"name": ["x"], "password": secret, "extra": secret}
    )
    assert (answer.status_code, code(answer)) == (422, "request.invalid")
    assert secret not in answer.text
    await browser.post("/api/v1/login", json={"name": "admin", "password": secret})
    said = capsys.readouterr()
    assert secret not in said.out + said.err


async def test_the_database_holds_no_secret(running: Running, browser: httpx.AsyncClient) -> None:
    await login(browser)
    secret = browser.cookies[COOKIE]
    for file in running.home.root.glob("openami.sqlite*"):
        content = file.read_bytes()
        assert secret.encode() not in content
        assert PASSWORD.encode() not in content
        assert hashlib.sha256(PASSWORD.encode()).hexdigest().encode() not in content
