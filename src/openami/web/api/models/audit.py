"""What the REST API says of the audit log."""

from datetime import datetime
from typing import Annotated, Self

from pydantic import Field

from openami.core.clock import utc
from openami.fleet.audit import Head
from openami.fleet.devices import AuditEntry
from openami.web.api.models.common import Cursor, Model


class AuditModel(Model):
    """Who did what to what, when and why."""

    id: int
    who: str
    when: datetime
    what: str
    subject: str
    why: str
    number: Annotated[
        int | None, Field(description="Place in the chain; null for the second until it has one.")
    ]
    hash: Annotated[str | None, Field(description="SHA-256 up to here, hexadecimal.")]

    @classmethod
    def of(cls, entry: AuditEntry) -> Self:
        """Return the model of an entry."""
        return cls(
            id=entry.id,
            who=entry.who,
            when=utc(entry.when),
            what=entry.what,
            subject=entry.subject,
            why=entry.why,
            number=entry.number,
            hash=None if entry.hash is None else entry.hash.hex(),
        )


class AuditPage(Model):
    """Some entries of the audit log, newest first."""

    items: list[AuditModel]
    next: Cursor


class AuditHead(Model):
    """How far the chain of the audit log goes, signed now."""

    number: Annotated[int, Field(description="Of the last entry; 0: there is none.")]
    hash: str
    when: datetime
    key: Annotated[str, Field(description="SHA-256 of the public key, hexadecimal.")]
    waiting: Annotated[int, Field(description="Entries that have no place yet.")]
    fault: Annotated[str | None, Field(description="What is wrong with the chain.")]
    line: Annotated[str, Field(description="The head as a line, to keep for `audit verify`.")]

    @classmethod
    def of(cls, head: Head, *, waiting: int, fault: str | None, line: str) -> Self:
        """Return the model of a head."""
        return cls(
            number=head.number,
            hash=head.hash.hex(),
            when=utc(head.when),
            key=head.key.hex(),
            waiting=waiting,
            fault=fault,
            line=line,
        )
