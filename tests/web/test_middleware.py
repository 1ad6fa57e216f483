"""What holds for every request, whatever it asks for."""

import asyncio
from collections.abc import Iterable

import httpx
import pytest
from starlette.types import Message, Receive, Scope, Send
from structlog.testing import capture_logs

from openami.headend.metrics import Metrics
from openami.headend.server import Running
from openami.web.middleware import BoundedBody, Guarded

SCOPE: Scope = {
    "type": "http",
    "method": "POST",
    "path": "/",
    "headers": [(b"transfer-encoding", b"chunked")],
}


class Client:
    """Sends messages one by one, and keeps what comes back."""

    def __init__(self, messages: Iterable[Message]) -> None:
        self._messages = list(messages)
        self.got: list[Message] = []

    async def receive(self) -> Message:
        if not self._messages:
            await asyncio.Event().wait()
        return self._messages.pop(0)

    async def send(self, message: Message) -> None:
        self.got.append(message)

    @property
    def status(self) -> int:
        status: int = self.got[0]["status"]
        return status


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    del scope
    message = await receive()
    assert not message["more_body"]
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": message["body"]})


def piece(body: bytes, *, more: bool = True) -> Message:
    return {"type": "http.request", "body": body, "more_body": more}


async def test_a_body_comes_in_one_piece() -> None:
    client = Client([piece(b"one "), piece(b"two"), piece(b"", more=False)])
    await BoundedBody(echo, octets=7)(SCOPE, client.receive, client.send)
    assert client.got[1]["body"] == b"one two"


async def test_an_octet_too_many() -> None:
    client = Client([piece(b"one "), piece(b"two!"), piece(b"", more=False)])
    await BoundedBody(echo, octets=7)(SCOPE, client.receive, client.send)
    assert client.status == 413


async def test_a_body_that_never_ends_is_given_up() -> None:
    client = Client([piece(b"one ")])
    await BoundedBody(echo, octets=7, seconds=0.01)(SCOPE, client.receive, client.send)
    assert client.status == 408


async def test_who_hangs_up_is_not_answered() -> None:
    client = Client([piece(b"one "), {"type": "http.disconnect"}])
    await BoundedBody(echo, octets=7)(SCOPE, client.receive, client.send)
    assert client.got == []


async def test_half_an_answer_is_cut_off() -> None:
    async def half(scope: Scope, receive: Receive, send: Send) -> None:
        del scope, receive
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise RuntimeError("a bug")

    client = Client([])
    guarded = Guarded(half, metrics=Metrics(), listener="test")
    with pytest.raises(RuntimeError):
        await guarded(SCOPE, client.receive, client.send)
    assert len(client.got) == 1


async def test_odd_methods_make_no_figures_of_their_own() -> None:
    metrics = Metrics()
    client = Client([piece(b"", more=False)])
    guarded = Guarded(echo, metrics=metrics, listener="test")
    await guarded({**SCOPE, "method": "BREW"}, client.receive, client.send)
    assert 'method="other"' in metrics.exposition().decode()
    assert "BREW" not in metrics.exposition().decode()


async def test_a_bug_is_answered_and_told_to_nobody(
    running: Running, viewer: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def bug() -> object:
        raise RuntimeError("secret detail")

    monkeypatch.setattr(running.services.statistics, "overview", bug)
    with capture_logs() as logs:
        answer = await viewer.get("/api/v1/overview")
    assert answer.status_code == 500
    [entry] = [log for log in logs if log["event"] == "incident"]
    assert entry["incident"] in answer.json()["error"]["hint"]
    assert answer.json()["error"]["code"] == "error"
    assert "secret" not in answer.text
    assert "Content-Security-Policy" in answer.headers
    assert (await viewer.get("/api/v1/devices")).status_code == 200
