"""DTLS: TLS around datagrams (RFC 6347), which Python's own ``ssl`` does not have.

A server answers a stranger's hello with a cookie, and keeps nothing until it comes back: that
proves that the stranger hears what is sent to its address. Everything here is datagrams in,
datagrams out; only the timers within OpenSSL read the machine's clock.
"""

from __future__ import annotations

import hmac
import secrets
from contextlib import suppress
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, Final, Self, cast

from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from OpenSSL import SSL

from openami.core.errors import ConfigError, TransportError
from openami.crypto.compare import equal

if TYPE_CHECKING:
    from pathlib import Path

DTLS_1_2: Final = 0xFEFD
_CIPHERS: Final = b"ECDHE+AESGCM:ECDHE+CHACHA20"
"""With forward secrecy and authenticated encryption only (RFC 9325, 4.2)."""
_OPTIONS: Final = (
    SSL.OP_NO_QUERY_MTU | SSL.OP_NO_COMPRESSION | SSL.OP_NO_RENEGOTIATION | SSL.OP_NO_TICKET
)
COOKIE_S: Final = 60.0
"""How long a cookie is good: the time before it, too (RFC 6347, 4.2.1)."""
OVERHEAD: Final = 64
"""Octets of a datagram that a record needs for itself: 13 before, 24 for the ciphers in use."""
MAX_RECORD: Final = 13 + 2**14 + 2048
"""Octets of the longest record (RFC 6347, 4.1; RFC 5246, 6.2.3)."""
_HEAD: Final = 13
_HANDSHAKE: Final = 22
_CLIENT_HELLO: Final = 1
_MAX_UNSENT: Final = 64
"""Messages that wait for the end of a handshake."""


class _Cookies:
    """Cookies of one server, good for the address that they were sent to."""

    def __init__(self) -> None:
        self._secret = secrets.token_bytes(32)

    def generate(self, connection: SSL.Connection) -> bytes:
        address, now = connection.get_app_data()
        return self._made(address, int(now / COOKIE_S))

    def verify(self, connection: SSL.Connection, cookie: bytes) -> bool:
        address, now = connection.get_app_data()
        turn = int(now / COOKIE_S)
        return any(equal(cookie, self._made(address, each)) for each in (turn, turn - 1))

    def _made(self, address: object, turn: int) -> bytes:
        return hmac.digest(self._secret, repr((address, turn)).encode(), "sha256")


class DtlsContext:
    """One side's certificate, and whom it trusts; made by ``server`` and ``client``."""

    def __init__(self, context: SSL.Context, *, checks_name: bool) -> None:
        self.ssl = context
        self.checks_name = checks_name

    @classmethod
    def server(cls, certificate: Path, key: Path, *, client_authority: Path | None = None) -> Self:
        """Return a server's context.

        Args:
            certificate: its chain in PEM.
            key: its private key in PEM, not encrypted.
            client_authority: clients must show a certificate that these authorities signed.

        Raises:
            ConfigError: ``config.tls``: a file is missing or is not what it should be.
        """
        context = _context()
        context.set_options(cast("int", SSL.OP_COOKIE_EXCHANGE))  # it is there since DTLS is
        cookies = _Cookies()
        context.set_cookie_generate_callback(cookies.generate)
        context.set_cookie_verify_callback(cookies.verify)
        _load_identity(context, certificate, key)
        if client_authority is not None:
            _load_authority(context, client_authority)
            context.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT)
        return cls(context, checks_name=False)

    @classmethod
    def client(
        cls,
        authority: Path | None = None,
        *,
        certificate: Path | None = None,
        key: Path | None = None,
    ) -> Self:
        """Return a client's context; the server's name is always checked.

        Args:
            authority: who signs the servers' certificates; None: whom this machine trusts.
            certificate: the client's own chain in PEM.
            key: its private key in PEM, not encrypted.

        Raises:
            ConfigError: ``config.tls``: a file is missing or is not what it should be.
        """
        context = _context()
        context.set_verify(SSL.VERIFY_PEER)
        if authority is None:
            context.set_default_verify_paths()
        else:
            _load_authority(context, authority)
        if certificate is not None and key is not None:
            _load_identity(context, certificate, key)
        return cls(context, checks_name=True)


class DtlsSession:
    """One association with one peer.

    Args:
        connection: whose state was set.
        mtu: octets of the longest datagram.
        name: whose certificate is wanted, a name or an address; None: of whom the authority trusts.

    Attributes:
        established: the handshake is over.
        closed: nothing comes or goes any more.
        error: why it was closed; None: in good order.
    """

    def __init__(self, connection: SSL.Connection, *, mtu: int, name: str | None = None) -> None:
        self._connection = connection
        self._mtu = mtu
        self._name = name
        self._unsent: list[bytes] = []
        self.established = False
        self.closed = False
        self.error: TransportError | None = None
        connection.set_ciphertext_mtu(mtu)
        self._advance()

    @classmethod
    def to(cls, context: DtlsContext, name: str, *, mtu: int) -> Self:
        """Begin a client's handshake."""
        connection = SSL.Connection(context.ssl)
        connection.set_connect_state()
        with suppress(UnicodeError):
            if not _address(name):  # RFC 6066, 3: names only
                connection.set_tlsext_host_name(name.encode("idna"))
        return cls(connection, mtu=mtu, name=name if context.checks_name else None)

    def receive(self, datagram: bytes) -> list[bytes]:
        """Take a datagram; return the messages that were in it."""
        if self.closed or not datagram or len(datagram) > MAX_RECORD:
            return []
        self._connection.bio_write(datagram)
        if not self.established:
            self._advance()
        return self._read() if self.established else []

    def send(self, message: bytes) -> bool:
        """Send a message, after the handshake; False: it is lost."""
        if self.closed or len(self._unsent) >= _MAX_UNSENT:
            return False
        if not self.established:
            self._unsent.append(message)
            return True
        try:
            self._connection.send(message)
        except SSL.Error as error:
            self._end(error)
        return not self.closed

    def datagrams(self) -> list[bytes]:
        """Return what is to be sent, once."""
        try:
            out = self._connection.bio_read(MAX_RECORD * 4)
        except SSL.WantReadError:
            return []
        return _packed(out, self._mtu)

    def wait(self) -> float | None:
        """Return in how many seconds something is to be sent again."""
        return None if self.closed else self._connection.DTLSv1_get_timeout()

    def handle_timer(self) -> None:
        """Send the last flight of a handshake again, if it is time."""
        try:
            self._connection.DTLSv1_handle_timeout()
        except SSL.Error as error:  # it was sent too often
            self._end(error)

    def close(self) -> None:
        """Tell the peer; see ``datagrams``."""
        if not self.closed:
            self.closed = True
            with suppress(SSL.Error):
                self._connection.shutdown()

    def _advance(self) -> None:
        try:
            self._connection.do_handshake()
        except SSL.WantReadError:
            return
        except SSL.Error as error:
            self._end(error)
            return
        if self._name is not None and not _is_named(self._connection, self._name):
            self.close()
            self.error = _refused(f"the certificate is not one of {self._name}")
            return
        self.established = True
        waiting, self._unsent = self._unsent, []
        for message in waiting:
            self.send(message)

    def _read(self) -> list[bytes]:
        found: list[bytes] = []
        try:
            while True:
                found.append(self._connection.recv(MAX_RECORD))
        except SSL.WantReadError:
            pass
        except SSL.Error as error:
            self._end(None if isinstance(error, SSL.ZeroReturnError) else error)
        return found

    def _end(self, error: SSL.Error | None) -> None:
        self.closed = True
        if error is not None:
            self.error = _refused(_reason(error))


def is_hello(datagram: bytes) -> bool:
    """Tell whether a datagram is the first of a handshake (RFC 6347, 4.2.2)."""
    return (
        len(datagram) > _HEAD
        and datagram[0] == _HANDSHAKE
        and datagram[3:5] == b"\x00\x00"
        and datagram[_HEAD] == _CLIENT_HELLO
    )


def _context() -> SSL.Context:
    context = SSL.Context(SSL.DTLS_METHOD)
    context.set_min_proto_version(DTLS_1_2)
    context.set_cipher_list(_CIPHERS)
    context.set_options(_OPTIONS)
    return context


def _load_identity(context: SSL.Context, certificate: Path, key: Path) -> None:
    try:
        context.use_certificate_chain_file(str(certificate))
        context.use_privatekey(cast("Any", load_pem_private_key(key.read_bytes(), None)))
        context.check_privatekey()
    except (SSL.Error, OSError, ValueError, TypeError) as error:
        raise ConfigError(
            f"{certificate} and {key} are no certificate and key in PEM: {_reason(error)}",
            hint="the key must belong to the certificate and must not be encrypted",
            code="config.tls",
        ) from error


def _load_authority(context: SSL.Context, authority: Path) -> None:
    try:
        context.load_verify_locations(str(authority))
    except (SSL.Error, OSError) as error:
        raise ConfigError(
            f"{authority} holds no certificates in PEM: {_reason(error)}", code="config.tls"
        ) from error


def _packed(records: bytes, mtu: int) -> list[bytes]:
    """Return records as datagrams, as many in each as fit."""
    found: list[bytes] = []
    at = 0
    while at < len(records):
        end = at + _HEAD + int.from_bytes(records[at + 11 : at + _HEAD])
        if found and len(found[-1]) + end - at <= mtu:
            found[-1] += records[at:end]
        else:
            found.append(records[at:end])
        at = end
    return found


def _is_named(connection: SSL.Connection, name: str) -> bool:
    """Tell whether the peer's certificate is one of a name or an address (RFC 9525, 6)."""
    certificate = connection.get_peer_certificate(as_cryptography=True)
    if certificate is None:
        return False
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, x509.DuplicateExtension, ValueError):
        return False
    address = _address(name)
    if address is not None:
        return address in names.get_values_for_type(x509.IPAddress)
    wanted = name.lower()
    wild = "*." + wanted.partition(".")[2]
    return any(each.lower() in {wanted, wild} for each in names.get_values_for_type(x509.DNSName))


def _address(name: str) -> object | None:
    try:
        return ip_address(name)
    except ValueError:
        return None


def _refused(reason: str) -> TransportError:
    return TransportError(
        f"DTLS: {reason}",
        hint="check both sides' certificates, their dates and the authority",
        code="transport.tls",
    )


def _reason(error: Exception) -> str:
    """Return what OpenSSL says: ``[(library, function, reason), …]``."""
    said = error.args[0] if error.args else ""
    if isinstance(said, list) and said:
        return str(said[-1][-1])
    return str(getattr(error, "strerror", None) or said or type(error).__name__)
