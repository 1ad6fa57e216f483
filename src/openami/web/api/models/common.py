"""What every part of the REST API gives."""

from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from openami.core.clock import utc

Cursor = Annotated[str | None, Field(description="`after` for the next page; null at the end.")]


class Model(BaseModel):
    """What the models have in common: a name that is not known is a mistake."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ErrorDetail(Model):
    """What went wrong."""

    code: str = Field(description="Stable between releases.", examples=["store.not-found"])
    message: str = Field(examples=["no device meter-A1"])
    hint: str | None = Field(None, description="What to do about it.")


class ErrorBody(Model):
    """The body of every answer that is an error."""

    error: ErrorDetail


def moment(seconds: float | None) -> datetime | None:
    """Return a time that may be unknown."""
    return None if seconds is None else utc(seconds)
