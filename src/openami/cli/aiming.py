"""The options of commands that ask a head-end, as one argument ``target``."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from openami.cli.api import find_target, target_options
from openami.cli.output import json_option

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def aimed(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command that prints data ``target`` and ``as_json``, and their options."""
    return target_options(json_option(_with_target(command)))


def aimed_only(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command that prints no data ``target``, and its options."""
    return target_options(_with_target(command))


def _with_target(command: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(command)
    def wrapped(url: str | None, ca: Path | None, token_file: Path | None, **others: Any) -> None:
        command(target=find_target(url, ca, token_file), **others)

    return wrapped
