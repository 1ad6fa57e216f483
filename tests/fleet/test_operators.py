"""Operators and their roles."""

from __future__ import annotations

import pytest

from openami.fleet.operators import Operator, Role


def test_each_role_includes_the_ones_before_it() -> None:
    order = [Role.VIEWER, Role.OPERATOR, Role.ADMIN]
    for place, role in enumerate(order):
        assert [role.includes(other) for other in order] == [n <= place for n in range(3)]


@pytest.mark.parametrize("name", ["", "-x", "a b", "a\n", "x" * 65, "<b>"])
def test_names_are_plain(name: str) -> None:
    with pytest.raises(ValueError, match="name"):
        Operator(name, Role.VIEWER)


def test_a_mail_address_is_a_name() -> None:
    assert Operator("anna.kim@utility.example", Role.VIEWER).name == "anna.kim@utility.example"
