"""Random commands to the tree and to a plain dict, which must agree."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from tests.support.dm_tree import ALL, NOW, Server, grant

from openami.omadm.objects.catalog import device_schema
from openami.omadm.tree.tree import ManagementTree, MemoryStore

BASE = ("DevInfo", "Ext")
paths = st.lists(st.sampled_from("abc"), min_size=1, max_size=4).map(tuple)
values = st.sampled_from(["", "x", "y"])
Model = dict[tuple[str, ...], str | None]  # None: an interior node


def address(path: tuple[str, ...]) -> str:
    return "/".join((".", *BASE, *path))


class TreeMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.store = MemoryStore()
        self.tree = ManagementTree(device_schema(), self.store)
        grant(self.tree, ".", ALL)
        self.server = Server(self.tree)
        self.model: Model = {(): None}
        self.kept: Model | None = None

    def expected_add(self, path: tuple[str, ...]) -> int:
        if path in self.model:
            return 418
        above = [path[:n] for n in range(len(path))]
        return 405 if any(self.model.get(p) is not None for p in above) else 200

    def put(self, path: tuple[str, ...], value: str | None) -> None:
        for n in range(1, len(path)):
            self.model.setdefault(path[:n], None)
        self.model[path] = value

    @rule(path=paths, value=values)
    def add(self, path: tuple[str, ...], value: str) -> None:
        status = self.expected_add(path)
        assert self.server.add(address(path), value, "chr") == status
        if status == 200:
            self.put(path, value)

    @rule(path=paths)
    def add_interior(self, path: tuple[str, ...]) -> None:
        status = self.expected_add(path)
        assert self.server.add(address(path), form="node") == status
        if status == 200:
            self.put(path, None)

    @rule(path=paths, value=values)
    def replace(self, path: tuple[str, ...], value: str) -> None:
        status = 404 if path not in self.model else 405 if self.model[path] is None else 200
        assert self.server.replace(address(path), value) == status
        if status == 200:
            self.model[path] = value

    @rule(path=paths)
    def delete(self, path: tuple[str, ...]) -> None:
        assert self.server.delete(address(path)) == (200 if path in self.model else 404)
        self.model = {p: v for p, v in self.model.items() if p[: len(path)] != path}

    @rule(path=paths, name=st.sampled_from("abcd"))
    def rename(self, path: tuple[str, ...], name: str) -> None:
        to = (*path[:-1], name)
        status = 404 if path not in self.model else 418 if to in self.model else 200
        assert self.server.replace(f"{address(path)}?prop=Name", name) == status
        if status == 200:
            size = len(path)
            self.model = {
                (to + p[size:] if p[:size] == path else p): v for p, v in self.model.items()
            }

    @rule(source=paths, to=paths)
    def copy(self, source: tuple[str, ...], to: tuple[str, ...]) -> None:
        status = self.server.copy(address(source), address(to))
        value = self.model.get(source)
        if source not in self.model:
            assert status == 404
        elif value is None:
            assert status == 406
        elif to in self.model:
            assert status == (405 if self.model[to] is None else 200)
        else:
            assert status == self.expected_add(to)
        if status == 200:
            self.put(to, value)

    @precondition(lambda self: self.kept is None)
    @rule()
    def begin(self) -> None:
        self.server.visit.begin()
        self.kept = dict(self.model)

    @precondition(lambda self: self.kept is not None)
    @rule(keep=st.booleans())
    def end(self, keep: bool) -> None:
        assert self.kept is not None
        if keep:
            self.server.visit.commit()
        else:
            assert self.server.visit.rollback()
            self.model = self.kept
        self.kept = None

    @invariant()
    def the_server_sees_the_model(self) -> None:
        items = self.server.get(f"{address(())}?list=StructData").items
        told = {i.source.uri: i.data for i in items if i.source is not None}
        assert told == {address(path): value for path, value in self.model.items()}

    @invariant()
    def the_store_has_what_holds(self) -> None:
        held = self.model if self.kept is None else self.kept
        again = ManagementTree(device_schema(), self.store, now=NOW)
        assert again.root == self.tree.root
        server = Server(again)
        for path, value in held.items():
            if value is not None:
                assert server.data(address(path)) == value


TestTree = TreeMachine.TestCase
TestTree.settings = settings(max_examples=30, stateful_step_count=25, deadline=None)
