"""What may stand in a tree: rules read from DDF documents (OMA DM 1.2 TND, clause 8)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from openami.core.errors import DecodeError
from openami.omadm.tree.acl import Verb
from openami.omadm.tree.node import PLAIN_TEXT, Format, Node
from openami.omadm.tree.uri import ROOT, Path

if TYPE_CHECKING:
    from collections.abc import Iterator

    from openami.omadm.element import Element

Check = Callable[[str], None]
_ALL: Final = frozenset(Verb)
# How often a node may stand beside its likes; None: any number (DDF: Occurrence).
_OCCURRENCES: Final[Mapping[str, tuple[int, int | None]]] = MappingProxyType(
    {
        "One": (1, 1),
        "ZeroOrOne": (0, 1),
        "ZeroOrMore": (0, None),
        "OneOrMore": (1, None),
    }
)
_NUMBERED: Final[Mapping[str, int]] = MappingProxyType({"ZeroOrN": 0, "OneOrN": 1})


@dataclass(frozen=True, slots=True)
class Rule:
    """What holds for one node, or for all dynamic nodes in one place.

    Attributes:
        name: None: the server chooses it.
        format: what it holds.
        access: the commands that it allows; Add is for the node itself.
        permanent: it is there from the factory and can't be deleted.
        least: how many there are at least.
        most: how many there may be; None: any number.
        type: a leaf's media type; an object's URN.
        default: a new leaf's value.
        description: for a person.
        children: what may stand below.
        free: anything may stand below (Ext).
        check: refuses values by raising ``ValueError``, whose text is told to the server.
    """

    name: str | None
    format: Format
    access: frozenset[Verb] = frozenset({Verb.GET})
    permanent: bool = False
    least: int = 1
    most: int | None = 1
    type: str = ""
    default: str = ""
    description: str = ""
    children: tuple[Rule, ...] = ()
    free: bool = False
    check: Check | None = field(default=None, compare=False)

    def initial(self, now: float) -> Node:
        """Return a node as it begins: with the default value, with nothing below."""
        value = self.default.encode() if self.format is Format.BIN else self.default
        return Node(self.format, value, type=self.type, changed=int(now))

    def child(self, name: str) -> Rule | None:
        """Return the rule for a child of this name."""
        unnamed = None
        for rule in self.children:
            if rule.name == name:
                return rule
            unnamed = rule if rule.name is None else unnamed
        return unnamed or (FREE if self.free else None)


# Below Ext a maker's nodes are no one else's business.
FREE: Final = Rule(None, Format.NODE, _ALL, least=0, most=None, free=True)


@dataclass(frozen=True, slots=True)
class Schema:
    """The rules of a whole tree.

    Attributes:
        root: the rule of the root; the standard objects are its children.
    """

    root: Rule

    @classmethod
    def of(cls, *objects: Rule) -> Schema:
        """Return a schema with these objects below the root."""
        access = frozenset({Verb.GET, Verb.REPLACE, Verb.ADD})
        return cls(Rule(".", Format.NODE, access, permanent=True, children=objects))

    def rule(self, path: Path) -> Rule | None:
        """Return what holds for a node at ``path``; None: no such node may be."""
        rule: Rule | None = self.root
        for name in path:
            if rule is None:
                return None
            rule = rule.child(name)
        return rule

    def place_of(self, urn: str) -> Path | None:
        """Return below which node objects of a type are kept; None: it has one fixed place."""
        for path, rule in self.rules():
            if urn and any(child.name is None and child.type == urn for child in rule.children):
                return path
        return None

    def rules(self) -> Iterator[tuple[Path, Rule]]:
        """Yield every rule with the path to it; a name that the server chooses is ``<X>``."""
        stack = [(ROOT, self.root)]
        while stack:
            path, rule = stack.pop()
            yield path, rule
            stack.extend(((*path, child.name or "<X>"), child) for child in reversed(rule.children))


def with_checks(rule: Rule, checks: Mapping[str, Check], prefix: str = "") -> Rule:
    """Return a rule whose leaves refuse what ``checks`` refuses.

    Args:
        rule: of an object.
        checks: by path below the object, ``<X>`` where the server chooses the name.
        prefix: the path to ``rule``.
    """
    children = tuple(
        with_checks(child, checks, f"{prefix}/{child.name or '<X>'}".lstrip("/"))
        for child in rule.children
    )
    return replace(rule, children=children, check=checks.get(prefix))


def read_ddf(document: Element) -> Rule:
    """Read a DDF document of one object.

    Raises:
        DecodeError: it is no DDF, or says what we do not know.
    """
    nodes = [element for element in elements(document) if element.name == "Node"]
    if document.name != "MgmtTree" or len(nodes) != 1:
        raise DecodeError("a DDF of one object is a MgmtTree with one Node")
    try:
        return _rule(nodes[0])
    except (ValueError, KeyError) as error:
        raise DecodeError(f"no word of a DDF: {error}") from error


def _rule(element: Element) -> Rule:
    parts = {part.name: part for part in elements(element) if part.name != "Node"}
    if "DFProperties" not in parts:
        raise DecodeError("a DDF's Node has DFProperties")
    properties = {part.name: part for part in elements(parts["DFProperties"])}
    form = Format(_choice(properties, "DFFormat", "chr"))
    least, most = _occurrence(properties)
    children = tuple(_rule(part) for part in elements(element) if part.name == "Node")
    title = text_of(parts.get("NodeName"))
    return Rule(
        name=title or None,
        format=form,
        access=frozenset(Verb(verb.name) for verb in elements(properties.get("AccessType"))),
        permanent=_choice(properties, "Scope", "Dynamic") == "Permanent",
        least=least,
        most=most,
        type=_type(properties) or ("" if form is Format.NODE else PLAIN_TEXT),
        default=text_of(properties.get("DefaultValue")),
        description=" ".join(text_of(properties.get("Description")).split()),
        children=children,
        free=title == "Ext" and not children,
    )


def _choice(properties: Mapping[str, Element], name: str, default: str) -> str:
    chosen = elements(properties.get(name))
    return chosen[0].name if chosen else default


def _type(properties: Mapping[str, Element]) -> str:
    chosen = elements(properties.get("DFType"))
    return text_of(chosen[0]) if chosen else ""


def _occurrence(properties: Mapping[str, Element]) -> tuple[int, int | None]:
    chosen = elements(properties.get("Occurrence"))
    if not chosen:
        return 1, 1
    if chosen[0].name in _NUMBERED:
        return _NUMBERED[chosen[0].name], int(text_of(chosen[0]))
    return _OCCURRENCES[chosen[0].name]


def elements(element: Element | None) -> tuple[Element, ...]:
    """Return the elements that an element holds; none: it is absent or holds characters."""
    return element.content if element is not None and isinstance(element.content, tuple) else ()


def text_of(element: Element | None) -> str:
    """Return the characters that an element holds; none: it is absent or holds elements."""
    return element.content if element is not None and isinstance(element.content, str) else ""
