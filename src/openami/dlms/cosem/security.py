"""Security setup (Blue Book 4.4.7): keys, policy and invocation counters of an association."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, ClassVar, Final, Protocol

from openami.core.errors import SecurityError, StoreError
from openami.core.obis import Obis
from openami.crypto.keywrap import unwrap
from openami.dlms.cosem.access import FOR_MANAGEMENT, AccessTable
from openami.dlms.cosem.base import ActionError, Attribute, Context, CosemObject, Method
from openami.dlms.cosem.fields import number
from openami.dlms.data import Data, DataType, array, octets
from openami.dlms.results import ActionResult
from openami.dlms.security import (
    NOTHING,
    CounterAllocator,
    Keys,
    ReplayGuard,
    SecurityControl,
    required_control,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from openami.core.identifiers import SystemTitle

SECURITY_OBIS: Final = Obis.parse("0.0.43.0.0.255")
SUITE_0: Final = 0
KEY_SIZE: Final = 16
# There are four kinds of key.
MAX_TRANSFERS: Final = 4
# Counters reserved at once: a write to the memory for every thousandth answer wears out no flash,
# and 2**32 counters last for four million restarts.
RESERVE: Final = 1024


class InvocationCounters(Protocol):
    """Counters of one pair of keys, kept over restarts."""

    def take(self) -> int:
        """Return a counter of our own that was never returned before.

        Raises:
            SecurityError: none are left.
        """
        ...

    @property
    def last(self) -> int:
        """The highest counter accepted from the peer, -1 if none."""
        ...

    def accept(self, counter: int) -> None:
        """Keep the counter of an APDU whose tag was right.

        Raises:
            SecurityError: it was used before (``security.replay``).
        """

    def renew(self, key: bytes) -> None:
        """Count the peer's counters with ``key`` from now on: from the start with a new one.

        Whoever keeps what was accepted with earlier keys goes on above it, if it is one of those.
        """


class KeptCounters:
    """Counters that are kept by a function of the caller.

    Args:
        start: the first counter of our own; after a restart the limit that was kept.
        last: the highest counter accepted, as it was kept; -1 if none.
        keep: keeps the limit of our own counters and the peer's last, before they take effect.
        reserve: how many of our own are reserved at once.
    """

    def __init__(
        self,
        start: int = 0,
        last: int = -1,
        keep: Callable[[int, int], None] | None = None,
        *,
        reserve: int = RESERVE,
    ) -> None:
        self._own = CounterAllocator(start)
        self._guard = ReplayGuard(last)
        self._keep = keep or (lambda _limit, _last: None)
        self._reserve = reserve

    @property
    def next(self) -> int:
        """What ``take`` will return."""
        return self._own.next

    @property
    def last(self) -> int:
        return self._guard.last

    def take(self) -> int:
        before = self._own.reserved
        if self._own.next >= before:
            try:
                self._keep(self._own.reserve(self._reserve), self._guard.last)
            except StoreError:
                self._own.reserved = before  # else the next call would give out what is not kept
                raise
        return self._own.take()

    def accept(self, counter: int) -> None:
        before = self._guard.last
        self._guard.accept(counter)
        try:
            self._keep(self._own.reserved, counter)
        except StoreError:
            self._guard.last = before
            raise

    def renew(self, key: bytes) -> None:  # noqa: ARG002 - for an association's life: it has one key
        self._guard = ReplayGuard()
        self._keep(self._own.reserved, -1)


@dataclass(frozen=True, slots=True)
class SecurityState:
    """What of a security setup changes, and is kept over restarts."""

    policy: int
    keys: Keys = field(repr=False)
    master: bytes | None = field(default=None, repr=False)


_KEY_FIELDS: Final[Mapping[int, str]] = {0: "guek", 1: "gbek", 2: "gak"}
_MASTER: Final = 3
# Bits of the policy of version 1 (Blue Book 4.4.7, security_policy).
_REQUEST_BITS: Final = (0x04, 0x08)
_RESPONSE_BITS: Final = (0x20, 0x40)
_UNUSED_BITS: Final = 0x93  # reserved bits, and digital signatures, which suite 0 has not


def policy_controls(policy: int, version: int) -> tuple[SecurityControl, SecurityControl]:
    """Return how requests and responses must be protected.

    Raises:
        SecurityError: there is no such policy, or not in suite 0 (``security.policy``).
    """
    if version == 0:
        return (required_control(policy),) * 2
    if policy & ~0xFF or policy & _UNUSED_BITS:
        raise SecurityError(f"no security policy {policy}", code="security.policy")
    request, response = (
        SecurityControl.of(authenticated=bool(policy & a), encrypted=bool(policy & e))
        for a, e in (_REQUEST_BITS, _RESPONSE_BITS)
    )
    return request, response


class SecuritySetup(CosemObject):
    """Class 64, versions 0 and 1, suite 0.

    Args:
        obis: the logical name.
        keys: the global keys.
        title: the server's system title.
        master: the key that wraps transferred keys; without it none are taken.
        client_title: the client's system title, if known before it associates.
        policy: security_policy: 0 to 3 in version 0, bits in version 1.
        version: 0 or 1.
        counters: the invocation counters; in memory if not given.
        keep: keeps a new state before it takes effect; may raise ``StoreError``.
        access: what each kind of client may do with it.
    """

    CLASS_ID = 64

    def __init__(
        self,
        obis: Obis | str = SECURITY_OBIS,
        *,
        keys: Keys,
        title: SystemTitle,
        master: bytes | None = None,
        client_title: SystemTitle | None = None,
        policy: int = 0,
        version: int = 0,
        counters: InvocationCounters | None = None,
        keep: Callable[[SecurityState], None] | None = None,
        access: AccessTable = FOR_MANAGEMENT,
    ) -> None:
        super().__init__(obis, access=access)
        self.state = SecurityState(policy, keys, master)
        self.title = title
        self.client_title = client_title
        self.counters: InvocationCounters = KeptCounters() if counters is None else counters
        self._version = version
        self._keep = keep or (lambda _: None)
        policy_controls(policy, version)

    @property
    def version(self) -> int:
        return self._version

    @property
    def policy(self) -> int:
        """Attribute 2."""
        return self.state.policy

    @property
    def keys(self) -> Keys:
        """The global keys as they stand."""
        return self.state.keys

    @property
    def request_control(self) -> SecurityControl:
        """How requests must be protected."""
        return policy_controls(self.policy, self.version)[0]

    @property
    def response_control(self) -> SecurityControl:
        """How responses must be protected."""
        return policy_controls(self.policy, self.version)[1]

    @property
    def demands(self) -> bool:
        """Whether anything must be protected at all."""
        return {self.request_control, self.response_control} != {NOTHING}

    def _change(self, state: SecurityState) -> None:
        try:
            self._keep(state)
        except StoreError as error:
            raise ActionError(ActionResult.TEMPORARY_FAILURE, error.message) from error
        self.state = state

    def activate(self, parameter: Data | None, _: Context) -> None:
        """Method 1, security_activate: a policy that is at least as strong as the present one."""
        value = 0 if parameter is None else parameter.integer()
        try:
            wanted = policy_controls(value, self.version)
        except SecurityError as error:
            raise ActionError(ActionResult.OTHER_REASON, error.message) from error
        present = policy_controls(self.policy, self.version)
        if not all(new.covers(old) for new, old in zip(wanted, present, strict=True)):
            raise ActionError(ActionResult.OTHER_REASON, "a policy is only strengthened")
        self._change(replace(self.state, policy=value))

    def transfer(self, parameter: Data | None, _: Context) -> None:
        """Method 2, key_transfer: new keys, each wrapped by the master key; all or none.

        An association that is open keeps its keys until the client uses the new ones.
        """
        if self.state.master is None:
            raise ActionError(ActionResult.READ_WRITE_DENIED, "there is no master key")
        items = () if parameter is None else parameter.items()
        if not 1 <= len(items) <= MAX_TRANSFERS:
            raise ActionError(ActionResult.OTHER_REASON, "one to four keys")
        state = self.state
        for item in items:
            number_of, wrapped = item.items(2)
            state = _with_key(state, number_of.integer(), self._unwrap(wrapped.octets()))
        renewed = state.keys.guek != self.keys.guek
        self._change(state)
        if renewed and state.keys.guek is not None:
            self.counters.renew(state.keys.guek)

    def _unwrap(self, wrapped: bytes) -> bytes:
        try:
            key = unwrap(self.state.master or b"", wrapped)
        except SecurityError as error:
            raise ActionError(ActionResult.OTHER_REASON, error.message) from error
        if len(key) != KEY_SIZE:
            raise ActionError(ActionResult.OTHER_REASON, "a key of suite 0 has 16 octets")
        return key

    def attributes(self) -> Mapping[int, Attribute]:
        found = super().attributes()
        return found if self.version == 0 else {**found, 6: _CERTIFICATES}

    ATTRIBUTES: ClassVar[Mapping[int, Attribute]] = {
        2: number("security_policy", DataType.ENUM, "policy", writable=False),
        3: Attribute("security_suite", lambda _, __: Data(DataType.ENUM, SUITE_0)),
        4: Attribute(
            "client_system_title",
            lambda o, _: octets(o.client_title.raw if o.client_title else b""),
        ),
        5: Attribute("server_system_title", lambda o, _: octets(o.title.raw)),
    }
    METHODS: ClassVar[Mapping[int, Method]] = {
        1: Method("security_activate", activate, (DataType.ENUM,)),
        2: Method("key_transfer", transfer, (DataType.ARRAY,)),
    }


_CERTIFICATES: Final = Attribute("certificates", lambda _, __: array())


def _with_key(state: SecurityState, number_of: int, key: bytes) -> SecurityState:
    if number_of == _MASTER:
        return replace(state, master=key)
    name = _KEY_FIELDS.get(number_of)
    if name is None:
        raise ActionError(ActionResult.OTHER_REASON, f"no key has the number {number_of}")
    return replace(state, keys=replace(state.keys, **{name: key}))
