"""What the REST API takes and gives about devices' accounts."""

from datetime import datetime
from typing import Annotated, Self

from pydantic import Field

from openami.headend.management.proofs import AccountView
from openami.headend.registry import WHY
from openami.web.api.models.common import Model, moment

Proof = Annotated[str, Field(max_length=32, examples=["mac-sha256"])]


class AccountRequest(Model):
    """Which proofs an account accepts, and no others."""

    accepts: Annotated[list[Proof], Field(min_length=1, max_length=16)] = Field(
        description="`mac-sha256`, `digest-sha256`, `mac-md5`, `digest-md5`, `basic`, in any order."
    )
    why: Annotated[str, Field(max_length=WHY)] = ""


class AccountModel(Model):
    """A device's account: how it and the head-end prove to each other who they are."""

    device: str
    accepts: list[str] = Field(
        description="The best first: it makes the digest of notifications, and is asked for first."
    )
    weak: bool = Field(description="Whether MD5, or a password as it is, does for it.")
    notified: bool = Field(
        description="Whether a notification can be made; not where `basic` is all: such a device"
        " comes by itself."
    )
    suspended: bool
    last_session: datetime | None = Field(description="When it began.")

    @classmethod
    def of(cls, view: AccountView) -> Self:
        """Return the model of an account."""
        return cls(
            device=view.record.uid,
            accepts=list(view.policy.labels),
            weak=view.policy.weak,
            notified=view.notified,
            suspended=view.record.suspended,
            last_session=moment(view.record.last_session),
        )
