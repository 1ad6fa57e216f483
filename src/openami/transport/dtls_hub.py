"""All DTLS associations of one UDP port: who knocks, who is in, and who is called."""

from __future__ import annotations

from collections import Counter, OrderedDict
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

from OpenSSL import SSL

from openami.transport.dtls import MAX_RECORD, DtlsSession, is_hello

if TYPE_CHECKING:
    from collections.abc import Hashable

    from openami.transport.dtls import DtlsContext

PATIENCE_S: Final = 30.0
"""How long one that was called may be silent when it is spoken to, until it is called anew: it may
have lost its power, and then it hears nothing of the old association."""
MAX_HELLO: Final = 4096
"""Octets of a stranger's first datagram, which has a few hundred: of one longer than a record has
plain text OpenSSL leaves the rest for the next stranger."""
Address = tuple[Any, ...]


class HubLimits(Protocol):
    """How many associations there may be; see ``EndpointConfig``."""

    @property
    def connections(self) -> int: ...
    @property
    def of_address(self) -> int: ...
    @property
    def handshakes(self) -> int: ...
    @property
    def handshake_s(self) -> float: ...
    @property
    def idle_s(self) -> float: ...


@dataclass(slots=True)
class _Greeting:
    """A handshake under way."""

    session: DtlsSession
    until: float


class DtlsHub:
    """Datagrams of all peers in, their messages out; ``now`` is a clock that never runs backwards.

    A peer that begins anew, as after a restart, is heard beside its old association, which ends
    when the new one is established: who sends in its name ends nothing.

    Args:
        server: answers who calls; None: nobody is answered.
        client: calls others; None: nobody is called.
        limits: of associations and handshakes.
        mtu: octets of the longest datagram.
    """

    def __init__(
        self,
        server: DtlsContext | None,
        client: DtlsContext | None,
        limits: HubLimits,
        *,
        mtu: int,
    ) -> None:
        self._client = client
        self._limits = limits
        self._mtu = mtu
        self._listener: SSL.Connection | None = None
        self._server = server
        self._greetings: OrderedDict[Address, _Greeting] = OrderedDict()
        self._sessions: OrderedDict[Address, tuple[DtlsSession, float]] = OrderedDict()
        self._hosts: Counter[Hashable] = Counter()
        self._spoken: dict[Address, float | None] = {}  # called: since when it owes an answer
        self._out: list[tuple[bytes, Address]] = []

    def __len__(self) -> int:
        return len(self._sessions)

    @property
    def greeting(self) -> int:
        """How many handshakes are under way."""
        return len(self._greetings)

    def receive(self, datagram: bytes, address: Address, *, now: float) -> list[bytes]:
        """Take a datagram; return the messages that were in it."""
        greeting = self._greetings.get(address)
        if greeting is not None:
            return self._greet(greeting.session, datagram, address, now)
        if is_hello(datagram):
            self._listen(datagram, address, now)
            return []
        session, _ = self._sessions.get(address, (None, 0.0))
        if session is None:
            return []
        found = session.receive(datagram)
        self._collect(session, address)
        if session.closed:
            self._leave(address)
        elif found:  # what others send in its name is not its own life
            self._touch(session, address, now)
        return found

    def send(self, message: bytes, address: Address, *, now: float) -> bool:
        """Send a message to who is in, or call and send it then; False: it is lost."""
        self._doubt(address, now)
        session, _ = self._sessions.get(address, (None, 0.0))
        if session is None:
            greeting = self._greetings.get(address)
            session = self._call(address, now) if greeting is None else greeting.session
        sent = session is not None and session.send(message)
        if session is not None:
            self._collect(session, address)
        return sent

    def _doubt(self, address: Address, now: float) -> None:
        """End an association with one that was called and has long owed an answer."""
        since = self._spoken.get(address, now)
        if since is None:
            self._spoken[address] = now
        elif since + PATIENCE_S <= now and address in self._sessions:
            self._end(self._sessions[address][0], address)

    def datagrams(self) -> list[tuple[bytes, Address]]:
        """Return what is to be sent, and where, once."""
        out, self._out = self._out, []
        return out

    def next_timer(self, *, now: float) -> float | None:
        """Return when ``handle_timer`` has something to do."""
        times = [now + wait for each in self._greetings.values()
                 if (wait := each.session.wait()) is not None]  # fmt: skip
        times += [each.until for each in self._greetings.values()]
        if self._sessions:
            times.append(next(iter(self._sessions.values()))[1] + self._limits.idle_s)
        return min(times, default=None)

    def handle_timer(self, *, now: float) -> None:
        """Send again what a handshake lacks, and end what takes too long or is silent."""
        for address, greeting in tuple(self._greetings.items()):
            greeting.session.handle_timer()
            self._collect(greeting.session, address)
            if greeting.until <= now or greeting.session.closed:
                self._give_up(address)
        while self._sessions:
            address, (session, heard) = next(iter(self._sessions.items()))
            if heard + self._limits.idle_s > now:
                break
            self._end(session, address)

    def close(self) -> None:
        """End all associations; the peers are told."""
        for address, (session, _) in tuple(self._sessions.items()):
            self._end(session, address)
        self._greetings.clear()

    # -- handshakes --

    def _listen(self, datagram: bytes, address: Address, now: float) -> None:
        """Answer a stranger's hello with a cookie, or take its handshake if it brings one."""
        if self._server is None or len(datagram) > MAX_HELLO:
            return
        if self._listener is None:
            self._listener = SSL.Connection(self._server.ssl)
            self._listener.set_accept_state()
            self._listener.set_ciphertext_mtu(self._mtu)
        listener = self._listener
        listener.set_app_data((address, now))
        listener.bio_write(datagram)
        try:
            listener.DTLSv1_listen()
        except SSL.WantReadError:
            with suppress(SSL.WantReadError):
                self._out.append((listener.bio_read(MAX_RECORD), address))
            return
        except SSL.Error:
            self._listener = None
            return
        self._listener = None
        if self._has_room(address):
            self._greet(self._begin(DtlsSession(listener, mtu=self._mtu), address, now),
                        b"", address, now)  # fmt: skip

    def _call(self, address: Address, now: float) -> DtlsSession | None:
        if self._client is None or not self._has_room(address):
            return None
        self._spoken[address] = now
        return self._begin(DtlsSession.to(self._client, address[0], mtu=self._mtu), address, now)

    def _begin(self, session: DtlsSession, address: Address, now: float) -> DtlsSession:
        if len(self._greetings) >= self._limits.handshakes:
            # Who stays silent keeps nobody out, nor does a host that begins many.
            ((most, _),) = Counter(host for host, *_ in self._greetings).most_common(1)
            self._give_up(next(each for each in self._greetings if each[0] == most))
        self._greetings[address] = _Greeting(session, now + self._limits.handshake_s)
        return session

    def _greet(
        self, session: DtlsSession, datagram: bytes, address: Address, now: float
    ) -> list[bytes]:
        found = session.receive(datagram)
        self._collect(session, address)
        if session.closed:
            self._give_up(address)
        elif session.established:
            del self._greetings[address]
            self._enter(session, address, now)
        return found

    def _give_up(self, address: Address) -> None:
        del self._greetings[address]
        if address not in self._sessions:
            self._spoken.pop(address, None)

    def _has_room(self, address: Address) -> bool:
        if address in self._sessions:  # it begins anew
            return True
        limits = self._limits
        return len(self) < limits.connections and self._hosts[address[0]] < limits.of_address

    def _enter(self, session: DtlsSession, address: Address, now: float) -> None:
        if address in self._sessions:
            self._leave(address)
        self._sessions[address] = session, now
        self._hosts[address[0]] += 1

    def _leave(self, address: Address) -> None:
        del self._sessions[address]
        self._spoken.pop(address, None)
        self._hosts[address[0]] -= 1
        if not self._hosts[address[0]]:
            del self._hosts[address[0]]

    def _end(self, session: DtlsSession, address: Address) -> None:
        session.close()
        self._collect(session, address)
        self._leave(address)

    def _touch(self, session: DtlsSession, address: Address, now: float) -> None:
        self._sessions[address] = session, now
        self._sessions.move_to_end(address)
        if address in self._spoken:
            self._spoken[address] = None

    def _collect(self, session: DtlsSession, address: Address) -> None:
        self._out += [(datagram, address) for datagram in session.datagrams()]
