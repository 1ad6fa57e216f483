"""DTLS without sockets: cookies, handshakes that lose datagrams, and what strangers send."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.transport.certificates import Authority, Pem

from openami.core.errors import ConfigError, TransportError
from openami.transport.dtls import COOKIE_S, MAX_RECORD, DtlsContext, DtlsSession, is_hello
from openami.transport.dtls_channel import open_dtls
from openami.transport.dtls_hub import MAX_HELLO, PATIENCE_S, DtlsHub
from openami.transport.udp import listen_udp

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from openami.transport.channel import Channel

HERE = ("127.0.0.1", 40000)
MTU = 1200


@dataclass(frozen=True)
class Limits:
    connections: int = 4
    of_address: int = 3
    handshakes: int = 3
    handshake_s: float = 10.0
    idle_s: float = 300.0


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("pki"))


@pytest.fixture(scope="module")
def server_pem(authority: Authority) -> Pem:
    return authority.issue("server")


class Town:
    """A hub and clients, with a network that may lose between them."""

    def __init__(self, authority: Authority, pem: Pem, **limits: Any) -> None:
        self.server = DtlsContext.server(pem.certificate, pem.key)
        self.client = DtlsContext.client(authority.certificate)
        self.hub = DtlsHub(self.server, self.client, Limits(**limits), mtu=MTU)
        self.now = 1000.0
        self.heard: list[bytes] = []

    def call(self, name: str = "127.0.0.1") -> DtlsSession:
        return DtlsSession.to(self.client, name, mtu=MTU)

    def to_hub(self, session: DtlsSession, address: tuple[str, int] = HERE) -> int:
        """Bring over what a client sends; return how many datagrams that was."""
        out = session.datagrams()
        for datagram in out:
            self.heard += self.hub.receive(datagram, address, now=self.now)
        return len(out)

    def back(self, session: DtlsSession, address: tuple[str, int] = HERE) -> list[bytes]:
        """Bring a client what the hub sends it."""
        found: list[bytes] = []
        for datagram, where in self.hub.datagrams():
            if where == address:
                found += session.receive(datagram)
        return found

    def shake(self, session: DtlsSession, address: tuple[str, int] = HERE) -> None:
        while self.to_hub(session, address):
            self.back(session, address)


@pytest.fixture
def town(authority: Authority, server_pem: Pem) -> Town:
    return Town(authority, server_pem)


def test_messages_both_ways(town: Town) -> None:
    session = town.call()
    session.send(b"early")  # waits for the end of the handshake
    town.shake(session)
    assert session.established
    session.send(b"one")
    session.send(b"two")
    town.to_hub(session)
    assert town.heard == [b"early", b"one", b"two"]
    assert town.hub.send(b"answer", HERE, now=town.now)
    assert town.back(session) == [b"answer"]
    session.close()
    town.to_hub(session)
    assert len(town.hub) == 0
    assert not session.send(b"late")


def test_nothing_is_kept_of_a_stranger_before_its_cookie_comes_back(town: Town) -> None:
    for number in range(50):
        stranger = town.call()
        town.to_hub(stranger, ("127.0.0.1", 1000 + number))
    assert (town.hub.greeting, len(town.hub)) == (0, 0)
    answers = town.hub.datagrams()
    assert len(answers) == 50
    assert all(len(datagram) < 100 for datagram, _ in answers)  # smaller than what was sent


def test_a_hello_of_any_length_leaves_nothing_for_the_next_stranger(town: Town) -> None:
    head = town.call().datagrams()[0][:13]
    for size in (MAX_HELLO, 2**14, 2**14 + 13, MAX_RECORD, MAX_RECORD + 1):
        datagram = (head + b"\x01").ljust(size, b"\0")
        for number in range(3):
            assert town.hub.receive(datagram, ("127.0.0.1", 100 + number), now=town.now) == []
        town.hub.datagrams()
        session = town.call()
        town.shake(session)
        assert session.established, size
    assert len(town.hub) == 1


def test_a_cookie_is_of_one_address_and_of_its_time(town: Town) -> None:
    session = town.call()
    town.to_hub(session)
    town.back(session)
    (second,) = session.datagrams()
    town.hub.receive(second, ("127.0.0.1", 40001), now=town.now)
    town.hub.receive(second, HERE, now=town.now + 2 * COOKIE_S)
    assert town.hub.greeting == 0
    town.hub.receive(second, HERE, now=town.now + COOKIE_S)
    assert town.hub.greeting == 1


def test_handshakes_are_bounded_and_end(town: Town) -> None:
    for number in range(5):
        address = ("127.0.0.1", 2000 + number)
        session = town.call()
        town.to_hub(session, address)
        town.back(session, address)
        town.to_hub(session, address)
    assert town.hub.greeting == 3
    due = town.hub.next_timer(now=town.now)
    assert due is not None
    town.hub.handle_timer(now=town.now + 10)
    assert (town.hub.greeting, len(town.hub)) == (0, 0)


def test_a_host_that_begins_many_handshakes_keeps_no_other_out(town: Town) -> None:
    ours = town.call()
    town.to_hub(ours)
    town.back(ours)
    town.to_hub(ours)
    flight = town.hub.datagrams()
    for number in range(9):
        address = ("127.0.0.2", 2000 + number)
        session = town.call()
        town.to_hub(session, address)
        town.back(session, address)
        town.to_hub(session, address)
    assert town.hub.greeting == 3
    for datagram, _ in flight:
        ours.receive(datagram)
    town.shake(ours)
    ours.send(b"in")
    town.to_hub(ours)
    assert town.heard == [b"in"]


def test_associations_are_bounded_and_silent_ones_end(town: Town) -> None:
    sessions = [town.call() for _ in range(4)]
    for number, session in enumerate(sessions):
        town.shake(session, ("127.0.0.1", 3000 + number))
    assert len(town.hub) == 3  # of one address
    town.now += 299
    sessions[0].send(b"still there")
    town.to_hub(sessions[0], ("127.0.0.1", 3000))
    town.hub.handle_timer(now=town.now + 2)
    assert len(town.hub) == 1
    town.back(sessions[1], ("127.0.0.1", 3001))
    town.hub.close()
    assert len(town.hub) == 0


def test_one_that_begins_anew_ends_its_old_association_only_then(town: Town) -> None:
    old, new = town.call(), town.call()
    town.shake(old)
    town.to_hub(new)  # whoever sends a hello in its name
    town.hub.datagrams()
    old.send(b"still")
    town.to_hub(old)
    assert town.heard == [b"still"]
    again = town.call()
    town.shake(again)
    assert (len(town.hub), again.established) == (1, True)
    again.send(b"anew")
    town.to_hub(again)
    assert town.heard[-1] == b"anew"


def test_a_hub_calls_another(authority: Authority, server_pem: Pem) -> None:
    ours, theirs = Town(authority, server_pem), Town(authority, server_pem)
    far, near = ("127.0.0.1", 1), ("127.0.0.1", 2)
    assert ours.hub.send(b"hello", far, now=0.0)
    assert ours.hub.send(b"again", far, now=0.0)
    heard: list[bytes] = []
    for _ in range(8):
        for datagram, _to in ours.hub.datagrams():
            heard += theirs.hub.receive(datagram, near, now=0.0)
        for datagram, _to in theirs.hub.datagrams():
            ours.hub.receive(datagram, far, now=0.0)
    assert heard == [b"hello", b"again"]
    silent = DtlsHub(None, None, Limits(), mtu=MTU)
    assert not silent.send(b"hello", far, now=0.0)
    assert silent.next_timer(now=0.0) is None
    session = ours.call()
    ours_out = session.datagrams()
    assert silent.receive(ours_out[0], near, now=0.0) == []
    assert silent.datagrams() == []


def test_one_that_lost_its_power_is_called_anew(authority: Authority, server_pem: Pem) -> None:
    ours, theirs = Town(authority, server_pem), Town(authority, server_pem)
    far, near = ("127.0.0.1", 1), ("127.0.0.1", 2)

    def carry(now: float) -> list[bytes]:
        heard: list[bytes] = []
        for _ in range(8):
            for datagram, _to in ours.hub.datagrams():
                heard += theirs.hub.receive(datagram, near, now=now)
            for datagram, _to in theirs.hub.datagrams():
                ours.hub.receive(datagram, far, now=now)
        return heard

    ours.hub.send(b"1", far, now=0.0)
    assert carry(0.0) == [b"1"]
    theirs.hub.send(b"answer", near, now=100.0)
    assert carry(100.0) == []
    theirs = Town(authority, server_pem)  # the power was cut: it knows nobody
    ours.hub.send(b"2", far, now=200.0)
    assert carry(200.0) == []
    ours.hub.receive(b"forged", far, now=200.0)
    ours.hub.send(b"3", far, now=200.0 + PATIENCE_S - 1)
    assert carry(229.0) == []
    ours.hub.send(b"4", far, now=200.0 + PATIENCE_S)
    assert carry(230.0) == [b"4"]


def test_what_others_send_in_its_name_keeps_no_association(town: Town) -> None:
    session = town.call()
    town.shake(session)
    end = town.now + Limits.idle_s
    forged = bytes.fromhex("17fefd0001000000000009") + (40).to_bytes(2) + bytes(40)
    assert town.hub.receive(forged, HERE, now=end - 1) == []
    town.hub.handle_timer(now=end)
    assert len(town.hub) == 0


def test_a_handshake_that_loses_a_flight_is_sent_again(town: Town) -> None:
    session = town.call()
    town.to_hub(session)
    town.back(session)
    session.datagrams()  # the hello with its cookie is lost
    wait = session.wait()
    assert wait is not None
    time.sleep(max(wait, 0) + 0.01)  # OpenSSL looks at the machine's clock
    session.handle_timer()
    town.shake(session)
    assert session.established
    assert session.wait() is None


def test_a_name_that_is_not_the_server_s(town: Town) -> None:
    session = town.call("localhost")
    town.shake(session)
    assert session.closed
    assert session.error is not None
    assert (session.error.code, "localhost" in session.error.message) == ("transport.tls", True)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.binary(max_size=80), max_size=8), st.integers(0, 2**32))
def test_what_strangers_send_changes_nothing(town: Town, noise: list[bytes], seed: int) -> None:
    chance = random.Random(seed)
    session = town.call()
    hello = session.datagrams()[0]
    damaged = bytearray(hello)
    damaged[chance.randrange(len(damaged))] ^= 1 << chance.randrange(8)
    for datagram in (*noise, bytes(damaged), hello[:13] + b"\x01" + noise[0] if noise else b""):
        town.hub.receive(datagram, HERE, now=town.now)
    town.hub.datagrams()
    assert len(town.hub) == 0
    fresh = town.call()
    town.shake(fresh)
    assert fresh.established
    alert = bytes.fromhex("15fefd00000000000000090002") + b"\x02\x28"  # fatal, in clear
    for datagram in (*noise, alert):
        assert town.hub.receive(datagram, HERE, now=town.now) == []
    fresh.send(b"still")
    town.to_hub(fresh)
    assert town.heard[-1] == b"still"
    fresh.close()
    town.to_hub(fresh)


def test_hellos() -> None:
    assert not is_hello(b"")
    assert is_hello(b"\x16\xfe\xfd" + bytes(10) + b"\x01")
    assert not is_hello(b"\x16\xfe\xfd\x00\x01" + bytes(8) + b"\x01")  # within an association


def test_files_that_are_none(tmp_path: Path, authority: Authority, server_pem: Pem) -> None:
    missing, other = tmp_path / "missing", authority.issue("other")
    cases: tuple[Callable[[], DtlsContext], ...] = (
        lambda: DtlsContext.server(missing, server_pem.key),
        lambda: DtlsContext.server(server_pem.certificate, missing),
        lambda: DtlsContext.server(server_pem.certificate, other.key),
        lambda: DtlsContext.client(missing),
    )
    for wrong in cases:
        with pytest.raises(ConfigError) as caught:
            wrong()
        assert caught.value.code == "config.tls"


async def test_nobody_answers() -> None:
    async def silent(channel: Channel) -> None:
        await channel.wait_closed()

    async with await listen_udp("127.0.0.1", 0, silent) as server:
        with pytest.raises(TransportError) as caught:
            await open_dtls("127.0.0.1", server.port, timeout_s=0.05)
        assert caught.value.code == "transport.timeout"
