"""What is known of the DCU's firmware packages, on the disk and in the tree's FUMO nodes.

All of it is for the tree's thread to call.
"""

from __future__ import annotations

from dataclasses import replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

import structlog

from openami.core.errors import OpenAmiError, StoreError
from openami.dcu.repository import epoch_of
from openami.dcu.updates.fetching import FLOOR_OCTETS
from openami.dcu.updates.ledger import Ledger, News, Order
from openami.firmware import manifest_codec
from openami.firmware.packages import PackageId
from openami.omadm.codes import Status
from openami.omadm.objects.updates import FumoAlert, FumoResult, FumoState
from openami.omadm.tree.node import Format, Node, find
from openami.omadm.tree.refusal import TreeRefusedError
from openami.omadm.tree.uri import format_path
from openami.store.partial import PartialFile
from openami.store.whole import read_whole, replace_whole

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from openami.dcu.updates.works import Bench
    from openami.firmware.manifest import Attachment, Manifest
    from openami.omadm.tree.draft import Change, Draft
    from openami.omadm.tree.tree import Execution
    from openami.omadm.tree.uri import Path as TreePath

PLACE: Final = ("FUMO",)
FIRST: Final = "1"
"""The package's node that a new device has: a server begins with Replace of its PkgURL."""

DOWNLOAD, UPDATE, BOTH = "Download", "Update", "DownloadAndUpdate"

log = structlog.get_logger("dcu.updates")


class Step(StrEnum):
    """What is to be done next."""

    FETCH = "fetch"
    INSTALL = "install"
    TRIAL = "trial"


_FIRST_STEP: Final = {DOWNLOAD: Step.FETCH, UPDATE: Step.INSTALL, BOTH: Step.FETCH}
_ALERTS: Final = {
    DOWNLOAD: FumoAlert.DOWNLOAD,
    UPDATE: FumoAlert.UPDATE,
    BOTH: FumoAlert.DOWNLOAD_AND_UPDATE,
}
_URL: Final = "PkgURL"
_DATA: Final = "PkgData"
_FORMATS: Final = {"State": Format.INT}


class FirmwareBook:
    """The states of packages, the image that was fetched last, and what is done with it.

    Of the image is kept whose node it is, the package, and its SHA-256; it is there from the end of
    its download until an update went well, another download begins, or it is given up.
    """

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self.ledger = Ledger(bench.memory, "fumo", bench.tell)
        folder = bench.folder / "firmware"
        self.place = PartialFile(folder, floor=FLOOR_OCTETS)
        self._manifest = folder / "manifest.json"
        self.wake: Callable[[], None] = lambda: None

    @property
    def image(self) -> str | None:
        """SHA-256 of the image that was fetched."""
        return self._own.get("image")

    @property
    def trying(self) -> bool:
        """Whether an image is being tried, or is about to be: there is no way back."""
        order = self.ledger.order
        return order is not None and order.step == Step.TRIAL

    def manifest(self) -> Manifest:
        """Return what the vendor says of the image that was fetched.

        Raises:
            StoreError, DecodeError: it cannot be read.
        """
        return manifest_codec.decode(read_whole(self._manifest, most=manifest_codec.MAX_SIZE))

    def recall(self) -> None:
        """Take up what was under way when the DCU ended, before anything else happens."""
        self.ledger.recall()
        self._mirror()

    def execute(self, execution: Execution) -> int:
        """Begin an operation; return its status."""
        path = execution.path
        if len(path) != 3 or path[-1] not in _FIRST_STEP:
            raise TreeRefusedError(Status.NOT_ALLOWED, "nothing here executes it")
        node, operation = format_path(path[:2]), path[-1]
        idle = self.ledger.order is None
        if operation == UPDATE and idle and self._own.get("node") != node:
            raise TreeRefusedError(Status.NOT_ALLOWED, "nothing has been fetched for it")
        order = Order(node, operation, execution.correlator, _FIRST_STEP[operation])
        status = self.ledger.accept(order)
        self.wake()
        return status

    def check(self, _tree: Node, changes: Sequence[Change]) -> None:
        """Refuse what would take away what is being worked with."""
        busy = None if self.ledger.order is None else self.ledger.order.node
        for change in changes:
            if change.path[-1] == _DATA and change.after is not None:
                raise TreeRefusedError(
                    Status.OPTIONAL_NOT_SUPPORTED, "packages come by PkgURL, from the repository"
                )
            taken = change.after is None or change.path[-1] == _URL
            if taken and format_path(change.path[:2]) == busy:
                raise TreeRefusedError(Status.RETRY_LATER, "an operation is under way")

    def changed(self, changes: Sequence[Change]) -> None:
        """Forget the state, and the image, of a node that is gone."""
        gone = {format_path(one.path) for one in changes if one.after is None}
        states = {node: state for node, state in self._states.items() if node not in gone}
        if len(states) == len(self._states):
            return
        lost = self._own.get("node") in gone
        own = {"states": states} if lost else {**self._own, "states": states}
        try:
            self.ledger.note(self.ledger.order, own)
            if lost:
                self.place.clear()
        except StoreError as error:
            log.warning("not noted", code=error.code, error=error.message)

    # Steps

    def begin_fetch(self, order: Order) -> str:
        """Note that the place is this package's from now on; return its PkgURL."""
        states = {**self._without_image(), order.node: FumoState.DOWNLOADING}
        self.ledger.note(order, {"states": states})
        self._mirror()
        return self._bench.tree.text(f"{order.node}/{order.operation}/{_URL}")

    def fetched(self, order: Order, manifest: Manifest, image: Attachment) -> None:
        """Note the image that is in the place, and go on with what is done with it."""
        replace_whole(self._manifest, manifest_codec.encode(manifest))
        order = replace(order, package=str(PackageId.of(manifest)), step=Step.INSTALL)
        state = FumoState.DOWNLOADED if order.operation == DOWNLOAD else FumoState.READY
        own = {
            "states": {**self._states, order.node: state},
            "node": order.node,
            "package": order.package,
            "image": image.sha256,
        }
        if order.operation == DOWNLOAD:
            self._end(order, FumoResult.OK, "", own)
        else:
            self.ledger.note(order, own)
            self._mirror()

    def not_fetched(self, order: Order, result: FumoResult, words: str) -> None:
        """Conclude a download that brought nothing."""
        states = {**self._states, order.node: FumoState.DOWNLOAD_FAILED}
        self._end(order, result, words, {"states": states})

    def enter(self, order: Order) -> None:
        """Note a step of an update."""
        states = {**self._states, order.node: FumoState.UPDATING}
        self.ledger.note(order, {**self._own, "states": states})
        self._mirror()

    def updated(self, order: Order, result: FumoResult, words: str) -> None:
        """Conclude an update; the image stays where it failed, to be tried again."""
        good = result is FumoResult.OK
        state = FumoState.DONE if good else FumoState.FAILED_WITH_DATA
        own = {} if good else self._own
        self._end(order, result, words, {**own, "states": {**self._states, order.node: state}})
        if good:
            self.place.clear()

    def is_void(self, below: int | None = None) -> bool:
        """Tell whether what is under way, or was fetched, is to be given up.

        Args:
            below: an epoch of the fleet: what was ordered in one before is, as its PkgURL says;
                None: all is. What is being tried is not.
        """
        order = self.ledger.order
        if self.trying or below is None:
            return not self.trying
        node = self._own.get("node") if order is None else order.node
        # Campaigns have it fetched, and then have it updated with what is there.
        kind = BOTH if order is not None and order.operation == BOTH else DOWNLOAD
        epoch = epoch_of(self._bench.tree.text(f"{node}/{kind}/{_URL}")) if node else None
        return epoch is not None and epoch < below

    def give_up(self, below: int | None = None) -> bool:
        """Conclude what is under way as cancelled, and forget the image.

        False: it is not void (``is_void``), and nothing was given up.
        """
        if not self.is_void(below):
            return False
        states, order = self._without_image(), self.ledger.order
        if order is None:
            self.ledger.note(None, {"states": states})
            self._mirror()
            return True
        own = {"states": {**states, order.node: FumoState.IDLE}}
        self._end(order, FumoResult.USER_CANCELLED, "download.cancelled everything stops", own)
        return True

    def _end(self, order: Order, result: FumoResult, words: str, own: Mapping[str, Any]) -> None:
        good = result is FumoResult.OK
        kind = _ALERTS[order.operation]
        self.ledger.conclude(News(order.node, kind, result, words, order.correlator, good), own)
        self._mirror()

    def _mirror(self) -> None:
        """Let the tree show what is kept; a new device has one package's node."""
        tree, own = self._bench.tree, self._own
        draft = tree.draft(self._bench.clock.now())
        if not tree.names("./FUMO"):
            for name in (DOWNLOAD, BOTH):
                draft.add((*PLACE, FIRST, name, _URL), Node(Format.CHR))
            draft.add((*PLACE, FIRST, UPDATE), Node(Format.NODE))
        for name in draft.node(PLACE).children:
            node = format_path((*PLACE, name))
            shown = {"State": str(int(self._states.get(node, FumoState.IDLE)))}
            if node == own.get("node"):
                *_, shown["PkgName"], shown["PkgVersion"] = str(own["package"]).split("/")
            show(draft, (*PLACE, name), shown)
        try:
            tree.commit(draft)
        except OpenAmiError as error:
            log.warning("the tree does not show it", code=error.code, error=error.message)

    def _without_image(self) -> dict[str, int]:
        """Return the states once there is no image any more."""
        states = dict(self._states)
        if self._own.get("node") in states:
            states[self._own["node"]] = FumoState.IDLE
        return states

    @property
    def _own(self) -> Mapping[str, Any]:
        return self.ledger.page.own

    @property
    def _states(self) -> Mapping[str, int]:
        states: Mapping[str, int] = self._own.get("states", {})
        return states


def show(draft: Draft, place: TreePath, values: Mapping[str, str]) -> None:
    """Let leaves below a node have values."""
    for name, value in values.items():
        node = find(draft.root, (*place, name))
        if node is None:
            draft.add((*place, name), Node(_FORMATS.get(name, Format.CHR), value))
        elif node.value != value:
            draft.set_value((*place, name), value)
