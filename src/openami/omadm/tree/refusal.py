"""A command that the tree refuses, with the status that says so to the server."""

from __future__ import annotations

from typing import TYPE_CHECKING

from openami.core.errors import OpenAmiError

if TYPE_CHECKING:
    from openami.omadm.codes import Status


class TreeRefusedError(OpenAmiError):
    """Nothing was changed.

    Args:
        status: what the Status of the command says.
        message: why, for a person; it travels in the Status, so it holds no value of a node.
    """

    code = "omadm.tree.refused"

    def __init__(self, status: Status, message: str) -> None:
        super().__init__(message)
        self.status = status
