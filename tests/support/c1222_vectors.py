"""Published and captured messages of C12.22."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final

from tests.support.vectors import FOLDER

from openami.c1222.security import Keys


@dataclass(frozen=True)
class Message:
    """One message: octets, what is in it in clear, and the fields of its envelope."""

    name: str
    source: str
    raw: bytes
    body: bytes
    fields: dict[str, Any]
    keys: Keys


def _message(row: dict[str, Any]) -> Message:
    keys = Keys({row["key_id"]: bytes.fromhex(row["key"])} if "key" in row else {})
    raw, body = bytes.fromhex(row["hex"]), bytes.fromhex(row["body"])
    return Message(row["name"], row["source"], raw, body, row["fields"], keys)


MESSAGES: Final = [_message(row) for row in json.loads((FOLDER / "c1222.json").read_text("utf-8"))]


def named(message: Message) -> str:
    """Return a test's id."""
    return message.name.replace(" ", "-").replace(",", "")
