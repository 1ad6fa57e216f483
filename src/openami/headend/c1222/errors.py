"""What can come of asking a node."""

from __future__ import annotations

from openami.core.errors import OpenAmiError


class NodeRefusedError(OpenAmiError):
    """A node has answered that it does not do it; ``code`` ends with the answer's name."""

    code = "c1222.refused"


class LayoutError(OpenAmiError):
    """What a node holds is not made as its own dimension tables say."""

    code = "c1222.layout"
