"""What tables say of each other: ``ST21.NBR_TIERS``, ``(ST21.NBR_DEMANDS + 7) / 8``.

An expression has numbers, elements of tables by their names, ``+ - * /`` (division drops the
rest), ``==``, ``in`` a set, ``and``, ``or``, ``not`` and brackets. It is parsed by Python's own
grammar, of which nothing else is taken, and never executed.
"""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from openami.c1222.tables.ids import TableId
from openami.core.errors import ConfigError, LocalProtocolError

Known = Mapping[TableId, Any]
"""What the dimension tables hold."""
_Evaluate = Callable[[Known], Any]
MAX_LENGTH: Final = 200
"""Characters: the longest expression of the standard's tables has sixty."""
_TABLE: Final = re.compile(r"[SM]T[0-9]{1,4}")
_ARITHMETIC: Final[Mapping[type[ast.operator], Callable[[Any, Any], Any]]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.floordiv,
}
_COMPARISONS: Final[Mapping[type[ast.cmpop], Callable[[Any, Any], bool]]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.In: lambda member, container: member in container,
    ast.NotIn: lambda member, container: member not in container,
}


@dataclass(frozen=True, slots=True)
class Expression:
    """A number, or a yes or no, that follows from other tables.

    Attributes:
        text: as it was written.
        needs: the tables whose elements it names.
    """

    text: str
    needs: frozenset[TableId]
    _evaluate: _Evaluate

    def value(self, known: Known) -> int:
        """Return its value; yes is 1.

        Raises:
            LocalProtocolError: ``c1219.dimension``, a table that it needs is not known, has no
                such element, or has one that is no number.
        """
        for table in self.needs:
            if table not in known:
                raise LocalProtocolError(
                    f"{self.text} needs {table}", hint=f"read {table} first", code="c1219.dimension"
                )
        try:
            return int(self._evaluate(known))
        except (KeyError, TypeError, ValueError, ArithmeticError) as error:
            raise LocalProtocolError(
                f"{self.text} has no value here: {error!r}", code="c1219.dimension"
            ) from None


def parse_expression(text: str) -> Expression:
    """Return the expression that ``text`` says.

    Raises:
        ConfigError: ``c1219.description``, it is none.
    """
    if len(text) > MAX_LENGTH:
        raise ConfigError("an expression is too long", code="c1219.description")
    try:
        tree = ast.parse(text.strip(), mode="eval")
        needs: set[TableId] = set()
        evaluate = _compiled(tree.body, needs)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ConfigError(f"no expression: {text!r}: {error}", code="c1219.description") from None
    return Expression(text, frozenset(needs), evaluate)


def _compiled(node: ast.expr, needs: set[TableId]) -> _Evaluate:
    for kind, compiler in _COMPILERS.items():
        if isinstance(node, kind):
            return compiler(node, needs)
    raise ValueError(f"{type(node).__name__} has no place in it")


def _constant(node: Any, _needs: set[TableId]) -> _Evaluate:
    number = node.value
    if not isinstance(number, int):
        raise ValueError(f"{number!r} is no whole number")  # noqa: TRY004 - it becomes a ConfigError with the others
    return lambda _: number


def _element(node: Any, needs: set[TableId]) -> _Evaluate:
    path: list[str] = []
    while isinstance(node, ast.Attribute):
        path.insert(0, node.attr)
        node = node.value
    if not path or not isinstance(node, ast.Name) or not _TABLE.fullmatch(node.id):
        raise ValueError("an element is ST or MT, a number, and the names after it")
    table = TableId.parse(node.id)
    needs.add(table)

    def evaluate(known: Known) -> Any:
        value = known[table]
        for name in path:
            value = value[name]
        return value

    return evaluate


def _arithmetic(node: Any, needs: set[TableId]) -> _Evaluate:
    operation = _ARITHMETIC.get(type(node.op))
    if operation is None:
        raise ValueError(f"{type(node.op).__name__} has no place in it")
    left, right = _compiled(node.left, needs), _compiled(node.right, needs)
    return lambda known: operation(left(known), right(known))


def _comparison(node: Any, needs: set[TableId]) -> _Evaluate:
    operation = _COMPARISONS.get(type(node.ops[0]))
    if operation is None or len(node.ops) > 1:
        raise ValueError("of comparisons there are ==, !=, in and not in")
    left, right = _compiled(node.left, needs), _compiled(node.comparators[0], needs)
    return lambda known: operation(left(known), right(known))


def _junction(node: Any, needs: set[TableId]) -> _Evaluate:
    parts = [_compiled(value, needs) for value in node.values]
    join = all if isinstance(node.op, ast.And) else any
    return lambda known: join([part(known) for part in parts])


def _negation(node: Any, needs: set[TableId]) -> _Evaluate:
    if not isinstance(node.op, ast.Not):
        raise ValueError("a number has no sign")  # noqa: TRY004 - it becomes a ConfigError with the others
    part = _compiled(node.operand, needs)
    return lambda known: not part(known)


_COMPILERS: Final[Mapping[type[ast.expr], Callable[[Any, set[TableId]], _Evaluate]]] = {
    ast.Constant: _constant,
    ast.Attribute: _element,
    ast.BinOp: _arithmetic,
    ast.Compare: _comparison,
    ast.BoolOp: _junction,
    ast.UnaryOp: _negation,
}
