"""Tests of C12.22 nodes from the console: whom they may reach, and what they have found.

An operator chooses a node, never an address: those of meters that have registered, and those that
the settings allow. Otherwise whoever has an account could have the head-end knock at any door of
its network.
"""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

import structlog

from openami.c1222.codes import SecurityMode
from openami.c1222.conformance import Report, Run, Target, chosen
from openami.c1222.native import NativeAddress
from openami.c1222.security import NO_KEYS, Keys
from openami.c1222.stream import PORT
from openami.c1222.titles import ApTitle
from openami.core.errors import DecodeError, NotFoundError, OpenAmiError
from openami.core.recent import Recent
from openami.fleet.devices import AuditEntry, DeviceKind, device_id
from openami.headend.credentials import KIND
from openami.headend.errors import BusyError, RequestError
from openami.headend.settings import address
from openami.transport.c1222.testing import UDP_RETRIES, Line, largest_datagram

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from openami.core.clock import Clock
    from openami.fleet.nodes import MeterNode, NodeStore
    from openami.fleet.ports import AuditLog, Vault

log = structlog.get_logger(__name__)

TITLE: Final = ApTitle.parse(".123.9")
"""What the tester is called: its session is not the head-end's own."""
KEPT: Final = 8
"""Reports in memory, of some megabytes each: who wants to keep one downloads it."""
AT_ONCE: Final = 4
RETRY_S: Final = 10.0
TIMEOUT_S: Final = 5.0
LISTED: Final = 500
"""Registered nodes in the list to choose from; others are named by their serial number."""
_ANY_PORT: Final = ":*"
_PREFIX: Final = "c1222."
_PASSWORD: Final = "c1222.password"  # noqa: S105 - the name under which the vault has it


@dataclass(frozen=True, slots=True)
class Asked:
    """What an operator wants tested.

    Attributes:
        where: the serial number of a meter that has registered, or HOST:PORT of the settings.
        title: the ApTitle of the node at HOST:PORT.
        services: rows or cases; none: all.
        udp: over datagrams.
        mode: how messages are protected; None: as well as there are keys for.
        intrusive: also what writes or disturbs.
    """

    where: str
    title: str = ""
    services: tuple[str, ...] = ()
    udp: bool = False
    mode: int | None = None
    intrusive: bool = False


@dataclass(slots=True)
class NodeTest:
    """A test that is under way, or over.

    Attributes:
        id: what it is asked for by.
        asked: what was wanted.
        who: who wanted it.
        run: what it has seen.
        address: where the node is.
        began: seconds of UTC, by the machine.
        report: what was found; None: it is under way, or has failed.
        error: why it failed.
    """

    id: str
    asked: Asked
    who: str
    run: Run = field(repr=False)
    address: str
    began: float
    report: Report | None = None
    error: OpenAmiError | None = None

    @property
    def open(self) -> bool:
        """Whether it is under way."""
        return self.report is None and self.error is None


@dataclass(frozen=True, slots=True)
class _Found:
    host: str
    port: int
    target: Target


class NodeTests:
    """Runs tests, a few at a time, and keeps the last reports.

    Args:
        nodes: meters that are nodes.
        vault: their keys.
        audit: is told of each test.
        allowed: HOST:PORT of nodes beside those that have registered; with ``*`` for the port, a
            host on which registered nodes may be, though meters are not there as a rule.
        wall: the time of the machine, which messages go by.
    """

    def __init__(
        self,
        nodes: NodeStore,
        vault: Vault,
        audit: AuditLog,
        *,
        allowed: Sequence[str],
        wall: Clock,
    ) -> None:
        self.allowed = tuple(each for each in allowed if not each.endswith(_ANY_PORT))
        self._hosts = {each.removesuffix(_ANY_PORT).strip("[]") for each in allowed} - {*allowed}
        self._nodes = nodes
        self._vault = vault
        self._audit = audit
        self._wall = wall
        self._tests: Recent[str, NodeTest] = Recent(KEPT)
        self._tasks: set[asyncio.Task[None]] = set()

    def registered(self) -> list[MeterNode]:
        """Return nodes that have registered and can be reached. Blocks."""
        page = self._nodes.list(limit=LISTED)
        return [node for node in page.items if _native(node) is not None]

    def latest(self) -> list[NodeTest]:
        """Return the tests that are kept, the newest first."""
        return list(reversed(self._tests.values()))

    def get(self, name: str) -> NodeTest:
        """Return a test.

        Raises:
            NotFoundError: it is not kept any more, or never was.
        """
        found = self._tests.get(name)
        if found is None:
            raise NotFoundError("no such test is kept")
        return found

    async def begin(self, asked: Asked, *, who: str) -> NodeTest:
        """Begin a test.

        Raises:
            RequestError: ``request.test-where``, nobody may be reached there;
                ``request.test-what``, there is no such test, or no key for it.
            BusyError: too many tests are under way, or one of that node.
        """
        found = await asyncio.to_thread(self._found, asked)
        under_way = [each for each in self._tests.values() if each.open]
        same = any(each.asked.where == asked.where for each in under_way)
        if same or len(under_way) >= AT_ONCE:
            raise BusyError(
                "this node is being tested" if same else "other nodes are being tested",
                retry_after=RETRY_S,
                code="busy.node-test",
            )
        try:
            cases = chosen(asked.services)
        except OpenAmiError as error:
            raise RequestError(error.message, code="request.test-what") from error
        run = Run(found.target, cases, first_id=secrets.randbits(31), intrusive=asked.intrusive)
        where = f"{found.host}:{found.port}"
        test = NodeTest(secrets.token_urlsafe(12), asked, who, run, where, self._wall.now())
        self._tests[test.id] = test
        await asyncio.to_thread(self._audit.add, _entry(test, self._wall.now()))
        task = asyncio.create_task(self._work(test, found))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return test

    async def stop(self) -> None:
        """End all tests."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _work(self, test: NodeTest, found: _Found) -> None:
        line = Line(found.host, found.port, datagrams=test.asked.udp)
        try:
            await line.drive(test.run, clock=self._wall)
        except OpenAmiError as error:
            test.error = error
            return
        except Exception as error:
            test.error = OpenAmiError("the test itself has failed", code="c1222.test-failed")
            log.exception("a test of a node has failed", code=test.error.code, exc_info=error)
            return
        test.report = test.run.report(test.address, now=self._wall.now())

    def _found(self, asked: Asked) -> _Found:
        if asked.where in self.allowed:
            return self._allowed(asked)
        node = self._nodes.find(asked.where)
        native = None if node is None else _native(node)
        if node is None or native is None:
            raise RequestError(
                "no registered node and no address that the settings allow",
                hint="c1222_test_allowed",
                code="request.test-where",
            )
        place = str(replace(native, transport=None))
        known = place in self.allowed or str(native.host) in self._hosts
        if not (known or _is_public_enough(native)):
            raise RequestError(
                f"the node says that it is at {native}, where no meter can be",
                hint=f"if it is, c1222_test_allowed names {place}",
                code="request.test-where",
            )
        return self._of_node(asked, node, native)

    def _allowed(self, asked: Asked) -> _Found:
        host, port = address(asked.where)
        try:
            title = ApTitle.parse(asked.title)
        except ValueError as error:
            raise RequestError(str(error), code="request.test-what") from error
        return _Found(host, port, _target(title, asked, host))

    def _of_node(self, asked: Asked, node: MeterNode, native: NativeAddress) -> _Found:
        host, title = str(native.host), ApTitle.parse(node.title).shortest()
        target = _target(title, asked, host, node, self._vault.find(KIND, node.meter))
        return _Found(host, native.port or PORT, target)


def _target(
    title: ApTitle,
    asked: Asked,
    host: str,
    node: MeterNode | None = None,
    secrets_of: Mapping[str, bytes] | None = None,
) -> Target:
    kept = secrets_of or {}
    keys = {
        int(name.removeprefix(_PREFIX)): key
        for name, key in kept.items()
        if name.removeprefix(_PREFIX).isdecimal()
    }
    key_id = node.key_id if node is not None and node.key_id in keys else None
    mode = (2 if key_id is not None else 0) if asked.mode is None else asked.mode
    if mode and key_id is None:
        raise RequestError("without a key there is mode 0 only", code="request.test-what")
    user = {} if node is None or node.user is None else {"user": node.user}
    return Target(
        title,
        TITLE,
        keys=Keys(keys) if keys else NO_KEYS,
        key_id=key_id,
        mode=SecurityMode(mode),
        password=kept.get(_PASSWORD),
        timeout=TIMEOUT_S,
        retries=UDP_RETRIES if asked.udp else 0,
        largest=largest_datagram(host) if asked.udp else None,
        stream=not asked.udp,
        **user,
    )


def _native(node: MeterNode) -> NativeAddress | None:
    """Return where a node says that it is; None: it says nothing, or is not registered."""
    if node.standing is None or not node.standing.native:
        return None
    try:
        return NativeAddress.decode(node.standing.native)
    except DecodeError:
        return None


def _is_public_enough(native: NativeAddress) -> bool:
    """Whether a meter can be there: nodes write down themselves what their address is."""
    host = getattr(native.host, "ipv4_mapped", None) or native.host
    inward = host.is_loopback or host.is_link_local or host.is_multicast or host.is_unspecified
    return not (inward or host.is_reserved)


def _entry(test: NodeTest, now: float) -> AuditEntry:
    asked = test.asked
    is_meter = ":" not in asked.where
    subject = device_id(DeviceKind.METER, asked.where) if is_meter else asked.where
    what = ", ".join(asked.services) or "every service"
    how = " and what disturbs" if asked.intrusive else ""
    return AuditEntry(test.who, now, "node tested", subject, f"{what}{how} at {test.address}")
