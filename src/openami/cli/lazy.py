"""Groups whose commands are imported only when they are used, so that ``--help`` stays quick."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Mapping


class LazyGroup(click.Group):
    """A group that knows its commands by name and loads the one that is called.

    Args:
        where: module and attribute of each, as in ``openami.cli.read:read``.
        others: see ``click.Group``.
    """

    def __init__(self, *others: Any, where: Mapping[str, str], **named: Any) -> None:
        super().__init__(*others, **named)
        self._where = where

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*self._where, *super().list_commands(ctx)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        where = self._where.get(cmd_name)
        if where is None:
            return super().get_command(ctx, cmd_name)
        module, _, attribute = where.partition(":")
        command = getattr(importlib.import_module(module), attribute)
        assert isinstance(command, click.Command)
        return command
