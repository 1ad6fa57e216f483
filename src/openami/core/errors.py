"""The error tree.

OpenAmiError                 everything that openami raises on purpose
├─ ConfigError               a setting, an option or a file of ours is wrong
├─ ProtocolError
│  ├─ LocalProtocolError     our caller broke the state machine: a bug here
│  └─ RemoteProtocolError    the peer broke the standard: count it, hang up
│     └─ DecodeError         octets that are not what they should be, with the offset
├─ SecurityError             a signature, a tag, a counter or a credential was refused
├─ TransportError            a line, a socket or a server could not be used
│  └─ TransportTimeoutError  nothing came in time
└─ StoreError                a store could not do its work
   ├─ NotFoundError          what was asked for is not there
   ├─ ConflictError          it is there already, and different
   └─ StoreFullError         no room left: nothing of the call was kept

Every error has a ``code`` that stays the same between releases, apart from its message, and may
carry a ``hint`` that says what to do next. Neither ever holds a key or a password.
"""

from __future__ import annotations


class OpenAmiError(Exception):
    """Root of the tree.

    Args:
        message: what went wrong, for a person.
        hint: what to do about it, for a person.
        code: a more exact code than the class's own.
    """

    code: str = "error"
    exit_status: int = 1

    def __init__(self, message: str, *, hint: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        if code is not None:
            self.code = code


class ConfigError(OpenAmiError):
    """A setting, an option or a file of ours is wrong."""

    code = "config"
    exit_status = 2


class ProtocolError(OpenAmiError):
    """A protocol was broken, by us or by the peer."""

    code = "protocol"
    exit_status = 3


class LocalProtocolError(ProtocolError):
    """Our caller broke the state machine: a bug on this side."""

    code = "protocol.local"


class RemoteProtocolError(ProtocolError):
    """The peer broke the standard."""

    code = "protocol.remote"


class DecodeError(RemoteProtocolError):
    """Octets that are not what they should be.

    Args:
        message: what was expected.
        offset: where, in octets from the start of what was being decoded; None: the whole of it
            is not, and ``offset`` is 0.
    """

    code = "protocol.decode"

    def __init__(
        self,
        message: str,
        *,
        offset: int | None = None,
        hint: str | None = None,
        code: str | None = None,
    ) -> None:
        where = "" if offset is None else f" (at octet {offset})"
        super().__init__(message + where, hint=hint, code=code)
        self.reason = message
        self.offset = offset or 0


class SecurityError(OpenAmiError):
    """A signature, a tag, a counter or a credential was refused."""

    code = "security"
    exit_status = 4


class TransportError(OpenAmiError):
    """A line, a socket or a server could not be used."""

    code = "transport"
    exit_status = 5


class TransportTimeoutError(TransportError):
    """Nothing came in time."""

    code = "transport.timeout"


class StoreError(OpenAmiError):
    """A store could not do its work."""

    code = "store"
    exit_status = 6


class NotFoundError(StoreError):
    """What was asked for is not there."""

    code = "store.not-found"


class ConflictError(StoreError):
    """It is there already, and different."""

    code = "store.conflict"


class StoreFullError(StoreError):
    """No room left: nothing of the call was kept."""

    code = "store.full"
