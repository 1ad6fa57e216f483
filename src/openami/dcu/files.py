"""The files that a managed DCU lives on: its tree, the secrets in there, and its memory."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Final

import structlog

from openami.core.errors import ConfigError
from openami.dcu.device import mend, open_tree
from openami.store.device_memory import DeviceMemory
from openami.store.salvage import opened
from openami.store.sealed_tree import SealedTree
from openami.store.tree import SqliteTree
from openami.store.vault import FileVault

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from openami.omadm.objects.device import DeviceFacts
    from openami.omadm.tree.tree import ManagementTree

_TOLD: Final = 20  # nodes in one line of the log

log = structlog.get_logger("dcu")


@contextmanager
def management_files(
    state: Path, facts: DeviceFacts, *, now: float
) -> Iterator[tuple[ManagementTree, DeviceMemory]]:
    """Open the files in a DCU's folder; those that are damaged are begun anew.

    Args:
        state: the folder; it is made if it is not there.
        facts: what the tree says of the device.
        now: UTC seconds, for nodes that are made now.

    Raises:
        ConfigError: the folder cannot be made.
        StoreError: the files cannot be used, or another process has them.
    """
    try:
        state.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"{state}: {error.strerror}", code="config.state") from error
    with ExitStack() as stack:
        file = state / "management.sqlite"
        memory = opened(lambda: DeviceMemory(file), file)
        stack.callback(memory.close)
        files = [state / name for name in ("tree.sqlite", "vault.sqlite", "kek")]
        tree, close = opened(lambda: _open_tree(state, facts, now), *files)
        stack.callback(close)
        yield tree, memory


def _open_tree(
    state: Path, facts: DeviceFacts, now: float
) -> tuple[ManagementTree, Callable[[], None]]:
    """Return the tree, and what closes the files that it is kept in."""
    with ExitStack() as stack:
        store = SqliteTree(state / "tree.sqlite")
        stack.callback(store.close)
        vault = FileVault(state / "vault.sqlite", kek=state / "kek")
        stack.callback(vault.close)
        tree = open_tree(SealedTree(store, vault), facts, now=now)
        mended = mend(tree, now=now)
        if mended:
            log.warning("the tree had values that are none", nodes=mended[:_TOLD])
        return tree, stack.pop_all().close
