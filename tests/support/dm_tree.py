"""A device's tree and a server's commands to it, for tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

from openami.omadm.element import Element
from openami.omadm.messages.model import Add, Copy, Delete, Exec, Get, Item, Location, Meta, Replace
from openami.omadm.objects.catalog import device_schema
from openami.omadm.tree.acl import Acl
from openami.omadm.tree.tree import ManagementTree
from openami.omadm.tree.visit import Visit

if TYPE_CHECKING:
    from openami.omadm.session.events import Outcome

Data = str | bytes | Element | None
NOW = 994_869_497.0  # 2001-07-11T16:38:17Z
ALL = "Add=*&Delete=*&Exec=*&Get=*&Replace=*"


def open_tree() -> ManagementTree:
    """Return the tree of a device that lets everyone do everything."""
    tree = ManagementTree(device_schema())
    grant(tree, ".", ALL)
    return tree


def grant(tree: ManagementTree, address: str, acl: str) -> None:
    draft = tree.draft(NOW)
    draft.set_acl(tree.path(address), Acl.parse(acl))
    tree.commit(draft)


class Server:
    """A server's commands, with the status of each."""

    def __init__(self, tree: ManagementTree, name: str = "srv", *, octets: bool = True) -> None:
        self.visit = Visit(tree, name, NOW, octets=octets)

    def add(
        self, address: str, data: Data = None, form: str | None = None, kind: str | None = None
    ) -> int:
        return self._do(Add, address, data, form, kind).status

    def replace(
        self, address: str, data: Data = None, form: str | None = None, kind: str | None = None
    ) -> int:
        return self._do(Replace, address, data, form, kind).status

    def delete(self, address: str) -> int:
        return self._do(Delete, address).status

    def copy(self, source: str, target: str) -> int:
        item = Item(Location(target), Location(source))
        return self.visit.perform(Copy(1, (item,)), item).status

    def execute(self, address: str, data: Data = None, correlator: str | None = None) -> int:
        item = Item(Location(address), data=data)
        return self.visit.perform(Exec(1, item, correlator=correlator), item).status

    def get(self, address: str) -> Outcome:
        return self._do(Get, address)

    def data(self, address: str) -> Data:
        outcome = self.get(address)
        assert outcome.status == 200, (outcome.status, self.visit.words)
        return outcome.items[0].data

    def _do(
        self,
        command: type[Add | Replace | Delete | Get],
        address: str,
        data: Data = None,
        form: str | None = None,
        kind: str | None = None,
    ) -> Outcome:
        meta = Meta(format=form, type=kind) if form or kind else None
        item = Item(Location(address), meta=meta, data=data)
        return self.visit.perform(command(1, (item,)), item)
