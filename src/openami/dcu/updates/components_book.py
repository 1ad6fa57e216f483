"""What is known of the DCU's components, on the disk and in the tree's SCOMO nodes.

All of it is for the tree's thread to call.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

import structlog

from openami.core.errors import OpenAmiError, StoreError
from openami.dcu.updates.ledger import Ledger, News, Order, read
from openami.omadm.codes import Status
from openami.omadm.objects.updates import (
    SCOMO_COMPLETE,
    ScomoDeliveredState,
    ScomoDeliveredStatus,
    ScomoDeployedStatus,
    ScomoResult,
    ScomoState,
    ScomoStatus,
)
from openami.omadm.tree.node import Format, Node, find
from openami.omadm.tree.refusal import TreeRefusedError
from openami.omadm.tree.uri import format_path

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from openami.dcu.updates.works import Bench
    from openami.omadm.tree.draft import Change, Draft
    from openami.omadm.tree.tree import Execution
    from openami.omadm.tree.uri import Path as TreePath

DOWNLOAD: Final = ("SCOMO", "Download")
DELIVERED: Final = ("SCOMO", "Inventory", "Delivered")
DEPLOYED: Final = ("SCOMO", "Inventory", "Deployed")
DELIVERED_MOST: Final = 32  # as the object says
DEPLOYED_MOST: Final = 64

log = structlog.get_logger("dcu.updates")


class Step(StrEnum):
    """What is to be done next."""

    FETCH = "fetch"
    INSTALL = "install"
    ACTIVATE = "activate"
    DEACTIVATE = "deactivate"
    DISCARD = "discard"
    UNDEPLOY = "undeploy"
    FALL_BACK = "fall-back"  # of no operation: what follows when a new version does not go on


_S = Step
PLANS: Final[Mapping[tuple[TreePath, str], tuple[Step, ...]]] = {
    (DOWNLOAD, "Download"): (_S.FETCH,),
    (DOWNLOAD, "DownloadInstall"): (_S.FETCH, _S.INSTALL, _S.ACTIVATE),
    (DOWNLOAD, "DownloadInstallInactive"): (_S.FETCH, _S.INSTALL),
    (DELIVERED, "Install"): (_S.INSTALL, _S.ACTIVATE),
    (DELIVERED, "InstallInactive"): (_S.INSTALL,),
    (DELIVERED, "Remove"): (_S.DISCARD,),
    (DEPLOYED, "Activate"): (_S.ACTIVATE,),
    (DEPLOYED, "Deactivate"): (_S.DEACTIVATE,),
    (DEPLOYED, "Remove"): (_S.DEACTIVATE, _S.UNDEPLOY),
}
"""The steps of each operation, by where its node is."""

_FAILURES: Final = {
    _S.FETCH: ScomoResult.DOWNLOAD_FAILED,
    _S.INSTALL: ScomoResult.INSTALL_FAILED,
    _S.ACTIVATE: ScomoResult.ACTIVATE_FAILED,
    _S.DEACTIVATE: ScomoResult.DEACTIVATE_FAILED,
    _S.DISCARD: ScomoResult.REMOVE_FAILED,
    _S.UNDEPLOY: ScomoResult.REMOVE_FAILED,
    _S.FALL_BACK: ScomoResult.ACTIVATE_FAILED,
}
_DELIVERED: Final[Mapping[Step | None, ScomoDeliveredStatus]] = {
    _S.INSTALL: ScomoDeliveredStatus.INSTALLING,
    _S.ACTIVATE: ScomoDeliveredStatus.INSTALLING,
    _S.FALL_BACK: ScomoDeliveredStatus.INSTALLING,
    _S.DISCARD: ScomoDeliveredStatus.REMOVING,
}
_DEPLOYED: Final[Mapping[Step | None, ScomoDeployedStatus]] = {
    _S.ACTIVATE: ScomoDeployedStatus.ACTIVATING,
    _S.FALL_BACK: ScomoDeployedStatus.ACTIVATING,
    _S.DEACTIVATE: ScomoDeployedStatus.DEACTIVATING,
    _S.UNDEPLOY: ScomoDeployedStatus.REMOVING,
}
_DOWNLOAD: Final = {
    _S.FETCH: ScomoStatus.DOWNLOADING,
    _S.INSTALL: ScomoStatus.INSTALLING,
    _S.ACTIVATE: ScomoStatus.INSTALLING,
    _S.FALL_BACK: ScomoStatus.INSTALLING,
}


@dataclass(frozen=True, slots=True)
class Entry:
    """A component that is here.

    Attributes:
        package: that brought it.
        sha256: of its image.
        kind: what it is.
        name: of the component.
        version: of it.
        counter: its release counter.
        active: whether it is on.
        before: of settings, what was there: by address the value, or None for no node.
    """

    package: str
    sha256: str
    kind: str
    name: str
    version: str
    counter: int = 0
    active: bool = False
    before: Mapping[str, str | None] | None = None


@dataclass(frozen=True, slots=True)
class Stock:
    """All components: those that were delivered, by their nodes, and those deployed, by name.

    ``statuses`` are those of packages below Download; ``floors`` the highest release counters that
    were ever installed, by name: no lower one is. ``former`` was on where another version is being
    switched on, and goes on again if that one does not; ``failure`` says then why it did not.
    """

    statuses: Mapping[str, int] = field(default_factory=dict)
    delivered: Mapping[str, Entry] = field(default_factory=dict)
    deployed: Mapping[str, Entry] = field(default_factory=dict)
    floors: Mapping[str, int] = field(default_factory=dict)
    former: Entry | None = None
    failure: str = ""

    @classmethod
    def of(cls, own: Mapping[str, Any]) -> Stock:
        """Return what was kept."""
        return cls(
            own.get("statuses", {}),
            {name: read(Entry, one) for name, one in own.get("delivered", {}).items()},
            {name: read(Entry, one) for name, one in own.get("deployed", {}).items()},
            own.get("floors", {}),
            read(Entry, own["former"]) if own.get("former") else None,
            own.get("failure", ""),
        )

    @property
    def images(self) -> frozenset[str]:
        """The images that are needed, by their digests."""
        entries = (*self.delivered.values(), *self.deployed.values(), self.former)
        return frozenset(entry.sha256 for entry in entries if entry is not None)


class ComponentsBook:
    """The ledger of SCOMO, its stock, and what of both the tree shows."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._mirroring = False
        self.ledger = Ledger(bench.memory, "scomo", bench.tell)
        self.stock = Stock()
        self.wake: Callable[[], None] = lambda: None

    def recall(self) -> None:
        """Take up what was under way when the DCU ended, before anything else happens."""
        self.ledger.recall()
        self.stock = Stock.of(self.ledger.page.own)
        self.mirror()

    def execute(self, execution: Execution) -> int:
        """Begin an operation; return its status."""
        *place, name, folder, operation = execution.path if len(execution.path) > 3 else (*"???",)
        plan = PLANS.get((tuple(place), operation))
        if plan is None or folder != "Operations":
            raise TreeRefusedError(Status.NOT_ALLOWED, "nothing here executes it")
        node = format_path((*place, name))
        status = self.ledger.accept(Order(node, operation, execution.correlator, plan[0]))
        self.wake()
        return status

    def check(self, _tree: Node, changes: Sequence[Change]) -> None:
        """Refuse what would take away what is worked with, or bring what is not trusted."""
        if self._mirroring:
            return
        busy = None if self.ledger.order is None else self.ledger.order.node
        for change in changes:
            if change.path[:3] == DELIVERED and change.before is None:
                raise TreeRefusedError(
                    Status.OPTIONAL_NOT_SUPPORTED, "packages come by PkgURL, from the repository"
                )
            node = format_path(change.path[: 4 if change.path[:2] == DELIVERED[:2] else 3])
            if node == busy and (change.after is None or change.path[-1] == "PkgURL"):
                raise TreeRefusedError(Status.RETRY_LATER, "an operation is under way")

    def changed(self, changes: Sequence[Change]) -> None:
        """Forget packages whose nodes are gone; look at the new ones soon."""
        if self._mirroring:
            return
        gone = {one.path for one in changes if one.after is None}
        stock = self.stock
        left = replace(
            stock,
            statuses={n: s for n, s in stock.statuses.items() if (*DOWNLOAD, n) not in gone},
            delivered={n: e for n, e in stock.delivered.items() if (*DELIVERED, n) not in gone},
        )
        try:
            if left != stock:
                self.keep(self.ledger.order, left)
        except StoreError as error:
            log.warning("not noted", code=error.code, error=error.message)
        self.wake()

    # Steps

    def keep(self, order: Order | None, stock: Stock) -> None:
        """Note how far the operation is, and what there is; StoreError."""
        self.ledger.note(order, asdict(stock))
        self.stock = stock

    def enter(self, order: Order, stock: Stock | None = None) -> None:
        """Note the step of an order, and show it."""
        stock = stock or self.stock
        place, name = self.place_of(order)
        if place == DOWNLOAD:
            status = int(_DOWNLOAD[Step(order.step)])
            stock = replace(stock, statuses={**stock.statuses, name: status})
        self.keep(order, stock)
        self.mirror()

    def done(self, order: Order, stock: Stock | None = None) -> None:
        """Note that the step was done: the next one follows, or the end."""
        place, name = self.place_of(order)
        plan = self.plan_of(order)
        after = plan[plan.index(Step(order.step)) + 1 :]
        if after:
            self.enter(replace(order, step=after[0]), stock)
            return
        stock = stock or self.stock
        if place == DOWNLOAD:
            status = ScomoStatus.DOWNLOADED if len(plan) == 1 else ScomoStatus.IDLE
            stock = replace(stock, statuses={**stock.statuses, name: int(status)})
        self._end(order, ScomoResult.OK, "", stock)

    def fall_back(self, order: Order, words: str) -> None:
        """Note that a component does not go on, and that the one before it takes its place."""
        stock = self.stock
        if stock.former is None:
            self.failed(order, words)
            return
        back = replace(stock.former, active=False, before=None)
        deployed = {**stock.deployed, back.name: back}
        after = replace(stock, deployed=deployed, failure=words)
        self.enter(replace(order, step=Step.FALL_BACK), after)

    def failed(self, order: Order, words: str, result: ScomoResult | None = None) -> None:
        """Conclude an operation whose step did not go well."""
        (place, name), stock = self.place_of(order), self.stock
        if place == DOWNLOAD:
            fetch = order.step == Step.FETCH
            status = ScomoStatus.DOWNLOAD_FAILED if fetch else ScomoStatus.FAILED_WITH_DATA
            stock = replace(stock, statuses={**stock.statuses, name: int(status)})
        self._end(order, result or _FAILURES[Step(order.step)], words, stock)

    def give_up(self) -> bool:
        """Conclude what is fetched as cancelled, and forget what is not installed.

        False: something is being switched, and nothing was given up.
        """
        order, sha = self.ledger.order, {one.sha256 for one in self.stock.deployed.values()}
        if order is not None and order.step != Step.FETCH:
            return False
        kept = {name: one for name, one in self.stock.delivered.items() if one.sha256 in sha}
        stock = replace(self.stock, statuses={}, delivered=kept)
        if order is None:
            self.keep(None, stock)
            self.mirror()
        else:
            words = "download.cancelled everything stops"
            self._end(order, ScomoResult.USER_CANCELLED, words, stock)
        return True

    def _end(self, order: Order, result: ScomoResult, words: str, stock: Stock) -> None:
        good = result is ScomoResult.OK
        news = News(order.node, SCOMO_COMPLETE, result, words, order.correlator, good)
        stock = replace(stock, former=None, failure="")
        self.ledger.conclude(news, asdict(stock))
        self.stock = stock
        self.mirror()

    def plan_of(self, order: Order) -> tuple[Step, ...]:
        """Return the steps of an order; none: only another version knows what it is at."""
        place, _ = self.place_of(order)
        plan = PLANS.get((place, order.operation), ())
        return plan if order.step in (*plan, Step.FALL_BACK) else ()

    def place_of(self, order: Order) -> tuple[TreePath, str]:
        """Return where an order's node is, and its name."""
        *place, name = self._bench.tree.path(order.node)
        return tuple(place), name

    def entry_of(self, order: Order) -> Entry | None:
        """Return what an order is about; None: it is not here any more."""
        place, name = self.place_of(order)
        if place == DEPLOYED:
            return self.stock.deployed.get(name)
        delivered = self.stock.delivered.get(name)
        deployed = None if delivered is None else self.stock.deployed.get(delivered.name)
        if delivered is None or deployed is None or deployed.sha256 != delivered.sha256:
            return delivered
        return deployed

    # The tree

    def mirror(self) -> None:
        """Let the tree show what there is."""
        draft = self._bench.tree.draft(self._bench.clock.now())
        self._show_downloads(draft)
        for name, one in self.stock.delivered.items():
            _put(draft, (*DELIVERED, name), *self._delivered(one))
        for name, one in self.stock.deployed.items():
            _put(draft, (*DEPLOYED, name), *self._deployed(one))
        _only(draft, DELIVERED, self.stock.delivered)
        _only(draft, DEPLOYED, self.stock.deployed)
        self._mirroring = True
        try:
            self._bench.tree.commit(draft)
        except OpenAmiError as error:
            log.warning("the tree does not show it", code=error.code, error=error.message)
        finally:
            self._mirroring = False

    def _delivered(self, one: Entry) -> tuple[dict[str, str], dict[str, int]]:
        """Return the leaves of a package that is here: texts and numbers."""
        same = self.stock.deployed.get(one.name)
        installed = same is not None and same.sha256 == one.sha256
        state = ScomoDeliveredState.INSTALLED if installed else ScomoDeliveredState.DELIVERED
        status = _DELIVERED.get(self._step(one), ScomoDeliveredStatus.IDLE)
        texts = {"PkgID": one.package, "Name": one.name, "EnvType": one.kind}
        return texts, {"State": state, "Status": status}

    def _deployed(self, one: Entry) -> tuple[dict[str, str], dict[str, int]]:
        state = ScomoState.ACTIVE if one.active else ScomoState.INACTIVE
        status = _DEPLOYED.get(self._step(one), ScomoDeployedStatus.IDLE)
        texts = {
            "ID": one.name,
            "PkgIDRef": one.package,
            "Name": one.name,
            "Version": one.version,
            "EnvType": one.kind,
        }
        return texts, {"State": state, "Status": status}

    def _step(self, one: Entry) -> Step | None:
        """Return what is being done with a component."""
        order = self.ledger.order
        if order is None or not self.plan_of(order):
            return None
        busy = self.entry_of(order)
        return Step(order.step) if busy is not None and busy.sha256 == one.sha256 else None

    def _show_downloads(self, draft: Draft) -> None:
        for name in draft.node(DOWNLOAD).children:
            path = (*DOWNLOAD, name)
            draft.set_value((*path, "Status"), str(self.stock.statuses.get(name, 10)))
            _offer(draft, path, DOWNLOAD)


def _put(
    draft: Draft, path: TreePath, leaves: Mapping[str, str], numbers: Mapping[str, int]
) -> None:
    """Let a node be there with these leaves and its operations."""
    texts = {**leaves, **{name: str(int(value)) for name, value in numbers.items()}}
    if find(draft.root, path) is None:
        made = {
            name: Node(Format.INT if name in numbers else Format.CHR, value)
            for name, value in texts.items()
        }
        operations = {name: Node(Format.NULL) for place, name in PLANS if place == path[:-1]}
        made["Operations"] = Node(Format.NODE, children=operations)
        draft.add(path, Node(Format.NODE, children=made))
        return
    for name, value in texts.items():
        if draft.node((*path, name)).value != value:
            draft.set_value((*path, name), value)


def _offer(draft: Draft, path: TreePath, place: TreePath) -> None:
    """Let a node have its operations, which its server need not add."""
    for at, name in PLANS:
        if at == place and find(draft.root, (*path, "Operations", name)) is None:
            draft.add((*path, "Operations", name), Node(Format.NULL))


def _only(draft: Draft, place: TreePath, names: Mapping[str, Entry]) -> None:
    for name in set(draft.node(place).children) - set(names):
        draft.remove((*place, name))
