"""Who may do what, for any lists anywhere: as the nearest list says that is not empty."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.dm_tree import Server, grant, open_tree

from openami.omadm.tree.acl import RIGHTS, Acl, Verb

SERVERS = ("a", "b")
# A tree three deep, two wide; the root of it is below Ext, where everything is allowed.
PATHS = [(x, *rest) for x in "pq" for rest in ((), ("p",), ("q",), ("p", "p"))]
LEAVES = {path for path in PATHS if not any(p[: len(path)] == path and p != path for p in PATHS)}
BASE = "./DevInfo/Ext"
Rights = dict[str, tuple[str, ...]]
lists = st.dictionaries(
    st.sampled_from([verb.value for verb in RIGHTS]),
    st.sampled_from([("*",), ("a",), ("b",), ("a", "b")]),
)


def address(path: tuple[str, ...]) -> str:
    return "/".join((BASE, *path))


def may(given_: dict[tuple[str, ...], Rights], path: tuple[str, ...], verb: str, who: str) -> bool:
    """Say what the nearest list that is not empty says; above all of them there is one for all."""
    for depth in range(len(path), -1, -1):
        if rights := given_.get(path[:depth]):
            return bool({"*", who} & set(rights.get(verb, ())))
    return True


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(st.sampled_from([(), *PATHS]), lists))
def test_any_lists_anywhere(given_: dict[tuple[str, ...], Rights]) -> None:
    tree = open_tree()
    maker = Server(tree)
    for path in PATHS:
        form = "chr" if path in LEAVES else "node"
        assert maker.add(address(path), "x" if path in LEAVES else None, form) == 200
    for path, rights in given_.items():
        grant(tree, address(path), "&".join(f"{v}={'+'.join(who)}" for v, who in rights.items()))
    for who in SERVERS:
        server = Server(tree, who)
        for path in PATHS:
            where, above = address(path), path[:-1]
            read = 200 if may(given_, path, "Get", who) else 425
            assert server.get(where).status == read
            assert server.get(f"{where}?prop=ACL").status == read
            if path in LEAVES:
                assert server.replace(where, "x") == (
                    200 if may(given_, path, "Replace", who) else 425
                )
            # The list of a leaf is in the hands of those who may replace what it is in.
            holder = above if path in LEAVES else path
            old = str(
                Acl.parse("&".join(f"{v}={'+'.join(s)}" for v, s in given_.get(path, {}).items()))
            )
            assert server.replace(f"{where}?prop=ACL", old) == (
                200 if may(given_, holder, "Replace", who) else 425
            )
            server.visit.begin()
            assert server.delete(where) == (200 if may(given_, path, "Delete", who) else 425)
            server.visit.rollback()
            if path not in LEAVES:
                server.visit.begin()
                new = server.add(f"{where}/new", "x", "chr")
                assert new == (200 if may(given_, path, "Add", who) else 425)
                server.visit.rollback()
        seen = {path for path in PATHS if may(given_, path, Verb.GET, who)}
        if may(given_, (), Verb.GET, who):
            told = {i.source.uri for i in server.get(f"{BASE}?list=Struct").items if i.source}
            # What may not be seen hides all below it.
            shown = {p for p in seen if all(p[:n] in seen for n in range(1, len(p)))}
            assert told == {BASE, *map(address, shown)}
